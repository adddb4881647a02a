"""A semaphore that is fair: threads get it in the order in which they came."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from threading import Event, Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class FairSemaphore:
    """Lets so many threads in at once; who comes first is let in first.

    Python's semaphores let in whoever asks at the right moment: of many threads that ask again and again some wait for
    ever.

    Parameters
    ----------
    most : int
        Threads at once.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: deque[Event] = deque()
        self._lock = Lock()

    @contextmanager
    def acquired(self, seconds: float | None) -> Iterator[None]:
        """Wait for a turn, and have it until the end of the block.

        Raises
        ------
        TimeoutError
            If it does not come within so many seconds; None waits for ever.
        """
        self._enter(seconds)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, seconds: float | None) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = Event()
            self._waiting.append(mine)
        try:
            came = mine.wait(seconds)
        except BaseException:  # Ctrl-C
            self._go(mine)
            raise
        if not came:
            self._go(mine)
            message = f"no turn came within {seconds} s"
            raise TimeoutError(message)

    def _go(self, mine: Event) -> None:
        """Wait no longer; a turn that came just now is left to the next."""
        with self._lock:
            if not mine.is_set():
                self._waiting.remove(mine)
                return
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()  # the turn goes over to it
            else:
                self._free += 1
