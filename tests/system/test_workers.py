"""Worker processes that crash, hang or outlive their parent: only the culprit fails, nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from odd_images import encode, marker
from worker_tasks import brighter, die_at, die_once, double, fail_with, hang_at, reserve, slow_who, threads, who

from facekit.errors import FacekitError, PhotoError
from facekit.images.decode import decode
from facekit.system.workers import (
    MEMORY_BYTES,
    MOST_WORKERS,
    Done,
    Failed,
    WorkerCrashError,
    WorkerPool,
    WorkerTimeoutError,
    _Worker,
)
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from facekit.system.workers import Result

needs_posix = pytest.mark.skipif(os.name != "posix", reason="signals between processes are POSIX")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")


# -- helpers -------------------------------------------------------------------------------------------------------


def values(results: list[Result[Any]]) -> list[Any]:
    return [result.value if isinstance(result, Done) else type(result.error) for result in results]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def session(leader: int) -> list[int]:
    """The living processes of a session."""
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                pids.append(int(folder.name))
    return pids


def until(condition: Callable[[], bool]) -> bool:
    """Wait until it holds; a minute is no measure of speed but a way to fail instead of hanging."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2) as shared:
        yield shared


# -- ordinary work -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 7, 1000])
def test_results_come_in_the_order_of_the_items(pool: WorkerPool, window: int) -> None:
    results = list(pool.imap(double, ((number,) for number in range(40)), window=window))
    assert values(results) == [2 * number for number in range(40)]


def test_no_items_no_results(pool: WorkerPool) -> None:
    assert list(pool.imap(double, [], window=3)) == []


def test_items_are_taken_only_as_they_are_needed(pool: WorkerPool) -> None:
    taken = 0

    def endless() -> Iterator[tuple[int]]:
        nonlocal taken
        while True:
            taken += 1
            yield (taken,)

    results = pool.imap(double, endless(), window=4)
    for position in range(1, 20):
        assert values([next(results)]) == [2 * position]
        assert taken <= position + 4
    results.close()


def test_arrays_travel_in_both_directions_and_can_be_written_to(pool: WorkerPool) -> None:
    image = np.random.default_rng(0).integers(0, 200, (700, 1000, 3), dtype=np.uint8)
    items = [(image, amount) for amount in range(5)] + [(image[::2, ::-1], 5), (np.zeros((0, 3), np.uint8), 6)]
    for item, result in zip(items, pool.imap(brighter, items, window=3), strict=True):
        assert isinstance(result, Done)
        brightened, word = result.value
        np.testing.assert_array_equal(brightened, item[0] + np.uint8(item[1]))
        assert brightened.flags.writeable
        assert word == "brighter"


def test_photos_are_decoded(pool: WorkerPool) -> None:
    data = encode(marker(), "PNG")
    good, bad = pool.imap(partial(decode, name="photo"), [(data,), (data[:99],)], window=2)
    assert isinstance(good, Done)
    np.testing.assert_array_equal(good.value.image, np.asarray(marker()))
    assert (good.value.facts.width, good.value.facts.format) == (96, "PNG")
    assert isinstance(bad, Failed)
    assert isinstance(bad.error, PhotoError)
    assert bad.error.status is Status.CORRUPT


def test_two_streams_share_a_pool(pool: WorkerPool) -> None:
    inner = []
    for result in pool.imap(double, ((number,) for number in range(6)), window=5):
        inner += values(list(pool.imap(double, [*zip(values([result])), (100,)], window=2)))
    assert inner == [0, 200, 4, 200, 8, 200, 12, 200, 16, 200, 20, 200]


def test_each_worker_has_one_thread(pool: WorkerPool) -> None:
    (result,) = pool.imap(threads, [()], window=1)
    assert isinstance(result, Done)
    assert result.value == (1, "1")


def test_little_work_starts_few_processes() -> None:
    with WorkerPool(4) as pool:
        assert len(set(values(list(pool.imap(who, [(1,)] * 5, window=1))))) == 1


def test_the_number_of_workers_is_that_of_the_cores_at_most_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    with WorkerPool() as pool:
        assert 1 <= pool.workers <= MOST_WORKERS
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    with WorkerPool() as pool:
        assert pool.workers == 1


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected", "words"),
    [
        ("photo", PhotoError, "photo.jpg is a sonnet"),
        ("value", ValueError, "no such value"),
        ("memory", MemoryError, ""),
        ("exit", SystemExit, "3"),
        ("odd error", TypeError, "missing 1 required positional argument"),
        ("odd value", TypeError, "generator"),
    ],
)
def test_what_the_function_raises_is_yielded(pool: WorkerPool, kind: str, expected: type, words: str) -> None:
    failed, done = pool.imap(fail_with, [(kind,), ("fine",)], window=2)
    assert isinstance(failed, Failed)
    assert type(failed.error) is expected
    assert words in str(failed.error)
    assert values([done]) == ["fine"]


def test_an_unexpected_error_tells_where_it_happened(pool: WorkerPool) -> None:
    (failed,) = pool.imap(fail_with, [("value",)], window=1)
    assert isinstance(failed, Failed)
    assert "in fail_with" in "".join(failed.error.__notes__)


def test_an_item_that_cant_be_pickled_fails_alone(pool: WorkerPool) -> None:
    assert values(list(pool.imap(double, [(1,), ((n for n in "no"),), (3,)], window=2))) == [2, TypeError, 6]


# -- crashes and hangs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["exit", *(["SIGSEGV", "SIGKILL", "SIGABRT"] if os.name == "posix" else [])])
def test_only_the_task_that_crashes_its_process_fails(pool: WorkerPool, how: str) -> None:
    results = list(pool.imap(die_at, ((number, 5, how) for number in range(12)), window=5))
    assert values(results) == [0, 1, 2, 3, 4, WorkerCrashError, 6, 7, 8, 9, 10, 11]
    crash = results[5]
    assert isinstance(crash, Failed)
    assert isinstance(crash.error, FacekitError)
    assert ("exit code 7" if how == "exit" else how) in str(crash.error)


def test_crash_after_crash_loses_nothing_else(pool: WorkerPool) -> None:
    items = [(number, number if number % 3 == 0 else -1, "exit") for number in range(9)]
    expected = [WorkerCrashError if number % 3 == 0 else number for number in range(9)]
    assert values(list(pool.imap(die_at, items, window=6))) == expected


def test_a_process_that_is_killed_once_costs_nothing(pool: WorkerPool, tmp_path: Path) -> None:
    items = ((number, 3, str(tmp_path / "trace")) for number in range(8))
    assert values(list(pool.imap(die_once, items, window=4))) == list(range(8))
    assert (tmp_path / "trace").exists()


@needs_posix
def test_a_worker_that_is_killed_while_idle_is_replaced(pool: WorkerPool) -> None:
    for pid in values(list(pool.imap(who, [(1,)] * 4, window=4))):
        os.kill(pid, signal.SIGKILL)
    assert values(list(pool.imap(double, [(1,), (2,), (3,)], window=3))) == [2, 4, 6]


@needs_posix
def test_a_task_that_hangs_is_stopped_and_the_others_are_done() -> None:
    with WorkerPool(2, timeout=5) as pool:
        results = list(pool.imap(hang_at, ((number, 4) for number in range(9)), window=4))
    assert values(results) == [0, 1, 2, 3, WorkerTimeoutError, 5, 6, 7, 8]
    assert isinstance(results[4], Failed)
    assert "5 seconds" in str(results[4].error)


@needs_posix
@pytest.mark.parametrize("size", [1, 30_000_000], ids=["small", "larger than a pipe"])
def test_a_worker_that_is_halted_holds_nothing_up(size: int) -> None:
    with WorkerPool(1, timeout=2) as pool:
        (halted,) = values(list(pool.imap(who, [(1,)], window=1)))
        os.kill(halted, signal.SIGSTOP)  # from now on it takes nothing out of the pipe
        results = list(pool.imap(len, [(bytes(size),), (b"ab",)], window=2))
        assert values(results) == [WorkerTimeoutError, 2]
    assert not is_alive(halted)


# -- nothing stays behind ------------------------------------------------------------------------------------------


@needs_proc
def test_closing_a_generator_early_leaves_the_pool_usable(pool: WorkerPool) -> None:
    results = pool.imap(double, ((number,) for number in range(1000)), window=8)
    assert values([next(results)]) == [0]
    results.close()
    assert values(list(pool.imap(double, [(21,)], window=1))) == [42]


@needs_proc
def test_closing_the_pool_ends_its_processes_whatever_they_do() -> None:
    with WorkerPool(2) as pool:
        pids = set(values(list(pool.imap(slow_who, [(0.2,)] * 4, window=4))))
        assert len(pids) == 2
        busy = pool.imap(slow_who, [(600,), (600,), (600,)], window=2)
        reader = threading.Thread(target=next, args=(busy, None), daemon=True)
        reader.start()
        assert until(pool._idle.empty)
        assert all(is_alive(pid) for pid in pids)
    assert not any(is_alive(pid) for pid in pids)
    reader.join(60)
    assert not reader.is_alive()


def run_script(folder: Path, script: str) -> subprocess.Popen[str]:
    """Run a plain script, without ``if __name__ == "__main__"``, as the leader of a session of its own."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def test_an_unguarded_script_just_works_and_runs_once(tmp_path: Path) -> None:
    script = run_script(
        tmp_path,
        """
        from facekit.system.workers import WorkerPool

        print("the script runs")

        with WorkerPool(2) as pool:
            print([result.value for result in pool.imap(abs, ((-n,) for n in range(5)), window=3)])
        """,
    )
    out, errors = script.communicate(timeout=100)
    assert (out, errors) == ("the script runs\n[0, 1, 2, 3, 4]\n", "")
    assert script.returncode == 0


def test_a_script_that_never_closes_its_pool_ends_all_the_same(tmp_path: Path) -> None:
    script = run_script(
        tmp_path,
        """
        from facekit.system.workers import WorkerPool

        pool = WorkerPool(2)
        results = pool.imap(abs, ((-n,) for n in range(100)), window=6)
        print(next(results).value, next(results).value)
        """,
    )
    out, errors = script.communicate(timeout=100)
    assert (out, errors, script.returncode) == ("0 1\n", "", 0)


SLEEPER = """
    import os, time
    from facekit.system.workers import WorkerPool

    with WorkerPool(2) as pool:
        try:
            print(next(pool.imap(os.getpid, [()], window=1)).value)
            list(pool.imap(time.sleep, [(600,)] * 3, window=3))
        except KeyboardInterrupt:
            print("interrupted")
"""


@needs_proc
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = run_script(tmp_path, SLEEPER)
    assert script.stdout is not None
    worker = int(script.stdout.readline())
    assert is_alive(worker)
    script.kill()
    script.communicate(timeout=100)
    assert until(lambda: not session(script.pid)), session(script.pid)


@needs_proc
def test_ctrl_c_is_for_the_parent_alone(tmp_path: Path) -> None:
    script = run_script(tmp_path, SLEEPER)
    assert script.stdout is not None
    worker = int(script.stdout.readline())
    until(lambda: len(session(script.pid)) >= 3)
    os.killpg(script.pid, signal.SIGINT)  # as a terminal does, or Jupyter: every process of the group gets it
    out, errors = script.communicate(timeout=100)
    assert (out, script.returncode) == ("interrupted\n", 0)
    assert "Traceback" not in errors
    assert not is_alive(worker)
    assert until(lambda: not session(script.pid)), session(script.pid)


def test_a_process_is_seen_off_by_two_at_once() -> None:
    """Ctrl-C between the start of a thread and its entry in the pool's list: `close` does not wait for it."""
    worker = _Worker()
    assert isinstance(worker.call(os.getpid, (), 60), Done)
    process: Any = worker._process
    join, inside, over = process.join, threading.Event(), threading.Event()

    def wait(timeout: float) -> None:
        if threading.current_thread() is not threading.main_thread():
            inside.set()
            over.wait(60)
        join(timeout)

    process.join = wait
    with ThreadPoolExecutor(1) as other:
        late = other.submit(worker.clear)
        inside.wait(60)
        assert worker.clear() == "SIGKILL" or os.name == "nt"
        over.set()
        late.result(60)
    assert worker.clear() == "it was not running"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps such a limit")
def test_a_task_gets_so_much_memory_and_no_more() -> None:
    sizes = [2**20, MEMORY_BYTES // 2, MEMORY_BYTES + 2**30, 2**20]
    with WorkerPool(1) as pool:
        results = list(pool.imap(reserve, [(size,) for size in sizes], window=1))
    assert [isinstance(result, Done) for result in results] == [True, True, False, True]
    assert isinstance(results[2].error, MemoryError)
