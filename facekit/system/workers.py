"""Work in other processes, so that a photo that crashes or hangs a decoder costs that photo and nothing else.

Each worker process is served by one thread here and has one task at a time. So it is always known which task a
worker died of, no other task is lost with it, and results keep arriving while the caller is busy with something else.
Processes are loky's, because they don't import ``__main__`` again: an unguarded script or a notebook just works.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from facekit.errors import FacekitError, WorkerCrashError, WorkerTimeoutError
from facekit.system.closing import Closing
from facekit.system.forks import refuse_fork
from facekit.system.waiting import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

T = TypeVar("T")
Task: TypeAlias = tuple[Any, ...]
"""The arguments of one call."""

Parts: TypeAlias = list[Any]
"""A pickled object: its pickle, then the buffers of its arrays."""

MOST_WORKERS = 8
"""Ours. At 30 ms a photo of 2 megapixels, measured, eight decode some 250 a second; detecting and embedding takes
the smaller models about 20 ms for a photo with one face. More workers would wait, and take memory."""

MEMORY_BYTES = 4 * 2**30
"""Of addresses, for a worker, beyond what Python takes. The largest picture that is taken, 178 megapixels in floating
point, needs some 3.5 GB while it is decoded; the libraries that are loaded for it reserve some 0.3."""

_ENVIRONMENT = {"OPENCV_FOR_THREADS_NUM": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One thread a worker: there are as many workers as cores."""

_SECONDS_TO_START = 60.0  # for Python to start in a new process: under one, unless the machine is drowning
_SECONDS_TO_DIE = 5.0  # for a killed process to be gone


@dataclass(frozen=True, slots=True, eq=False)
class Done(Generic[T]):
    """A task that went well: what the function returned."""

    value: T


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """A task that failed: what the function raised, or `WorkerCrashError` or `WorkerTimeoutError`."""

    error: BaseException


Result: TypeAlias = Done[T] | Failed


def default_workers() -> int:
    """As many as this process may use cores, at most `MOST_WORKERS`."""
    from loky import cpu_count

    return min(int(cpu_count()), MOST_WORKERS)


def _task(_item: Task) -> str:
    return "a worker process"


class WorkerPool(Closing):
    """Some processes that call functions, started as they are needed.

    Parameters
    ----------
    workers : int, optional
        How many; by default as many as this process may use cores (affinity and container quotas count), at most
        `MOST_WORKERS`. Decoding is most of the work of reading photos, so that it gets every core although
        the models run in this process: on few cores the system shares them out better than a fixed split.
    timeout : float, optional
        Seconds that one task may take.
    """

    def __init__(self, workers: int | None = None, timeout: float = 120.0) -> None:
        self.workers = workers or default_workers()
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(self.workers, "facekit-worker", initializer=_block_ctrl_c)
        # Last in, first out: little work starts few processes.
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._all = [_Worker() for _ in range(self.workers)]
        for worker in self._all:
            self._idle.put(worker)
        self._alone = threading.Lock()
        self._process = os.getpid()

    def close(self) -> None:
        """Kill the processes, whatever they are doing. Nothing can be run afterwards."""
        if os.getpid() != self._process:  # a fork: they are its parent's
            return
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.retire()
        self._threads.shutdown(wait=True)
        for worker in self._all:
            worker.clear()

    def imap(
        self, function: Callable[..., T], items: Iterable[Task], *, window: int, what: Callable[[Task], str] = _task
    ) -> Generator[Result[T], None, None]:
        """Call ``function(*item)`` for every item in other processes, and yield the results in the items' order.

        Parameters
        ----------
        function : callable
            One of a module that can be imported: the other processes don't have what a script or a notebook defines.
        items : iterable of tuple
            Arguments; taken one by one, at most `window` ahead of the results that were yielded.
        window : int
            How many tasks may be waiting, running or done and not yet yielded: the bound on memory.
        what : callable, optional
            Says of a task what is waited for, as it stands after "waiting for".

        Yields
        ------
        Done or Failed
            What the function raised is yielded, not raised. A task whose process dies is tried once more while nothing
            else runs, because memory that ran out is not the fault of the one that the system chose to kill.
        """
        refuse_fork(self._process, "This pool of worker processes")
        ahead: deque[tuple[Task, Future[Result[T]]]] = deque()

        def first() -> Result[T]:
            item, future = ahead.popleft()
            return result_of(future, what(item))

        try:
            for item in items:
                ahead.append((item, self._threads.submit(self._run, function, item)))
                if len(ahead) >= window:
                    yield first()
            while ahead:
                yield first()
        finally:
            for _, future in ahead:
                future.cancel()

    def _run(self, function: Callable[..., T], item: Task) -> Result[T]:
        worker = self._idle.get()
        try:
            return worker.call(function, item, self._timeout)
        except _DeathError:
            pass
        finally:
            self._idle.put(worker)
        return self._run_alone(function, item)

    def _run_alone(self, function: Callable[..., T], item: Task) -> Result[T]:
        with self._alone:
            workers = [self._idle.get() for _ in self._all]
            try:
                return workers[0].call(function, item, self._timeout)
            except _DeathError as death:
                message = f"The worker process died twice, the second time with nothing beside it ({death})."
                return Failed(WorkerCrashError(message, "It crashes a library, or needs more memory than there is."))
            finally:
                for worker in workers:
                    self._idle.put(worker)


class _DeathError(Exception):
    """A worker process is gone; says how."""


class _Worker:
    """A process that is started when it is needed, also again after it died, and our end of the pipe to it."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._changing = threading.Lock()
        self._retired = False

    def call(self, function: Callable[..., T], item: Task, timeout: float) -> Result[T]:
        """Have one task done. Raises `_DeathError` if the process dies."""
        try:
            request = _pack((function, item))
        except Exception as error:  # noqa: BLE001 - anything can be wrong with pickling
            return Failed(error)
        overdue = threading.Event()

        def end(process: BaseProcess) -> None:
            overdue.set()
            _kill(process)

        try:
            pipe, process = self._ready()
            # Sending can wait for ever too, and receiving: for a process that was halted in the middle of it.
            timer = threading.Timer(timeout, end, (process,))
            timer.daemon = True
            timer.start()
            try:
                _send(pipe, request)
                reply = _receive(pipe)
            finally:
                timer.cancel()
        except (EOFError, OSError) as error:
            words = self.clear(grace=_SECONDS_TO_DIE)
            if overdue.is_set():
                message = f"The task took longer than {timeout:g} seconds."
                return Failed(WorkerTimeoutError(message, "Leave it out, or allow more time."))
            raise _DeathError(words) from error
        try:
            done, value = _unpack(reply)
        except Exception as error:  # noqa: BLE001 - anything can be wrong with unpickling
            return Failed(error)
        return Done(value) if done else Failed(value)

    def retire(self) -> None:
        """Kill the process and start no other. May be called while another thread waits for a task."""
        with self._changing:
            self._retired = True
            if self._process is not None:
                _kill(self._process)

    def clear(self, grace: float = 0.0) -> str:
        """See the process off: give it some seconds to die by itself, then kill it. Returns how it died."""
        process = self._process
        if process is None:
            return "it was not running"
        process.join(grace)
        _kill(process)
        process.join(_SECONDS_TO_DIE)
        words = _how(process.exitcode)
        with (
            self._changing
        ):  # two may see it off: Ctrl-C in the middle of `submit` leaves a thread that nobody waits for
            pipe, self._process, self._pipe = self._pipe, None, None
        if pipe is not None:
            pipe.close()
        return words

    def _ready(self) -> tuple[Connection, BaseProcess]:
        with self._changing:
            if self._pipe is not None and self._process is not None:
                return self._pipe, self._process
            if self._retired:
                message = "the pool is closed"
                raise _DeathError(message)
            process, pipe = self._process, self._pipe = _start()
        if not pipe.poll(_SECONDS_TO_START):
            message = f"it did not start in {_SECONDS_TO_START:g} seconds"
            raise OSError(message)
        pipe.recv_bytes()
        return pipe, process


def _start() -> tuple[BaseProcess, Connection]:
    from loky.backend import get_context

    try:
        ours, theirs = Pipe()
        process: BaseProcess = get_context("loky").Process(target=_serve, args=(theirs,), daemon=True, env=_ENVIRONMENT)
        try:
            process.start()
        finally:
            theirs.close()  # the process has the only copy now: when it dies, our end is at its end
    except (OSError, UnboundLocalError) as error:  # the second is loky's, where no pipe can be opened
        message = f"A worker process can't be started: {error}."
        raise FacekitError(message, "Allow more open files (`ulimit -n 4096`), processes or memory.") from error
    return process, ours


def _kill(process: BaseProcess) -> None:
    if process.pid is not None and process.is_alive():
        with suppress(ProcessLookupError):
            os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows either ends it at once


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def _pack(value: object) -> Parts:
    """Pickle, but leave the contents of arrays where they are: no copy to send."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return [body, *(buffer.raw() for buffer in buffers)]


def _unpack(parts: Parts) -> Any:  # noqa: ANN401 - any value at all
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - from the process that we started or that started us


def _send(pipe: Connection, parts: Parts) -> None:
    pipe.send_bytes(len(parts).to_bytes(4, "big"))
    for part in parts:
        pipe.send_bytes(part)


def _receive(pipe: Connection) -> Parts:
    count = int.from_bytes(pipe.recv_bytes(), "big")
    return [bytearray(pipe.recv_bytes()) for _ in range(count)]  # an array made from a bytearray can be written to


def _block_ctrl_c() -> None:
    # Processes inherit this from the thread that starts them: Ctrl-C must not reach one that is only just starting.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


# What follows runs in the worker processes.


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started us
    _limit_memory()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with a photo is reported with the photo
    requests: queue.SimpleQueue[Parts] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, requests), daemon=True).start()
    try:
        pipe.send_bytes(b"ready")
        while True:
            _send(pipe, _answer(requests.get()))
    except OSError:  # nobody listens any more
        os._exit(0)


def _limit_memory() -> None:
    """Let this process take `MEMORY_BYTES` more than it has: a picture that wants more is refused, the others go on."""
    if sys.platform != "linux":  # elsewhere the limit is of another kind, or is not kept
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _listen(pipe: Connection, requests: queue.SimpleQueue[Parts]) -> None:
    """Take requests in, and end this process at once when the other end is gone, even in the middle of a task."""
    try:
        while True:
            requests.put(_receive(pipe))
    finally:
        os._exit(0)


def _answer(request: Parts) -> Parts:
    try:
        function, item = _unpack(request)
        return _pack((True, function(*item)))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's to judge
        if not isinstance(error, FacekitError):  # an expected failure says all that is needed
            error.add_note("".join(traceback.format_exception(error)))
        failure = error
    try:
        return _pack((False, failure))
    except Exception:  # noqa: BLE001 - anything can be wrong with pickling
        return _pack((False, FacekitError(f"{type(failure).__name__}: {failure}")))
