"""Bytes in, upright RGB pictures out, safely; boxes, crops and thumbnails."""

from facekit.images.decode import read_image
from facekit.images.files import Limits

__all__ = ["Limits", "read_image"]
