"""Photos and albums as VK's API has them: the biggest picture of each, and the item that it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from facekit.sources.item import SourceItem, as_part
from facekit.sources.vk.addresses import SYSTEM_ALBUMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The longest side of each size, which says how big a picture is where VK does not (it has no width and height of
# photos from before 2012); https://dev.vk.com/reference/objects/photo-sizes. The last three come before all of those.
_LONGEST = {"s": 75, "m": 130, "o": 130, "p": 200, "q": 320, "r": 510, "x": 604, "y": 807, "z": 1080, "w": 2560}
_LONGEST |= {"base": 2561, "max": 2562, "orig": 2563}
_CROPS = frozenset("opqr")  # of photos that are wider than 3:2 they lack the sides


@dataclass(frozen=True, slots=True)
class Album:
    """An album: the id that photos.get takes, the folder that its photos lie in, and how many VK counts there."""

    id: str
    folder: str
    size: int = 0

    @property
    def place(self) -> tuple[bool, int, str]:
        """Where it stands among all: in an order that stays when others come and go, with ``tagged`` at the end."""
        return self.id == "tagged", int(self.id) if self.id.isdecimal() else 0, self.id


def album_of(found: Mapping[str, Any]) -> Album | None:
    """An album from what photos.getAlbums says of it; None for one of VK's own that facekit does not know.

    The names of VK's own depend on the language, their folders don't.
    """
    number = found.get("id")
    if not isinstance(number, int):
        return None
    size = found.get("size")
    size = size if isinstance(size, int) else 0
    if number <= 0:
        word = SYSTEM_ALBUMS.get(number)
        return None if word is None else Album(word, word, size)
    return Album(str(number), as_part(str(found.get("title") or "")), size)


def key_of(photo: Mapping[str, Any]) -> str | None:
    """What names a photo for good, ``OWNER_ID``; None where it has no such ids."""
    owner, number = photo.get("owner_id"), photo.get("id")
    return f"{owner}_{number}" if isinstance(owner, int) and isinstance(number, int) else None


def biggest(photo: Mapping[str, Any]) -> str | None:
    """The address of a photo's biggest picture, the uploaded one where there is it; None where there is none at all.

    Examples
    --------
    >>> from facekit.sources.vk.photos import biggest
    >>> old = [{"type": kind, "width": 0, "height": 0, "url": f"https://{kind}"} for kind in "smxrz"]
    >>> biggest({"sizes": old}), biggest({"sizes": old, "orig_photo": {"url": "https://all"}}), biggest({"sizes": []})
    ('https://z', 'https://all', None)
    """
    original = _pictures([photo.get("orig_photo")])
    pictures = original or _pictures(photo.get("sizes") or photo.get("images") or ())
    return max(pictures)[-1] if pictures else None


def _pictures(sizes: object) -> list[tuple[bool, int, int, str]]:
    """Of each picture: whether it shows all of the photo, its area, its longest side, its address."""
    found = []
    for size in sizes if isinstance(sizes, list) else ():
        address = (size.get("url") or size.get("src")) if isinstance(size, dict) else None
        if not isinstance(address, str) or not address:
            continue
        width, height, kind = size.get("width"), size.get("height"), size.get("type")
        side = _LONGEST.get(kind, 0)
        area = width * height if isinstance(width, int) and isinstance(height, int) else 0
        found.append((kind not in _CROPS, area or side * side, side, address))
    return found


def item_of(photo: Mapping[str, Any], folder: str) -> SourceItem | None:
    """A photo as an item in a folder; None where it has no ids.

    VK never changes a photo's bytes, so that its version is when it came to VK, which is no camera's time.
    """
    key = key_of(photo)
    if key is None:
        return None
    date = photo.get("date")
    date = date if isinstance(date, int) and 0 <= date < 2**33 else 0
    latitude, longitude = _degrees(photo.get("lat"), 90), _degrees(photo.get("long"), 180)
    there = latitude is not None and longitude is not None
    return SourceItem(
        key=key,
        version=str(date),
        name=f"{key}.jpg",
        album=folder,
        link=f"https://vk.com/photo{key}",
        modified=datetime.fromtimestamp(date, UTC) if date else None,
        latitude=latitude if there else None,
        longitude=longitude if there else None,
    )


def _degrees(value: object, most: float) -> float | None:
    return float(value) if isinstance(value, int | float) and -most <= value <= most else None


def photos_in(answer: object) -> list[dict[str, Any]]:
    """The photos in what photos.get or photos.getById answers."""
    items = answer.get("items") if isinstance(answer, dict) else answer
    return [photo for photo in items if isinstance(photo, dict)] if isinstance(items, list) else []


def keyed(photos: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Photos by their keys; without those that have none."""
    return {key: photo for photo in photos if (key := key_of(photo))}
