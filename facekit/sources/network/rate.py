"""How often a service is asked: as often as it allows, by all threads of this process together."""

from __future__ import annotations

from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Event

_MARGIN = 1.05  # ours: requests don't all take equally long to arrive


def pause(seconds: float, stop: Event) -> None:
    """Wait. Raises KeyboardInterrupt at once where the work is to stop."""
    if stop.wait(max(seconds, 0)):
        raise KeyboardInterrupt


class Rate:
    """At most so many requests a second, evenly: there are no bursts, for a service counts in seconds of its own."""

    def __init__(self, per_second: float) -> None:
        self._interval = _MARGIN / per_second
        self._turn = Lock()
        self._sent = Lock()
        self._next = 0.0

    def wait(self, stop: Event) -> None:
        """Wait for a turn. Raises KeyboardInterrupt at once where the work is to stop."""
        with self._turn:
            while (left := self._next - monotonic()) > 0:
                pause(left, stop)
            pause(0, stop)
            self.sent()

    def sent(self) -> None:
        """A request goes out just now, be it later than its turn came: a connection had to be opened first."""
        self.hold(self._interval)

    def hold(self, seconds: float) -> None:
        """Nothing is asked for so long."""
        with self._sent:
            self._next = max(self._next, monotonic() + seconds)


_rates: dict[tuple[str, str, float], Rate] = {}
_lock = Lock()


def rate_of(base: str, what: str, per_second: float) -> Rate:
    """The one of a service's endpoint: everybody's in this process."""
    with _lock:
        return _rates.setdefault((base, what, per_second), Rate(per_second))
