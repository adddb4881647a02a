"""Several services of one library on servers: the same people, the same jobs, and nothing twice."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import sqlalchemy as sa
from cable import Cable
from fastapi.testclient import TestClient
from service import OWNER_KEY, PASSWORD, process, sign_in, wait_for
from typer.testing import CliRunner

from facekit.cli.main import app
from facekit.library.local import LocalLibrary
from facekit.server.access import Access
from facekit.server.accounts import Accounts
from facekit.server.app import create_app
from facekit.server.limits import RateLimits
from facekit.server.refusal import AWAY
from facekit.server.service import Service
from facekit.server.shared_limits import SharedLimits
from facekit.server.shared_store import SharedServiceStore
from facekit.server.stores import open_store, rate_limits
from facekit.server.tables import jobs
from facekit.storage.lock import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis_server import RedisServer

PHOTOS = 100
USERS = {"ada": "admin", "ed": "editor"}


@pytest.fixture
def both(shared_library: LocalLibrary, shared_folder: Path, tmp_path: Path) -> Iterator[list[TestClient]]:
    """Two services of one library; Ada and Ed have accounts."""
    with ExitStack() as opened:
        clients = []
        for library in (shared_library, opened.enter_context(LocalLibrary(shared_folder))):
            service = Service(library, [tmp_path])
            access = Access(Accounts(service.store), OWNER_KEY)
            if not clients:
                with service.store.write() as connection:
                    connection.execute(sa.delete(jobs))
            for name, role in USERS.items() if not access.accounts.exist() else ():
                access.accounts.add(name, PASSWORD, role)
            clients.append(opened.enter_context(TestClient(create_app(service, access), "http://127.0.0.1:8000")))
        yield clients


def test_what_is_asked_at_one_service_is_seen_cancelled_and_erased_at_the_other(
    both: list[TestClient], few_photos: Path
) -> None:
    one, other = both
    ed = sign_in(one, "ed")  # who signed in at the one is let in at the other
    asked = one.post("/api/v1/upload/local", json={"path": str(few_photos)}, headers=ed).json()
    done = wait_for(other, asked["job_id"], ed)
    assert (done["state"], done["done"], done["total"], done["user"]) == ("done", 4, 4, "ed")
    (broken,) = done["report"]["failed"]
    assert broken["path"] == str(few_photos / "broken.jpg")
    assert one.get(f"/api/v1/jobs/{asked['job_id']}", headers=ed).json() == done
    with other.stream("GET", f"/api/v1/jobs/{asked['job_id']}/events", headers=ed) as stream:
        assert '"state": "done"' in "".join(stream.iter_lines())
    other.post("/api/v1/photos/remove", json={"path": broken["path"]}, headers=ed)
    for client in both:
        assert client.get(f"/api/v1/jobs/{asked['job_id']}", headers=ed).json()["report"]["failed"] == []
    with one.app.state.service.library.storage.changing("A test"):  # so that it waits for its turn
        waits = one.post("/api/v1/upload/local", json={"path": str(few_photos)}, headers=ed).json()
        while one.get(f"/api/v1/jobs/{waits['job_id']}", headers=ed).json()["state"] == "queued":
            time.sleep(0.05)
        assert other.post(f"/api/v1/jobs/{waits['job_id']}/cancel", headers=ed).status_code == 200
        assert wait_for(one, waits["job_id"], ed)["state"] == "cancelled"
    one.post("/api/v1/auth/logout", headers=ed)
    assert other.get("/api/v1/jobs", headers=ed).status_code == 401


def test_a_server_that_is_away_is_said_without_its_name_and_found_again(
    shared_library: LocalLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = shared_library.storage.backend.service
    cable = Cable(where.url)
    store = SharedServiceStore(cable.address, where.schema)
    monkeypatch.setattr("facekit.server.service.open_store", lambda _: store)
    access = Access(Accounts(store), OWNER_KEY)
    with TestClient(create_app(Service(shared_library), access), "http://127.0.0.1:8000") as client:
        if access.accounts.exist():
            with store.write() as connection:
                connection.execute(sa.text("DELETE FROM users"))

        def jobs_now(headers: dict[str, str] | None = None) -> httpx2.Response:
            return client.get("/api/v1/jobs", headers=headers)

        for accounts in (False, True):
            headers = None
            if accounts:
                access.accounts.add("ada", PASSWORD, "admin")
                headers = sign_in(client, "ada")
            assert jobs_now(headers).status_code == 200
            cable.cut()
            away = jobs_now(headers)
            assert (away.status_code, away.json()["detail"]["message"]) == (503, AWAY[0])
            assert "127.0.0.1" not in away.text
            assert client.get("/healthz").status_code == 200  # it is not this process that is ill
            cable.mend()
            assert jobs_now(headers).status_code == 200
    cable.cut()


def test_users_from_a_shell_are_the_librarys_whatever_it_is_called(shared_library: LocalLibrary) -> None:
    address = shared_library.storage.backend._address.shown
    typed = [
        CliRunner().invoke(app, ["--library", place, "users", *words], input=f"{PASSWORD}\n")
        for place, words in (
            (address, ["add", "ben", "--role", "admin", "--password-stdin"]),
            (str(shared_library.folder), ["list", "--json"]),
            (address, ["remove", "nobody"]),
        )
    ]
    upgraded = CliRunner().invoke(app, ["--library", address, "upgrade"])  # what there is to upgrade: nothing
    assert upgraded.exit_code == 0, upgraded.output
    assert [one.exit_code for one in typed[:2]] == [0, 0]
    assert '"ben"' in typed[1].stdout
    assert typed[2].exit_code == 1
    assert not (shared_library.folder / "service.db").exists()
    store = open_store(shared_library.storage.backend)
    with store.read() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM users WHERE name = 'ben'")) == 1
    store.close()
    with store.write() as connection:
        connection.execute(sa.text("DELETE FROM users WHERE name = 'ben'"))
    store.close()


def test_services_count_together_where_the_library_has_a_broker(
    shared_library: LocalLibrary, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = shared_library.storage.backend
    assert type(rate_limits(backend)) is RateLimits
    monkeypatch.setenv("FACEKIT_BROKER", redis_server.url)
    one, other = rate_limits(backend), rate_limits(backend)
    assert isinstance(one, SharedLimits)
    one.request("ada")
    other.request("ada")
    (key,) = redis_server.ask("KEYS", "*").split()
    assert redis_server.ask("LLEN", key) == "2"


def test_an_ingest_goes_on_in_another_process_when_its_service_is_killed(
    shared_folder: Path, shared_library: LocalLibrary, lfw: Path, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for photo in sorted(lfw.glob("A*/*_0001.jpg"))[:PHOTOS]:
        shutil.copy(photo, album)
    store = open_store(shared_library.storage.backend)
    with store.write() as connection:
        connection.execute(sa.text("DELETE FROM users"))
    options = "--root", str(tmp_path)
    with (
        process(shared_folder, *options) as one,
        process(shared_folder, *options) as other,
        httpx2.Client(timeout=120) as client,
    ):
        services = {service.command._process.pid: service for service in (one, other)}
        job_id = client.post(f"{one.url}/api/v1/upload/local", json={"path": str(album)}).json()["job_id"]

        def seen(at: Any) -> dict[str, Any]:
            return dict(client.get(f"{at.url}/api/v1/jobs/{job_id}").json())

        while not 0 < seen(other)["done"] < PHOTOS:  # each sees it, whoever does it
            time.sleep(0.05)
        with store.read() as connection:
            pid = int(connection.scalar(sa.select(jobs.c.worker).where(jobs.c.job_id == job_id)).partition("-")[0])
        assert seen(one)["state"] == "running"
        os.kill(pid, signal.SIGKILL)
        del services[pid]
        (left,) = services.values()
        with store.write() as connection:  # as if the time for which it had the job had passed
            connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(lease_until=0.0))
        while not (ended := seen(left))["finished_at"]:
            time.sleep(0.1)
        report = ended["report"]
        assert (ended["state"], report["found"]) == ("done", PHOTOS)
        assert 0 < report["unchanged"] < PHOTOS  # what the killed one had stored
        assert ended["done"] == ended["total"] == report["ingested"] == PHOTOS - report["unchanged"]
        assert client.get(f"{left.url}/api/v1/stats").json()["files"] == PHOTOS
        assert left.stop()[0] == 0
    store.close()
    assert not (shared_folder / SERVICE).exists()
    frame = shared_library.photos()
    assert len(frame) == PHOTOS
    assert frame["photo_id"].is_unique
    assert sorted(Path(path).name for path in frame["path"]) == sorted(path.name for path in album.iterdir())
    assert shared_library.index_lag() == 0
    faces = shared_library.faces()
    assert faces["face_id"].is_unique
    assert set(shared_library.storage.index.rows()) == set(shared_library.embeddings(include_poor=True)[0])
