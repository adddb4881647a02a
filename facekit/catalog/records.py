"""What goes into the catalog and comes out of it, as plain records."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from facekit.types.arrays import FloatArray, Quality
    from facekit.types.photos import Box, FoundFile, PhotoFacts, Status


def file_id(source: str, path: bytes) -> str:
    """The id of a path in a source: 32 hexadecimal digits."""
    return blake2b(source.encode() + b"\0" + path, digest_size=16).hexdigest()


def unread_photo_id(source: str, path: bytes) -> str:
    """The id that stands for the content of a file that can't be read: 32 hexadecimal digits."""
    return blake2b(b"unread\0" + source.encode() + b"\0" + path, digest_size=16).hexdigest()


def face_id(photo_id: str, detector: str, box: Box) -> str:
    """The id of a face: its photo, its detector and its box to a tenth of a thousandth; 32 hexadecimal digits."""
    place = ",".join(f"{value:.4f}" for value in box)
    return blake2b(f"{photo_id}:{detector}:{place}".encode(), digest_size=16).hexdigest()


def folder_of(display: str) -> str:
    """The folder of a path for display, composed (NFC), with a slash at the end: a prefix is a folder and all below."""
    return unicodedata.normalize("NFC", display.replace(os.sep, "/").rpartition("/")[0] + "/")


@dataclass(frozen=True, slots=True)
class Within:
    """Where files are to lie: in one of some sources, and in one of some folders or below it; empty: wherever.

    ``folders`` end with a slash, as `folder_of` gives them.
    """

    sources: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sources or self.folders)

    def has(self, source: str, folder: str) -> bool:
        """Whether a file lies so that is of a source and in a folder."""
        inside = not self.folders or folder.startswith(self.folders)
        return inside and (not self.sources or source in self.sources)


EVERYWHERE = Within()
"""All places."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What the catalog remembers of a file: enough to tell whether it changed."""

    photo_id: str
    size: int
    mtime_ns: int
    status: Status
    missing: bool
    version: str | None = None

    def is_of(self, file: FoundFile) -> bool:
        """Whether a file is as it was."""
        if file.facts is not None:
            return self.version == file.facts.version
        return (self.size, self.mtime_ns) == (file.size, file.mtime_ns)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file and the photo (the content) that it holds."""

    file: FoundFile
    photo_id: str


@dataclass(frozen=True, slots=True)
class FileMove:
    """A file known as ``old`` lies at ``new`` of a source; ``there`` says whether it was seen there, at ``now``."""

    old: bytes
    new: bytes
    display: str
    there: bool
    now: datetime
    source: str = "local"


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """A face to be kept. `box` and `landmarks` (5, 2) are in 0..1 of the upright photo."""

    face_id: str
    box: Box
    landmarks: FloatArray
    quality: Quality
    quality_score: float
    embedding: FloatArray | None


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """A content to be kept, with its faces; turned clockwise by ``turn`` degrees it stands upright."""

    photo_id: str
    status: Status
    reason: str | None
    size: int
    facts: PhotoFacts | None = None
    faces: tuple[FaceRecord, ...] = field(default=())
    turn: int = 0


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One face as the vector index holds it: its vector, and the fields that a search filters on."""

    face_id: str
    vector: FloatArray
    usable: bool
    source: str
    folder: str
    taken_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """What a write to the catalog means for what is derived from it.

    ``touched`` photos' rows in the vector index must be written again, the ``faces`` must leave it, and the ``photos``
    are forgotten. ``lost`` files were not written, because the library does not have their photos any more.
    """

    touched: list[str]
    faces: list[str]
    photos: list[str]
    lost: list[FileRecord] = field(default_factory=list)
