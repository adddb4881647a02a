"""Waiting that ends: a long run says what it waits for, and nothing waits for ever.

A native call that does not come back can't be ended from outside. It runs in another thread therefore (see
`facekit.system.threads`), for which is waited here: with a limit, and so that Ctrl-C works.
"""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import inf
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from time import monotonic
from traceback import format_stack
from typing import IO, TYPE_CHECKING, TypeVar

from facekit.errors import FacekitError, StalledError
from facekit.system import watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

R = TypeVar("R")

LIMIT = "FACEKIT_GIVE_UP_AFTER"
"""The environment variable that holds the seconds after which a wait is given up; 0: never."""

_GIVE_UP_AFTER = 600.0
"""Ours. The longest step that is known takes two minutes: a photo that hangs its decoder. A run of a network over one
batch takes seconds, also on slow processors."""

_WARN_AFTER = 60.0  # seconds without a finished photo
_FOREVER = 1e7  # seconds: months; the system's own waits take no number without end
_STOP_AFTER = 30.0  # seconds for a step that has begun, when the run is to stop
_TICK = 0.5
_END_AFTER = 10.0  # seconds after the stacks were written down


def give_up_after() -> float:
    """Seconds that any one step may take. Raises FacekitError if the environment says no number."""
    said = os.environ.get(LIMIT, "")
    try:
        seconds = float(said or _GIVE_UP_AFTER)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        message = f"{LIMIT} is {said!r}."
        raise FacekitError(message, "Give it a number of seconds, or 0 to wait for ever.")
    return seconds if 0 < seconds < _FOREVER else inf


class _Clock:
    """Seconds since it was made in which this process ran: not those in which it, or the machine, was suspended."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._last = monotonic()

    def look(self) -> float:
        """To be called every tick."""
        now = monotonic()
        self._seconds += min(now - self._last, 4 * _TICK)
        self._last = now
        return self._seconds


def result_of(future: Future[R], what: str, remedy: str = "") -> R:
    """The result of what another thread does.

    Parameters
    ----------
    future : Future
        Of the other thread, which `facekit.system.threads.Threads` has started, or another that may be left behind.
    what : str
        What is waited for, as it stands after "waiting for".
    remedy : str
        What to do where it never comes.

    Raises
    ------
    StalledError
        If it does not come in the time that `give_up_after` says. The stacks of all threads are in the log.
    KeyboardInterrupt
        If the run that this is part of is to stop, and this does not come in half a minute.
    """
    if future.done():
        return future.result()
    limit, clock = give_up_after(), _Clock()
    with waiting_for(what):
        while clock.look() < limit:
            try:
                return future.result(min(_TICK, limit))
            except TimeoutError:
                if future.done():  # just now, or the function itself raised it
                    return future.result()
                watch = _watch.get()
                if watch is not None and watch.stop.is_set() and clock.look() > _STOP_AFTER:
                    raise KeyboardInterrupt from None
    _log_stacks(what, limit)
    message = f"Gave up waiting for {what}: nothing came for {limit:g} s."
    again = f"What is done is kept. {LIMIT} sets the seconds."
    raise StalledError(message, f"{remedy} {again}".strip())


class Watch:
    """What a long run waits for.

    Attributes
    ----------
    notes : list of str
        Everything that was said, for a report.
    stop : threading.Event
        Set, it ends the run.
    """

    def __init__(self, folder: Path, stop: Event | None) -> None:
        self.stop = stop or Event()
        self.notes: list[str] = []
        self.doing = "this process's own work"
        self._file = folder / "logs" / "stalled.txt"
        self._since = self._finished = _Clock()
        self._ended = Event()
        self._limit = give_up_after()
        self._warn_at = min(_WARN_AFTER, self._limit / 2)
        self._thread = Thread(target=self._look_on, name="facekit-watch", daemon=True)

    def finished(self) -> None:
        """A photo is done."""
        self._finished = _Clock()

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """What is done inside this block."""
        before, self.doing = self.doing, what
        self._since = _Clock()
        try:
            yield
        finally:
            self.doing = before
            self._since = _Clock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look on until the end of this block."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _look_on(self) -> None:
        # Where a native call holds the GIL, no thread of Python's runs, this one neither, and what is set here goes
        # off: it needs no GIL, and writes down where all threads stand. Then another process ends this one, in which
        # nothing could ever run again.
        told = None
        try:
            stacks: IO[str] = self._file.open("a", encoding="utf-8")
        except OSError:  # the warnings are worth having all the same
            stacks = tempfile.TemporaryFile("w", encoding="utf-8")  # noqa: SIM115 - closed below
        with stacks as file, self._watchdog() as beat:
            try:
                while not self._ended.wait(_TICK):
                    beat()
                    if self._limit < inf:
                        faulthandler.dump_traceback_later(self._limit, file=file)
                    self._warn(self._finished.look())
                    since = self._since
                    # Later than `result_of`, whose wait has an end: this is one inside a native call, of which is told.
                    if since.look() >= self._limit + 4 * _TICK and told is not since:
                        told = since
                        _log_stacks(self.doing, self._limit)
            finally:
                faulthandler.cancel_dump_traceback_later()
        with suppress(OSError):
            if not self._file.stat().st_size:
                self._file.unlink()

    @contextmanager
    def _watchdog(self) -> Iterator[Callable[[], None]]:
        """A process that ends this one where no thread of Python's has run for long; give it signs of life."""
        if self._limit == inf or not sys.executable:  # a program that Python is part of has none
            yield lambda: None
            return
        told = [str(os.getpid()), str(self._limit + _END_AFTER), str(self._file)]
        try:
            process = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-I", "-S", watchdog.__file__, *told],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                bufsize=0,
            )
        except OSError as error:
            from loguru import logger

            logger.info("No process could be started that looks on: {}", error)
            yield lambda: None
            return
        with process:

            def tell(what: bytes = b".") -> None:
                with suppress(OSError):
                    process.stdin.write(what)  # type: ignore[union-attr]

            try:
                yield tell
            finally:
                tell(watchdog.END)  # a fork may hold the pipe open

    def _warn(self, seconds: float) -> None:
        if seconds < self._warn_at:
            return
        from loguru import logger

        text = f"No photo was finished for {seconds:.0f} s: waiting for {self.doing}."
        self.notes.append(text)
        logger.warning(text)
        self._warn_at *= 2  # where each batch takes a minute it is said at 60, 120, 240 s: a few times in all


_watch: ContextVar[Watch | None] = ContextVar("facekit_watch", default=None)


@contextmanager
def watching(folder: Path, stop: Event | None = None) -> Iterator[Watch]:
    """Warn, and write it down in a library's log, when a run finishes no photo for long: this thread's, in the block.

    While it lasts `faulthandler.dump_traceback_later` is in use: what others set with it is lost.
    """
    watch = Watch(folder, stop)
    token = _watch.set(watch)
    try:
        with watch.running():
            yield watch
    finally:
        _watch.reset(token)


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Say what this thread waits for inside the block, for the warnings of the run that it is part of, if any."""
    watch = _watch.get()
    if watch is None:
        yield
        return
    with watch.waiting_for(what):
        yield


def finished() -> None:
    """Tell the watch of this thread's run, if any, that photos are done."""
    if (watch := _watch.get()) is not None:
        watch.finished()


def _log_stacks(what: str, seconds: float) -> None:
    from loguru import logger

    # Not by faulthandler, which stops after 100 threads and knows no names.
    names = {thread.ident: thread.name for thread in enumerate_threads()}
    stacks = "\n".join(
        f"Thread {names.get(ident, ident)}:\n{''.join(format_stack(frame))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - documented, and there is no other way
    )
    # To the library's log only: a terminal and a notebook show warnings and what is worse.
    logger.info("Nothing came for {:g} s while waiting for {}. All threads:\n{}", seconds, what, stacks)
