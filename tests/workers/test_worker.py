"""Workers: what several processes do in the background is what one ingest would do."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from cable import Cable
from loguru import logger
from shared_library import check_consistent

import facekit as fk
from facekit.catalog.batches import LostClaimError
from facekit.index.opening import index_names
from facekit.library.local import LocalLibrary
from facekit.storage.backend import new_vectors
from facekit.storage.servers import read_servers
from facekit.workers.asking import ingest_in_background
from facekit.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.types.work import Claim


def work_off(library: LocalLibrary, *folders: Path, **options: Any) -> dict[str, Any]:
    """The report of an ingest by a worker."""
    ingest_in_background(library, *folders, **options)
    Worker(library).run(once=True)
    newest = library.storage.catalog.work.all()[0]
    assert newest.state == "done", newest
    assert (newest.queued, newest.running) == (0, 0)
    return dict(newest.report)


def facts(library: fk.Library) -> tuple[set[str], list[tuple[str, str]]]:
    photos = library.photos()
    return set(library.faces()["face_id"]), sorted(zip(photos["path"], photos["status"], strict=True))


def test_what_a_worker_did_is_what_an_ingest_does(
    shared_library: LocalLibrary, few_photos: Path, tmp_path: Path
) -> None:
    (few_photos / "copy").mkdir()
    shutil.copy(few_photos / "grace.jpg", few_photos / "copy" / "again.jpg")
    said = work_off(shared_library, few_photos)
    with fk.open(tmp_path / "embedded", detector="yunet", embedder="sface") as other:
        report = other.ingest(few_photos, progress=False)
        assert facts(other) == facts(shared_library)
    names = ("found", "ingested", "unchanged", "duplicates", "missing", "faces", "no_face")
    assert {name: said[name] for name in names} == {name: getattr(report, name) for name in names}
    assert [one["path"] for one in said["failed"]] == [one.path for one in report.failed]
    assert min(said["stages"][name] for name in ("read", "decode", "detect", "embed", "store")) > 0
    run = shared_library.storage.catalog.last_run()
    assert (run.report["found"], run.report["failed"]) == (5, {"corrupt": 1})
    assert run.finished_at is not None
    check_consistent(shared_library)


def test_what_two_workers_read_at_once_is_counted_once(
    shared_library: LocalLibrary, few_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(few_photos / "grace.jpg", few_photos / "again.jpg")
    monkeypatch.setattr("facekit.workers.tasks.BATCH_FILES", 1)
    # As if each had begun before the other one had stored it.
    monkeypatch.setattr("facekit.workers.tasks.known_in", lambda _catalog, _again: lambda _photo_id: None)
    said = work_off(shared_library, few_photos)
    assert (said["found"], said["ingested"], said["duplicates"], said["faces"]) == (5, 3, 1, 2)
    assert len(shared_library.faces()) == 2


def test_a_server_that_is_down_is_said_once_and_once_more_when_it_is_back(
    shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = read_servers(shared_folder)
    assert servers is not None
    cable = Cable(servers.catalog)
    monkeypatch.setattr("facekit.workers.worker._POLL_SECONDS", 0.05)
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), filter="facekit.workers")
    asked: list[list[str]] = []
    with LocalLibrary(cable.address) as library:
        worker = Worker(library, sweep=0.1)
        claim = worker._batches.claim

        def counted(without: list[str]) -> Claim | None:
            asked.append(without)
            return claim(without=without)

        monkeypatch.setattr(worker._batches, "claim", counted)
        thread = Thread(target=worker.run)
        thread.start()
        try:
            wait_until(lambda: bool(asked))
            cable.cut()
            wait_until(lambda: any("tried again" in line for line in lines))
            asked.clear()
            wait_until(lambda: len(asked) > 10)
            cable.mend()
            wait_until(lambda: "The catalog works again." in lines)
        finally:
            worker.stop()
            thread.join()
            logger.remove(sink)
    (said,) = [line for line in lines if "127.0.0.1" in line]
    assert "It is tried again until it works." in said


def wait_until(there: Callable[[], bool]) -> None:
    while not there():
        time.sleep(0.05)


def test_nothing_is_read_again(shared_library: LocalLibrary, few_photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work_off(shared_library, few_photos)
    read: list[str] = []
    from facekit.sources import LocalSource

    original = LocalSource.read
    monkeypatch.setattr(
        LocalSource,
        "read",
        lambda self, file, limits: (read.append(Path(file.display).name), original(self, file, limits))[1],
    )
    assert work_off(shared_library, few_photos)["unchanged"] == 4
    assert read == []
    os.utime(few_photos / "grace.jpg", (1, 1))
    for _ in range(2):  # both see it changed; it is read once
        ingest_in_background(shared_library, few_photos)
    tasks = shared_library.storage.catalog.batches("one", 100)
    while claim := tasks.claim():
        if claim.kind == "files":
            tasks.put_back(claim)
            break
        _do(shared_library, claim, tasks)
    Worker(shared_library).run(once=True)
    assert read == ["grace.jpg"]


def _do(library: LocalLibrary, claim: Any, batches: Any) -> None:
    from facekit.system.workers import WorkerPool
    from facekit.workers.tasks import Tasks

    with WorkerPool(1) as pool:
        Tasks(library, batches, pool).do(claim)


def test_files_that_were_given_each_others_names_are_found_in_their_new_places(
    shared_library: LocalLibrary, few_photos: Path
) -> None:
    work_off(shared_library, few_photos)
    shared_library.people.cluster(min_faces=1)
    frame = shared_library.people.to_frame()
    eileen = frame[frame["photo"] == str(few_photos / "Айлин 🚀.png")]["person_id"].iloc[0]
    shared_library.people.name(eileen, "Eileen")
    (few_photos / "grace.jpg").rename(few_photos / "aside")
    (few_photos / "Айлин 🚀.png").rename(few_photos / "grace.jpg")
    (few_photos / "aside").rename(few_photos / "Айлин 🚀.png")
    said = work_off(shared_library, few_photos)
    assert (said["names_lost"], said["missing"]) == ([], 0)
    assert [Path(hit.photo).name for hit in shared_library.search(few_photos / "grace.jpg", person="Eileen")] == [
        "grace.jpg"
    ]
    check_consistent(shared_library)


def test_an_edit_keeps_the_name_and_a_moved_file_its_faces_and_known_people_are_recognised_at_the_end(
    shared_library: LocalLibrary, few_photos: Path, lfw: Path
) -> None:
    shots = sorted((lfw / "Angelina_Jolie").glob("*.jpg"))[:6]
    for shot in shots[:4]:
        shutil.copy(shot, few_photos)
    work_off(shared_library, few_photos)
    shared_library.people.cluster(min_faces=2)
    largest = max(shared_library.people, key=lambda person: person.faces)
    shared_library.people.name(largest, "Angelina")
    for shot in shots[4:]:
        shutil.copy(shot, few_photos)
    from PIL import Image

    with Image.open(few_photos / shots[0].name) as picture:
        picture.save(few_photos / shots[0].name, quality=60)
    (few_photos / "moved").mkdir()
    (few_photos / shots[1].name).rename(few_photos / "moved" / "elsewhere.jpg")
    said = work_off(shared_library, few_photos)
    assert (said["names_lost"], said["missing"], said["duplicates"]) == ([], 1, 1)
    assert said["assigned"] == 2
    assert shared_library.people["Angelina"].faces == 6
    assert not shared_library.storage.catalog.people.assign_due
    check_consistent(shared_library)


def test_vectors_that_a_killed_change_of_models_left_go_at_the_end_of_an_ingest(
    shared_library: LocalLibrary, few_photos: Path
) -> None:
    backend = shared_library.storage.backend
    backend.index(left := new_vectors(), 8).close()
    address, collection = backend._address_of(), backend._collection(left)
    assert collection in index_names(address)
    work_off(shared_library, few_photos)
    assert collection not in index_names(address)
    check_consistent(shared_library)


def test_several_workers_at_once_do_each_photo_once(shared_library: LocalLibrary, lfw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for path in sorted(lfw.glob("*/*.jpg"))[:96]:
        shutil.copy(path, folder / path.name)
    ingest_in_background(shared_library, folder)
    workers = [Worker(shared_library, sweep=0.2) for _ in range(3)]
    counts: list[int] = []
    threads = [Thread(target=lambda one=one: counts.append(one.run(once=True))) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = shared_library.storage.catalog.work.all()
    assert (found.state, found.done, found.report["ingested"]) == ("done", 96, 96)
    assert sum(counts) == 1 + 6 + 1  # the listing, six times sixteen files, the end
    check_consistent(shared_library)


def test_nothing_is_taken_for_gone_on_a_machine_that_does_not_see_the_disk(
    shared_library: LocalLibrary, few_photos: Path, tmp_path: Path
) -> None:
    work_off(shared_library, few_photos)
    before = facts(shared_library)
    shutil.copy(few_photos / "grace.jpg", few_photos / "another.jpg")
    ingest_in_background(shared_library, few_photos)
    few_photos.rename(tmp_path / "away")
    assert Worker(shared_library).run(once=True) == 0
    (newest, _) = shared_library.storage.catalog.work.all()
    assert newest.state == "listing"
    assert "is not there for" in newest.problem
    (tmp_path / "away").rename(few_photos)
    tasks = shared_library.storage.catalog.batches("one", 100)
    _do(shared_library, tasks.claim(), tasks)  # it is listed, and then
    few_photos.rename(tmp_path / "away")
    few_photos.mkdir()  # the place where a disk is not mounted
    assert Worker(shared_library).run(once=True) == 0
    few_photos.rmdir()
    assert facts(shared_library) == before
    (tmp_path / "away").rename(few_photos)
    Worker(shared_library).run(once=True)
    assert shared_library.storage.catalog.work.all()[0].report["duplicates"] == 1


def test_another_change_of_the_library_has_its_turn_and_workers_wait(
    shared_library: LocalLibrary, few_photos: Path
) -> None:
    ingest_in_background(shared_library, few_photos)
    worker = Worker(shared_library)
    thread = Thread(target=worker.run, kwargs={"once": True})
    with shared_library.storage.changing("A long change"):
        thread.start()
        thread.join(3)
        assert thread.is_alive()
        assert shared_library.stats()["files"] == 0
    thread.join()
    assert shared_library.storage.catalog.work.all()[0].state == "done"
    with shared_library.storage.backend.adding(), shared_library.storage.backend.adding():
        pass
    with (
        shared_library.storage.changing("A change"),
        pytest.raises(fk.LibraryBusyError),
        shared_library.storage.backend.adding(),
    ):
        pass


def test_a_worker_ends_when_another_facekit_has_upgraded_the_catalog(
    shared_library: LocalLibrary, postgres_url: str
) -> None:
    schema = shared_library.storage.catalog.schema
    other = sa.create_engine(postgres_url)  # what facekit itself writes is refused from then on
    write = sa.text(f"UPDATE {schema}.meta SET value = :version WHERE key = 'schema'")
    with other.begin() as connection:
        kept = connection.scalar(sa.text(f"SELECT value FROM {schema}.meta WHERE key = 'schema'"))
        connection.execute(write, {"version": "999"})
    try:
        with pytest.raises(fk.LibraryError, match="schema 999"):
            Worker(shared_library, sweep=0.1).run()
    finally:
        with other.begin() as connection:
            connection.execute(write, {"version": kept})
        other.dispose()


def test_a_library_in_a_folder_says_that_it_has_no_workers(tmp_path: Path, few_photos: Path) -> None:
    with (
        fk.open(tmp_path / "embedded", detector="yunet", embedder="sface") as library,
        pytest.raises(fk.LibraryError, match=r"background.*facekit serve"),
    ):
        ingest_in_background(library, few_photos)


def test_what_a_folder_holds_that_is_no_photo_or_not_there_is_refused_at_once(
    shared_library: LocalLibrary, tmp_path: Path
) -> None:
    with pytest.raises(fk.FacekitError, match="nowhere"):
        ingest_in_background(shared_library, tmp_path / "nowhere")
    assert shared_library.storage.catalog.work.all() == []


def test_what_is_removed_is_named_in_no_work_either(shared_library: LocalLibrary, few_photos: Path) -> None:
    work_off(shared_library, few_photos)
    work = shared_library.storage.catalog.work
    shared_library.remove(few_photos / "grace.jpg")
    assert len(work.all()) == 1
    shared_library.remove(few_photos / "broken.jpg")  # the report says that it failed
    assert work.all() == []


def test_who_comes_too_late_writes_nothing(shared_library: LocalLibrary, few_photos: Path) -> None:
    ingest_in_background(shared_library, few_photos)
    catalog = shared_library.storage.catalog
    slow, quick = catalog.batches("slow", 1000), catalog.batches("quick", 1000)
    _do(shared_library, slow.claim(), slow)  # the listing
    claim = slow.claim()
    with catalog.transaction() as connection:
        connection.execute(sa.text("UPDATE batches SET lease_until = lease_until - interval '1 hour'"))
    assert quick.sweep() == 1
    again = quick.claim()
    assert again.batch_id == claim.batch_id
    with pytest.raises(LostClaimError):
        _do(shared_library, claim, slow)
    assert shared_library.stats()["files"] == 0
    _do(shared_library, again, quick)
    assert shared_library.stats()["files"] == 4
