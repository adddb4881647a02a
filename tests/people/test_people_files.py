"""Names that travel to and from other programs, with real photos in all orientations and exiftool at the other end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import need
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

import facekit as fk
from facekit.images.stored_orientation import stored_box
from facekit.people.folders import folder_names, safe_name
from facekit.xmp.regions import Region, read_regions, with_faces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from places import Places

    from facekit.library.base import Library
    from facekit.types.photos import Face

# How pixels are stored so that EXIF's orientation turns them upright.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def turned(ordinary_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of a couple, stored in each of the eight orientations."""
    folder = tmp_path_factory.mktemp("turned")
    with Image.open(ordinary_photos / "couple.jpg") as file:
        couple = ImageOps.exif_transpose(file).convert("RGB")
    couple.thumbnail((900, 900))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = couple.transpose(STORED[orientation]) if orientation in STORED else couple
        stored.save(folder / f"{orientation}.jpg", quality=92, exif=exif)
    return folder


@pytest.fixture(scope="module")
def ingested(turned: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A closed library of these photos, and the photos."""
    folder = tmp_path_factory.mktemp("ingested")
    with fk.open(folder / "faces") as library:
        library.ingest(turned, progress=False)
    return folder / "faces", turned


@pytest.fixture
def album(ingested: tuple[Path, Path], places: Places) -> Iterator[Library]:
    """An open library of these photos without people. The sidecar files that a test leaves are removed."""
    faces, photos = ingested
    copy = faces.with_name("copy")
    with fk.open(places.copy(faces, copy)) as library:
        yield library
    shutil.rmtree(copy)
    for path in photos.iterdir():
        if path.suffix != ".jpg":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def exiftool() -> str:
    program = shutil.which("exiftool")
    need(program, "install exiftool (Debian's libimage-exiftool-perl)")
    return str(program)


def faces_of(library: Library) -> dict[str, list[Face]]:
    """The faces of each photo by its name, from left to right."""
    photos = library.photo_page(limit=200).photos
    return {Path(one.path).name: sorted(one.faces, key=lambda face: face.box[0]) for one in photos}


def place(library: Library) -> Path:
    return Path(library.photo_page(limit=1).photos[0].path).parent


def name_all(library: Library) -> None:
    faces = faces_of(library)
    library.people.new([some[0].face_id for some in faces.values()], "Анна")
    library.people.new([some[1].face_id for some in faces.values()], "Ivan")


def names(library: Library) -> dict[str, list[str | None]]:
    return {photo: [face.person for face in some] for photo, some in faces_of(library).items()}


def told(exiftool: str, path: Path) -> list[dict[str, Any]]:
    command = [exiftool, "-struct", "-json", "-XMP-mwg-rs:all", str(path)]
    text = subprocess.run(command, check=True, capture_output=True).stdout
    return list(json.loads(text)[0]["RegionInfo"]["RegionList"])


def sidecar_for(library: Library, photo: str, *said: tuple[int, str]) -> Path:
    """Write a sidecar by hand that gives some faces of a photo names."""
    path = place(library) / photo
    with Image.open(path) as file:
        orientation = file.getexif().get(0x0112, 1)
        size = file.size
    faces = faces_of(library)[photo]
    regions = [Region(name, stored_box(faces[number].box, orientation)) for number, name in said]
    sidecar = path.with_name(photo + ".xmp")
    sidecar.write_bytes(with_faces(None, regions, size)[0])
    return sidecar


def test_what_is_written_lies_over_the_faces_in_every_orientation(album: Library, exiftool: str) -> None:
    name_all(album)
    before = {path: path.read_bytes() for path in place(album).glob("*.jpg")}
    report = album.people.write_xmp()
    assert (report.photos, report.faces, report.failed) == (8, 16, ())
    for photo, faces in faces_of(album).items():
        path = place(album) / photo
        for region in told(exiftool, path.with_name(photo + ".xmp")):
            face = faces[["Анна", "Ivan"].index(region["Name"])]
            with Image.open(path) as stored:
                width, height = stored.size
                x, y, w, h = (float(region["Area"][field]) for field in "XYWH")
                box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
                mask = Image.new("L", stored.size)
                mask.paste(255, tuple(round(value) for value in box))
                mask.getexif()[0x0112] = stored.getexif()[0x0112]
            upright = np.asarray(ImageOps.exif_transpose(mask))
            rows, columns = np.nonzero(upright)
            found = np.array([columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1])
            expected = np.array(face.box) * np.tile(upright.shape[::-1], 2)
            assert np.abs(found - expected).max() <= 1.5
    assert before == {path: path.read_bytes() for path in place(album).glob("*.jpg")}


def test_names_come_back_from_what_was_written(album: Library, tmp_path: Path) -> None:
    name_all(album)
    album.people.write_xmp()
    with fk.open(tmp_path / "other") as other:
        other.ingest(place(album), progress=False)
        report = other.people.read_xmp()
        assert (report.photos, report.faces, report.people) == (8, 16, 2)
        assert not report.failed
        assert not report.unmatched
        assert names(other) == names(album)
        assert len(other.people.journal()) == 2
        again = other.people.read_xmp()
        assert (again.photos, again.faces, again.people, again.failed) == (0, 0, 0, ())


def test_what_has_not_changed_is_not_written_again(album: Library) -> None:
    name_all(album)
    album.people.write_xmp()
    written = {path: path.stat().st_mtime_ns for path in place(album).glob("*.xmp")}
    report = album.people.write_xmp()
    assert (report.photos, report.faces) == (0, 0)
    assert written == {path: path.stat().st_mtime_ns for path in place(album).glob("*.xmp")}
    album.people.name("Ivan", "Иван")
    report = album.people.write_xmp()
    assert (report.photos, report.faces) == (8, 8)
    assert {one.name for path in written for one in read_regions(path.read_bytes()).faces} == {"Анна", "Иван"}


def test_what_ctrl_c_cuts_off_is_whole_and_goes_on_later(album: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    name_all(album)
    left = iter([None, None])

    def interrupted(_: int) -> None:
        if next(left, "none") == "none":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            album.people.write_xmp()
    assert len([path for path in place(album).iterdir() if path.suffix != ".jpg"]) == 2
    assert album.people.write_xmp().photos == 6


def test_only_a_folder_is_written_if_one_is_named(album: Library, tmp_path: Path) -> None:
    name_all(album)
    assert album.people.write_xmp(tmp_path).photos == 0
    assert album.people.write_xmp(place(album)).photos == 8


def test_hidden_people_are_not_written(album: Library) -> None:
    name_all(album)
    album.people.hide("Ivan")
    assert album.people.write_xmp().faces == 8


def test_lightrooms_sidecar_is_extended_where_it_is_the_photos_own(album: Library) -> None:
    name_all(album)
    folder = place(album)
    for name in ("1.xmp", "2.xmp"):
        (folder / name).write_bytes(with_faces(None, [], (1, 1))[0])
    (folder / "2.cr2").write_bytes(b"a raw file that the sidecar may belong to")
    album.people.write_xmp()
    assert {one.name for one in read_regions((folder / "1.xmp").read_bytes()).faces} == {"Анна", "Ivan"}
    assert not (folder / "1.jpg.xmp").exists()
    assert read_regions((folder / "2.xmp").read_bytes()).faces == ()
    assert (folder / "2.jpg.xmp").exists()


def test_what_cant_be_written_is_reported_and_the_others_are(album: Library) -> None:
    name_all(album)
    folder = place(album)
    (folder / "1.jpg.xmp").write_bytes(b"<broken")
    (folder / "2.jpg.xmp").mkdir()
    report = album.people.write_xmp()
    assert report.photos == 6
    assert [Path(path).name for path, _ in report.failed] == ["1.jpg", "2.jpg"]
    assert "1.jpg.xmp was left as it is: The XMP is damaged" in report.failed[0][1]
    assert "not a regular file" in report.failed[1][1]
    assert (folder / "1.jpg.xmp").read_bytes() == b"<broken"
    assert not list(folder.glob("*.part"))


def test_nothing_but_the_sidecar_is_ever_written(album: Library, tmp_path: Path) -> None:
    name_all(album)
    folder = place(album)
    victim, elsewhere = tmp_path / "victim", with_faces(None, [], (1, 1))[0]
    victim.write_bytes(elsewhere)
    (folder / "1.jpg.xmp.part").symlink_to(victim)
    (folder / "2.jpg.xmp.part").write_text("something of the user's")
    (folder / "3.jpg.xmp").symlink_to(tmp_path / "new.conf")
    (folder / "4.jpg.xmp").symlink_to(victim)
    (folder / "own").mkdir()
    (folder / "own" / "5.xmp").write_bytes(elsewhere)
    (folder / "5.jpg.xmp").symlink_to(folder / "own" / "5.xmp")
    report = album.people.write_xmp()
    assert report.photos == 6
    reasons = {Path(path).name: reason for path, reason in report.failed}
    assert reasons.keys() == {"3.jpg", "4.jpg"}
    assert "which is not there" in reasons["3.jpg"]
    assert "outside the photo's folder" in reasons["4.jpg"]
    assert victim.read_bytes() == elsewhere
    assert not (tmp_path / "new.conf").exists()
    assert (folder / "2.jpg.xmp.part").read_text() == "something of the user's"
    assert (folder / "5.jpg.xmp").is_symlink()
    assert len(read_regions((folder / "own" / "5.xmp").read_bytes()).faces) == 2
    assert (folder / "6.jpg.xmp").stat().st_mode == (folder / "6.jpg").stat().st_mode
    assert sorted(path.name for path in folder.glob("*.part")) == ["1.jpg.xmp.part", "2.jpg.xmp.part"]


def test_a_photo_that_was_changed_is_reported(turned: Path, places: Places, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(turned, folder, ignore=shutil.ignore_patterns("[3-8].jpg"))
    with fk.open(places.new(tmp_path / "faces")) as library:
        library.ingest(folder, progress=False)
        name_all(library)
        shutil.copy(turned / "6.jpg", folder / "1.jpg")
        report = library.people.write_xmp()
        assert (report.photos, report.faces) == (1, 2)
        assert report.failed == ((str(folder / "1.jpg"), "it was changed since it was ingested; ingest it again"),)


def test_every_copy_of_a_photo_gets_its_sidecar(turned: Path, places: Places, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(turned / "1.jpg", tmp_path / name)
    with fk.open(places.new(tmp_path / "faces")) as library:
        library.ingest(tmp_path / "one", tmp_path / "two", progress=False)
        name_all(library)
        assert library.people.write_xmp().photos == 2
        assert (tmp_path / "one" / "1.jpg.xmp").read_bytes() == (tmp_path / "two" / "1.jpg.xmp").read_bytes()


def test_names_inside_the_photo_are_read(turned: Path, places: Places, tmp_path: Path, exiftool: str) -> None:
    photo = Path(shutil.copy(turned / "6.jpg", tmp_path / "photo.jpg"))
    with fk.open(places.new(tmp_path / "faces")) as library:
        library.ingest(photo, progress=False)
        sidecar = sidecar_for(library, "photo.jpg", (0, "Anna"), (1, "Ivan"))
    command = [exiftool, "-overwrite_original", "-tagsfromfile", str(sidecar), "-xmp:all", str(photo)]
    subprocess.run(command, check=True, capture_output=True)
    sidecar.unlink()
    with fk.open(tmp_path / "faces") as library:
        library.ingest(photo, progress=False)
        report = library.people.read_xmp()
        assert (report.faces, report.people) == (2, 2)
        assert names(library) == {"photo.jpg": ["Anna", "Ivan"]}


def test_a_sidecar_counts_for_more_than_the_photo_and_a_broken_one_does_not(album: Library) -> None:
    sidecar_for(album, "1.jpg", (0, "Anna")).rename(place(album) / "1.xmp")
    (place(album) / "1.jpg.xmp").write_bytes(b"<broken")
    report = album.people.read_xmp()
    assert report.faces == 1
    assert "1.jpg.xmp: The XMP is damaged" in report.failed[0][1]
    sidecar_for(album, "1.jpg", (0, "Olga"))
    assert "is Olga there is Anna here" in album.people.read_xmp().failed[0][1]


def test_a_sidecar_begins_with_what_is_in_the_photo(
    turned: Path, places: Places, tmp_path: Path, exiftool: str
) -> None:
    photo = Path(shutil.copy(turned / "1.jpg", tmp_path / "photo.jpg"))
    with fk.open(places.new(tmp_path / "faces")) as library:
        library.ingest(photo, progress=False)
        sidecar = sidecar_for(library, "photo.jpg", (0, "Carol"), (1, "Bob"))
    command = [exiftool, "-overwrite_original", "-tagsfromfile", str(sidecar), "-xmp:all", "-XMP:Rating=5", str(photo)]
    subprocess.run(command, check=True, capture_output=True)
    sidecar.unlink()
    with fk.open(tmp_path / "faces") as library:
        library.ingest(photo, progress=False)
        library.people.new(faces_of(library)["photo.jpg"][0].face_id, "Anna")
        assert library.people.write_xmp().faces == 1
        rating = subprocess.run([exiftool, "-s3", "-XMP:Rating", str(sidecar)], check=True, capture_output=True)
        assert rating.stdout.strip() == b"5"
        assert [one["Name"] for one in told(exiftool, sidecar)] == ["Anna", "Bob"]
        assert library.people.read_xmp().faces == 1
        assert names(library) == {"photo.jpg": ["Anna", "Bob"]}


def test_what_a_sidecar_does_not_say_is_read_from_the_others(album: Library) -> None:
    sidecar_for(album, "1.jpg", (0, "Carol"), (1, "Bob")).rename(place(album) / "1.xmp")
    sidecar_for(album, "1.jpg", (0, "Anna"))
    report = album.people.read_xmp()
    assert (report.faces, report.failed, report.unmatched) == (2, (), ())
    assert names(album)["1.jpg"] == ["Anna", "Bob"]


@pytest.mark.parametrize("number", ["1e999", "-inf", "nan", "1.7e308"])
def test_a_number_that_is_none_spoils_nothing(album: Library, number: str) -> None:
    for at, field in (("1.jpg", "stDim:w"), ("6.jpg", "stDim:h"), ("2.jpg", "stArea:x"), ("5.jpg", "stArea:w")):
        sidecar = sidecar_for(album, at, (0, "Anna"), (1, "Ivan"))
        before, _, rest = sidecar.read_text().partition(f'{field}="')
        sidecar.write_text(f'{before}{field}="{number}"{rest.partition(chr(34))[2]}')
    report = album.people.read_xmp()
    assert (report.faces, report.failed, report.unmatched) == (6, (), ())
    assert names(album)["1.jpg"] == ["Anna", "Ivan"]
    assert names(album)["5.jpg"] == [None, "Ivan"]


def test_a_person_whose_named_faces_agree_takes_the_name(album: Library) -> None:
    faces = faces_of(album)
    somebody = album.people.new([some[0].face_id for some in faces.values()])
    sidecar_for(album, "1.jpg", (0, "Anna"))
    sidecar_for(album, "6.jpg", (0, "anna"))
    report = album.people.read_xmp()
    assert (report.photos, report.faces, report.people) == (2, 2, 1)
    anna = album.people.get("Anna")
    assert (anna.person_id, anna.faces) == (somebody.person_id, 8)
    assert len(album.people.journal()) == 2


def test_of_a_person_whose_named_faces_disagree_only_those_are_moved(album: Library) -> None:
    album.people.cluster()
    sidecar_for(album, "1.jpg", (0, "Anna"))
    sidecar_for(album, "2.jpg", (0, "Olga"))
    report = album.people.read_xmp()
    assert (report.faces, report.people) == (2, 2)
    assert [album.people.get(name).faces for name in ("Anna", "Olga")] == [1, 1]
    assert names(album)["3.jpg"] == [None, None]


def test_a_name_that_is_known_takes_the_faces(album: Library) -> None:
    faces = faces_of(album)
    album.people.cluster()
    anna = album.people.new(faces["1.jpg"][0].face_id, "Anna")
    sidecar_for(album, "2.jpg", (0, "ANNA"), (1, "Ivan"))
    report = album.people.read_xmp()
    assert (report.faces, report.people) == (2, 1)
    assert album.people.get(anna).faces == 2
    assert names(album)["2.jpg"] == ["Anna", "Ivan"]
    assert names(album)["3.jpg"] == [None, "Ivan"]


def test_what_the_user_said_stays(album: Library) -> None:
    faces = faces_of(album)
    album.people.new(faces["1.jpg"][0].face_id, "Anna")
    album.people.new(faces["2.jpg"][0].face_id, "Olga")
    album.people.not_this_person(faces["3.jpg"][0].face_id, "Anna")
    sidecar_for(album, "2.jpg", (0, "Anna"))
    sidecar_for(album, "3.jpg", (0, "Anna"))
    report = album.people.read_xmp()
    assert report.faces == 0
    assert [Path(path).name for path, _ in report.failed] == ["2.jpg", "3.jpg"]
    assert names(album)["2.jpg"][0] == "Olga"
    assert names(album)["3.jpg"][0] is None


@pytest.mark.parametrize("written_since", [True, False])
def test_a_split_stays_though_the_sidecars_said_otherwise(album: Library, *, written_since: bool) -> None:
    anna = [some[0].face_id for photo, some in faces_of(album).items() if photo in {"1.jpg", "2.jpg", "3.jpg", "6.jpg"}]
    album.people.new(anna, "Anna")
    album.people.write_xmp()
    other = album.people.split("Anna", anna[2:])
    if written_since:
        report = album.people.write_xmp()
        assert (report.photos, report.faces) == (2, 2)
        assert album.people.write_xmp().photos == 0
        for photo, said in {"1.jpg": ["Anna"], "2.jpg": ["Anna"], "3.jpg": [""], "6.jpg": [""]}.items():
            sidecar = (place(album) / f"{photo}.xmp").read_bytes()
            assert [one.name for one in read_regions(sidecar).faces] == said
            assert sidecar.count(b"Anna") == 2 * len("".join(said)) // len("Anna")  # the region, and PersonInImage
    report = album.people.read_xmp()
    assert report.faces == 0
    assert [Path(path).name for path, _ in report.failed] == ([] if written_since else ["3.jpg", "6.jpg"])
    assert not report.unmatched
    assert album.people.get("Anna").faces == 2
    assert album.people.get(other).faces == 2


def test_who_was_called_different_does_not_get_the_name_of_the_other(album: Library) -> None:
    album.people.cluster()
    left, right = (faces_of(album)["1.jpg"][number].face_id for number in (0, 1))
    owner = album.people.to_frame().set_index("face_id")["person_id"]
    album.people.name(owner[left], "Anna")
    album.people.different("Anna", owner[right])
    sidecar_for(album, "1.jpg", (1, "Anna"))
    report = album.people.read_xmp()
    assert report.faces == 0
    assert "with somebody here of whom you said that it is not Anna" in report.failed[0][1]
    assert album.people.to_frame().set_index("face_id")["person_id"][right] == owner[right]


def test_faces_that_the_user_put_with_somebody_stay_there(album: Library) -> None:
    faces = faces_of(album)
    somebody = album.people.new([faces["1.jpg"][0].face_id, faces["2.jpg"][0].face_id])
    sidecar_for(album, "1.jpg", (0, "Anna"))
    sidecar_for(album, "2.jpg", (0, "Olga"))
    sidecar_for(album, "3.jpg", (0, "Olga"))
    report = album.people.read_xmp()
    assert album.people.get(somebody).faces == 2
    assert album.people.get("Olga").faces == 1
    assert [Path(path).name for path, _ in report.failed] == ["1.jpg", "2.jpg"]
    assert all("where you put" in words for _, words in report.failed)


def test_a_name_that_the_user_denied_is_taken_out_and_one_that_nobody_spoke_of_stays(album: Library) -> None:
    faces = faces_of(album)
    album.people.new([faces["1.jpg"][0].face_id, faces["2.jpg"][0].face_id], "Anna")
    sidecar_for(album, "3.jpg", (0, "Anna"), (1, "Anna"))
    sidecar_for(album, "4.jpg", (0, "Anna"))
    album.people.not_this_person([faces[photo][1].face_id for photo in ("3.jpg", "4.jpg")], "Anna")
    untouched = (place(album) / "4.jpg.xmp").read_bytes()
    album.people.write_xmp()
    regions = read_regions((place(album) / "3.jpg.xmp").read_bytes()).faces
    assert [one.name for one in sorted(regions, key=lambda one: one.box[0])] == ["", "Anna"]  # upside down
    assert (place(album) / "4.jpg.xmp").read_bytes() == untouched


def test_a_name_where_no_face_is_found_is_reported(album: Library) -> None:
    sidecar = place(album) / "1.jpg.xmp"
    sidecar.write_bytes(with_faces(None, [Region("Nobody", (0.0, 0.0, 0.05, 0.05))], (1, 1))[0])
    report = album.people.read_xmp()
    assert report.unmatched == ((str(place(album) / "1.jpg"), "Nobody"),)
    assert "no face at the place of 'Nobody'" in repr(report)


@pytest.mark.parametrize("sides", [0.65, 1.0, 1.7])
def test_boxes_of_other_programs_may_be_smaller_or_larger(album: Library, sides: float) -> None:
    x, y, w, h = faces_of(album)["1.jpg"][0].box
    box = (x + w / 2 - w * sides / 2, y + h / 2 - h * sides / 2, w * sides, h * sides)
    (place(album) / "1.jpg.xmp").write_bytes(with_faces(None, [Region("Anna", box)], (1, 1))[0])
    assert album.people.read_xmp().faces == 1


@pytest.mark.parametrize("photo", ["3.jpg", "6.jpg"])
def test_regions_of_the_photo_as_it_is_shown_are_understood(album: Library, photo: str) -> None:
    regions = [Region(name, face.box) for name, face in zip(("Anna", "Ivan"), faces_of(album)[photo], strict=True)]
    document, _ = with_faces(None, regions, (1, 1))
    start, end = document.index(b"<mwg-rs:AppliedToDimensions"), document.index(b"<mwg-rs:RegionList")
    (place(album) / f"{photo}.xmp").write_bytes(document[:start] + document[end:])
    album.people.read_xmp()
    assert names(album)[photo] == ["Anna", "Ivan"]


# -- folders of links ----------------------------------------------------------------------------------------------


def test_each_named_person_gets_a_folder_of_links(album: Library, tmp_path: Path) -> None:
    name_all(album)
    folder = tmp_path / "people"
    assert album.people.links(folder) == 16
    assert {path.name for path in folder.iterdir()} == {"Анна", "Ivan"}
    assert [path.name for path in sorted((folder / "Анна").iterdir())] == [f"{number}.jpg" for number in range(1, 9)]
    assert (folder / "Анна" / "6.jpg").readlink() == place(album) / "6.jpg"
    (folder / "Ivan" / "1.jpg").unlink()
    assert album.people.links(folder) == 1


def test_photos_of_one_name_are_numbered_and_nothing_is_overwritten(
    turned: Path, places: Places, tmp_path: Path
) -> None:
    for name, photo in (("one", "1.jpg"), ("two", "2.jpg")):
        (tmp_path / name).mkdir()
        shutil.copy(turned / photo, tmp_path / name / "same.jpg")
    with fk.open(places.new(tmp_path / "faces")) as library:
        library.ingest(tmp_path / "one", tmp_path / "two", progress=False)
        library.people.new([face.face_id for face in library.face_page(include_poor=True).faces[::2]], "Anna")
        (tmp_path / "people" / "Anna").mkdir(parents=True)
        (tmp_path / "people" / "Anna" / "same.jpg").write_text("something of the user's")
        for made in (2, 0):
            assert library.people.links(tmp_path / "people") == made
            assert library.people.links(tmp_path / "copies", copy=True) == made
        files = {path.name: path for path in (tmp_path / "people" / "Anna").iterdir()}
        assert sorted(files) == ["same (2).jpg", "same (3).jpg", "same.jpg"]
        assert files["same.jpg"].read_text() == "something of the user's"
        assert files["same (2).jpg"].readlink() == tmp_path / "one" / "same.jpg"
        copies = sorted((tmp_path / "copies" / "Anna").iterdir())
        assert [path.name for path in copies] == ["same (2).jpg", "same.jpg"]
        assert copies[0].read_bytes() == (tmp_path / "two" / "same.jpg").read_bytes()


def test_a_copy_takes_the_place_of_nothing(album: Library, tmp_path: Path) -> None:
    name_all(album)
    victim, folder = tmp_path / "victim", tmp_path / "people" / "Ivan"
    victim.write_text("of the user's")
    folder.mkdir(parents=True)
    (folder / "1.jpg.part").symlink_to(victim)
    assert album.people.links(tmp_path / "people", copy=True) == 16
    assert victim.read_text() == "of the user's"
    assert sorted(path.name for path in folder.glob("*.part")) == ["1.jpg.part"]
    assert (folder / "1.jpg").read_bytes() == (place(album) / "1.jpg").read_bytes()


def test_where_no_links_can_be_made_copies_are_offered(
    album: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_all(album)

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(fk.FacekitError, match="copy=True"):
        album.people.links(tmp_path / "people")
    assert album.people.links(tmp_path / "people", copy=True) == 16


def test_a_folder_that_cant_be_made_is_said(album: Library, tmp_path: Path) -> None:
    name_all(album)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(fk.FacekitError, match=r"can.t be written: Not a directory"):
        album.people.links(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Анна Иванова", "Анна Иванова"),
        ("AC/DC", "AC_DC"),
        ("..", "_"),
        (".hidden", "_hidden"),
        ("../../etc", "___.._etc"),
        ("C:\\Windows", "C__Windows"),
        ("nul", "_nul"),
        ("Con.stanze", "_Con.stanze"),
        ("Dr.", "Dr"),
        ("???", "___"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("\u0439" * 300, "\u0439" * 100),
    ],
)
def test_a_name_becomes_a_folder_on_any_system(name: str, folder: str) -> None:
    assert safe_name(name) == folder


@given(st.text())
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    folder = safe_name(name)
    assert 0 < len(folder.encode()) <= 255
    assert PurePosixPath("a", folder).parent == PurePosixPath("a")
    assert PureWindowsPath("a", folder).parent == PureWindowsPath("a")
    assert not folder.startswith(".")
    assert not PureWindowsPath(folder).is_reserved()


def test_two_people_never_share_a_folder() -> None:
    people = {"aaaaaa1": "A_B", "bbbbbb2": "A/B", "cccccc3": "a:b", "dddddd4": "Anna"}
    assert list(folder_names(people).values()) == ["A_B", "A_B (bbbbbb)", "a_b (cccccc)", "Anna"]
