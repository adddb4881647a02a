"""A library whose photos lie on mounts: machines that have the folders elsewhere see the same photos."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageOps
from service import remote, served, sign_in

import facekit as fk
from facekit.errors import FacekitError, LibraryError, PhotoError
from facekit.images.decode import read_image
from facekit.sources import LocalSource
from facekit.storage.relocation import Relocation, to_mounts
from facekit.storage.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.library.local import LocalLibrary


class Machines:
    """Two machines that have the same photos at different places, and the folder of a library that both open."""

    def __init__(self, folder: Path, photo: Path) -> None:
        self.library, self.one, self.other = folder / "library", folder / "one" / "photos", folder / "mnt" / "nas" / "p"
        (self.one / "2019").mkdir(parents=True)
        Image.open(photo).convert("RGB").save(self.one / "2019" / "Эйлин.jpg")
        ImageOps.mirror(Image.open(photo).convert("RGB")).save(self.one / "b.jpg")
        shutil.copytree(self.one, self.other)  # with the times of the files

    @contextmanager
    def at(self, **mounts: Path | str) -> Iterator[LocalLibrary]:
        """The library, on a machine with such mounts."""
        named = ";".join(f"{name}={root}" for name, root in mounts.items())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FACEKIT_MOUNTS", named)
            with fk.open(self.library) as library:
                yield library


@pytest.fixture
def machines(astronaut: Path, tmp_path: Path) -> Machines:
    return Machines(tmp_path, astronaut)


def facts(library: LocalLibrary) -> dict[str, tuple[str, str, int]]:
    return {photo.path: (photo.source, str(photo.status), photo.copies) for photo in library.photo_page().photos}


def test_two_machines_see_the_same_photos(machines: Machines, astronaut: Path) -> None:
    both = {"family:/2019/Эйлин.jpg": ("family", "ok", 1), "family:/b.jpg": ("family", "ok", 1)}
    with machines.at(family=machines.one) as library:
        report = library.ingest(machines.one, progress=False)
        assert (report.found, report.ingested) == (2, 2)
        assert facts(library) == both
        assert list(library.roots()) == ["family:/"]
    with machines.at(family=machines.other) as library:
        for root in (machines.other, "family:", "family:/2019", machines.other / "b.jpg"):
            report = library.ingest(root, progress=False)
            assert (report.ingested, report.duplicates, report.missing) == (0, 0, 0)
            assert report.found == report.unchanged
        assert facts(library) == both
        for folder in (machines.other / "2019", "family:/2019", "family:/2019/", f"{machines.other}/2019/"):
            hits = library.search(astronaut, folder=folder)
            assert [(hit.photo, hit.source) for hit in hits] == [("family:/2019/Эйлин.jpg", "family")]
            assert library.photo_page(folder=folder).total == 1
        assert len(library.search(astronaut, source="family")) == 2
        by_mount, by_path = (library.search(one) for one in ("family:/b.jpg", machines.other / "b.jpg"))
        assert [hit.face_id for hit in by_mount] == [hit.face_id for hit in by_path]
        assert len(by_mount) == 2
        assert len(library.faces_in("family:/2019/Эйлин.jpg")) == 1
        with pytest.raises(FacekitError, match="no mount 'another'"):
            library.search("another:/b.jpg")
        assert not library.search(astronaut, source="local")
        assert {one.folder for one in library.folders()} == {"family:/", "family:/2019/"}
        shutil.rmtree(machines.one)
        photo = library.photo_page().photos[0]
        assert library.file(photo.photo_id) == machines.other / "2019" / "Эйлин.jpg"
        assert read_image(library.picture(photo.photo_id)).shape == (photo.height, photo.width, 3)
        assert library.doctor()
        assert library.index_lag() == 0


def test_photos_are_changed_and_gone_on_either_machine(machines: Machines) -> None:
    with machines.at(family=machines.one) as library:
        library.ingest("family:", progress=False)
    (machines.other / "b.jpg").unlink()
    with machines.at(family=machines.other) as library:
        assert library.ingest("family:", progress=False).missing == 1
        assert facts(library)["family:/b.jpg"][1] == "missing"
    with machines.at(family=machines.one) as library:
        assert library.ingest("family:", progress=False).unchanged == 2
        assert facts(library)["family:/b.jpg"][1] == "ok"


def test_a_mount_that_is_not_here_is_said_and_takes_nothing_for_vanished(
    machines: Machines, astronaut: Path, tmp_path: Path
) -> None:
    with machines.at(family=machines.one) as library:
        library.ingest("family:", progress=False)
        before = facts(library)
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy2(machines.one / "b.jpg", own / "copy.jpg")
    shutil.copy(astronaut, own / "new.png")
    empty = tmp_path / "empty"
    empty.mkdir()
    for mounts, here in (
        ({}, None),
        ({"family": empty}, empty),
        ({"family": tmp_path / "nowhere"}, tmp_path / "nowhere"),
    ):
        with machines.at(**mounts) as library:
            report = library.ingest(own, progress=False)
            assert report.missing == 0
            assert {path: facts(library)[path][:2] for path in before} == {
                path: one[:2] for path, one in before.items()
            }
            photo = next(one for one in library.photo_page().photos if one.path == "family:/2019/Эйлин.jpg")
            assert library.thumbnail(photo.photo_id)
            assert library.face_thumbnail(photo.faces[0].face_id)
            said = "has no mount 'family'" if here is None else "is gone, or was changed"
            with pytest.raises(PhotoError, match=said):
                library.picture(photo.photo_id)
            check = next(one for one in library.doctor().checks if one.name == "mounts")
            assert ("not on this machine: 2 files" in check.detail, check.ok) == (here is None, here is None)
            assert next(one for one in library.doctor().checks if one.name == "files").ok
            refused = "no mount 'family'" if here is None else "can't be opened"
            if here != empty:
                with pytest.raises(FacekitError, match=refused):
                    library.ingest("family:", progress=False)
            else:
                assert "is a disk not mounted?" in library.ingest("family:", progress=False).warnings[0]
            assert {path: facts(library)[path][:2] for path in before} == {
                path: one[:2] for path, one in before.items()
            }
    with machines.at() as library:
        report = library.reembed(embedder="sface", detector="yunet", detail=400, progress=False)
        assert not report.switched or report.switched_before or not report.unreadable
        assert library.remove("family:/2019") == 1  # what is known of them can be forgotten all the same
        assert "family:/2019/Эйлин.jpg" not in facts(library)
        assert library.remove("family:") == 1


def test_a_library_from_before_the_mount_goes_on_without_reading_a_photo(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with machines.at() as library:
        library.ingest(machines.one, progress=False)
        assert set(facts(library)) == {str(machines.one / "2019/Эйлин.jpg"), str(machines.one / "b.jpg")}
        library.people.cluster(min_faces=1)
        library.people.name(next(iter(library.people)).person_id, "Eileen")
        named = library.people.to_frame().set_index("face_id")["person"].to_dict()

    def never(*_: object) -> bytes:
        pytest.fail("a photo was read again")

    monkeypatch.setattr(LocalSource, "read", never)
    monkeypatch.setattr("facekit.sources.mounts.MountedSource.read", never)
    with machines.at(family=machines.one) as library:
        check = next(one for one in library.doctor().checks if one.name == "mounts")
        assert "2 files in them are known by their path on this machine" in check.detail
        assert library.photo_page(folder=machines.one).total == 2  # found as they are known
        report = library.ingest(machines.one / "2019", progress=False)
        assert (report.found, report.unchanged, report.missing) == (1, 1, 0)
        assert set(facts(library)) == {"family:/2019/Эйлин.jpg", str(machines.one / "b.jpg")}
        assert to_mounts(library._storage) == 1
        assert to_mounts(library._storage) == 0
        assert facts(library) == {"family:/2019/Эйлин.jpg": ("family", "ok", 1), "family:/b.jpg": ("family", "ok", 1)}
        assert library.roots() == ["family:", "family:/2019"]
        assert library.people.to_frame().set_index("face_id")["person"].to_dict() == named
        assert library.photo_page(folder="family:/2019").total == 1
        assert library.doctor()
    with machines.at(family=machines.other) as library:
        assert library.ingest("family:", progress=False).unchanged == 2


def test_another_disk_at_the_place_is_not_taken_for_the_mount(machines: Machines) -> None:
    with machines.at() as library:
        library.ingest(machines.one, progress=False)
    for path in (machines.one / "2019" / "Эйлин.jpg", machines.one / "b.jpg"):
        Image.new("RGB", (64, 64), "gray").save(path)
    with machines.at(family=machines.one) as library:
        assert library.ingest("family:", progress=False).found == 2
        local = [place for photo in library.photo_page().photos for place in photo.paths if place.startswith("/")]
        assert len(local) == 2


def test_photos_are_relocated_to_a_mount_and_back(machines: Machines, tmp_path: Path) -> None:
    with machines.at() as library:
        library.ingest(machines.one, progress=False)
    with machines.at(family=machines.one) as library:
        assert library.relocate(machines.one, "family:") == Relocation(2, 0)
        assert set(facts(library)) == {"family:/2019/Эйлин.jpg", "family:/b.jpg"}
        assert library.relocate("family:/2019", machines.other / "2019") == Relocation(1, 0)
        assert set(facts(library)) == {str(machines.other / "2019/Эйлин.jpg"), "family:/b.jpg"}
        with pytest.raises(FacekitError, match=r"has no photo at"):
            library.relocate(machines.one, "family:/")
        (machines.one / "2020").mkdir()
        (machines.one / "b.jpg").rename(machines.one / "2020" / "b.jpg")
        assert library.relocate("family:/b.jpg", machines.one / "2020" / "b.jpg") == Relocation(1, 0)
        assert set(facts(library)) == {str(machines.other / "2019/Эйлин.jpg"), "family:/2020/b.jpg"}
    with machines.at(family=tmp_path) as library:  # the mount begins higher up
        assert library.relocate("family:/2020", machines.one / "2020") == Relocation(1, 0)
        assert "family:/one/photos/2020/b.jpg" in facts(library)
        with pytest.raises(FacekitError, match="no mount 'archive'"):
            library.relocate("family:", "archive:/")


def test_what_is_removed_stands_nowhere(machines: Machines) -> None:
    with machines.at(family=machines.one) as library:
        library.ingest("family:/2019", "family:/b.jpg", progress=False)
        assert library.remove([machines.one / "2019"]) == 1
        assert library.roots() == ["family:/b.jpg"]
        key = library.photo_page().photos[0].photo_id
        assert library.remove(key) == 1
        assert library.photo_page().total == 0
        with pytest.raises(FacekitError, match="has no photo at family:/2019"):
            library.remove("family:/2019")
        assert library.ingest("family:", progress=False).ingested == 2
        assert library.remove(machines.one.parent) == 2  # the mount lies in it
    written = b"".join(path.read_bytes() for path in machines.library.rglob("*") if path.is_file())
    assert "Эйлин".encode() not in written


def test_names_travel_to_sidecars_on_the_mount(machines: Machines, tmp_path: Path) -> None:
    with machines.at(family=machines.one) as library:
        library.ingest("family:", progress=False)
        library.people.cluster(min_faces=1)
        library.people.name(next(iter(library.people)).person_id, "Eileen")
    with machines.at(family=machines.other) as library:
        assert library.people.write_xmp("family:/2019").photos == 1
        assert [path.name for path in machines.other.rglob("*.xmp")] == ["Эйлин.jpg.xmp"]
        assert library.people.write_xmp(machines.other).photos == 1  # the other one
        assert library.people.read_xmp().photos == 0  # they are known
        assert library.people.links(tmp_path / "links") == 2
        assert {os.path.realpath(path) for path in (tmp_path / "links").rglob("*.jpg")} == {
            str(machines.other / "2019/Эйлин.jpg"),
            str(machines.other / "b.jpg"),
        }
    with machines.at() as library:
        report = library.people.write_xmp()
        assert (report.photos, report.faces) == (0, 0)
        ((place, why),) = report.failed
        assert (place, "no mount 'family'" in why, "2 files" in why) == ("family:/", True, True)


def test_a_service_takes_and_shows_mounts(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_MOUNTS", f"family={machines.one}")
    with fk.open(machines.library):
        pass
    with remote(machines.library, [machines.one, machines.other]) as library:
        report = library.ingest("family:", progress=False)
        assert (report.ingested, report.failed) == (2, [])
        assert library.ingest(machines.one / "2019", progress=False).unchanged == 1
        assert {one.folder for one in library.folders()} == {"family:/", "family:/2019/"}
        assert library.photo_page(folder="family:/2019/").total == 1
        assert library.photo_page(folder=machines.one / "2019").total == 1
        assert len(library.search("family:/b.jpg")) == 2
        photo = library.photo_page().photos[0]
        assert (photo.path, photo.source) == ("family:/2019/Эйлин.jpg", "family")
        assert read_image(library.picture(photo.photo_id)).shape == (photo.height, photo.width, 3)
        for refused in ("archive:/", machines.one.parent):
            with pytest.raises(FacekitError, match="may not come from this folder"):
                library.ingest(refused, progress=False)
        assert library.relocate("family:/b.jpg", machines.other / "b.jpg") == Relocation(1, 0)
        assert library.relocate(machines.other / "b.jpg", "family:/b.jpg") == Relocation(1, 0)
        assert library.remove("family:/2019") == 1


def test_the_settings_name_the_mounts(machines: Machines) -> None:
    with machines.at() as library:
        pass
    file = machines.library / "library.toml"
    file.write_text(file.read_text() + f'\n[mounts]\nfamily = "{machines.one}"\n"архив" = "/n/\\"а"\n')
    with machines.at() as library:
        library.ingest("family:", progress=False)
        library.set_search_similarity(0.5)  # the file is written anew
    settings = read_settings(machines.library)
    assert settings is not None
    assert settings.mounts == {"family": str(machines.one), "архив": '/n/"а'}
    with machines.at(family=machines.other) as library:  # this machine comes first
        assert library.ingest(machines.other, progress=False).unchanged == 2
    for wrong in ("family = 1", 'family = "photos"', '"a/b" = "/n"', 'one = "/n"\ntwo = "/n"'):
        file.write_text(file.read_text().partition("[mounts]")[0] + f"[mounts]\n{wrong}\n")
        with pytest.raises(LibraryError, match=r"\[mounts\] in .*library.toml") as refused:
            fk.open(machines.library)
        assert "\n" not in refused.value.message
    file.write_text(file.read_text().partition("[mounts]")[0])
    with pytest.raises(FacekitError, match="FACEKIT_MOUNTS"), machines.at(**{"family=/n;x": "y;z"}):
        pass


def test_who_may_not_see_paths_sees_the_mount(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_MOUNTS", f"family={machines.one}")
    for roots, shown in ((["family:"], "family:/2019/"), (["family:/2019", "family:/b.jpg"], "2019/")):
        with fk.open(machines.library) as library:
            library.ingest(*roots, progress=False)
        with served(machines.library, accounts=True) as client:
            viewer = sign_in(client, "vi")
            folders = [one["folder"] for one in client.get("/api/v1/folders", headers=viewer).json()]
            assert shown in folders
            asked = {"folder": shown.rstrip("/")}
            (photo,) = client.get("/api/v1/photos", params=asked, headers=viewer).json()["photos"]
            assert photo["path"] == f"{shown}Эйлин.jpg"
        shutil.rmtree(machines.library)
