"""Threads that never keep a process alive: a native call that does not come back can't be ended, but be left behind."""

from __future__ import annotations

import atexit
import os
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from facekit.system.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

R = TypeVar("R")

_SECONDS_AT_EXIT = 5.0  # for native calls to end: a thread that comes back into a Python that is gone may crash it


class Threads(Closing):
    """Some threads that call functions in the order they are handed in.

    Unlike those of `concurrent.futures.ThreadPoolExecutor`, which Python waits for when it ends, they are daemons, and
    one that is stuck can be replaced.

    Parameters
    ----------
    count : int
        How many; they are started with the first call.
    name : str
        What their names begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = Lock()
        self._threads: set[Thread] = set()
        self._at_work: dict[Future[Any], Thread] = {}
        self._process = os.getpid()
        _all.add(self)

    def submit(self, function: Callable[..., R], *arguments: Any) -> Future[R]:  # noqa: ANN401 - whatever it takes
        """Have a function called."""
        future: Future[R] = Future()
        with self._lock:
            while len(self._threads) < self._count:
                self._start_one()
        self._calls.put((future, lambda: function(*arguments)))
        return future

    def leave(self, futures: Iterable[Future[Any]]) -> None:
        """Nobody wants these any more: those that run are left to their threads, which others take the place of."""
        for future in futures:
            if future.cancel():
                continue
            with self._lock:
                thread = self._at_work.pop(future, None)
                if thread in self._threads:
                    self._threads.discard(thread)
                    self._start_one()

    def close(self, seconds: float = 0.0) -> None:
        """Let the threads end after what they do; wait for them so long at most."""
        if os.getpid() != self._process:  # a fork has none of them
            return
        with self._lock:
            threads, self._threads = self._threads, set()
        for _ in threads:
            self._calls.put(None)
        deadline = monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))

    def _start_one(self) -> None:
        thread = Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.add(thread)
        _started.add(thread)
        thread.start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            with self._lock:
                self._at_work[future] = current_thread()
            if not future.set_running_or_notify_cancel():
                with self._lock:
                    del self._at_work[future]
                continue
            try:
                value = function()
            except BaseException as error:  # noqa: BLE001 - it is the caller's to judge
                future.set_exception(error)
            else:
                future.set_result(value)
                del value
            with self._lock:
                if self._at_work.pop(future, None) is None:
                    return  # it was left, and another thread is in its place
            del call, future, function  # what they hold is not kept until the next call


_all: WeakSet[Threads] = WeakSet()
_started: WeakSet[Thread] = WeakSet()  # also those that were left, as Ctrl-C leaves a model's


@atexit.register
def _end_all() -> None:
    for threads in list(_all):
        threads.close()
    deadline = monotonic() + _SECONDS_AT_EXIT
    for thread in list(_started):
        thread.join(max(0.0, deadline - monotonic()))
