"""Jobs of the service: kinds are entries of one table, and what a job says of photos goes when the photos go."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, get_args

import pytest
from service import served, wait_for

import facekit as fk
from facekit.errors import LibraryBusyError
from facekit.library.local import LocalLibrary
from facekit.server.job import JobKind, JobState
from facekit.server.job_kinds import KINDS, Kind, Outcome, Work
from facekit.server.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.server.database import ServiceStore

NO_PHOTO = b"\xff\xd8\xff no photo"
SIBLINGS = ["ab/2.jpg", "a b/3.jpg", "a (2).jpg", "a.jpg", "a-1.jpg", "aa.jpg", "ba.jpg"]
"""Names that begin or end with that of the folder ``a``."""


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Files that can't be read, so that a report names each of them."""
    for name in ["a/1.jpg", "a/deep/4.jpg", *SIBLINGS]:
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(NO_PHOTO + name.encode())
    return tmp_path / "album"


def named_in(report: dict[str, Any]) -> set[str]:
    return {one["path"] for one in report["failed"]}


def test_what_jobs_say_of_removed_photos_goes_and_what_they_say_of_others_stays(album: Path, tmp_path: Path) -> None:
    with served(tmp_path / "library", [tmp_path]) as client:
        ids = [
            client.post("/api/v1/upload/local", json={"path": str(path)}).json()["job_id"]
            for path in (album, album / "a", album / "a b")
        ]
        before = [wait_for(client, job_id) for job_id in ids]
        assert len(named_in(before[0]["report"])) == len(SIBLINGS) + 2
        client.post("/api/v1/photos/remove", json={"path": str(album / "a")})
        whole, gone, beside = (client.get(f"/api/v1/jobs/{job_id}").json() for job_id in ids)
        assert named_in(whole["report"]) == {str(album / name) for name in SIBLINGS}
        assert all(one["reason"] for one in whole["report"]["failed"])
        assert (whole["path"], gone["path"], beside["path"]) == (str(album), "", str(album / "a b"))
        assert (gone["report"]["failed"], beside) == ([], before[2])
        client.post("/api/v1/photos/remove", json={"path": str(album / "a.jpg")})
        left = client.get(f"/api/v1/jobs/{ids[0]}").json()["report"]
        assert named_in(left) == {str(album / name) for name in SIBLINGS if name != "a.jpg"}


def test_a_report_that_is_written_after_a_removal_names_no_removed_photo(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest = LocalLibrary.ingest

    def then_removed(library: LocalLibrary, *roots: str, **options: Any) -> fk.IngestReport:
        report = ingest(library, *roots, **options)
        library.remove(album / "a")  # somebody is quick: the report is made, and not written yet
        return report

    monkeypatch.setattr(LocalLibrary, "ingest", then_removed)
    with served(tmp_path / "library", [tmp_path]) as client:
        job_id = client.post("/api/v1/upload/local", json={"path": str(album)}).json()["job_id"]
        assert named_in(wait_for(client, job_id)["report"]) == {str(album / name) for name in SIBLINGS}


def test_a_job_that_waits_to_go_on_names_no_removed_photo(album: Path, tmp_path: Path) -> None:
    folder = tmp_path / "library"
    with served(folder, [tmp_path]) as client:
        job_id = client.post("/api/v1/upload/local", json={"path": str(album)}).json()["job_id"]
        wait_for(client, job_id)
    with closing(sqlite3.connect(folder / "service.db")) as database, database:  # as a service that stops leaves it
        database.execute("UPDATE jobs SET state = 'queued', finished_at = NULL")
    with fk.open(folder) as library:
        library.remove(album / "a")
    with closing(sqlite3.connect(folder / "service.db")) as database:
        ((path, report),) = database.execute("SELECT path, report FROM jobs")
    assert path == str(album)
    assert str(album / "a") + "/" not in report
    assert str(album / "ab" / "2.jpg") in report


def test_photos_that_came_back_while_a_job_waited_are_in_its_report(album: Path, tmp_path: Path) -> None:
    with served(tmp_path / "library", [tmp_path]) as client:
        first = client.post("/api/v1/upload/local", json={"path": str(album)}).json()["job_id"]
        wait_for(client, first)
        library = client.app.state.service.library
        (album / "a/1.jpg").write_bytes(NO_PHOTO + b"another one")
        with library._storage.changing("A removal"):
            job_id = client.post("/api/v1/upload/local", json={"path": str(album)}).json()["job_id"]
            while client.get(f"/api/v1/jobs/{job_id}").json()["state"] != "running":
                pass
            library._storage.forget([str(album / "a")])
        assert named_in(wait_for(client, job_id)["report"]) == {str(album / "a/1.jpg")}


# -- kinds ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counting:
    """A kind that no release has: it counts to three, and is asked with a text."""

    path: str


@pytest.fixture
def queue(store: ServiceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, list[Work]]]:
    """Makes queues, as a service that is started again does, and notes the works of the made-up kind."""
    works: list[Work] = []

    def count(asked: Counting, work: Work) -> Outcome:
        works.append(work)
        if len(works) == 1:
            message = "A test can't start: another change of the library is going on."
            raise LibraryBusyError(message)
        for number in range(3):
            work.progress(number + 1, 3)
        if asked.path == "endless":
            work.stop.wait(60)
        return Outcome({"counted": asked.path}, stopped=work.stop.is_set())

    monkeypatch.setitem(KINDS, "count", Kind("count", Counting, count))
    with fk.open(tmp_path / "library") as library:
        yield lambda: Jobs(store, library, lambda _: None, lambda _: True), works


def ended(jobs: Jobs, job_id: str) -> Any:
    waiting = Event()
    while not jobs.get(job_id).ended:
        waiting.wait(0.05)
    return jobs.get(job_id)


def test_a_new_kind_of_job_is_one_entry(queue: tuple[Any, list[Work]]) -> None:
    make, works = queue
    jobs = make()
    left = jobs.add(Counting("photos"), "ed")  # never started: the service was killed
    after = make()
    after.start()
    done = ended(after, left.job_id)
    assert len(works) == 2  # the first time the library was busy
    assert (done.kind, done.state, done.user, done.done, done.total) == ("count", JobState.DONE, "ed", 3, 3)
    assert (done.path, done.report, done.problem) == ("photos", {"counted": "photos"}, None)
    assert works[1].user == "ed"
    endless = after.add(Counting("endless"), "ed")
    while after.get(endless.job_id).done != 3:
        pass
    after.cancel(endless.job_id)
    assert (ended(after, endless.job_id).state, after.get(endless.job_id).report) == (
        JobState.CANCELLED,
        {"counted": "endless"},
    )
    again = after.add(Counting("endless"), "ed")
    while after.get(again.job_id).done != 3:
        pass
    after.close()
    assert make().get(again.job_id).state is JobState.QUEUED  # it goes on at the next start


def test_the_document_names_the_kinds_that_there_are() -> None:
    assert set(get_args(JobKind)) == set(KINDS)
    assert [name for name, kind in KINDS.items() if kind.name != name] == []
    assert len({kind.arguments for kind in KINDS.values()}) == len(KINDS)
