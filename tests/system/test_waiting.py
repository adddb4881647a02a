"""Nothing waits for ever: what is waited for is said, what is done is kept, and the process can go on or end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from threading import Event, Timer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import other_models
import pytest
from loguru import logger
from service import remote

import facekit as fk
from facekit.errors import FacekitError, ServiceError, StalledError
from facekit.images.decode import read_image
from facekit.library.local import LocalLibrary
from facekit.models import registry
from facekit.models.registry import load_detector
from facekit.sources import LocalSource
from facekit.system import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


LIMIT = "6"
"""Seconds in which nothing comes from what is stuck: on a busy machine, what is well takes some of them, too."""


@pytest.fixture
def never() -> Iterator[Event]:
    """What a stuck call waits for in these tests; it comes when they are over."""
    event = Event()
    yield event
    event.set()


@pytest.fixture
def people(lfw: Path, tmp_path: Path) -> Path:
    """40 photos: two batches of the pipeline and half of one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in sorted(lfw.glob("*/*_0001.jpg"))[:40]:
        shutil.copy(photo, folder)
    return folder


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), filter="facekit", level="WARNING")
    yield lines
    logger.remove(sink)


def count_batches(detector: Any, patch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that a detector was given, one for each."""
    detect, sizes = detector.detect, []

    def counted(images: Any, **how: Any) -> Any:
        sizes.append(len(images))
        return detect(images, **how)

    patch.setattr(detector, "detect", counted)
    return sizes


def stuck_when(stuck: Callable[[], bool], function: Any, never: Event) -> Any:
    """The function, which never comes back while it is stuck."""

    def in_a_native_call(*arguments: Any) -> Any:
        if stuck():
            never.wait()
        return function(*arguments)

    return in_a_native_call


def stick_at_second_batch(detector: Any, patch: pytest.MonkeyPatch, never: Event) -> None:
    """Let a detector's network not come back once it has done a batch."""
    batches, network = count_batches(detector, patch), detector._network
    patch.setattr(network, "run", stuck_when(lambda: len(batches) > 1, network.run, never))


def stuck_after(calls: int, function: Any, never: Event) -> Any:
    """The function, which never comes back from then on."""
    left = iter(range(calls))

    def in_a_native_call(*arguments: Any) -> Any:
        if next(left, None) is None:
            never.wait()
        return function(*arguments)

    return in_a_native_call


def test_stuck_detector_is_named_and_given_up_and_the_next_run_does_the_rest(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never: Event, said: list[str]
) -> None:
    library = fk.open(tmp_path / "faces", detector="yunet", embedder="sface", device="cpu", engine="onnxruntime")
    with monkeypatch.context() as patch:
        patch.setenv("FACEKIT_GIVE_UP_AFTER", LIMIT)
        stick_at_second_batch(library.detector, patch, never)
        with pytest.raises(StalledError, match=r"waiting for the detector yunet \(onnxruntime\).*engine='onnxruntime'"):
            library.ingest(people, progress=False)
    assert any("No photo was finished for" in line and "waiting for the " in line for line in said)
    log = (tmp_path / "faces" / "logs" / "facekit.log").read_text(encoding="utf-8")
    assert "in_a_native_call" in log  # where it stands
    kept = library.stats()["photos"].get("ok", 0)
    assert 0 < kept < 40
    report = library.ingest(people, progress=False)  # the threads that are stuck are not waited for
    assert (report.unchanged, report.ingested, report.failed) == (kept, 40 - kept, [])
    assert library.search(next(people.iterdir())).hits[0].similarity > 0.99
    library.close()


def test_stuck_change_of_models_changes_nothing_and_the_next_one_does_the_rest(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never: Event, said: list[str]
) -> None:
    for name, info in other_models.models().items():
        monkeypatch.setitem(registry.MODELS, name, info)
    library = fk.open(tmp_path / "faces", detector="yunet", embedder="sface", device="cpu", engine="onnxruntime")
    library.ingest(people, progress=False)
    ids, vectors = library.embeddings()
    with monkeypatch.context() as patch:
        patch.setenv("FACEKIT_GIVE_UP_AFTER", LIMIT)
        stick_at_second_batch(library.detector, patch, never)
        with pytest.raises(StalledError, match=r"waiting for the detector yunet \(onnxruntime\)"):
            library.reembed(embedder="turned", progress=False)
    assert any("No photo was finished for" in line and "waiting for the " in line for line in said)
    assert library.stats()["embedder"] == "sface"
    assert library.embeddings()[0] == ids
    assert np.array_equal(library.embeddings()[1], vectors)
    assert library.search(next(people.iterdir())).hits[0].similarity > 0.99
    report = library.reembed(embedder="turned", progress=False)
    assert (report.switched, report.discarded, report.unreadable) == (True, 0, [])
    assert 0 < report.photos < 40
    assert library.stats()["embedder"] == "turned"
    library.close()


def test_stuck_model_is_given_up_outside_a_library_too(
    astronaut: Path, monkeypatch: pytest.MonkeyPatch, never: Event
) -> None:
    detector = load_detector("yunet", device="cpu", engine="onnxruntime")
    image = read_image(astronaut)
    with monkeypatch.context() as patch:
        patch.setenv("FACEKIT_GIVE_UP_AFTER", "1")
        patch.setattr(detector._network, "run", stuck_after(0, None, never))
        with pytest.raises(StalledError, match="the detector yunet"):
            detector.detect([image])
    assert len(detector.detect([image])[0]) == 1


def test_stuck_disk_is_named_with_the_file(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never: Event
) -> None:
    library = fk.open(tmp_path / "faces")
    with monkeypatch.context() as patch:
        patch.setenv("FACEKIT_GIVE_UP_AFTER", LIMIT)
        patch.setattr(LocalSource, "read", stuck_after(30, LocalSource.read, never))
        with pytest.raises(StalledError, match=r"the disk: reading .*_0001\.jpg.*Check that the disk is well"):
            library.ingest(people, progress=False)
    report = library.ingest(people, progress=False)
    assert report.unchanged + report.ingested == 40
    library.close()


def test_slow_run_is_warned_about_in_its_report_and_not_given_up(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = fk.open(tmp_path / "faces", detector="yunet", embedder="sface", device="cpu", engine="onnxruntime")
    network = library.detector._network
    run, slowly = network.run, Event()
    monkeypatch.setenv("FACEKIT_GIVE_UP_AFTER", "8")
    monkeypatch.setattr(network, "run", lambda batch: slowly.wait(1.8) or run(batch))
    for photo in sorted(people.iterdir())[16:]:
        photo.unlink()
    report = library.ingest(people, progress=False)  # a batch takes longer than 8 s, no step does
    assert report.ingested == 16
    assert any("No photo was finished for" in note for note in report.warnings)
    assert not (tmp_path / "faces" / "logs" / "stalled.txt").exists()
    library.close()


def test_stop_ends_a_run_that_is_stuck(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never: Event
) -> None:
    library = fk.open(tmp_path / "faces", detector="yunet", embedder="sface", device="cpu", engine="onnxruntime")
    stop = Event()
    monkeypatch.setattr("facekit.system.waiting._STOP_AFTER", 1.0)
    with monkeypatch.context() as patch:
        stick_at_second_batch(library.detector, patch, never)
        Timer(2.0, stop.set).start()
        report = library.ingest(people, progress=False, stop=stop)
    assert report.stopped
    assert library.ingest(people, progress=False).found == 40
    assert library.stats()["photos"]["ok"] == 40
    library.close()


def test_job_of_a_service_that_is_stuck_fails_and_the_next_is_done(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never: Event
) -> None:
    folder = tmp_path / "faces"
    with remote(folder, [people]) as library, fk.open(folder) as owned:  # the service's own: it is this process
        assert isinstance(owned, LocalLibrary)
        with monkeypatch.context() as patch:
            patch.setenv("FACEKIT_GIVE_UP_AFTER", LIMIT)
            stick_at_second_batch(owned.detector, patch, never)
            with pytest.raises(ServiceError, match=r"Gave up waiting for the .* yunet"):
                library.ingest(people, progress=False)
        report = library.ingest(people, progress=False)
        assert report.ingested + report.unchanged == 40
        assert len(library.search(next(people.iterdir()), top_k=1)) == 1


def test_change_of_models_waits_for_searches_and_they_for_it_but_not_for_ever(
    demo_library: LocalLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use = demo_library._storage.models
    with monkeypatch.context() as patch:
        patch.setenv("FACEKIT_GIVE_UP_AFTER", "0.5")
        with in_use.shared(), pytest.raises(StalledError, match="searches"), in_use.alone():
            pytest.fail("a search was still going on")
        with in_use.alone(), pytest.raises(StalledError, match="change of the library's models"):
            demo_library.stats()
    assert demo_library.stats()["faces"]
    with in_use.alone():  # nothing is left of it
        pass


@pytest.mark.parametrize("value", ["soon", "-1", "nan"])
def test_limit_that_is_no_number_is_refused(
    value: str, astronaut: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with fk.open(tmp_path / "faces") as library:
        with monkeypatch.context() as patch:
            patch.setenv("FACEKIT_GIVE_UP_AFTER", value)
            with pytest.raises(FacekitError, match="number of seconds"):
                library.ingest(astronaut, progress=False)
            with pytest.raises(FacekitError, match="number of seconds"):
                fk.open(tmp_path / "others")
        assert library.ingest(astronaut, progress=False).ingested == 1


# A script whose detector is stuck from its second batch on: in a wait that other threads can run beside, or in a native
# call that holds the GIL, as `_pyopenvino` did.
_SCRIPT = """
import ctypes, os, sys, threading
import facekit as fk
how, folder, photos, limit = sys.argv[1:]
library = fk.open(folder, detector="yunet", embedder="sface", device="cpu", engine="onnxruntime")
network = library.detector._network
os.environ["FACEKIT_GIVE_UP_AFTER"] = limit  # not before: on a busy machine it takes long to open a library
run, detect, batches, held = network.run, library.detector.detect, [], []
telling, told = threading.Lock(), []
def counted(images, **how):
    batches.append(len(images))
    return detect(images, **how)
library.detector.detect = counted
def in_a_native_call(batch):
    if len(batches) > 1:
        with telling:  # the networks run in two threads
            if not told:
                told.append(print("stuck", flush=True))
        if how == "gil" and not held:
            held.append(1)
            ctypes.PyDLL(None).sleep(600)
        if how == "wait":
            threading.Event().wait()
    return run(batch)
network.run = in_a_native_call
try:
    report = library.ingest(photos, progress=False)
    print("stopped" if report.stopped else "done", library.stats()["photos"]["ok"])
except fk.FacekitError as error:
    print(error, file=sys.stderr)
    print(type(error).__name__, library.stats()["photos"]["ok"])
"""


def _script(how: str, folder: Path, photos: Path, give_up_after: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, how, str(folder), str(photos), give_up_after],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _kept(out: str, how: str) -> bool:
    """Whether it ended in a way, with some of the photos."""
    *_, ended, photos = out.split()
    return ended == how and 0 < int(photos) < 40


def test_process_with_stuck_threads_ends(people: Path, tmp_path: Path) -> None:
    script = _script("wait", tmp_path / "faces", people, LIMIT)
    out, errors = script.communicate(timeout=100)
    assert _kept(out, "StalledError"), errors
    assert script.returncode == 0
    assert "Gave up waiting for the detector yunet" in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_stops_a_run_that_is_stuck(people: Path, tmp_path: Path) -> None:
    script = _script("wait", tmp_path / "faces", people, "0")
    assert script.stdout is not None
    assert script.stdout.readline() == "stuck\n"
    script.send_signal(signal.SIGINT)
    out, errors = script.communicate(timeout=100)
    assert _kept(out, "stopped"), errors
    assert script.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no sleep() to be called in Windows")
def test_process_in_which_no_thread_of_pythons_can_run_ends_with_its_stacks_and_what_is_done_kept(
    people: Path, tmp_path: Path
) -> None:
    script = _script("gil", tmp_path / "faces", people, LIMIT)
    out, errors = script.communicate(timeout=100)
    assert out == "stuck\n", errors
    assert script.returncode == -signal.SIGKILL
    assert "stalled.txt says where it stood" in errors
    stacks = (tmp_path / "faces" / "logs" / "stalled.txt").read_text(encoding="utf-8")
    assert "in_a_native_call" in stacks
    assert "Current thread" in stacks or "Thread 0x" in stacks
    with fk.open(tmp_path / "faces") as library:
        library.ingest(people, progress=False)
        assert library.stats()["photos"]["ok"] == 40


def test_process_ends_after_a_call_that_was_left_has_come_back() -> None:
    """Ctrl-C leaves calls of models: one that came back after Python was gone aborted the process (SIGABRT)."""
    code = (
        "import time; from facekit.system.threads import Threads\n"
        "threads = Threads(1, 'model')\n"
        "call = threads.submit(lambda: (time.sleep(1), print('came back')))\n"
        "time.sleep(0.2); threads.leave([call]); threads.close()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "came back\n", "")


@pytest.mark.parametrize("executable", ["", None])
def test_a_run_is_watched_also_where_python_is_part_of_another_program(
    executable: str | None, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never: Event, said: list[str]
) -> None:
    library = fk.open(tmp_path / "faces", detector="yunet", embedder="sface", device="cpu", engine="onnxruntime")
    with monkeypatch.context() as patch:
        patch.setenv("FACEKIT_GIVE_UP_AFTER", LIMIT)
        stick_at_second_batch(library.detector, patch, never)
        patch.setattr(waiting, "sys", SimpleNamespace(executable=executable, _current_frames=sys._current_frames))
        with pytest.raises(StalledError):
            library.ingest(people, progress=False)
    assert any("No photo was finished for" in line for line in said)
