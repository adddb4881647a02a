"""Calls of a vector index that have an end: what is asked of a server may never be answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from facekit.errors import StalledError
from facekit.system.threads import Threads
from facekit.system.waiting import result_of

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")

_AT_ONCE = 8  # searches run beside each other, and beside what is stored


class Calls:
    """Threads in which an index is asked."""

    def __init__(self) -> None:
        self._threads = Threads(_AT_ONCE, "facekit-index")

    def ask(self, name: str, function: Callable[[], R]) -> R:
        """What a function returns, or raises.

        Raises
        ------
        StalledError
            If nothing comes in the time that `facekit.system.waiting.give_up_after` says.
        """
        future = self._threads.submit(function)
        try:
            remedy = "Close the library and open it again; the vectors are in the catalog."
            return result_of(future, f"the vector index ({name})", remedy)
        except StalledError:
            self._threads.leave([future])
            raise

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()
