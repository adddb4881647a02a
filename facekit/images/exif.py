"""What a photo's EXIF block says, read with distrust: whatever is missing or makes no sense is None."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from PIL.ExifTags import GPS, IFD, Base

from facekit.types.photos import PhotoFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL.Image import Exif

FIRST_PHOTOGRAPH = 1826
"""Year of the oldest surviving photograph (Niepce, View from the Window at Le Gras); earlier dates are garbage."""

_DATE = re.compile(r"\s*(\d{4})\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)", re.ASCII)
_LONGEST_CAMERA = 100  # characters; more than that is not a name


def orientation(exif: Exif) -> int:
    """Orientation 1..8 as Exif defines it (tag 274); 1, upright, where it is missing or no such number."""
    value = _tag(exif, Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1  # noqa: PLR2004


def header_facts(exif: Exif, width: int, height: int, kind: str) -> PhotoFacts:
    """Put together what is known about a photo.

    Parameters
    ----------
    exif : PIL.Image.Exif
        Any EXIF block, also an empty or a broken one.
    width, height : int
        Size of the upright photo in pixels.
    kind : str
        The file's format.

    Returns
    -------
    PhotoFacts
        ``taken_at`` is local time without a zone: when the photo was taken, else when it was digitised, else when
        the file was changed. ``camera`` is maker and model. ``latitude`` and ``longitude`` are degrees, north and
        east positive; exactly 0, 0 counts as unknown, because cameras without a fix write it.
    """
    latitude, longitude = _position(_folder(exif, IFD.GPSInfo))
    return PhotoFacts(width, height, kind, _taken_at(exif), _camera(exif), latitude, longitude)


def _tag(exif: Exif, tag: int) -> object:
    with suppress(Exception):  # Pillow reads EXIF lazily, and a broken block raises almost anything
        return exif.get(tag)
    return None


def _folder(exif: Exif, tag: int) -> dict[int, Any]:
    with suppress(Exception):
        return dict(exif.get_ifd(tag))
    return {}


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text if isinstance(text, str) else ""


def _taken_at(exif: Exif) -> datetime | None:
    details = _folder(exif, IFD.Exif)
    values = (details.get(Base.DateTimeOriginal), details.get(Base.DateTimeDigitized), _tag(exif, Base.DateTime))
    for match in map(_DATE.match, map(_text, values)):
        with suppress(ValueError):  # month 0, 30 February
            if match and int(match[1]) >= FIRST_PHOTOGRAPH:
                year, month, day, hour, minute, second = map(int, match.groups())
                return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - EXIF tells no zone
    return None


def _camera(exif: Exif) -> str | None:
    maker, model = _name(_tag(exif, Base.Make)), _name(_tag(exif, Base.Model))
    # "Canon", "Canon EOS 5D" and "NIKON CORPORATION", "NIKON D750": the model says it all.
    repeated = maker and model.casefold().startswith(maker.split()[0].casefold())
    camera = model if repeated else f"{maker} {model}".strip()
    return camera[:_LONGEST_CAMERA] or None


def _name(value: object) -> str:
    printable = "".join(character if character.isprintable() else " " for character in _text(value))
    return " ".join(printable.split())


def _position(gps: dict[int, Any]) -> tuple[float, float] | tuple[None, None]:
    latitude = _degrees(gps.get(GPS.GPSLatitude, ()), gps.get(GPS.GPSLatitudeRef), "NS", 90)
    longitude = _degrees(gps.get(GPS.GPSLongitude, ()), gps.get(GPS.GPSLongitudeRef), "EW", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None, None
    return latitude, longitude


def _degrees(value: Iterable[Any], reference: object, signs: str, largest: float) -> float | None:
    side = _text(reference).strip("\x00 ").upper()
    with suppress(Exception):  # not three numbers, 1/0
        degrees, minutes, seconds = map(float, value)
        total = degrees + minutes / 60 + seconds / 3600
        if len(side) == 1 and side in signs and min(degrees, minutes, seconds) >= 0 and total <= largest:
            return total if side == signs[0] else -total
    return None
