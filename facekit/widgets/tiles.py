"""What a gallery shows: pages of tiles, taken from hits or from a library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from facekit.images.orientation import turned_box
from facekit.library.base import Library
from facekit.models.quality import NO_FACE
from facekit.search.hits import Hits
from facekit.sources.links import source_words

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Sequence

    from facekit.people.who import Who
    from facekit.types.people import Member
    from facekit.types.photos import Box, Face, Photo, PhotoPage, PictureSource, Status

Kind: TypeAlias = Literal["photos", "faces"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a gallery.

    ``key`` names it in a selection, ``title`` says where the photo lies. ``boxes`` are in 0..1 of the thumbnail, and
    ``names`` says whose they are, "" where that is not known, ``poor`` what is wrong with them, "" where nothing is;
    ``chosen`` is the one that matters, -1 where none does; ``face_id`` is the face that the large view emphasises;
    ``copies`` counts the files that hold the photo.
    ``origin`` says which connected place the photo is from, "" for one in a folder;
    ``note`` says why a photo could not be used, or why a face is poor; ``note_key`` is the short text for that, or "".
    """

    key: str
    photo_id: str
    label: str
    title: str
    boxes: tuple[Box, ...] = ()
    names: tuple[str, ...] = ()
    poor: tuple[str, ...] = ()
    chosen: int = -1
    face_id: str = ""
    similarity: float | None = None
    person: str | None = None
    note: str = ""
    note_key: str = ""
    copies: int = 1
    origin: str = ""


class Tiles(Protocol):
    """A list of tiles, however long, that is read a page at a time."""

    @property
    def library(self) -> PictureSource:
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
        self.library = hits.library
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
                boxes=(turned_box(hit.box, hit.turn),),
                names=(hit.person or "",),
                poor=(hit.quality.reason or "",),
                chosen=0,
                face_id=hit.face_id,
                similarity=hit.similarity,
                person=hit.person,
                copies=hit.copies,
                origin=source_words(hit.source, hit.source_kind, hit.album),
            )
            for hit in self._hits[offset : offset + limit]
        ]

    def thumbnail(self, tile: Tile) -> bytes | None:
        """The whole photo."""
        return self.library.thumbnail(tile.photo_id)


class PhotoTiles:
    """The photos of a library: all, those with a status, from a source, in a folder, of a person (an id)."""

    kind: Kind = "photos"

    def __init__(
        self,
        library: Library,
        status: Status | str | None = None,
        folder: str | os.PathLike[str] | None = None,
        person: str | None = None,
        source: str | None = None,
    ) -> None:
        self.library = library
        self._status = status
        self._folder = folder
        self._person = person
        self._source = source

    def total(self) -> int:
        """How many photos there are."""
        return self._read(0, 1).total

    def page(self, offset: int, limit: int) -> list[Tile]:
        """Some of the photos, ordered by path."""
        return [_photo_tile(photo, self._person) for photo in self._read(offset, limit).photos]

    def thumbnail(self, tile: Tile) -> bytes | None:
        """The whole photo."""
        return self.library.thumbnail(tile.photo_id)

    def _read(self, offset: int, limit: int) -> PhotoPage:
        return self.library.photo_page(
            self._status,
            folder=self._folder,
            source=self._source,
            person=self._person,
            offset=offset,
            limit=limit,
        )


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


class MemberTiles:
    """The faces of a person, the most typical first; those in ``outliers`` are said to stand out."""

    kind: Kind = "faces"

    def __init__(self, library: Library, person: Who) -> None:
        self.library = library
        self.outliers: Collection[str] = ()
        self._person = person

    def total(self) -> int:
        """How many faces the person has."""
        return self.library.people.faces(self._person, limit=1).total

    def page(self, offset: int, limit: int) -> list[Tile]:
        """Some of the faces."""
        found = self.library.people.faces(self._person, offset=offset, limit=limit)
        paths = {photo.photo_id: photo.path for photo in found.photos}
        return [self._tile(member, paths[member.face.photo_id]) for member in found.members]

    def thumbnail(self, tile: Tile) -> bytes | None:
        """The face with some of what surrounds it."""
        return self.library.face_thumbnail(tile.face_id)

    def _tile(self, member: Member, path: str) -> Tile:
        tile = replace(_face_tile(member.face, path), person=None, similarity=member.similarity)
        if member.face.face_id in self.outliers:
            return replace(tile, note="unlike the person's other faces", note_key="gallery.stands_out")
        return tile


class ChainedTiles:
    """Some lists of photos one after the other."""

    kind: Kind = "photos"

    def __init__(self, library: Library, lists: Sequence[Tiles]) -> None:
        self.library = library
        self._lists = lists

    def total(self) -> int:
        """How many photos there are."""
        return sum(tiles.total() for tiles in self._lists)

    def page(self, offset: int, limit: int) -> list[Tile]:
        """Some of the photos."""
        found: list[Tile] = []
        for tiles in self._lists:
            total = tiles.total()
            if offset < total and len(found) < limit:
                found += tiles.page(offset, limit - len(found))
            offset = max(0, offset - total)
        return found

    def thumbnail(self, tile: Tile) -> bytes | None:
        """The whole photo."""
        return self.library.thumbnail(tile.photo_id)


def _photo_tile(photo: Photo, person: str | None = None) -> Tile:
    theirs = [index for index, face in enumerate(photo.faces) if person and face.person_id == person]
    people = ", ".join(dict.fromkeys(face.person for face in photo.faces if face.person))
    return Tile(
        key=photo.photo_id,
        photo_id=photo.photo_id,
        label=_name(photo.path),
        title=photo.path,
        boxes=tuple(turned_box(face.box, photo.turn) for face in photo.faces),
        names=tuple(face.person or "" for face in photo.faces),
        poor=tuple(face.quality.reason or "" for face in photo.faces),
        chosen=theirs[0] if theirs else -1,
        face_id=photo.faces[theirs[0]].face_id if theirs else "",
        person=people or None,
        note=photo.reason or "",
        note_key=f"gallery.status.{photo.status.value}" if photo.reason else "",
        copies=photo.copies,
        origin=next((source_words(one.source, one.kind, one.album) for one in photo.places), ""),
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
    words = {
        "too small": "small",
        "too blurred": "blurred",
        "turned away": "turned",
        "perhaps not": "no_face",
        NO_FACE: "no_face",
    }
    found = [key for said, key in words.items() if (reason or "").startswith(said)]
    return f"gallery.poor.{found[0]}" if found else ""
