"""Photos that lie elsewhere now, photos that lie in several folders, and which of their files is shown."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from service import remote, served
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.storage.relocation import Relocation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.library.local import LocalLibrary


@pytest.fixture
def library(tmp_path: Path) -> Iterator[LocalLibrary]:
    with fk.open(tmp_path / "library") as library:
        yield library


def put(photo: Path, *places: Path) -> None:
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(photo, place)


def test_the_copy_in_the_folder_that_was_asked_for_is_named(
    library: LocalLibrary, astronaut: Path, tmp_path: Path
) -> None:
    backup, photos = tmp_path / "ph" / "Backup" / "a.png", tmp_path / "ph" / "Photos" / "a.png"
    put(astronaut, backup, photos)
    library.ingest(tmp_path / "ph", progress=False)
    for place in (backup, photos):
        hits = library.search(astronaut, folder=place.parent)
        assert [(hit.photo, hit.copies) for hit in hits] == [(str(place), 2)]
        assert hits.to_frame()["photo"].tolist() == [str(place)]
        assert hits.to_dict()["hits"][0]["photo"] == str(place)
        assert place.name in hits.save_html(tmp_path / "page.html").read_text()
        (photo,) = library.photo_page(folder=place.parent).photos
        assert (photo.path, len(photo.paths)) == (str(place), 2)
    library.close()
    with served(tmp_path / "library") as client:
        for place in (backup, photos):
            page = client.get("/api/v1/photos", params={"folder": str(place.parent)}).json()
            assert [photo["path"] for photo in page["photos"]] == [str(place)]
            asked = {"file": ("a.png", astronaut.read_bytes(), "image/png")}
            found = client.post("/api/v1/search/upload", files=asked, data={"folder": str(place.parent)}).json()
            assert [(hit["photo"], hit["copies"]) for hit in found["hits"]] == [(str(place), 2)]


def test_of_several_copies_the_shorter_older_path_is_shown(
    library: LocalLibrary, astronaut: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "ph"
    put(astronaut, photos / "A very long file name.png", photos / "img2.png", photos / "img1.png", photos / "zzzz.png")
    os.utime(photos / "img2.png", (1e9, 1e9))
    library.ingest(photos, progress=False)
    assert library.search(astronaut)[0].photo == str(photos / "img2.png")
    assert Path(library.photo_page().photos[0].paths[-1]).name == "A very long file name.png"
    assert library.photos()["path"].tolist() == library.faces()["photo"].tolist() == [str(photos / "img2.png")]


def test_a_disk_that_is_mounted_elsewhere(library: LocalLibrary, astronaut: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "a", tmp_path / "mounted-elsewhere"
    put(astronaut, old / "Backup" / "a.png", old / "Photos" / "a.png")
    library.ingest(old, progress=False)
    library.people.cluster(min_faces=1)
    library.people.name(next(iter(library.people)).person_id, "Eileen")
    old.rename(new)
    report = library.ingest(new, progress=False)
    assert (report.duplicates, report.missing, library.stats()["missing_files"]) == (2, 2, 2)
    assert Path(library.search(astronaut)[0].photo).exists()
    assert Path(library.people.to_frame()["photo"].iloc[0]).exists()
    assert library.people["Eileen"].faces == 1
    export = library.export("faces", tmp_path / "faces.csv").read_text()
    assert str(new) in export
    assert f"{old}/" not in export
    with pytest.raises(fk.FacekitError, match="relocate"):
        library.ingest(old, progress=False)
    new.rename(old)  # it is back
    library.ingest(old, progress=False)
    assert library.search(astronaut)[0].photo == str(old / "Backup" / "a.png")
    assert library.stats()["missing_files"] == 2  # now the others are away


def test_both_copies_are_alive_and_none_is_missing(library: LocalLibrary, astronaut: Path, tmp_path: Path) -> None:
    put(astronaut, tmp_path / "a" / "x.png", tmp_path / "b" / "x.png")
    library.ingest(tmp_path / "a", progress=False)
    assert library.ingest(tmp_path / "b", progress=False).missing == 0
    assert library.stats()["missing_files"] == 0


def test_relocate_and_back(library: LocalLibrary, astronaut: Path, grace_hopper: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(astronaut, old / "deep" / "a.png")
    put(grace_hopper, old / "g.jpg", tmp_path / "other" / "g.jpg")
    library.ingest(old, tmp_path / "other", progress=False)
    before = (library.faces(), library.roots(), library._storage.index.rows())
    old.rename(new)
    assert library.relocate(old, new) == Relocation(2, 0)
    assert library.search(astronaut, folder=new / "deep")[0].photo == str(new / "deep" / "a.png")
    with pytest.raises(fk.FacekitError, match="no photo in"):
        library.search(astronaut, folder=old)
    assert library.roots() == sorted([str(new), str(tmp_path / "other")])
    assert library.ingest(new, progress=False).unchanged == 2
    assert library.stats()["missing_files"] == 0
    new.rename(old)
    library.relocate(new, old)
    after = (library.faces(), library.roots(), library._storage.index.rows())
    assert before[0].equals(after[0])
    assert before[1:] == after[1:]


def test_what_is_not_found_there_is_missing_and_nothing_there_is_refused(
    library: LocalLibrary, astronaut: Path, grace_hopper: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(astronaut, old / "a.png")
    put(grace_hopper, old / "g.jpg")
    library.ingest(old, progress=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(fk.FacekitError, match="old place and as the new one"):
        library.relocate(old, old / "deep" / "..")
    with pytest.raises(fk.FacekitError, match="None of the 2 photos"):
        library.relocate(old, tmp_path / "empty")
    with pytest.raises(fk.FacekitError, match="no photo at"):
        library.relocate(tmp_path / "unknown", tmp_path / "empty")
    with pytest.raises(fk.FacekitError, match="can't be opened"):
        library.relocate(old, tmp_path / "nowhere")
    assert library.photos()["path"].str.startswith(str(old)).all()
    put(astronaut, new / "a.png")
    assert library.relocate(old, new) == Relocation(2, 1)
    assert library.photos("missing")["path"].tolist() == [str(new / "g.jpg")]


def test_a_folder_moved_into_itself(library: LocalLibrary, astronaut: Path, grace_hopper: Path, tmp_path: Path) -> None:
    old = tmp_path / "p"
    put(astronaut, old / "a.png")
    put(grace_hopper, old / "p" / "a.png")
    library.ingest(old, progress=False)
    old.rename(tmp_path / "q")
    old.mkdir()
    (tmp_path / "q").rename(old / "p")
    assert library.relocate(old, old / "p") == Relocation(2, 0)
    assert library.ingest(old, progress=False).unchanged == 2


def test_relocate_over_the_service_and_the_command_line(astronaut: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    put(astronaut, old / "a.png")
    with fk.open(tmp_path / "library") as library:
        library.ingest(old, progress=False)
    old.rename(new)
    done = CliRunner().invoke(app, ["--library", str(tmp_path / "library"), "relocate", str(old), str(new)])
    assert (done.exit_code, "1 files have a new path" in done.output) == (0, True)
    new.rename(old)
    with remote(tmp_path / "library", [old]) as library:
        assert library.relocate(new, old) == Relocation(1, 0)
        assert library.search(astronaut)[0].photo == str(old / "a.png")
    with served(tmp_path / "library", [old]) as client:
        body = {"old": str(tmp_path / "unknown"), "new": str(old)}
        assert client.post("/api/v1/photos/relocate", json=body).status_code == 404


@pytest.mark.parametrize(("stored", "typed"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_match_however_their_letters_are_written(
    library: LocalLibrary, astronaut: Path, tmp_path: Path, stored: str, typed: str
) -> None:
    name = "Ёлка und Café"
    there, asked = (tmp_path / unicodedata.normalize(form, name) for form in (stored, typed))
    put(astronaut, there / "a.png")
    assert library.ingest(asked, progress=False).found == 1
    assert library.search(astronaut, folder=asked)[0].photo == str(there / "a.png")
    assert library.photo_page(folder=asked).total == 1
    assert library.ingest(there, progress=False).unchanged == 1
    there.rename(tmp_path / "plain")
    assert library.holds(asked)
    assert library.relocate(asked, tmp_path / "plain") == Relocation(1, 0)
    (tmp_path / "plain").rename(there)
    library.relocate(tmp_path / "plain", there)
    shutil.rmtree(there)
    assert library.remove(asked) == 1
