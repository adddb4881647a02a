"""A service that holds photos, as a fake on real sockets: its faults are real ones, scripted beforehand.

A subclass has the routes of one service. Whatever it answers, a fault may spoil: ``fake.fail(hang())`` has the next
request wait for ever, ``fake.fail(status(503), path="/method/.*", times=3)`` refuses three of a kind.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import JSONResponse

from facekit.sources.item import Token, Tools
from facekit.sources.network import http, rate, retries, transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from datetime import datetime
    from typing import Self

    from starlette.routing import BaseRoute

PAGE = b"<!doctype html><html><body>Something went wrong</body></html>"


def jpeg(number: int, width: int = 32, height: int = 24) -> bytes:
    """A small photo of a kind: other numbers, other bytes."""
    image = Image.new("RGB", (width, height), (number * 37 % 256, number * 101 % 256, number * 7 % 256))
    image.putpixel((number % width, number // width % height), (255, 255, 255))
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=90)
        return file.getvalue()


@dataclass
class FakePhoto:
    """A photo that a service holds. ``key`` is the service's own; what else a service knows, its fake adds."""

    key: str
    name: str
    data: bytes
    album: str = ""
    taken_at: datetime | None = None


def photos(count: int, album: str = "", first: int = 0) -> list[FakePhoto]:
    """Some that differ."""
    return [FakePhoto(str(n), f"photo {n}.jpg", jpeg(n), album) for n in range(first, first + count)]


@dataclass
class Recorded:
    """A request that came, whatever became of it. ``status`` is 0 where there was no whole answer."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    status: int = 0

    @property
    def form(self) -> dict[str, str]:
        """Its body, where that is a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Exchange:
    """A request of which a fault decides: ``answer`` has what the service itself would say."""

    request: Recorded
    cycle: Any  # uvicorn's
    closing: threading.Event
    answer: Callable[[], Awaitable[tuple[int, dict[str, str], bytes]]]

    @property
    def transport(self) -> asyncio.Transport:
        return self.cycle.transport

    def write(self, data: bytes) -> None:
        """Put bytes on the wire as they are."""
        self.cycle.response_started = self.cycle.response_complete = True
        self.transport.write(data)

    def head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        """Begin an answer that says it has so many bytes."""
        self.request.status = status
        kept = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        lines = [
            f"{name}: {value}" for name, value in {**kept, "content-length": length, "connection": "close"}.items()
        ]
        self.write("\r\n".join([f"HTTP/1.1 {status} Faked", *lines, "", ""]).encode("latin-1"))

    async def sleep(self, seconds: float) -> bool:
        """Wait; whether there is still somebody who waits for an answer."""
        until = time.monotonic() + seconds
        awaited = True
        while awaited and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(0.02, left))
            awaited = not self.closing.is_set() and not self.transport.is_closing()
        return awaited

    def end(self) -> None:
        self.transport.close()


Fault = "Callable[[Exchange], Awaitable[None]]"


def hang(seconds: float = 60) -> Fault:
    """No answer for so long, or until whoever asked has gone."""

    async def fault(it: Exchange) -> None:
        await it.sleep(seconds)
        it.transport.abort()

    return fault


def slow_body(piece: int = 1, seconds: float = 60) -> Fault:
    """The whole answer, but its body in small pieces, which take so long together."""

    async def fault(it: Exchange) -> None:
        status, headers, body = await it.answer()
        it.head(status, headers, len(body))
        each = seconds * piece / max(len(body), 1)
        for start in range(0, len(body), piece):
            it.write(body[start : start + piece])
            if not await it.sleep(each):
                break
        it.end()

    return fault


def cut_body(kept: float = 0.5) -> Fault:
    """A part of the body only, and then the end of the connection."""

    async def fault(it: Exchange) -> None:
        status, headers, body = await it.answer()
        it.head(status, headers, len(body))
        it.write(body[: int(len(body) * kept)])
        it.end()

    return fault


def wrong_length(difference: int = -10) -> Fault:
    """A Content-Length that is not the body's."""

    async def fault(it: Exchange) -> None:
        status, headers, body = await it.answer()
        it.head(status, headers, len(body) + difference)
        it.write(body)
        it.end()

    return fault


def truncated(kept: float = 0.5) -> Fault:
    """A part of the body, and a Content-Length that goes with it: only its size or hash tells."""

    async def fault(it: Exchange) -> None:
        status, headers, body = await it.answer()
        part = body[: int(len(body) * kept)]
        it.head(status, headers, len(part))
        it.write(part)
        it.end()

    return fault


def reset() -> Fault:
    """The connection is reset without an answer."""

    async def fault(it: Exchange) -> None:
        raw = it.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        it.transport.abort()

    return fault


def answer(status: int, body: bytes | str | dict | list = b"", headers: Mapping[str, str] | None = None) -> Fault:
    """Another answer than the service's own."""
    given = json.dumps(body).encode() if isinstance(body, dict | list) else body
    data = given.encode() if isinstance(given, str) else given
    kind = "application/json" if isinstance(body, dict | list) else "text/html; charset=utf-8"

    async def fault(it: Exchange) -> None:
        it.head(status, {"content-type": kind, **(headers or {})}, len(data))
        it.write(data)
        it.end()

    return fault


def status(number: int, headers: Mapping[str, str] | None = None, body: bytes = PAGE) -> Fault:
    """A status, with a web page as gateways make it."""
    return answer(number, body, headers)


def html(number: int = 200) -> Fault:
    """A web page in place of what was asked for."""
    return answer(number, PAGE)


def redirect(to: str, number: int = 302) -> Fault:
    """On to another address."""
    return answer(number, b"", {"location": to})


def after(seconds: float) -> Fault:
    """The right answer, later."""

    async def fault(it: Exchange) -> None:
        await it.sleep(seconds)
        number, headers, body = await it.answer()
        it.head(number, headers, len(body))
        it.write(body)
        it.end()

    return fault


def faults(**named: Fault) -> pytest.MarkDecorator:
    """Run a test once for each: its argument ``fault``."""
    return pytest.mark.parametrize("fault", list(named.values()), ids=list(named))


@dataclass
class _Planned:
    fault: Fault
    path: re.Pattern[str]
    times: int
    after: int


class FakeService:
    """One service on this machine's loopback, in a thread of its own; used in a ``with`` block.

    Attributes
    ----------
    kind : str
        The name of the `SourceKind`.
    variable : str
        The environment's variable that names the service's address.
    photos : dict of str to FakePhoto
        What it holds, by key.
    requests : list of Recorded
        All that came, in order.
    """

    kind = ""
    variable = ""

    def __init__(self, photos: Iterable[FakePhoto] = ()) -> None:
        self.photos = {photo.key: photo for photo in photos}
        self.requests: list[Recorded] = []
        self.url = ""
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._inner = Starlette(routes=self.routes())
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    # What a subclass says

    def routes(self) -> list[BaseRoute]:
        """The service's own."""
        raise NotImplementedError

    def settings(self) -> dict[str, str]:
        """Of a source that has all photos."""
        return {}

    def token(self) -> Token | None:
        """One that the service accepts; None where it wants none."""
        return None

    # What tests say

    def variables(self) -> dict[str, str]:
        """The environment of a process that is to find it."""
        return {self.variable: self.url}

    def fail(self, fault: Fault, *, path: str = ".*", times: int = 1, after: int = 0) -> None:
        """Spoil some answers: of requests whose path is such, ``after`` so many more that are answered well."""
        with self._lock:
            self._planned.append(_Planned(fault, re.compile(path), times, after))

    def heal(self) -> None:
        """Take back what was planned, and forget what came."""
        with self._lock:
            self._planned.clear()
            self.requests.clear()

    def add(self, photo: FakePhoto) -> None:
        self.photos[photo.key] = photo

    def remove(self, key: str) -> None:
        del self.photos[key]

    def change(self, key: str, data: bytes) -> None:
        """Give a photo other bytes."""
        self.photos[key] = replace(self.photos[key], data=data)

    def most_within(self, seconds: float = 1.0, path: str = ".*") -> int:
        """How many requests came in such a time, at the most: what the service's limit is about."""
        times = sorted(one.at for one in self.requests if re.fullmatch(path, one.path))
        return max((sum(start <= at < start + seconds for at in times) for start in times), default=0)

    # The server

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so only for its own
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._serve, interface="asgi3", http="h11", ws="none", lifespan="off", log_config=None, log_level="critical"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    def _fault_for(self, path: str) -> Fault | None:
        with self._lock:
            for planned in self._planned:
                if planned.times and planned.path.fullmatch(path):
                    if planned.after:
                        planned.after -= 1
                        continue
                    planned.times -= 1
                    return planned.fault
        return None

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        at = time.monotonic()
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        recorded = Recorded(at, scope["method"], unquote(scope["path"]), query, headers)
        self.requests.append(recorded)
        more = True
        while more:
            message = await receive()
            recorded.body += message.get("body", b"")
            more = message.get("more_body", False)

        async def answer_of_service() -> tuple[int, dict[str, str], bytes]:
            return await self._answer(scope, recorded)

        fault = self._fault_for(recorded.path)
        if fault is not None:
            await fault(Exchange(recorded, send.__self__, self._closing, answer_of_service))
            return
        recorded.status, given, body = await answer_of_service()
        raw = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
        await send({"type": "http.response.start", "status": recorded.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Any, recorded: Recorded) -> tuple[int, dict[str, str], bytes]:
        said: dict[str, Any] = {"status": 500, "headers": []}
        body = bytearray()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": recorded.body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                said.update(message)
            body += message.get("body", b"")

        try:
            await self._inner(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - a fault of the fake's own: a test is to see it
            data = JSONResponse({"fake": repr(error)}, 500)
            return 500, {"content-type": "application/json"}, bytes(data.body)
        headers = {name.decode(): value.decode("latin-1") for name, value in said["headers"]}
        return said["status"], headers, bytes(body)


def tools(token: str | None = None, answers: Mapping[str, str] | None = None) -> Tools:
    """What a connector is given, where nobody renews a token; ``answers`` are a user's, by a word of the question."""
    from facekit.errors import SignInError

    def access(refused: str | None) -> str | None:
        if refused is not None:
            message = "The token is refused."
            raise SignInError(message)
        return token

    def ask(prompt: Any) -> str:
        return next((said for word, said in (answers or {}).items() if word in prompt.text), "")

    return Tools(access, ask, threading.Event())


def hurry(monkeypatch: pytest.MonkeyPatch, patience: float = 2.0) -> None:
    """Have this process wait less between tries, and for answers that don't come."""
    monkeypatch.setattr(rate, "_rates", {})  # what a service asked for in another test holds there
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(http, "DOWNLOADS_A_SECOND", 1000.0)
    monkeypatch.setattr(transport, "READ_TIMEOUT", patience)
