"""Workers that are killed anywhere: all photos and faces once, the index equal, and nothing held for ever."""

from __future__ import annotations

import random
import shutil
import time
from typing import TYPE_CHECKING

import dying
import pytest
import ready
from shared_library import check_consistent

import facekit as fk
from facekit.workers.asking import ingest_in_background

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from facekit.library.local import LocalLibrary

KILLS = 6


@pytest.fixture
def started(shared_folder: Path) -> Iterator[list[BaseProcess]]:
    """Worker processes, which don't outlive the test."""
    running: list[BaseProcess] = []
    yield running
    for process in running:
        process.kill()
        process.join()


def wait_until_over(library: LocalLibrary, started: list[BaseProcess], poison: str = "") -> None:
    """Start those again that died, as a supervisor does, until the work is done."""
    while library.storage.catalog.work.all()[0].finished_at is None:
        for number, process in enumerate(started):
            if not process.is_alive():
                process.join()
                started[number] = ready.start(dying.work, library.folder, poison)
        time.sleep(0.2)


def test_kills_of_workers_lose_nothing_and_double_nothing(
    shared_library: LocalLibrary, started: list[BaseProcess], lfw: Path, tmp_path: Path
) -> None:
    chance = random.Random(13)
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(lfw.glob("*/*.jpg"))[2000:2120]:
        shutil.copy(path, photos / path.name)
    ingest_in_background(shared_library, photos)
    started += [ready.start(dying.work, shared_library.folder) for _ in range(2)]
    work = shared_library.storage.catalog.work
    while work.all()[0].state == "listing":
        time.sleep(0.05)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 1.5))
        number = chance.randrange(2)
        started[number].kill()
        started[number].join()
        started[number] = ready.start(dying.work, shared_library.folder)
    wait_until_over(shared_library, started)
    (found,) = work.all()
    assert (found.state, found.done, found.dead) == ("done", 120, 0)
    assert found.report["ingested"] + found.report["unchanged"] + found.report["duplicates"] == 120
    while shared_library.storage.catalog.outbox.balance().due:  # of one that was killed between catalog and index
        time.sleep(0.1)
    check_consistent(shared_library)
    with fk.open(tmp_path / "clean", detector="yunet", embedder="sface") as clean:
        clean.ingest(photos, progress=False)
        assert set(clean.faces()["face_id"]) == set(shared_library.faces()["face_id"])
        assert set(clean.photos()["path"]) == set(shared_library.photos()["path"])


def test_a_photo_that_kills_its_worker_each_time_is_given_up_alone(
    shared_library: LocalLibrary, started: list[BaseProcess], few_photos: Path, lfw: Path
) -> None:
    shutil.copy(next(lfw.glob("*/*.jpg")), few_photos / "poison.jpg")
    work_id = ingest_in_background(shared_library, few_photos)
    started += [ready.start(dying.work, shared_library.folder, "poison.jpg") for _ in range(2)]
    wait_until_over(shared_library, started, "poison.jpg")
    work = shared_library.storage.catalog.work
    (dead,) = work.dead()
    assert [path.rpartition("/")[2] for path in dead.paths] == ["poison.jpg"]
    assert "died" in dead.problem
    (found,) = work.all()
    assert (found.state, found.done, found.dead) == ("done", 4, 1)
    assert {path.rpartition("/")[2] for path in shared_library.photos()["path"]} == {
        path.name for path in few_photos.iterdir() if path.name != "poison.jpg"
    }
    check_consistent(shared_library)
    assert work.retry(work_id) == 1
    for process in started:
        process.kill()
        process.join()
    wait_until_over(shared_library, started)  # by workers that can bear it
    (found,) = work.all()
    assert (found.state, found.done, found.dead, found.report["ingested"]) == ("done", 5, 0, 4)
    check_consistent(shared_library)
