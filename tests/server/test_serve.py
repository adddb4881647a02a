"""``facekit serve`` as a process: found by its own user's programs, stopped, killed, taken up again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING

import httpx2
import numpy as np
import pandas as pd
import pytest
from ready import facekit
from service import PASSWORD, process

import facekit as fk
from facekit.library.remote import RemoteLibrary

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.demo.photos import DemoPhotos


@pytest.fixture
def folder(demo_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(demo_folder, tmp_path / "faces")


@pytest.fixture
def some_people(lfw: Path, tmp_path: Path) -> Path:
    """150 photos."""
    album = tmp_path / "album"
    photos = sorted(lfw.glob("*/*.jpg"))[:150]
    for photo in photos:
        (album / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, album / photo.parent.name)
    return album


def run(folder: Path, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    if not typed:
        return facekit("--library", folder, *arguments)
    command = [sys.executable, "-m", "facekit", "--library", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, input=typed)


def test_a_service_and_a_folder_answer_alike(folder: Path, demo_photos: DemoPhotos, tmp_path: Path) -> None:
    with fk.open(folder) as local:
        expected = {
            "photos": local.photos(),
            "faces": local.faces(),
            "embeddings": local.embeddings(),
            "hits": local.search(demo_photos.probe, top_k=5),
            "two": local.search([demo_photos.probe, demo_photos.probe.read_bytes()], face=[0, 0]),
            "page": local.photo_page("ok", offset=3, limit=4),
            "of_faces": local.face_page(limit=5),
            "folders": local.folders(),
            "in_probe": local.faces_in(demo_photos.probe),
            "csv": local.export("faces", tmp_path / "local.csv").read_bytes(),
            "stats": local.stats(),
        }
        first = expected["page"].photos[0]
        pictures = (local.thumbnail(first.photo_id), local.picture(first.photo_id))
        face = local.face_thumbnail(expected["of_faces"].faces[0].face_id)
    with process(folder) as service, fk.open(service.url) as remote:
        assert isinstance(remote, fk.Library)
        pd.testing.assert_frame_equal(remote.photos(), expected["photos"], check_dtype=False)
        pd.testing.assert_frame_equal(
            remote.faces().drop(columns="landmarks"),
            expected["faces"].drop(columns="landmarks"),
            check_dtype=False,
        )
        assert remote.embeddings()[0] == expected["embeddings"][0]
        np.testing.assert_array_equal(remote.embeddings()[1], expected["embeddings"][1])
        hits = remote.search(demo_photos.probe, top_k=5)
        assert json.dumps(hits.to_dict()) == json.dumps(expected["hits"].to_dict())
        assert hits.notes == expected["hits"].notes
        assert "data:image/jpeg" in hits._repr_html_()
        two = remote.search([demo_photos.probe, demo_photos.probe.read_bytes()], face=[0, 0])
        assert [hit.photo for hit in two] == [hit.photo for hit in expected["two"]]
        assert remote.photo_page("ok", offset=3, limit=4) == expected["page"]
        assert remote.photo(first.photo_id) == first
        assert remote.face_page(limit=5) == expected["of_faces"]
        assert remote.folders() == expected["folders"]
        assert remote.faces_in(demo_photos.probe) == expected["in_probe"]
        assert remote.export("faces", tmp_path / "remote.csv").read_bytes() == expected["csv"]
        assert remote.stats() == expected["stats"]
        assert (remote.thumbnail(first.photo_id), remote.picture(first.photo_id)) == pictures
        assert remote.face_thumbnail(expected["of_faces"].faces[0].face_id) == face
        assert remote.doctor()
        assert remote.search_similarity == pytest.approx(0.42)
        with pytest.raises(fk.UnknownIdError):
            remote.photo("0" * 32)
        with pytest.raises(fk.PhotoError) as refused:
            remote.search(b"no picture")
        assert refused.value.status is fk.Status.UNSUPPORTED
        with pytest.raises(fk.NoFaceError, match="face=7"):
            remote.search(demo_photos.probe, face=7)
        with pytest.raises(fk.FacekitError, match="There is no status"):
            remote.photos("nice")
    assert remote.closed


def test_the_notebook_and_the_command_line_use_the_service_that_owns_the_folder(
    folder: Path, demo_photos: DemoPhotos
) -> None:
    with process(folder) as service:
        assert (folder / "service.json").stat().st_mode & 0o077 == 0
        library = fk.open(folder)
        assert isinstance(library, RemoteLibrary)
        assert library.url == service.url
        searched = run(folder, "search", str(demo_photos.probe), "--json")
        assert searched.returncode == 0, searched.stderr
        assert len(json.loads(searched.stdout)["hits"]) > 10
        photo = demo_photos.folder / "portrait.png"
        assert library.remove(photo) == 1
        report = library.ingest(demo_photos.folder, progress=False)
        assert (report.found, report.ingested, report.unchanged) == (26, 1, 25)
        with pytest.raises(fk.ModelMismatchError):
            fk.open(folder, embedder="yunet")
        again = run(folder, "serve", "--port", "0")
        assert again.returncode == 1
        assert service.url in again.stderr
        status, errors = service.stop()
        assert (status, errors) == (0, "")
        with pytest.raises(fk.ServiceError, match="does not answer"):
            library.stats()
    assert not (folder / "service.json").exists()
    with fk.open(folder) as local:
        assert not isinstance(local, RemoteLibrary)


def test_a_notebook_publishes_a_library_and_takes_it_back(folder: Path, tmp_path: Path) -> None:
    with fk.open(folder), pytest.raises(fk.LibraryError, match=f"open in process {os.getpid()}"):
        fk.publish(folder, app=False)
    (tmp_path / "new").mkdir()
    with fk.publish(folder, app=False, roots=[tmp_path / "new"]) as published:
        library = fk.open(folder)
        assert library.place == published.url
        assert published.url in published._repr_html_()
        answer = httpx2.post(f"{published.url}/api/v1/upload/local", json={"path": str(tmp_path / "new")})
        assert answer.status_code == 202
    assert "not published" in published._repr_html_()
    code = f"import facekit as fk; fk.publish({str(folder)!r}, app=False); print(fk.open({str(folder)!r}).url)"
    notebook = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    url = notebook.stdout.strip()  # the kernel is gone, and with it the service
    deadline = time.monotonic() + 120
    while (folder / "service.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)
    with fk.open(folder) as local:
        assert local.stats()["files"] == 26


def test_a_killed_service_takes_its_jobs_up_again(folder: Path, some_people: Path) -> None:
    with process(folder, "--root", str(some_people.parent)) as service:
        job = httpx2.post(f"{service.url}/api/v1/upload/local", json={"path": str(some_people)}, timeout=120).json()
        url = f"/api/v1/jobs/{job['job_id']}"
        while not httpx2.get(service.url + url, timeout=120).json()["done"]:
            time.sleep(0.05)
        service.stop(signal.SIGKILL)
    assert (folder / "service.json").exists()
    with process(folder, "--root", str(some_people.parent)) as service:
        library = fk.open(folder)
        assert library.running_ingest() == job["job_id"]
        report = library.follow_ingest(job["job_id"], progress=False, stop=threading.Event())
        assert report.found == 150
        assert not report.stopped
        assert report.unchanged > 0  # what was done before the kill was kept
        assert library.stats()["files"] == 176
        assert library.doctor()


def test_fifty_people_search_while_photos_come_in(
    folder: Path, some_people: Path, demo_photos: DemoPhotos, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = demo_photos.probe.read_bytes()
    with process(folder, "--root", str(some_people.parent)) as service:
        started = httpx2.post(f"{service.url}/api/v1/upload/local", json={"path": str(some_people)}, timeout=120).json()

        def search(_: int) -> float:
            start = time.perf_counter()
            answer = httpx2.post(f"{service.url}/api/v1/search/upload", files={"file": picture}, timeout=120)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["hits"]) >= 14
            return time.perf_counter() - start

        with ThreadPoolExecutor(50) as people:
            seconds = sorted(people.map(search, range(50)))
        job = httpx2.get(f"{service.url}/api/v1/jobs/{started['job_id']}", timeout=120).json()
        with capsys.disabled():  # a figure for whoever reads the log; nothing is asserted about it
            said = f"median {median(seconds):.1f} s, longest {seconds[-1]:.1f} s"
            sys.stdout.write(f"\n50 searches at once during an ingest: {said}\n")
        assert job["state"] in {"running", "done"}
        with fk.open(folder) as library:
            report = library.follow_ingest(started["job_id"], progress=False, stop=threading.Event())
        assert (report.found, len(report.failed)) == (150, 0)


def test_an_ingest_through_a_service_shows_progress_and_can_be_stopped(folder: Path, some_people: Path) -> None:
    with process(folder):
        library = fk.open(folder)
        seen: list[tuple[int, int]] = []
        stop = threading.Event()

        def progress(done: int, total: int) -> None:
            seen.append((done, total))
            if done:
                stop.set()

        report = library.ingest(some_people, progress=progress, stop=stop)
        assert report.stopped
        assert 0 < seen[-1][0] < seen[-1][1] == 150
        assert library.stats()["files"] == 26 + seen[-1][0]
        with pytest.raises(fk.ServiceError, match="no such folder"):
            library.ingest(some_people / "none")


def test_other_machines_are_let_in_only_with_accounts(folder: Path) -> None:
    refused = run(folder, "serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 1
    assert "no accounts" in refused.stderr
    assert "users add" in refused.stderr
    added = run(folder, "users", "add", "ada", "--role", "admin", "--password-stdin", typed=PASSWORD + "\n")
    assert added.returncode == 0, added.stderr
    with process(folder, "--host", "0.0.0.0") as service:
        assert httpx2.get(f"{service.url}/api/v1/stats").status_code == 401
        stranger = RemoteLibrary(service.url)
        assert stranger.session.accounts
        with pytest.raises(fk.ServiceError, match="signed in") as error:
            stranger.stats()
        assert error.value.status == 401
        with pytest.raises(fk.ServiceError):
            stranger.sign_in("ada", "a wrong one, much too long")
        token = stranger.sign_in("ada", PASSWORD)
        assert stranger.identity.role == "admin"
        assert stranger.stats()["files"] == 26
        assert "library" not in stranger.stats()
        other = RemoteLibrary(service.url)
        renewed = other.session.resume(token)
        assert renewed != token
        other.sign_out()
        with pytest.raises(fk.ServiceError):
            other.stats()
        # While it runs, accounts and keys are made from the shell.
        made = run(folder, "users", "key", "ada", "--scope", "read")
        key = next(word for word in made.stdout.split() if word.startswith("fk_"))
        with fk.open(service.url, api_key=key) as program:
            assert program.stats()["files"] == 26
            with pytest.raises(fk.ServiceError, match="right to search"):
                program.search(b"x")
        assert fk.open(folder).identity.name == "owner"  # the service's own user needs no password


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_service_that_is_told_to_stop_leaves_nothing_behind(folder: Path, how: signal.Signals) -> None:
    with process(folder) as service:
        assert httpx2.get(f"{service.url}/readyz", timeout=60).status_code == 200
        assert service.stop(how) == (0, "")
    assert not (folder / "service.json").exists()
    assert not (folder / "owner.json").exists()


def test_a_notebook_is_not_taken_for_a_service_that_was_killed(folder: Path) -> None:
    left = {"pid": os.getpid(), "url": "http://127.0.0.1:9", "key": "old", "app_url": None}
    (folder / "service.json").write_text(json.dumps(left))  # in a container the number is often the same
    with fk.open(folder):
        refused = run(folder, "stats")
    assert refused.returncode == 1
    assert f"process {os.getpid()}" in refused.stderr


def test_guessing_is_slowed_down_whatever_address_it_claims_to_come_from(folder: Path) -> None:
    run(folder, "users", "add", "ada", "--role", "admin", "--password-stdin", typed=PASSWORD)
    with process(folder) as service, httpx2.Client(base_url=service.url, trust_env=False, timeout=60) as client:

        def attempt(password: str, address: str, **more: str) -> httpx2.Response:
            form = {"username": "ada", "password": password, **more}
            return client.post("/api/v1/auth/token", data=form, headers={"X-Forwarded-For": address})

        device = attempt(PASSWORD, "10.0.0.1").json()["device_token"]
        tries = [attempt("a wrong one, and long", f"10.0.0.{number}").status_code for number in range(60)]
        assert tries[:10] == [401] * 10
        assert tries.count(429) > 40  # how many tries the waits let through depends on how busy the machine is
        last = attempt("a wrong one, and long", "10.0.0.99")
        assert last.status_code == 401 or int(last.headers["Retry-After"]) > 1
        assert attempt(PASSWORD, "10.0.0.1", device=device).status_code == 200


def test_a_root_or_a_proxy_that_is_none_is_said_at_once(folder: Path) -> None:
    for options, words in (
        (["--root", str(folder / "nope")], "nope is no folder that is there."),
        (["--root", str(folder / "library.toml")], "library.toml is no folder that is there."),
        (["--forwarded-allow-ips", "10.0.0.2,*"], "* is no address of a proxy, and no network."),
    ):
        said = run(folder, "serve", "--port", "0", *options)
        assert said.returncode != 0
        assert words in " ".join(said.stderr.split())
        assert "Traceback" not in said.stderr
        assert not (folder / "service.json").exists()


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = run(folder, "serve", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 1
    assert "--port" in refused.stderr


def test_an_address_without_a_service_is_said_to_be_none(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(fk.ServiceError, match=f"127.0.0.1:{port} does not answer"):
        fk.open(f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    other = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx2.get(f"http://127.0.0.1:{port}")
                break
            except httpx2.ConnectError:
                time.sleep(0.05)
        with pytest.raises(fk.ServiceError):
            fk.open(f"http://127.0.0.1:{port}")
    finally:
        other.kill()
        other.wait()


def test_logs_are_json_on_demand(folder: Path) -> None:
    with process(folder, "--log-json") as service:
        httpx2.get(f"{service.url}/healthz")
        _, errors = service.stop()
    lines = [json.loads(line) for line in errors.splitlines()]
    assert any(line["record"]["extra"].get("request_id") for line in lines)
    assert os.sep in str(folder)
