"""Connections that cost the service nothing for long: a request has to arrive in time, and an address has so many."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from facekit.system.addresses import client_of, is_among

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Sequence

HEADER_SECONDS = 20.0  # as Apache's mod_reqtimeout gives by default
# The same module asks for 500 bytes a second of a body; 64 MiB at a poor phone's 1 Mbit/s take nine minutes.
BODY_SECONDS = 600.0
STALL_SECONDS = 30.0  # of a body of which nothing more comes
# A browser opens six to one host; some people behind one address, and the kernels of the web app, of which there are
# at most forty, each with a few.
CONNECTIONS_AN_ADDRESS = 200


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, whose connections end when a request does not arrive in time.

    Clocks run only while the service waits for the client: not while an answer is made or sent, nor while the body is
    left unread because the service itself is slow to take it. Where there are too many, the one that has kept the
    service waiting longest ends: so nobody is shut out by requests that never come.
    """

    addresses: dict[str, dict[LimitedProtocol, None]]
    proxies: Sequence[str] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if its address has not too many."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0  # when the request that is arriving began; 0 while none is
        self._address = client_of(self.client[0]) if self.client else ""
        those = self.addresses[self._address]
        those[self] = None
        if not self._is_proxy():
            self._make_room(those, CONNECTIONS_AN_ADDRESS)
        if self.limit_concurrency is not None:
            self._make_room([one for some in self.addresses.values() for one in some], self.limit_concurrency - 1)
        self._began = self.loop.time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop()
        those = self.addresses[self._address]
        those.pop(self, None)
        if not those:
            del self.addresses[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, and wait for the rest."""
        if not self._began:
            self._began = self.loop.time()
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request: uvicorn sees to it that it begins soon."""
        super().on_response_complete()
        self._watch()

    def _is_proxy(self) -> bool:
        return self.client is not None and is_among(self.client[0], self.proxies)

    def _make_room(self, connections: Collection[LimitedProtocol], most: int) -> None:
        open_ones = [one for one in connections if not one.transport.is_closing()]
        if len(open_ones) <= most:
            return
        waiting = ((state, one) for state in (h11.IDLE, h11.SEND_BODY) for one in open_ones if one is not self)
        oldest = next((one for state, one in waiting if one.conn.their_state is state), self)
        oldest.transport.abort()

    def _watch(self) -> None:
        self._stop()
        if self.transport.is_closing():
            return
        now, state = self.loop.time(), self.conn.their_state
        if state is h11.SEND_BODY:
            due = min(self._began + BODY_SECONDS, now + STALL_SECONDS)
        elif state is h11.IDLE and self._began and self.timeout_keep_alive_task is None:
            due = self._began + HEADER_SECONDS
        else:  # it is all here; the next one has not begun
            self._began = 0.0
            return
        self._timer = self.loop.call_at(due, self._too_late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self.flow.read_paused and self.loop.time() < self._began + BODY_SECONDS:
            self._watch()
        else:
            self.transport.abort()


def limited(proxies: Sequence[str]) -> type[LimitedProtocol]:
    """The protocol for one service.

    Parameters
    ----------
    proxies : sequence of str
        Addresses or networks that may have any number of connections: many people come through them.
    """
    own: dict[str, Any] = {"addresses": defaultdict(dict), "proxies": tuple(proxies)}
    return type("OwnLimitedProtocol", (LimitedProtocol,), own)
