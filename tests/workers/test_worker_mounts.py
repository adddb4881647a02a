"""Machines that have the photos at different places work on the same library: each finds them where it has them."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from facekit.errors import FacekitError, LibraryError
from facekit.library.local import LocalLibrary
from facekit.workers.asking import ingest_in_background
from facekit.workers.tasks import Tasks
from facekit.workers.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.types.work import Claim


def test_one_machine_asks_another_works_and_a_third_lacks_the_mount(
    shared_library: LocalLibrary, few_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "mnt" / "photos"
    shutil.copytree(few_photos, elsewhere)
    folder = shared_library.folder
    libraries = {}
    for name, mounts in (("asks", f"family={few_photos}"), ("works", f"family={elsewhere}"), ("lacks", "")):
        monkeypatch.setenv("FACEKIT_MOUNTS", mounts)
        libraries[name] = LocalLibrary(folder)
    try:
        ingest_in_background(libraries["asks"], few_photos)
        lacking = Worker(libraries["lacks"])
        assert lacking.run(once=True) == 0
        assert lacking.not_here == ["family:/"]
        (waiting,) = shared_library.storage.catalog.work.all()
        assert (waiting.state, shared_library.photo_page().total) == ("listing", 0)  # left to those who have it
        Worker(libraries["works"]).run(once=True)
        (done,) = shared_library.storage.catalog.work.all()
        assert (done.state, done.report["ingested"], done.report["missing"]) == ("done", 3, 0)  # and one is broken
        photos = libraries["lacks"].photos()
        assert set(photos["path"]) == {f"family:/{path.name}" for path in few_photos.iterdir()}
        assert set(photos["source"]) == {"family"}
        report = libraries["asks"].ingest(few_photos, progress=False)
        assert (report.unchanged, report.ingested, report.missing) == (4, 0, 0)
        key = photos.loc[photos["path"] == "family:/grace.jpg", "photo_id"].iloc[0]
        assert libraries["asks"].file(key) == few_photos / "grace.jpg"
        assert libraries["works"].file(key) == elsewhere / "grace.jpg"
        assert libraries["lacks"].thumbnail(key)
    finally:
        for library in libraries.values():
            library.close()


def test_a_machine_without_the_thumbnails_folder_leaves_work_to_others(
    shared_library: LocalLibrary, few_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_in_background(shared_library, few_photos)
    with monkeypatch.context() as here:
        here.setattr(shared_library.storage.blobs, "_shared", tmp_path / "not mounted")
        assert Worker(shared_library).run(once=True) == 0
    (waiting,) = shared_library.storage.catalog.work.all()
    assert (waiting.state, waiting.dead) == ("listing", 0)  # no file was tried for it
    assert "is not there for" in waiting.problem
    Worker(shared_library).run(once=True)
    (done,) = shared_library.storage.catalog.work.all()
    assert (done.state, done.report["ingested"]) == ("done", 3)


def test_a_machine_without_the_models_leaves_the_photos_to_others(
    shared_library: LocalLibrary, few_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object, **__: object) -> None:
        message = "The model file sface.onnx could not be fetched."
        raise FacekitError(message, "Put it there.")

    ingest_in_background(shared_library, few_photos)
    with monkeypatch.context() as here:
        here.setattr("facekit.storage.models_in_use.load_embedder", lacking)
        Worker(shared_library).run(once=True)
    (waiting,) = shared_library.storage.catalog.work.all()
    assert (waiting.queued, waiting.done, waiting.dead) == (4, 0, 0)  # no file was tried
    assert waiting.problem.startswith(f"{shared_library.settings.words} is not there for")
    Worker(shared_library).run(once=True)
    (done,) = shared_library.storage.catalog.work.all()
    assert (done.state, done.report["ingested"], done.dead) == ("done", 3, 0)


def test_a_worker_outlives_a_server_that_goes_away_while_it_looks_for_what_it_needs(
    shared_library: LocalLibrary, few_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_in_background(shared_library, few_photos)
    unseen, failed = Tasks.unseen, []

    def away_once(tasks: Tasks, claim: Claim) -> str:
        if not failed:
            failed.append(claim)
            message = "The server does not answer."
            raise LibraryError(message, "")
        return unseen(tasks, claim)

    monkeypatch.setattr(Tasks, "unseen", away_once)
    Worker(shared_library).run(once=True)
    (done,) = shared_library.storage.catalog.work.all()
    assert (done.state, done.report["ingested"], done.dead) == ("done", 3, 0)


def test_the_same_path_on_another_machine_is_another_folder(
    shared_library: LocalLibrary, few_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared_library.ingest(few_photos, progress=False).ingested == 3
    ingest_in_background(shared_library, few_photos)
    known = set(shared_library.photos()["photo_id"])
    shutil.copytree(few_photos, tmp_path / "here")
    shutil.copy(few_photos / "трава.png", few_photos / "grace.jpg")  # what the other machine has at that path
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "another")
        there.setenv("FACEKIT_MOUNTS", f"other={tmp_path / 'elsewhere'}")
        with LocalLibrary(shared_library.folder) as other:
            with pytest.raises(LibraryError, match="lie on no mount") as refused:
                other.ingest(few_photos, progress=False)
            assert "[mounts]" in refused.value.remedy
            with pytest.raises(LibraryError, match="lie on no mount"):
                ingest_in_background(other, few_photos)
            with pytest.raises(LibraryError, match="lie on no mount"):
                other.relocate(few_photos, tmp_path / "here")
            assert Worker(other).run(once=True) == 0
        assert set(shared_library.photos()["photo_id"]) == known
        there.setenv("FACEKIT_MOUNTS", f"family={few_photos}")
        with LocalLibrary(shared_library.folder) as other:
            assert other.ingest(few_photos, progress=False).missing == 0
