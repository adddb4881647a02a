"""Workers: an ingest by several processes is what one ingest would be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

import facekit as fk
from facekit.workers.asking import ingest_in_background
from facekit.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from facekit.library.local import LocalLibrary


@pytest.fixture
def library(tmp_path: Path, postgres_url: str, postgres_schema: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalLibrary]:
    from facekit.catalog import Catalog
    monkeypatch.setattr("facekit.storage.embedded.open_catalog", lambda _: Catalog(postgres_url, schema=postgres_schema))
    with fk.open(tmp_path / "library", detector="yunet", embedder="sface") as opened:
        yield opened


@pytest.fixture
def photos(astronaut: Path, grace_hopper: Path, tmp_path: Path) -> Path:
    """Two photos of faces, one of a texture, and one that is broken."""
    folder = tmp_path / "Фото"
    folder.mkdir()
    shutil.copy(astronaut, folder / "Айлин 🚀.png")
    shutil.copy(grace_hopper, folder / "grace.jpg")
    shutil.copy(astronaut.parent / "grass.png", folder / "трава.png")
    (folder / "broken.jpg").write_bytes(grace_hopper.read_bytes()[:2000])
    return folder


def work_off(library: LocalLibrary) -> int:
    return Worker(library).run(once=True)


def report_of(library: LocalLibrary) -> dict[str, object]:
    """Of the work that was asked for last, when it is over."""
    newest = library.storage.catalog.work.all()[0]
    assert newest.state == "done", newest
    return newest.report


def check_consistent(library: LocalLibrary) -> None:
    """The index holds just the catalog's faces, and every face belongs to a photo with a place."""
    face_ids = set(library.embeddings(include_poor=True)[0])
    assert set(library.storage.index.rows()) == face_ids
    frame = library.faces()
    assert len(frame) == len(set(frame["face_id"])) == library.stats()["faces"]
    assert library.photos()["faces"].sum() == len(frame)


def test_what_workers_did_is_what_an_ingest_does(library: LocalLibrary, photos: Path, tmp_path: Path) -> None:
    (photos / "copy").mkdir()
    shutil.copy(photos / "grace.jpg", photos / "copy" / "again.jpg")
    ingest_in_background(library, photos)
    assert library.stats()["files"] == 0
    work_off(library)
    said = report_of(library)
    assert (said["found"], said["ingested"], said["duplicates"], said["faces"]) == (5, 3, 1, 2)
    assert [(one["status"], Path(one["path"]).name) for one in said["failed"]] == [("corrupt", "broken.jpg")]
    assert library.storage.catalog.last_run().report["found"] == 5
    check_consistent(library)
    with fk.open(tmp_path / "embedded", detector="yunet", embedder="sface") as other:
        pass
