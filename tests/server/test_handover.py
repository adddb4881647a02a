"""An ingest that a service was asked for, and that workers do: it looks like the service's own."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from service import HERE, OWNER_KEY, PASSWORD, WORK_METRICS, process, remote, sign_in, wait_for

import facekit as fk
from facekit.catalog.batch_tables import batches, workers
from facekit.errors import RefusedError
from facekit.library.background import background_of, try_again
from facekit.library.local import LocalLibrary
from facekit.server.access import Access
from facekit.server.accounts import Accounts
from facekit.server.app import create_app
from facekit.server.service import Service
from facekit.server.stores import open_store
from facekit.server.tables import jobs, users
from facekit.types.photos import FoundFile
from facekit.types.work import State
from facekit.widgets.ingestform import IngestForm
from facekit.workers import handover
from facekit.workers.asking import ingest_in_background
from facekit.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOUNT = "FACEKIT_MOUNTS"


@pytest.fixture
def mounted(shared_library: LocalLibrary, few_photos: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalLibrary]:
    """The library on a machine that has the photos as a mount; no accounts, and nobody has asked for anything."""
    store = open_store(shared_library.storage.backend)
    with store.write() as connection:
        for table in (users, jobs):
            connection.execute(sa.delete(table))
    store.close()
    monkeypatch.setenv(MOUNT, f"family={few_photos}")
    with LocalLibrary(shared_library.folder) as library:
        yield library


@contextmanager
def served(library: LocalLibrary, root: Path) -> Iterator[TestClient]:
    """A service of it, without accounts."""
    service = Service(library, [root])
    access = Access(Accounts(service.store), OWNER_KEY)
    with TestClient(create_app(service, access), HERE) as client:
        yield client


@pytest.fixture
def client(mounted: LocalLibrary, tmp_path: Path) -> Iterator[TestClient]:
    with served(mounted, tmp_path) as client:
        yield client


@contextmanager
def working(library: LocalLibrary) -> Iterator[Worker]:
    """A worker, as one in another process would work."""
    worker = Worker(library)
    thread = Thread(target=worker.run)
    thread.start()
    try:
        while not library.storage.catalog.work.numbers()["workers"]:
            time.sleep(0.02)
        yield worker
    finally:
        worker.stop()
        thread.join()


def only_said(library: LocalLibrary) -> Any:
    """A worker that says that it is there, for an hour, and does nothing."""
    idle = library.storage.catalog.batches("idle", 20)
    idle.here()
    with library.storage.catalog.transaction() as connection:
        connection.execute(sa.update(workers).values(seen_at=sa.text("now() + interval '1 hour'")))
    return idle


def ask(client: TestClient, folder: Path, headers: dict[str, str] | None = None) -> str:
    asked = client.post("/api/v1/upload/local", json={"path": str(folder)}, headers=headers)
    assert asked.status_code == 202, asked.text
    return str(asked.json()["job_id"])


def until_workers_have(library: LocalLibrary, job_id: str) -> None:
    deadline = time.monotonic() + 60
    while library.storage.catalog.work.get(job_id) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def not_here(monkeypatch: pytest.MonkeyPatch, library: LocalLibrary) -> None:
    def ingest(*_paths: object, **_options: object) -> None:
        message = "the service does it itself"
        raise AssertionError(message)

    monkeypatch.setattr(library, "ingest", ingest)


def test_workers_do_what_the_service_was_asked_for_and_it_is_told_as_ever(
    client: TestClient, mounted: LocalLibrary, few_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.app.state.access.accounts.add("ada", PASSWORD, "admin")
    ada = sign_in(client, "ada")
    not_here(monkeypatch, mounted)
    with working(mounted):
        job_id = ask(client, few_photos, ada)
        with client.stream("GET", f"/api/v1/jobs/{job_id}/events", headers=ada) as stream:
            assert '"state": "done"' in "".join(stream.iter_lines())
    job = client.get(f"/api/v1/jobs/{job_id}", headers=ada).json()
    assert (job["state"], job["done"], job["total"], job["user"]) == ("done", 4, 4, "ada")
    report = job["report"]
    assert (report["found"], report["ingested"], report["faces"], report["warnings"]) == (4, 3, 2, [])
    assert [one["path"] for one in report["failed"]] == ["family:/broken.jpg"]
    assert not report["stopped"]
    (known,) = mounted.storage.catalog.work.all()
    assert (known.work_id, known.state, known.done) == (job_id, "done", 4)


def test_the_service_does_itself_what_no_worker_can(
    client: TestClient, mounted: LocalLibrary, few_photos: Path, tmp_path: Path
) -> None:
    assert wait_for(client, ask(client, few_photos))["report"]["ingested"] == 3  # there is no worker
    only_said(mounted)
    other = tmp_path / "not on the mount"
    other.mkdir()
    (few_photos / "grace.jpg").rename(other / "grace.jpg")
    report = wait_for(client, ask(client, tmp_path / other.name))["report"]
    assert (report["found"], report["duplicates"]) == (1, 1)
    assert mounted.storage.catalog.work.all() == []


@pytest.mark.parametrize("why", ["no worker is left", "no worker sees the folder"])
def test_what_workers_leave_lying_the_service_takes_back(
    client: TestClient, mounted: LocalLibrary, few_photos: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "_PATIENCE_SECONDS", 0.1)
    idle = only_said(mounted)
    job_id = ask(client, few_photos)
    until_workers_have(mounted, job_id)
    if why == "no worker is left":
        mounted.storage.catalog.work.pause(job_id, paused=True)
        idle.gone()
        assert not mounted.storage.catalog.work.stands_still(job_id)  # somebody wants it to wait
        mounted.storage.catalog.work.pause(job_id, paused=False)
    else:
        claim = idle.claim()
        assert not mounted.storage.catalog.work.stands_still(job_id)  # somebody has it
        idle.put_back(claim, "family:/ is not there for idle")
    job = wait_for(client, job_id)
    assert (job["state"], job["report"]["ingested"]) == ("done", 3)
    assert mounted.storage.catalog.work.all() == []
    assert idle.claim() is None


def test_a_cancelled_job_is_cancelled_for_the_workers_too_and_what_they_did_is_told(
    client: TestClient, mounted: LocalLibrary, few_photos: Path
) -> None:
    only_said(mounted)
    job_id = ask(client, few_photos)
    until_workers_have(mounted, job_id)
    assert client.post(f"/api/v1/jobs/{job_id}/cancel").json()["cancelled"]
    assert mounted.storage.catalog.work.get(job_id).state == "cancelled"
    Worker(mounted).run(once=True)
    job = wait_for(client, job_id)
    assert (job["state"], job["report"]["stopped"], job["report"]["found"]) == ("cancelled", True, 0)
    assert mounted.storage.catalog.work.get(job_id).finished_at is not None
    only_said(mounted)
    job_id = ask(client, few_photos)
    until_workers_have(mounted, job_id)
    mounted.storage.catalog.work.cancel(job_id)  # by facekit jobs --cancel
    Worker(mounted).run(once=True)
    job = wait_for(client, job_id)
    assert job["state"] == "failed"
    assert "cancelled among the workers' jobs" in job["problem"]


def test_files_that_workers_gave_up_are_named_and_a_listing_that_failed_is_a_failed_job(
    client: TestClient, mounted: LocalLibrary, few_photos: Path
) -> None:
    only_said(mounted)
    work, catalog = mounted.storage.catalog.work, mounted.storage.catalog
    for kind in ("files", "scan"):
        job_id = ask(client, few_photos)
        until_workers_have(mounted, job_id)
        if kind == "files":
            (few_photos / "one.jpg").write_bytes((few_photos / "broken.jpg").read_bytes()[:500])
            tasks = Worker(mounted)
            listing = tasks._batches.claim()
            from facekit.system.workers import WorkerPool
            from facekit.workers.tasks import Tasks

            with WorkerPool(1) as pool:
                Tasks(mounted, tasks._batches, pool).do(listing)
        dead = sa.update(batches).where(batches.c.kind == kind, batches.c.work_id == job_id)
        with catalog.transaction() as connection:
            connection.execute(dead.values(state="dead", problem="the disk is on fire"))
        Worker(mounted).run(once=True)
        job = wait_for(client, job_id)
        if kind == "files":
            assert (job["state"], job["done"], job["total"]) == ("done", 5, 5)
            (warning,) = job["report"]["warnings"]
            assert warning.startswith("5 files failed again and again")
            assert work.retry(job_id) == 5
            Worker(mounted).run(once=True)
        else:
            assert (job["state"], "the disk is on fire" in job["problem"]) == ("failed", True)


def test_the_queue_is_told_to_those_who_may_ingest_and_to_prometheus_and_given_up_files_are_tried_again(
    client: TestClient, mounted: LocalLibrary, few_photos: Path, tmp_path: Path
) -> None:
    catalog = mounted.storage.catalog
    only_said(mounted)
    work_id = ingest_in_background(mounted, few_photos)
    listing = catalog.batches("idle", 20).claim()
    files = [FoundFile("family", f"{number}.jpg".encode(), f"family:/{number}.jpg", 1, 1) for number in range(3)]
    catalog.batches("idle", 20).listed(listing, [files[:1], files[1:]], 1, {})
    given_up = sa.update(batches).where(batches.c.wave == 1, batches.c.work_id == work_id)
    with catalog.transaction() as connection:
        connection.execute(given_up.values(state="dead", problem=f"{mounted.place} is full"))
    for name, role in (("ada", "admin"), ("ed", "editor"), ("vi", "viewer")):
        client.app.state.access.accounts.add(name, PASSWORD, role)
    ada, ed, vi = (sign_in(client, name) for name in ("ada", "ed", "vi"))
    assert client.get("/api/v1/queue", headers=vi).status_code == 403
    assert client.post(f"/api/v1/queue/{work_id}/retry", headers=vi).status_code == 403
    now = client.get("/api/v1/queue", headers=ed).json()
    assert {name: now[name] for name in ("queued", "running", "done", "dead", "workers", "index_due")} == {
        "queued": 2,
        "running": 0,
        "done": 0,
        "dead": 1,
        "workers": 1,
        "index_due": 0,
    }
    assert 0 < now["oldest_seconds"] < 300
    (one,) = now["given_up"]
    assert (one["work_id"], one["paths"], one["problem"]) == (work_id, ["family:/0.jpg"], "the library is full")
    text = client.get("/metrics", headers=ada).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    told = {state: float(values[f'facekit_work_files{{state="{state}"}}']) for state in State}
    assert told == {"queued": 2, "running": 0, "done": 0, "dead": 1}
    assert float(values["facekit_workers"]) == 1
    assert float(values["facekit_work_oldest_seconds"]) > 0
    assert {name.partition("{")[0] for name in values} >= WORK_METRICS
    retried = client.post(f"/api/v1/queue/{one['batch_id']}/retry", headers=ed)
    assert retried.json() == {"again": 1}
    assert client.post(f"/api/v1/queue/{work_id}/retry", headers=ed).status_code == 400  # nothing is left
    assert client.post(f"/api/v1/queue/{'0' * 32}/retry", headers=ed).status_code == 404
    assert client.get("/api/v1/queue", headers=ed).json()["dead"] == 0


def test_the_page_of_a_service_shows_what_workers_gave_up_and_has_it_tried_again(
    mounted: LocalLibrary, few_photos: Path
) -> None:
    only_said(mounted)
    work_id = ingest_in_background(mounted, few_photos)
    with mounted.storage.catalog.transaction() as connection:
        connection.execute(sa.update(batches).where(batches.c.kind == "scan").values(state="dead", problem="no disk"))
    with remote(mounted.folder) as far:
        assert [one.work_id for one in background_of(far).given_up] == [work_id]
        form = IngestForm(far)
        assert form.work == {
            "workers": 1,
            "queued": 0,
            "running": 0,
            "dead": 0,
            "index_due": 0,
            "minutes": 0,
            "given_up": [{"path": "", "problem": "no disk"}],
        }
        form._message(form, {"kind": "again"}, [])
        assert form.work["given_up"] == []
        with pytest.raises(RefusedError, match="given up"):
            try_again(far, work_id)
    assert mounted.storage.catalog.work.get(work_id).state == "listing"


def test_a_library_in_a_folder_has_no_workers(tmp_path: Path) -> None:
    with fk.open(tmp_path / "faces", detector="yunet", embedder="sface") as library:
        with TestClient(create_app(Service(library), Access(None, OWNER_KEY)), HERE) as client:
            assert client.get("/api/v1/queue").json() is None
            assert client.post(f"/api/v1/queue/{'0' * 32}/retry").status_code == 404
            assert "facekit_work" not in client.get("/metrics").text
        assert IngestForm(library).work == {}


def test_a_job_is_followed_again_by_the_next_service_when_one_ends(
    mounted: LocalLibrary, few_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_said(mounted)
    not_here(monkeypatch, mounted)
    with served(mounted, tmp_path) as client:
        job_id = ask(client, few_photos)
        until_workers_have(mounted, job_id)
    Worker(mounted).run(once=True)  # while there is no service
    with served(mounted, tmp_path) as client:
        job = wait_for(client, job_id)
        assert (job["state"], job["report"]["ingested"]) == ("done", 3)
    (known,) = mounted.storage.catalog.work.all()
    assert known.work_id == job_id


def test_a_killed_services_job_is_followed_by_another_and_done_once(
    client: TestClient, mounted: LocalLibrary, few_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_here(monkeypatch, mounted)
    only_said(mounted)
    store = client.app.state.service.store
    client.app.state.service.jobs.close()  # this one takes none for now
    with process(mounted.folder, "--root", str(tmp_path)) as other, httpx2.Client(timeout=120) as web:
        asked = web.post(f"{other.url}/api/v1/upload/local", json={"path": str(few_photos)})
        job_id = asked.json()["job_id"]
        until_workers_have(mounted, job_id)
        os.kill(other.command._process.pid, signal.SIGKILL)
    with store.write() as connection:  # as if the time for which it had the job had passed
        connection.execute(sa.update(jobs).values(lease_until=0.0))
    Worker(mounted).run(once=True)
    with served(mounted, tmp_path) as third:
        job = wait_for(third, job_id)
    assert (job["state"], job["report"]["ingested"]) == ("done", 3)
    assert len(mounted.storage.catalog.work.all()) == 1
