"""A library copied from its folder to servers, and back."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from postgres import without_password
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.errors import LibraryError
from facekit.library.migration import migrate_library

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.demo.photos import DemoPhotos


PASSWORD = "a wall of seven bricks"


@pytest.fixture
def servers(postgres_url: str, postgres_schema: str, milvus_url: str) -> dict[str, str]:
    name = postgres_schema.removeprefix("facekit_")[:30]
    address = without_password(postgres_url)
    return {"catalog": f"{address}?library={name}", "index": milvus_url}


@pytest.fixture
def old(demo_folder: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(demo_folder, tmp_path / "faces")
    with fk.open(folder) as library:
        library.people.cluster()
        library.people.name(library.people.page().people[0], "Анна")
        library.set_search_similarity(0.4)
    return folder


def said(place: Any, probe: Path) -> dict[str, Any]:
    with fk.open(place) as library:
        return {
            "stats": {name: value for name, value in library.stats().items() if name != "library"},
            "photos": library.photos().to_dict(),
            "faces": library.faces().to_dict(),
            "people": [(one.name, one.faces) for one in library.people.page().people],
            "journal": [(one.number, one.words, one.at) for one in library.people.journal()],
            "found": [(hit.face_id, round(hit.similarity, 4)) for hit in library.search(probe, top_k=5)],
            "thumbnails": [library.thumbnail(key) for key in library.photos("ok")["photo_id"]],
            "similarity": library.search_similarity,
        }


def test_to_servers_and_back(old: Path, servers: dict[str, str], tmp_path: Path, demo_photos: DemoPhotos) -> None:
    before = said(old, demo_photos.probe)
    steps: list[tuple[int, int]] = []
    done = migrate_library(old, tmp_path / "shared", **servers, progress=lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1]
    assert done.faces == done.rows["faces"] == before["stats"]["faces"]
    assert said(tmp_path / "shared", demo_photos.probe) == before == said(servers["catalog"], demo_photos.probe)
    with fk.open(tmp_path / "shared") as library:
        library.people.undo()  # of an entry from before
        assert "Анна" not in library.people
    run = CliRunner().invoke
    added = run(
        app, ["-L", servers["catalog"], "users", "add", "ada", "--role", "admin", "--password-stdin"], input=PASSWORD
    )
    assert added.exit_code == 0, added.output
    options = ["--library", servers["catalog"], "migrate", "--to", str(tmp_path / "back"), "--json"]
    result = run(app, options, catch_exceptions=False)
    assert "ada" in run(app, ["-L", str(tmp_path / "back"), "users", "list"]).stdout
    assert json.loads(result.stdout)["rows"]["people_journal"] == done.rows["people_journal"] + 1
    after = said(tmp_path / "back", demo_photos.probe)
    assert after == said(servers["catalog"], demo_photos.probe)
    assert {name: after[name] for name in ("photos", "thumbnails", "found", "similarity")} == {
        name: before[name] for name in ("photos", "thumbnails", "found", "similarity")
    }


def test_what_was_cut_off_is_refused_until_it_is_whole(old: Path, tmp_path: Path, demo_photos: DemoPhotos) -> None:
    new = tmp_path / "new"

    def stop(done: int, total: int) -> None:
        if done >= limit * total:
            raise KeyboardInterrupt

    for limit in (0.2, 0.6, 0.95):  # noqa: B007 - `stop` reads it
        with pytest.raises(KeyboardInterrupt):
            migrate_library(old, new, progress=stop)
        with pytest.raises(LibraryError, match=r"is being filled from .*faces.*migrate --to"):
            fk.open(new)
    migrate_library(old, new, progress=False)
    assert said(new, demo_photos.probe) == said(old, demo_photos.probe)
    with pytest.raises(LibraryError, match="not empty"):
        migrate_library(old, new, progress=False)


def test_mounts_that_were_named_for_the_call_stay(
    servers: dict[str, str], grace_hopper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(grace_hopper, photos / "grace.jpg")
    with fk.open(tmp_path / "faces", detector="yunet", embedder="sface") as library:
        library.ingest(photos, progress=False)
    with monkeypatch.context() as here:
        here.setenv("FACEKIT_MOUNTS", f"family={photos}")
        migrate_library(tmp_path / "faces", tmp_path / "shared", **servers, progress=False)
    with fk.open(tmp_path / "shared") as library:
        assert list(library.photos()["path"]) == ["family:/grace.jpg"]
        assert library.settings.mounts == {"family": str(photos)}
        assert library.file(library.photos()["photo_id"][0]) == photos / "grace.jpg"
        assert library.ingest("family:/", progress=False).unchanged == 1
    migrate_library(tmp_path / "shared", tmp_path / "back", progress=False)
    with fk.open(tmp_path / "back") as library:
        assert library.settings.mounts == {"family": str(photos)}


def test_what_can_not_be_copied_is_said(old: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="There is no library in"):
        migrate_library(tmp_path / "nothing", tmp_path / "new")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(LibraryError, match="as the old one and as the new one"):
        migrate_library(old, old)
