"""Pages of photos and faces: what a gallery shows, at the same cost whatever the size of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from facekit.arguments import checked_page, checked_position, checked_status, is_id, no_such
from facekit.catalog.people_tables import members, persons
from facekit.catalog.places import lies, place_order
from facekit.catalog.records import EVERYWHERE
from facekit.catalog.rows import (
    FacePictureRow,
    FileRow,
    OwnedFaceRow,
    PhotoRow,
    PictureRow,
    box_of,
    fetch,
    quality_of,
    select,
)
from facekit.catalog.sources import kinds_of_sources, place_of
from facekit.catalog.tables import INDEXED, faces, files, photos
from facekit.types.photos import Face, FacePage, Folder, Photo, PhotoPage, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from facekit.catalog.database import Database
    from facekit.catalog.records import Within

T = TypeVar("T")


def _shown(within: Within = EVERYWHERE) -> sa.Subquery:
    """The photos that a gallery shows: each with the path by which it is called there, and whether that is missing."""
    here = sa.select(photos.c.photo_id, photos.c.status, photos.c.display, photos.c.missing).where(photos.c.files > 0)
    if not within:
        return here.subquery()
    # The first place of all is the first one in a folder, too, if it lies there. Where it does not, another one may.
    first_lies = lies(photos, within)
    elsewhere = sa.select(photos.c.photo_id).where(photos.c.files > 1, ~first_lies)
    inside = sa.select(files.c.photo_id).where(lies(files, within))
    rank = sa.func.row_number().over(partition_by=files.c.photo_id, order_by=place_order(within)).label("rank")
    ranked = sa.select(files.c.photo_id, files.c.display, files.c.missing_since.is_not(None).label("missing"), rank)
    first = ranked.where(files.c.photo_id.in_(elsewhere), files.c.photo_id.in_(inside)).subquery()
    others = sa.select(first.c.photo_id, photos.c.status, first.c.display, first.c.missing)
    others = others.join(photos, photos.c.photo_id == first.c.photo_id).where(first.c.rank == 1)
    return sa.union_all(here.where(first_lies), others).subquery()


def _by_path(shown: sa.Subquery) -> tuple[sa.ColumnElement[str], ...]:
    """Ordered by path, as an index has it."""
    return sa.func.left(shown.c.display, INDEXED), shown.c.display


_faces = (
    sa.select(
        *(faces.c[name] for name in OwnedFaceRow._fields if name in faces.c),
        persons.c.person_id,
        persons.c.name.label("person"),
    )
    .outerjoin(members, members.c.face_id == faces.c.face_id)
    .outerjoin(persons, persons.c.person_id == members.c.person_id)
)


_pictures = (
    sa.select(
        *(photos.c[name] for name in ("photo_id", "width", "height", "turn")),
        *(files.c[name] for name in ("source", "path", "display", "bytes", "mtime_ns", "version")),
    )
    .join(files, files.c.photo_id == photos.c.photo_id)
    .order_by(*place_order())
)


class Pages:
    """Reads pages from a catalog."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine

    def photos(
        self, status: Status | str | None, within: Within, offset: int, limit: int, person_id: str | None = None
    ) -> PhotoPage:
        """Some photos, ordered by path."""
        shown = _shown(within)
        found = sa.select(shown.c.photo_id)
        if status is not None:
            found = found.where(*_status(status, shown))
        if person_id is not None:
            theirs = sa.select(faces.c.photo_id).join(members, members.c.face_id == faces.c.face_id)
            found = found.where(shown.c.photo_id.in_(theirs.where(members.c.person_id == person_id)))
        ordered = found.order_by(*_by_path(shown), shown.c.photo_id)
        with self._engine.connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(found.subquery())) or 0
            keys = connection.scalars(ordered.offset(checked_position(offset)).limit(checked_page(limit))).all()
            known = _photos(connection, keys, within)
        return PhotoPage(total, offset, tuple(known[key] for key in keys))

    def faces(self, offset: int, limit: int, *, include_poor: bool) -> FacePage:
        """Some faces, ordered by their photo's path and from left to right."""
        shown = _shown()
        joined = sa.select(faces.c.face_id, faces.c.photo_id).join(shown, shown.c.photo_id == faces.c.photo_id)
        if not include_poor:
            joined = joined.where(faces.c.reason.is_(None))
        ordered = joined.order_by(*_by_path(shown), faces.c.x, faces.c.face_id)
        with self._engine.connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(joined.subquery())) or 0
            keys = connection.execute(ordered.offset(checked_position(offset)).limit(checked_page(limit))).all()
            found = _photos(connection, list(dict.fromkeys(photo_id for _, photo_id in keys)))
        known = _by_id(found.values())
        return FacePage(total, offset, tuple(known[key] for key, _ in keys), tuple(found.values()))

    def some_faces(self, face_ids: Sequence[str], limit: int) -> tuple[dict[str, Face], tuple[Photo, ...]]:
        """Some faces by id, and the photos that they are in."""
        checked_page(limit)
        with self._engine.connect() as connection:
            query = sa.select(faces.c.photo_id).where(faces.c.face_id.in_(face_ids)).distinct()
            found = _photos(connection, sorted(connection.scalars(query)))
        return _by_id(found.values()), tuple(found.values())

    def photo(self, photo_id: str) -> Photo:
        """One photo with its faces."""
        with self._engine.connect() as connection:
            found = _photos(connection, [known_id(photo_id)])
        return _known(found.values(), "photo")[0]

    def face(self, face_id: str) -> Face:
        """One face."""
        query = _faces.where(faces.c.face_id == known_id(face_id))
        with self._engine.connect() as connection:
            found = fetch(connection, query, OwnedFaceRow)
        return _face(_known(found, "face")[0])

    def picture(self, photo_id: str) -> list[PictureRow]:
        """What is needed to draw a photo: one row a file, the one that is shown first. One statement."""
        query = _pictures.where(photos.c.photo_id == known_id(photo_id))
        with self._engine.connect() as connection:
            return _known(fetch(connection, query, PictureRow), "photo")

    def face_picture(self, face_id: str) -> list[FacePictureRow]:
        """What is needed to draw a face: one row a file of its photo, the one that is shown first. One statement."""
        columns = [faces.c[name] for name in ("x", "y", "w", "h", "roll", "reason")]
        query = _pictures.add_columns(*columns).join(faces, faces.c.photo_id == photos.c.photo_id)
        with self._engine.connect() as connection:
            found = fetch(connection, query.where(faces.c.face_id == known_id(face_id)), FacePictureRow)
        return _known(found, "face")

    def folders(self) -> tuple[Folder, ...]:
        """The folders that hold photos and those above them, up to the one that holds all of a source."""
        count = sa.func.count(sa.distinct(files.c.photo_id))
        query = sa.select(files.c.source, files.c.folder, count).group_by(files.c.source, files.c.folder)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
            kinds = kinds_of_sources(connection)
        sums: dict[tuple[str, str], int] = {}
        tops = {
            source: _common([other for of, other, _ in rows if of == source]) for source in {row[0] for row in rows}
        }
        for source, folder, number in rows:
            top = tops[source]
            parts = folder[len(top) :].split("/")[:-1]
            for depth in range(len(parts) + 1):
                key = (source, top + "".join(part + "/" for part in parts[:depth]))
                sums[key] = sums.get(key, 0) + number
        return tuple(
            Folder(source, folder, number, kinds.get(source)) for (source, folder), number in sorted(sums.items())
        )


def _common(folders: list[str]) -> str:
    """The folder that holds all of these, with its slash."""
    low, high = min(folders), max(folders)
    same = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:same].rpartition("/")[0] + "/"


def _known(found: Iterable[T], what: str) -> list[T]:
    """What was found by an id. Raises UnknownIdError where that is nothing."""
    if known := list(found):
        return known
    raise no_such(what)


def _status(status: Status | str, shown: sa.Subquery) -> list[sa.ColumnElement[bool]]:
    if checked_status(status) is Status.MISSING:
        return [shown.c.missing]
    return [~shown.c.missing, shown.c.status == str(status)]


def known_id(value: object) -> str:
    """An id as the database can look for it: "", which nothing has, for anything that is no id."""
    return str(value) if is_id(value) else ""


def _photos(connection: sa.Connection, photo_ids: Iterable[str], within: Within = EVERYWHERE) -> dict[str, Photo]:
    """Photos with their files and faces, in the order of the ids; unknown ids are left out."""
    wanted = list(photo_ids)
    places: dict[str, list[FileRow]] = {}
    query = select(FileRow, files).where(files.c.photo_id.in_(wanted)).order_by(*place_order(within))
    for place in fetch(connection, query, FileRow):
        places.setdefault(place.photo_id, []).append(place)
    inside: dict[str, list[Face]] = {}
    by_size = _faces.where(faces.c.photo_id.in_(wanted)).order_by(faces.c.size.desc(), faces.c.x)
    for face in fetch(connection, by_size, OwnedFaceRow):
        inside.setdefault(face.photo_id, []).append(_face(face))
    rows = fetch(connection, select(PhotoRow, photos).where(photos.c.photo_id.in_(wanted)), PhotoRow)
    found = {row.photo_id: row for row in rows if row.photo_id in places}
    kinds = kinds_of_sources(connection)
    return {key: _photo(found[key], places[key], inside.get(key, []), kinds) for key in wanted if key in found}


def _photo(row: PhotoRow, files_of_it: list[FileRow], inside: list[Face], kinds: Mapping[str, str]) -> Photo:
    first = files_of_it[0]
    places = tuple(place_of(file, kinds) for file in files_of_it)
    return Photo(
        photo_id=row.photo_id,
        path=first.display,
        paths=tuple(place.path for place in places),
        source=first.source,
        status=Status(row.status) if first.missing_since is None else Status.MISSING,
        reason=row.reason,
        bytes=row.bytes,
        width=row.width,
        height=row.height,
        format=row.format,
        taken_at=row.taken_at,
        camera=row.camera,
        latitude=row.latitude,
        longitude=row.longitude,
        faces=tuple(inside),
        copies=sum(file.missing_since is None for file in files_of_it) or 1,
        turn=row.turn or 0,
        album=places[0].album,
        link=places[0].link,
        places=places,
    )


def _face(row: OwnedFaceRow) -> Face:
    return Face(row.face_id, row.photo_id, box_of(row), quality_of(row), row.person, row.person_id)


def _by_id(found: Iterable[Photo]) -> dict[str, Face]:
    return {face.face_id: face for photo in found for face in photo.faces}
