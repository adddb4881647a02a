"""What the worker processes do with a photo: everything that a broken file could crash."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from facekit.images.decode import decode, thumbnail
from facekit.images.files import Limits

if TYPE_CHECKING:
    from facekit.types.arrays import Image
    from facekit.types.photos import DecodedPhoto


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A decoded photo, its thumbnail (JPEG) and the seconds that this took."""

    photo: DecodedPhoto
    thumbnail: bytes
    seconds: float


def prepare(data: bytes, name: str, max_side: int | None, limits: Limits) -> Prepared:
    """Decode a photo at the detector's working size and make its thumbnail. Raises `PhotoError`."""
    start = perf_counter()
    photo = decode(data, name=name, max_side=max_side, limits=limits)
    return Prepared(photo, thumbnail(photo.image), perf_counter() - start)


# A stranger's picture may be made to take as much memory as it can: 64 megapixels are more than any phone makes by
# default (50), and take some 0.6 GB while they are decoded.
_PROBE_LIMITS = Limits(max_bytes=64 * 2**20, max_pixels=64_000_000)


def decode_probe(data: bytes, name: str, max_side: int | None) -> Image:
    """Decode a picture that somebody sent, at the detector's working size. Raises `PhotoError`."""
    return decode(data, name=name, max_side=max_side, limits=_PROBE_LIMITS).image
