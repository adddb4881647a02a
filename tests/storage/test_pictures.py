"""Pictures of photos and faces: from any file that is as it was, with one question to the catalog a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image
from statements import statements

import facekit as fk
from facekit.errors import PhotoError, UnknownIdError
from facekit.images.decode import read_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.library import Library


@pytest.fixture
def album(astronaut: Path, tmp_path: Path) -> Path:
    """A photo at two places, with a face that is too small in the thumbnail."""
    large = Image.new("RGB", (1800, 1500), "gray")
    large.paste(Image.open(astronaut), (900, 600))
    for folder in ("first", "second"):
        (tmp_path / "album" / folder).mkdir(parents=True)
        large.save(tmp_path / "album" / folder / "astronaut.png")
    return tmp_path / "album"


@pytest.fixture
def library(album: Path, tmp_path: Path) -> Iterator[Library]:
    with fk.open(tmp_path / "faces") as library:
        library.ingest(album, progress=False)
        yield library


def test_a_picture_takes_one_statement(library: Library) -> None:
    (photo,) = library.photo_page().photos
    for face in photo.faces:
        with statements() as asked:
            assert read_image(library.face_thumbnail(face.face_id) or b"").shape == (160, 160, 3)
        assert len(asked) == 1
    with statements() as asked:
        assert read_image(library.picture(photo.photo_id)).shape == (photo.height, photo.width, 3)
    assert len(asked) == 1


def test_pictures_come_from_the_next_place_where_the_first_is_gone(library: Library, album: Path) -> None:
    (photo,) = library.photo_page().photos
    face_id = photo.faces[0].face_id
    picture, face = library.picture(photo.photo_id), library.face_thumbnail(face_id)
    (album / "first" / "astronaut.png").unlink()
    assert library.picture(photo.photo_id) == picture
    assert library.face_thumbnail(face_id) == face
    (album / "second" / "astronaut.png").write_bytes(b"something else")
    with pytest.raises(PhotoError, match=r"second/astronaut\.png is gone|first/astronaut\.png is gone"):
        library.picture(photo.photo_id)
    kept = library.face_thumbnail(face_id)  # from the photo's thumbnail
    assert kept not in {None, face}


def test_what_the_library_does_not_have_has_no_picture(library: Library) -> None:
    for wrong in ("0" * 32, "' OR 1=1", ""):
        with pytest.raises(UnknownIdError, match="no photo with this id"):
            library.picture(wrong)
        with pytest.raises(UnknownIdError, match="no face with this id"):
            library.face_thumbnail(wrong)
