"""Connected places through the service: who may what, syncs as jobs, questions that they ask, and the schedule."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fake_service import photos
from fake_vk import FakeVk, error, vk_photos
from fake_yandex import LINK, FakeYandex
from service import remote, served, sign_in, wait_for

import facekit as fk
from facekit.server.job import Sync
from facekit.server.schedule import SyncSchedule
from facekit.server.stores import open_store
from facekit.sources import asking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient


@pytest.fixture
def yandex(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeYandex]:
    with FakeYandex(photos(5, "Лето")) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:

    with served(tmp_path / "library", accounts=True) as client:
        yield client


def ended(client: TestClient, response: Any, headers: dict[str, str]) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    return wait_for(client, response.json()["job_id"], headers)


def test_an_editor_connects_syncs_and_disconnects_a_place(client: TestClient, yandex: FakeYandex) -> None:
    ed, vi = sign_in(client, "ed"), sign_in(client, "vi")
    assert client.get("/api/v1/sources", headers=vi).status_code == 403
    assert client.post("/api/v1/sources", json={"place": LINK}, headers=vi).status_code == 403
    made = client.post("/api/v1/sources", json={"place": LINK, "name": "disk"}, headers=ed)
    assert (made.status_code, made.json()["name"], made.json()["state"]) == (201, "disk", "new")
    assert client.post("/api/v1/sources", json={"place": LINK, "name": "disk"}, headers=ed).status_code == 400

    dry = ended(client, client.post("/api/v1/sources/disk/sync", json={"dry_run": True}, headers=ed), ed)
    assert (dry["state"], dry["report"]["places"][0]["new"]) == ("done", 5)
    assert yandex.downloads == []

    job = ended(client, client.post("/api/v1/sources/disk/sync", json={}, headers=ed), ed)
    (done,) = job["report"]["places"]
    assert (job["state"], job["done"], job["total"], done["ingested"]) == ("done", 5, 5, 5)
    assert job["sync"]["source"] == "disk"
    (place,) = client.get("/api/v1/sources", headers=ed).json()
    assert (place["state"], place["photos"]) == ("ready", 5)

    assert client.post("/api/v1/sources/disk/pause", json={"paused": True}, headers=ed).json()["state"] == "paused"
    assert client.post("/api/v1/sources/disk/sync", json={}, headers=ed).status_code == 400
    steps = client.post("/api/v1/sources/disk/check", headers=ed).json()
    assert steps
    assert all(step["works"] for step in steps)
    gone = client.post("/api/v1/sources/disk/remove", json={"photos": "forget"}, headers=ed)
    assert gone.json() == {"forgotten": 5}
    assert client.get("/api/v1/sources", headers=ed).json() == []
    assert client.get("/api/v1/stats", headers=ed).json()["files"] == 0


def test_places_that_lead_anywhere_are_connected_by_admins_alone(client: TestClient) -> None:
    for place in ("takeout", "s3://bucket/photos"):
        answer = client.post("/api/v1/sources", json={"place": place}, headers=sign_in(client, "ed"))
        assert answer.status_code == 403, place


def test_an_admin_connects_no_folder_that_photos_may_not_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_DROPBOX_CLIENT_ID", "id")
    for folder in ("allowed", "other"):
        (tmp_path / folder / "Takeout" / "Google Photos").mkdir(parents=True)
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "other")
    with served(tmp_path / "library", [tmp_path / "allowed"], accounts=True) as client:

        def add(user: str, place: str, **settings: str) -> int:
            asked = {"place": place, "settings": settings}
            return client.post("/api/v1/sources", json=asked, headers=sign_in(client, user)).status_code

        for folder in ("other", "allowed/link"):
            assert add("ada", "takeout", path=f"{tmp_path}/{folder}") == 403
            assert add("ada", "storage", url=f"zip://{tmp_path}/{folder}/a.zip") == 403
            assert add("ada", f"zip://{tmp_path}/{folder}/a.zip") == 403
        assert add("ada", f"{tmp_path}/other/Takeout") == 403
        assert add("ada", "takeout", path=f"{tmp_path}/allowed") == 201
        # Who may connect no folder does not learn either which ones there are.
        assert add("ed", f"{tmp_path}/other/Takeout") == add("ed", f"{tmp_path}/nothing") == 403
        assert add("ed", "flickr") == 400
        monkeypatch.setattr(asking, "_somebody_is_there", lambda: True)
        monkeypatch.setattr(asking.webbrowser, "open", lambda _page: pytest.fail("the service opens no browser"))
        assert add("ed", "dropbox") >= 400


def test_a_question_of_a_sync_is_answered_through_the_service(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ed = sign_in(client, "ed")
    with FakeVk(vk_photos(2)) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        token = fake.token()
        assert token is not None
        asked = {"place": "vk", "settings": fake.settings(), "token": token.access}
        made = client.post("/api/v1/sources", json=asked, headers=ed)
        assert made.status_code == 201, made.text
        assert token.access not in made.text
        fake.want_letters("плот")
        job_id = client.post("/api/v1/sources/vk/sync", json={}, headers=ed).json()["job_id"]
        question = None
        for _ in range(600):
            job = client.get(f"/api/v1/jobs/{job_id}", headers=ed).json()
            question = job["question"]
            if question or job["finished_at"]:
                break
            time.sleep(0.05)
        assert question is not None, job
        assert question["answer"]
        assert question["image"].startswith("data:image/jpeg;base64,")
        answer = client.post(f"/api/v1/jobs/{job_id}/answer", json={"answer": "плот"}, headers=ed)
        assert answer.status_code == 200, answer.text
        job = wait_for(client, job_id, ed)
        assert (job["state"], job["question"], job["report"]["places"][0]["ingested"]) == ("done", None, 2), job
        assert client.post(f"/api/v1/jobs/{job_id}/answer", json={"answer": "x"}, headers=ed).status_code == 400
        told = json.dumps([client.get(f"/api/v1/{one}", headers=ed).json() for one in ("jobs", "sources")])
        assert token.access not in told


def test_a_sync_that_can_go_on_tomorrow_ends_as_a_job_and_says_so(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ed = sign_in(client, "ed")
    with FakeVk(vk_photos(1)) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        token = fake.token()
        assert token is not None
        asked = {"place": "vk", "settings": fake.settings(), "token": token.access}
        assert client.post("/api/v1/sources", json=asked, headers=ed).status_code == 201
        fake.fail(error(29), path="/method/.*", times=9)
        job = ended(client, client.post("/api/v1/sources/vk/sync", json={}, headers=ed), ed)
        (done,) = job["report"]["places"]
        assert job["state"] == "done", job
        assert datetime.fromisoformat(done["resume_at"]) > datetime.now(UTC)
        (place,) = client.get("/api/v1/sources", headers=ed).json()
        assert (place["state"], place["problem"]) == ("stopped", done["problem"])
        fake.heal()
        again = ended(client, client.post("/api/v1/sources/vk/sync", json={}, headers=ed), ed)
        assert again["report"]["places"][0]["ingested"] == 1, again


def test_a_client_syncs_through_a_service(tmp_path: Path, yandex: FakeYandex) -> None:
    steps: list[tuple[int, int]] = []
    with remote(tmp_path / "library") as library:
        assert library.sources.add(LINK).name == "yandex-disk"
        report = library.sources.sync(progress=lambda done, total: steps.append((done, total)))
        assert report.ended_well
        assert (report.places[0].ingested, report.places[0].fetched) == (5, 5)
        assert steps[-1] == (5, 5)
        yandex.error = (401, "UnauthorizedError")
        (again,) = library.sources.sync(progress=False).places
        assert again.problem
        assert library.sources.get("yandex-disk").state in {"stopped", "sign-in"}
        with pytest.raises(fk.FacekitError, match="No source is called"):
            library.sources.get("nowhere")


def test_a_schedule_queues_what_is_due_and_nothing_twice(tmp_path: Path, yandex: FakeYandex) -> None:
    with waiting_jobs(tmp_path / "library") as (library, jobs):
        schedule = SyncSchedule(library, jobs, timedelta(hours=6))
        library.sources.add(LINK, name="disk")
        library.sources.add(LINK, name="paused")
        library.sources.pause("paused")
        assert schedule.queue_due() == ["disk"]
        assert schedule.queue_due() == []  # it waits
        (job,) = jobs.list()
        assert job.sync == Sync("disk")
        jobs.cancel(job.job_id)
        assert schedule.queue_due() == []  # it was tried just now
        library.storage.catalog.sources.change("disk", synced_at=datetime.now(UTC).replace(microsecond=0))
        assert SyncSchedule(library, jobs, timedelta(0)).queue_due() == ["disk"]


@contextmanager
def waiting_jobs(folder: Path) -> Iterator[tuple[Any, Any]]:
    """A library with jobs that nobody works on."""
    from facekit.server.jobs import Jobs

    with fk.open(folder) as library:
        store = open_store(library.storage.backend)
        yield library, Jobs(store, library, lambda _report: None, lambda _path: True)
        store.close()
