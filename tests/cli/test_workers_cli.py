"""``facekit worker``, ``jobs`` and ``ingest --background`` from a shell."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import ready
import sqlalchemy as sa
from postgres import free_port
from typer.testing import CliRunner

from facekit.catalog.batch_tables import work
from facekit.cli.main import app
from facekit.errors import LibraryBusyError
from facekit.types.work import Options

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from redis_server import RedisServer

    from facekit.library.local import LocalLibrary


def said(library: LocalLibrary, *arguments: object) -> str:
    result = CliRunner().invoke(app, ["--library", str(library.folder), *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def jobs(library: LocalLibrary) -> dict[str, Any]:
    return dict(json.loads(said(library, "jobs", "--json")))


def test_what_was_left_to_workers_is_done_once_one_is_there(shared_library: LocalLibrary, few_photos: Path) -> None:
    key = json.loads(said(shared_library, "ingest", few_photos, "--background", "--priority", "2", "--json"))["id"]
    before = jobs(shared_library)
    (job,) = before.pop("jobs")
    assert before == {"queued": 0, "running": 0, "done": 0, "dead": 0, "workers": 0, "index_due": 0}
    assert (job["work_id"], job["state"], job["priority"], job["roots"]) == (key, "listing", 2, [str(few_photos)])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*", job["queued_at"])
    done = ready.facekit("--library", shared_library.folder, "worker", "--once")
    assert done.returncode == 0, done.stderr
    assert "3 batches were done" in done.stderr
    after = jobs(shared_library)
    (job,) = after.pop("jobs")
    assert after == {"queued": 0, "running": 0, "done": 4, "dead": 0, "workers": 0, "index_due": 0}
    assert (job["state"], job["report"]["ingested"], len(job["report"]["failed"])) == ("done", 3, 1)
    shown = said(shared_library, "jobs")
    assert key in shown
    assert "4 done" in shown


def test_jobs_that_were_done_long_ago_are_not_listed_for_ever(shared_library: LocalLibrary) -> None:
    catalog = shared_library.storage.catalog
    keys = [catalog.work.add([f"/{number}"], Options())[0] for number in range(14)]
    with catalog.transaction() as connection:
        for key, days in zip(keys[:13], [3] * 12 + [0], strict=True):
            then = datetime.now(UTC) - timedelta(days=days)
            connection.execute(sa.update(work).where(work.c.work_id == key).values(finished_at=then, files_done=2))
        connection.execute(sa.update(work).where(work.c.work_id == keys[0]).values(finished_at=datetime.now(UTC)))
    listed = jobs(shared_library)
    assert [one["work_id"] for one in listed["jobs"]] == [*reversed(keys[3:]), keys[0]]  # one is not finished
    assert listed["done"] == 26  # all the same


def test_a_worker_says_which_folder_it_does_not_see(
    shared_library: LocalLibrary, few_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("FACEKIT_MOUNTS", f"family={few_photos}")
    library = ["--library", str(shared_library.folder)]
    asked = CliRunner().invoke(app, [*library, "ingest", "family:", "--background"], catch_exceptions=False)
    assert f"No worker is there now: start one with facekit --library {shared_library.folder} worker" in asked.stderr
    monkeypatch.setenv("FACEKIT_MOUNTS", "")
    options = ["--library", str(shared_library.folder), "worker", "--once"]
    result = CliRunner().invoke(app, options, catch_exceptions=False)
    assert "0 batches were done" in result.stderr
    assert "family:/ is not there on this machine" in result.stderr


def test_work_is_paused_resumed_and_cancelled(shared_library: LocalLibrary, few_photos: Path) -> None:
    key = json.loads(said(shared_library, "ingest", few_photos, "--background", "--json"))["id"]
    said(shared_library, "jobs", "--pause", key)
    ready.facekit("--library", shared_library.folder, "worker", "--once")
    assert [one["state"] for one in jobs(shared_library)["jobs"]] == ["paused"]
    said(shared_library, "jobs", "--resume", key)
    said(shared_library, "jobs", "--cancel", key)
    ready.facekit("--library", shared_library.folder, "worker", "--once")
    (job,) = jobs(shared_library)["jobs"]
    assert (job["state"], job["report"]["stopped"]) == ("cancelled", True)
    assert shared_library.stats()["files"] == 0
    failed = ready.facekit("--library", shared_library.folder, "jobs", "--cancel", "nothing")
    assert failed.returncode == 1
    assert "There is no work with the id nothing. facekit jobs lists them." in failed.stderr


def test_a_change_of_models_is_left_to_workers_and_one_process_says_that_they_are_at_it(
    shared_library: LocalLibrary,
) -> None:
    asked = said(shared_library, "reembed", "--detail", "fine", "--background", "--priority", "3", "--json")
    key = json.loads(asked)["id"]
    (job,) = jobs(shared_library)["jobs"]
    assert (job["work_id"], job["state"], job["priority"], job["models"]) == (key, "listing", 3, "yunet 1 + sface 1")
    words = re.findall(r"\w+", said(shared_library, "jobs"))  # a table folds them
    assert "change of models to yunet 1 sface 1" in " ".join(words)
    for call in (["reembed"], ["reembed", "--background"]):
        refused = CliRunner().invoke(app, ["--library", str(shared_library.folder), *call])
        assert isinstance(refused.exception, LibraryBusyError)
        assert f"Workers are changing the library's models to yunet 1 + sface 1 ({key})" in str(refused.exception)
    said(shared_library, "jobs", "--cancel", key)
    assert json.loads(said(shared_library, "reembed", "--json"))["switched"]


def test_what_was_given_up_is_listed_and_tried_again(shared_library: LocalLibrary, few_photos: Path) -> None:
    key = json.loads(said(shared_library, "ingest", few_photos, "--background", "--json"))["id"]
    shutil.move(few_photos, few_photos.with_name("away"))
    (few_photos.parent / few_photos.name).symlink_to("nowhere")  # there, and nothing can be listed
    ready.facekit("--library", shared_library.folder, "worker", "--once")
    (dead,) = json.loads(said(shared_library, "jobs", "--dead", "--json"))
    assert (dead["work_id"], dead["kind"], dead["paths"]) == (key, "scan", [])
    assert few_photos.name in dead["problem"]
    assert dead["batch_id"] in said(shared_library, "jobs", "--dead")  # which has 80 columns here
    (job,) = jobs(shared_library)["jobs"]
    assert (job["state"], job["problem"]) == ("failed", dead["problem"])
    few_photos.unlink()
    few_photos.with_name("away").rename(few_photos)
    said(shared_library, "jobs", "--retry", dead["batch_id"])
    ready.facekit("--library", shared_library.folder, "worker", "--once")
    assert [one["state"] for one in jobs(shared_library)["jobs"]] == ["done"]


def test_a_worker_hears_redis_shows_its_numbers_and_ends_when_it_is_told_to(
    shared_library: LocalLibrary, few_photos: Path, redis_server: RedisServer
) -> None:
    port = free_port()
    options = ("--broker", redis_server.url, "--metrics-port", str(port))
    worker = ready.Command("--library", shared_library.folder, "worker", *options, environment=dict(os.environ))
    while jobs(shared_library)["workers"] == 0:
        assert worker.poll() is None, worker.said()
        time.sleep(0.1)
    said(shared_library, "ingest", few_photos, "--background", "--broker", redis_server.url)
    while [one["state"] for one in jobs(shared_library)["jobs"]] != ["done"]:
        assert worker.poll() is None, worker.said()
        time.sleep(0.1)
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        numbers = answer.read().decode()
    assert 'facekit_work_files{state="done"} 4.0' in numbers
    assert "facekit_workers 1.0" in numbers
    assert "facekit_index_due_faces 0.0" in numbers
    assert "faststream_received_messages_total" in numbers
    worker.send_signal(signal.SIGTERM)
    worker.wait()
    assert worker.poll() == 0
    assert jobs(shared_library)["workers"] == 0
