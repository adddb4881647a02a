"""What a gallery shows: pages of tiles, taken from hits or from a library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from facekit.hits import Hits
from facekit.library import Library

if TYPE_CHECKING:
    import os

    from facekit.types import Face, Photo, Status

Box: TypeAlias = tuple[float, float, float, float]
Kind: TypeAlias = Literal["photos", "faces"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a gallery.

    ``key`` names it in a selection, ``title`` says where the photo lies. ``boxes`` are in 0..1 of the thumbnail;
    ``chosen`` is the one that matters, -1 where none does; ``face_id`` is the face that the large view emphasises.
    ``note`` says why a photo could not be used, or why a face is poor; ``note_key`` is the short text for that, or "".
    """

    key: str
    photo_id: str
    label: str
    title: str
    boxes: tuple[Box, ...] = ()
    chosen: int = -1
    face_id: str = ""
    similarity: float | None = None
    person: str | None = None
    note: str = ""
    note_key: str = ""


class Tiles(Protocol):
    """A list of tiles, however long, that is read a page at a time."""

    @property
    def library(self) -> Library:
        """Where the photos are, for the large view."""

    @property
    def kind(self) -> Kind:
        """What is counted."""

    def total(self) -> int:
        """How many there are."""

    def page(self, offset: int, limit: int) -> list[Tile]:
        """Some of them, from a position on."""

    def thumbnail(self, tile: Tile) -> bytes | None:
        """A small JPEG, None where none is kept; called from several threads."""


def tiles_of(what: Tiles | Hits | Library) -> Tiles:
    """The tiles of a search's hits, or of all photos of a library."""
    if isinstance(what, Hits):
        return HitTiles(what)
    if isinstance(what, Library):
        return PhotoTiles(what)
    return what


class HitTiles:
    """The photos that a search found, best first, each with the face that was found in it."""

    kind: Kind = "photos"

    def __init__(self, hits: Hits) -> None:
        self.library: Library = hits.library
        self._hits = hits

    def total(self) -> int:
        """How many photos were found."""
        return len(self._hits)

    def page(self, offset: int, limit: int) -> list[Tile]:
        """Some of the hits."""
        return [
            Tile(
                key=hit.photo_id,
                photo_id=hit.photo_id,
                label=_name(hit.photo),
                title=hit.photo,
                boxes=(hit.box,),
                chosen=0,
                face_id=hit.face_id,
                similarity=hit.similarity,
                person=hit.person,
            )
            for hit in self._hits[offset : offset + limit]
        ]

    def thumbnail(self, tile: Tile) -> bytes | None:
        """The whole photo."""
        return self.library.thumbnail(tile.photo_id)


class PhotoTiles:
    """The photos of a library: all, those with a status, or those in a folder; with all their faces."""

    kind: Kind = "photos"

    def __init__(
        self, library: Library, status: Status | str | None = None, folder: str | os.PathLike[str] | None = None
    ) -> None:
        self.library = library
        self._status = status
        self._folder = folder

    def total(self) -> int:
        """How many photos there are."""
        return self.library.photo_page(self._status, folder=self._folder, limit=1).total

    def page(self, offset: int, limit: int) -> list[Tile]:
        """Some of the photos, ordered by path."""
        found = self.library.photo_page(self._status, folder=self._folder, offset=offset, limit=limit)
        return [_photo_tile(photo) for photo in found.photos]

    def thumbnail(self, tile: Tile) -> bytes | None:
        """The whole photo."""
        return self.library.thumbnail(tile.photo_id)


class FaceTiles:
    """All faces of a library, ordered by photo; a poor one says what is wrong with it."""

    kind: Kind = "faces"

    def __init__(self, library: Library) -> None:
        self.library = library

    def total(self) -> int:
        """How many faces there are."""
        return self.library.face_page(include_poor=True, limit=1).total

    def page(self, offset: int, limit: int) -> list[Tile]:
        """Some of the faces."""
        found = self.library.face_page(include_poor=True, offset=offset, limit=limit)
        paths = {photo.photo_id: photo.path for photo in found.photos}
        return [_face_tile(face, paths[face.photo_id]) for face in found.faces]

    def thumbnail(self, tile: Tile) -> bytes | None:
        """The face with some of what surrounds it."""
        return self.library.face_thumbnail(tile.face_id)


def _photo_tile(photo: Photo) -> Tile:
    people = ", ".join(dict.fromkeys(face.person for face in photo.faces if face.person))
    return Tile(
        key=photo.photo_id,
        photo_id=photo.photo_id,
        label=_name(photo.path),
        title=photo.path,
        boxes=tuple(face.box for face in photo.faces),
        person=people or None,
        note=photo.reason or "",
    )


def _face_tile(face: Face, path: str) -> Tile:
    return Tile(
        key=face.face_id,
        photo_id=face.photo_id,
        label=_name(path),
        title=path,
        face_id=face.face_id,
        person=face.person,
        note=face.quality.reason or "",
        note_key=_note_key(face.quality.reason),
    )


def _name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path


def _note_key(reason: str | None) -> str:
    """The key of the text that says in short why a face is poor, or ""."""
    words = {"too small": "small", "too blurred": "blurred", "turned away": "turned"}
    found = [key for said, key in words.items() if (reason or "").startswith(said)]
    return f"gallery.poor.{found[0]}" if found else ""
