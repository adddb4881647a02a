"""Pictures of a photo or a face for the screen."""

from __future__ import annotations

from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from facekit.images.decode import read_image, thumbnail
from facekit.images.orientation import turned

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.types.arrays import Image
    from facekit.types.photos import Box

FACE_SIDE = 160  # pixels: a tile of 96 to 160 CSS pixels
_AROUND = 1.6  # times the longer side of the box: hair and chin are in, a neighbour's face mostly is not
_SHARP = 96  # pixels of a thumbnail that are enough for a face; fewer are taken from the photo itself


def face_picture(
    box: Box,
    small: bytes | None,
    size: tuple[int, int],
    photo: Callable[[int], Image | None],
    *,
    turn: int = 0,
) -> bytes | None:
    """Cut a face out as a square JPEG of 160 pixels.

    Parameters
    ----------
    box : tuple
        ``x, y, width, height`` in 0..1 of the upright photo.
    small : bytes, optional
        The photo's thumbnail, which is enough for a large face.
    size : (int, int)
        Width and height of the upright photo in pixels.
    photo : callable
        Reads the photo with the longest side it is given; None where it can't be read.
    turn : int
        Degrees clockwise, a multiple of 90, by which the face is turned after it is cut out.
    """
    width, height = size
    side = _AROUND * max(box[2] * width, box[3] * height)
    image = None if small is None else read_image(small)
    if image is None or side * max(image.shape[:2]) / max(size) < _SHARP:
        read = photo(ceil(max(size) * min(1.0, FACE_SIDE / side)))
        image = image if read is None else read
    return None if image is None else thumbnail(turned(square(image, box), turn), FACE_SIDE)


def square(image: Image, box: Box) -> Image:
    """The square around a box, 1.6 times as large, uint8 (S, S, 3) RGB; beyond the picture its edge is repeated."""
    height, width = image.shape[:2]
    side = max(1, round(_AROUND * max(box[2] * width, box[3] * height)))
    left = round((box[0] + box[2] / 2) * width - side / 2)
    top = round((box[1] + box[3] / 2) * height - side / 2)
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    return np.ascontiguousarray(image[rows][:, columns])


def as_png(image: Image) -> bytes:
    """A picture as a PNG file, nothing lost."""
    from PIL import Image as Pillow

    stream = BytesIO()
    Pillow.fromarray(image).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
