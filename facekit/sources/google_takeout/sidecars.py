"""Which JSON file of a Google Takeout export belongs to which photo, and what it says.

Google documents none of this. The rules are those that exports show, as other readers of them found:
github.com/simulot/immich-go, github.com/TheLastGimbus/GooglePhotosTakeoutHelper, github.com/ente-io/ente (pull 4956).
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 2**20
"""Of a sidecar; ours. Real ones have one or two thousand."""

_JSON = ".json"
_SUPPLEMENT = ".supplemental-metadata"  # before the ending, since 2024
_LONGEST = 46
"""Characters (of UTF-16) after which a sidecar's name is cut, its number and ``.json`` not counted."""
_NUMBERED = re.compile(r"(.+)\((\d{1,9})\)", re.DOTALL)
_FIRST, _LAST = datetime(1800, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - UTC; ours: before photography, after us
_LINK = re.compile(r"https://photos\.google\.com/[^\s?#\"'<>]{1,500}")


@dataclass(frozen=True, slots=True)
class Said:
    """What a sidecar says of its photo.

    ``taken_at`` is in UTC, without a zone: what the camera's clock showed is not in the export. ``link`` opens the
    photo for its owner. ``trashed``: the owner had deleted it.
    """

    taken_at: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None
    link: str | None = None
    trashed: bool = False


NOTHING = Said()


class Sidecars:
    """The sidecars of one folder of an export, by the photos that they are of.

    Names differ in case and in how accents are written, depending on what unpacked them: neither counts.

    Parameters
    ----------
    names : iterable of str
        Of all files in the folder, whichever part of the export they come in.

    Examples
    --------
    >>> from facekit.sources.google_takeout.sidecars import Sidecars
    >>> folder = Sidecars(["IMG.jpg(1).json", "IMG(1).jpg", "IMG(1)-edited.jpg", "IMG.jpg.suppl.json"])
    >>> folder.of("IMG(1).jpg"), folder.of("IMG.JPG"), folder.of("IMG-edited(1).jpg")
    ('IMG.jpg(1).json', 'IMG.jpg.suppl.json', 'IMG.jpg(1).json')
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._sidecars: dict[tuple[str, str], str] = {}
        self._others: dict[str, list[str]] = {}
        for name in sorted(names):
            folded = _folded(name)
            if folded.endswith(_JSON):
                self._sidecars.setdefault(_numbered(folded.removesuffix(_JSON)), name)
            else:
                self._others.setdefault(_parted(folded)[0], []).append(folded)

    def of(self, photo: str) -> str | None:
        """The sidecar of a photo; of an edited one, the original's. None where there is none."""
        name = _folded(photo)
        return self._own(name) or self._originals(name)

    def is_edited(self, photo: str) -> bool:
        """Whether a photo is the edited twin of another, whose sidecar it has."""
        name = _folded(photo)
        return not self._own(name) and self._originals(name) is not None

    def _own(self, name: str) -> str | None:
        stem, ending = _parted(name)
        base, number = _numbered(stem)
        found = self._longest(name, "")
        if not found and number:  # it goes from before the ending to the very end
            found = self._longest(base + ending, number) or self._longest(name, number)
        # Without the photo's ending; and where the name was cut, with the number forgotten.
        found = found or self._sidecars.get((base, number))
        return found or (self._longest(base + ending, "", cut=True) if number else None)

    def _longest(self, name: str, number: str, *, cut: bool = False) -> str | None:
        """The one that has most of a name; of ``cut`` names, only what is left of one that was too long."""
        whole = name if cut else name + _SUPPLEMENT
        for end in range(len(whole) - cut, 0, -1):
            if end < len(name) and _units(whole[:end]) < _LONGEST - 1:  # half a character may be lost besides
                break
            if found := self._sidecars.get((whole[:end], number)):
                return found
        return None

    def _originals(self, name: str) -> str | None:
        """Of ``IMG-edited(1).jpg``, in any language: what follows the last hyphen is a word, and no number."""
        stem, ending = _parted(name)
        base, number = _numbered(stem)
        original, hyphen, word = base.rpartition("-")
        is_word = bool(word) and not any(letter.isdigit() or letter in "()" for letter in word)
        if not original or not hyphen or not (is_word or (not word and _units(base) >= _LONGEST)):
            return None
        stem = f"{original}({number})" if number else original
        twins = self._others.get(stem, [])  # one edited may have another ending, as a .jpg of a .heic
        for twin in sorted(twins, key=lambda twin: (_parted(twin)[1] != ending, twin)):
            if found := self._own(twin):
                return found
        return None


def read_sidecar(data: bytes) -> Said:
    """What a sidecar says; nothing where it is none."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return NOTHING
    if not isinstance(said, dict):
        return NOTHING
    place = _place_of(said.get("geoData")) or _place_of(said.get("geoDataExif")) or (None, None)
    link = said.get("url")
    return Said(
        taken_at=_time_of(said.get("photoTakenTime")),
        latitude=place[0],
        longitude=place[1],
        link=link if isinstance(link, str) and _LINK.fullmatch(link) else None,
        trashed=said.get("trashed") is True,
    )


def _time_of(said: Any) -> datetime | None:  # noqa: ANN401 - of JSON
    try:
        seconds = int(said["timestamp"])
        time = datetime(1970, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001 - UTC, as said above
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    return time if seconds and _FIRST <= time < _LAST else None


def _place_of(said: Any) -> tuple[float, float] | None:  # noqa: ANN401 - of JSON
    """Degrees; 0, 0 is how Google writes that it knows none."""
    try:
        latitude, longitude = float(said["latitude"]), float(said["longitude"])
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    right = isfinite(latitude) and isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180  # noqa: PLR2004
    return (latitude, longitude) if right and (latitude or longitude) else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()


def _parted(name: str) -> tuple[str, str]:
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if stem else (name, "")


def _numbered(stem: str) -> tuple[str, str]:
    found = _NUMBERED.fullmatch(stem)
    return (found[1], found[2]) if found else (stem, "")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
