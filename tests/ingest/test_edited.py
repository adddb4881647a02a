"""Files that other programs change: whose the faces in them are stays, and what does not stay is said."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import need
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

import facekit as fk
from facekit.images.stored_orientation import upright_box
from facekit.ingest.edited_files import turned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.library.local import LocalLibrary

TURNS = {
    "upside down": Image.Transpose.ROTATE_180,
    "left": Image.Transpose.ROTATE_90,
    "right": Image.Transpose.ROTATE_270,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[LocalLibrary]:
    with fk.open(tmp_path / "library") as library:
        yield library


def name(library: LocalLibrary, file: Path, who: str) -> None:
    library.people.cluster(min_faces=1)
    frame = library.people.to_frame()
    library.people.name(frame[frame["photo"] == str(file)]["person_id"].iloc[0], who)


@pytest.mark.parametrize("photo", ["img18.jpg", "img20.jpg"])
def test_an_upside_down_photo_whose_orientation_is_mended_keeps_its_name(
    library: LocalLibrary, ordinary_photos: Path, tmp_path: Path, photo: str
) -> None:
    need(shutil.which("exiftool"), "exiftool is not installed (apt-get install libimage-exiftool-perl)")
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.open(ordinary_photos / photo).rotate(180).save(photos / "a.jpg", quality=92)
    library.ingest(photos, progress=False)
    name(library, photos / "a.jpg", "Ann")
    mend = ["exiftool", "-q", "-overwrite_original", "-n", "-Orientation=3", str(photos / "a.jpg")]
    subprocess.run(mend, check=True)
    report = library.ingest(photos, progress=False)
    assert (library.people["Ann"].faces, report.names_lost) == (1, [])


@pytest.mark.parametrize("turn", TURNS)
def test_a_photo_whose_pixels_are_turned_upright_keeps_its_name(
    library: LocalLibrary, ordinary_photos: Path, tmp_path: Path, turn: str
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    upright = ImageOps.exif_transpose(Image.open(ordinary_photos / "img18.jpg"))
    upright.transpose(TURNS[turn]).save(photos / "a.jpg", quality=92)
    library.ingest(photos, progress=False)
    name(library, photos / "a.jpg", "Ann")
    upright.save(photos / "a.jpg", quality=92)
    report = library.ingest(photos, progress=False)
    assert (library.people["Ann"].faces, report.names_lost) == (1, [])


def test_another_person_at_the_same_place_does_not_get_the_name_and_its_loss_is_said(
    library: LocalLibrary, lfw: Path, tmp_path: Path
) -> None:
    people = sorted(folder for folder in lfw.rglob("*") if folder.is_dir() and list(folder.glob("*_0001.jpg")))[:2]
    first, second = (next(folder.glob("*_0001.jpg")) for folder in people)
    photo = tmp_path / "photos" / "a.jpg"
    photo.parent.mkdir()
    shutil.copy(first, photo)
    library.ingest(photo.parent, progress=False)
    name(library, photo, "Ann")
    shutil.copy(second, photo)
    report = library.ingest(photo.parent, progress=False)
    assert [(one.name, one.faces, one.path) for one in report.names_lost] == [("Ann", 1, str(photo))]
    assert f"names lost: Ann: 1 face ({photo})" in repr(report)
    assert report.to_dict()["names_lost"] == [{"name": "Ann", "faces": 1, "path": str(photo)}]
    assert sum(person.faces for person in library.people if person.name == "Ann") == 0


def test_a_file_that_is_damaged_now_loses_its_names_aloud(
    library: LocalLibrary, astronaut: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photos" / "a.png"
    photo.parent.mkdir()
    shutil.copy(astronaut, photo)
    shutil.copy(astronaut, tmp_path / "photos" / "copy.png")
    library.ingest(photo.parent, progress=False)
    name(library, photo, "Eileen")
    photo.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    assert library.ingest(photo.parent, progress=False).names_lost == []  # the copy has her face
    (tmp_path / "photos" / "copy.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged, too")
    lost = library.ingest(photo.parent, progress=False).names_lost
    assert [(one.name, one.faces) for one in lost] == [("Eileen", 1)]


@given(st.integers(1, 8), st.integers(0, 7), st.integers(0, 7))
def test_boxes_and_pixels_turn_alike(orientation: int, x: int, y: int) -> None:
    pixels = np.zeros((8, 8))
    pixels[y, x] = 1
    left, top, width, height = upright_box((x / 8, y / 8, 1 / 8, 1 / 8), orientation)
    assert (width, height) == (1 / 8, 1 / 8)
    assert turned(pixels, orientation)[round(top * 8), round(left * 8)] == 1
