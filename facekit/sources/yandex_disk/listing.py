"""How the folders of Yandex Disk are gone through, and what an entry of a folder says of a photo."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from facekit.images.formats import PICTURE_EXTENSIONS
from facekit.sources.item import SourceItem, as_part
from facekit.sources.yandex_disk.places import path_of

if TYPE_CHECKING:
    from collections import Counter

    from facekit.sources.item import Cursor
    from facekit.sources.yandex_disk.places import Place

PAGE = 100
"""Entries asked for at once."""

_DEEPEST, _MOST_FOLDERS, _MOST_ENTRIES, _MOST_AGAIN = 50, 50_000, 1_000_000, 3
_SHA256, _MD5 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{32}")

_OF_ONE = ("type", "name", "path", "size", "md5", "sha256", "modified", "media_type", "exif", "file", "resource_id")
FIELDS = ",".join([*_OF_ONE, "_embedded.total", *(f"_embedded.items.{one}" for one in _OF_ONE)])
"""What is asked of a file, or of a folder and what is in it; previews and comments would make the answers large."""


@dataclass(slots=True)
class Listing:
    """A walk through folders: what is in its cursor, but for what it keeps in memory.

    A folder is listed to its end, then the folders in it. Each answer begins with the last entry of the one before.
    Where it does not, the folder has changed meanwhile, what follows has moved, and the folder is listed anew.
    """

    of: str
    folder: str
    offset: int = 0
    last: str = ""
    again: int = 0
    inside: list[str] = field(default_factory=list)
    left: list[tuple[str, list[str]]] = field(default_factory=list)
    folders: int = 1
    entries: int = 0
    whole: bool = True
    done: bool = False

    @classmethod
    def begun(cls, place: Place) -> Listing:
        """One at its beginning."""
        return cls(place.words, place.path)

    @classmethod
    def at(cls, cursor: Cursor | None, place: Place) -> Listing | None:
        """The one that a cursor is of; None where it was at its end, or is of another place or version of facekit."""
        try:
            listing = cls(**deepcopy(dict(cursor or {})))
        except TypeError:
            return None
        return listing if listing.of == place.words and not listing.done else None

    @property
    def cursor(self) -> dict[str, Any]:
        """Where it goes on, as JSON."""
        return {"of": self.of, "folder": self.folder, "done": True} if self.done else asdict(self)

    @property
    def first(self) -> int:
        """Which entry of the folder to ask for first."""
        return max(0, self.offset - 1)

    def take(
        self, answer: Mapping[str, Any], visited: dict[str, str], left_out: Counter[str]
    ) -> list[Mapping[str, Any]]:
        """The files of an answer that are new. The listing goes on to what comes after it.

        Parameters
        ----------
        answer : mapping
            A part of the folder, from the entry ``first`` on.
        visited : dict
            Ids of folders, and their paths: none is visited under two.
        left_out : Counter
            What is not gone into is counted here.
        """
        inside = answer.get("_embedded")
        inside = inside if isinstance(inside, Mapping) else {}
        items, total = inside.get("items"), inside.get("total")
        entries = [one for one in items if isinstance(one, Mapping)] if isinstance(items, list) else []
        paths = [str(one.get("path")) for one in entries]
        new = entries
        if self.offset:
            if paths[:1] == [self.last]:
                new = entries[1:]
            elif self.again < _MOST_AGAIN:
                self.offset, self.last, self.inside, self.again = 0, "", [], self.again + 1
                return []
            else:  # it never stands still: what moved to before this answer is not seen
                self.whole = False
        if not new or paths[-1] == self.last:
            self.leave()
            return []
        for one in new:
            if one.get("type") == "dir" and not self._remember(one, visited):
                left_out["folder"] += 1
        self.offset, self.last, self.entries = self.first + len(entries), paths[-1], self.entries + len(new)
        if (isinstance(total, int) and self.offset >= total) or self.entries >= _MOST_ENTRIES:
            self.leave()
        return [one for one in new if one.get("type") == "file"]

    def leave(self) -> None:
        """Go on to the next folder: the first one in this one, if any."""
        if self.inside:
            self.left.append((self.folder, self.inside[::-1]))
        self.offset, self.last, self.inside, self.again = 0, "", [], 0
        while self.left and not self.left[-1][1]:
            self.left.pop()
        if self.left:
            parent, names = self.left[-1]
            self.folder = f"{parent.rstrip('/')}/{names.pop()}"
        else:
            self.done = True

    def _remember(self, entry: Mapping[str, Any], visited: dict[str, str]) -> bool:
        path = path_of(entry.get("path")) or ""
        above, name = self.folder.rstrip("/") + "/", path.rpartition("/")[2]
        if above + name != path or name in {"", ".", ".."} or path.count("/") > _DEEPEST:
            return False
        if visited.setdefault(str(entry.get("resource_id") or path), path) != path or self.folders >= _MOST_FOLDERS:
            return False
        self.folders += 1
        self.inside.append(name)
        return True


def kind_of(entry: Mapping[str, Any]) -> str | None:
    """What a file is that is no photo; None for a photo."""
    media = entry.get("media_type")
    ending = PurePosixPath(str(entry.get("name", ""))).suffix.lower()
    if media == "image" or ending in PICTURE_EXTENSIONS:
        return None
    return media if isinstance(media, str) and re.fullmatch(r"[a-z_]{1,20}", media) else "other"


def item_of(entry: Mapping[str, Any], path: str, place: Place) -> SourceItem:
    """A photo. Its key is its path: the API finds a file by nothing else, and a source is one link or disk.

    So the key is the same however the link is written, and when it is shared anew. A photo that is renamed has another
    key and the same `content`.
    """
    size, sha256, md5 = entry.get("size"), entry.get("sha256"), entry.get("md5")
    content = None
    if isinstance(sha256, str) and _SHA256.fullmatch(sha256):
        content = f"sha256:{sha256}"
    elif isinstance(md5, str) and _MD5.fullmatch(md5):
        content = f"md5:{md5}"
    folders, _, name = path.rpartition("/")
    named = entry.get("name")
    exif = entry.get("exif")
    exif = exif if isinstance(exif, Mapping) else {}
    taken = _time(exif.get("date_time"))
    latitude, longitude = _degrees(exif.get("gps_latitude"), 90), _degrees(exif.get("gps_longitude"), 180)
    both = latitude is not None and longitude is not None
    return SourceItem(
        key=key_of(path),
        version=content or f"{entry.get('modified')} {size}",
        name=as_part(named if isinstance(named, str) else name),
        album="/".join(as_part(one) for one in folders.split("/") if one),
        size=size if isinstance(size, int) and size >= 0 else None,
        content=content,
        link=place.page(path),
        modified=_time(entry.get("modified")),
        taken_at=taken.replace(tzinfo=None) if taken else None,  # what EXIF says, to which the API adds +00:00
        latitude=latitude if both else None,
        longitude=longitude if both else None,
    )


def key_of(path: str) -> str:
    """The key of a file: its path in the link or on the disk; a dot where the link is one file."""
    return "." if path == "/" else path


def path_of_key(key: str) -> str:
    """The path of a file with a key."""
    return "/" if key == "." else key


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _degrees(number: object, most: int) -> float | None:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        return None
    return float(number) if abs(number) <= most else None
