"""A photo as its file stores it, before it is turned upright: its header, and where boxes lie in it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facekit.errors import PhotoError
from facekit.images.decode import open_picture
from facekit.images.exif import orientation
from facekit.images.files import DEFAULT_LIMITS, READ_FLAGS, display_name
from facekit.images.formats import SNIFF_BYTES, sniff
from facekit.types.photos import Box, Status

if TYPE_CHECKING:
    from typing import BinaryIO

    from PIL.ImageFile import ImageFile

# What is done to the stored picture, in this order (Exif 3.0, tag 274); `facekit.images.decode` turns pixels so, too.
_TRANSPOSED = frozenset({5, 6, 7, 8})
_FLIPPED_DOWN = frozenset({3, 4, 7, 8})
_FLIPPED_ACROSS = frozenset({2, 3, 6, 7})

_IMAGE_WIDTH, _IMAGE_LENGTH = 256, 257  # TIFF 6.0


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """A photo before it is turned upright.

    Parameters
    ----------
    width, height : int
        Pixels as stored.
    orientation : int
        What the file says of how to turn it, 1..8 as Exif numbers them (tag 274).
    xmp : bytes or None
        The XMP packet in the file.
    """

    width: int
    height: int
    orientation: int
    xmp: bytes | None


def stored_photo(path: str | bytes | os.PathLike[Any]) -> StoredPhoto:
    """Read a photo's header.

    Raises
    ------
    PhotoError
        If the file can't be read, or is not a picture that facekit reads.
    """
    name = display_name(path)
    try:
        with os.fdopen(os.open(path, READ_FLAGS), "rb") as stream:
            return _read(stream, name)
    except PhotoError:
        raise
    except OSError as error:
        raise PhotoError(Status.IO_ERROR, f"{name} can't be read: {error.strerror or error}") from error
    except Exception as error:  # Pillow raises almost anything on damaged data
        raise PhotoError(Status.CORRUPT, f"{name} is damaged or cut short: {error}") from error


def _read(stream: BinaryIO, name: str) -> StoredPhoto:
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        raise PhotoError(Status.IO_ERROR, f"{name} can't be read: it is not a regular file")
    kind = sniff(stream.read(SNIFF_BYTES))
    stream.seek(0)
    if kind is None:
        raise PhotoError(Status.UNSUPPORTED, f"{name} is not a photo that can be read")
    picture = open_picture(kind, stream, name)
    width, height = picture.size
    if width * height > DEFAULT_LIMITS.max_pixels:  # a PNG's pixels are read on the way to its metadata
        raise PhotoError(Status.TOO_LARGE, f"{name} has {width} x {height} pixels")
    turn = _orientation(picture, kind)
    if kind == "TIFF":  # Pillow tells the size that the picture has when it is turned
        width, height = picture.tag_v2[_IMAGE_WIDTH], picture.tag_v2[_IMAGE_LENGTH]  # type: ignore[attr-defined]
    elif kind == "HEIF" and turned_sideways(turn):  # libheif turns the picture itself
        width, height = height, width
    xmp = picture.info.get("xmp")
    return StoredPhoto(width, height, turn, xmp if isinstance(xmp, bytes) else None)


def _orientation(picture: ImageFile, kind: str) -> int:
    if kind == "HEIF":
        return int(picture.info.get("original_orientation") or 1)
    return orientation(picture.getexif())


def upright_box(box: Box, orientation: int) -> Box:
    """A box of the stored picture as it lies in the upright one; ``orientation`` is EXIF's, 1..8."""
    x, y, w, h = box
    if orientation in _TRANSPOSED:
        x, y, w, h = y, x, h, w
    if orientation in _FLIPPED_DOWN:
        y = 1 - y - h
    if orientation in _FLIPPED_ACROSS:
        x = 1 - x - w
    return x, y, w, h


def stored_box(box: Box, orientation: int) -> Box:
    """A box of the upright picture as it lies in the stored one; ``orientation`` is EXIF's, 1..8."""
    x, y, w, h = box
    if orientation in _FLIPPED_ACROSS:
        x = 1 - x - w
    if orientation in _FLIPPED_DOWN:
        y = 1 - y - h
    if orientation in _TRANSPOSED:
        x, y, w, h = y, x, h, w
    return x, y, w, h


def turned_sideways(orientation: int) -> bool:
    """Whether the upright picture has the stored one's height for its width."""
    return orientation in _TRANSPOSED
