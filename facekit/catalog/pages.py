"""Pages of photos and faces: what a gallery shows, at the same cost whatever the size of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facekit.arguments import checked_page, checked_position, checked_status, is_id
from facekit.catalog.people_tables import members, persons
from facekit.catalog.places import place_order
from facekit.catalog.tables import faces, files, photos
from facekit.errors import UnknownIdError
from facekit.types.arrays import Quality
from facekit.types.photos import Face, FacePage, Folder, Photo, PhotoPage, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from facekit.catalog.database import Database


def _first(folder: str | None = None) -> sa.Subquery:
    """The place of each photo that is shown: what the rest of facekit calls its path."""
    rank = sa.func.row_number().over(partition_by=files.c.photo_id, order_by=place_order(folder))
    ranked = sa.select(files.c.photo_id, files.c.display, files.c.missing_since, rank.label("rank")).subquery()
    return sa.select(ranked).where(ranked.c.rank == 1).subquery()


_faces = (
    sa.select(
        *(column for column in faces.c if column.name not in {"embedding", "landmarks"}),
        persons.c.person_id,
        persons.c.name.label("person"),
    )
    .outerjoin(members, members.c.face_id == faces.c.face_id)
    .outerjoin(persons, persons.c.person_id == members.c.person_id)
)


class Pages:
    """Reads pages from a catalog."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine

    def photos(
        self, status: Status | str | None, folder: str | None, offset: int, limit: int, person_id: str | None = None
    ) -> PhotoPage:
        """Some photos, ordered by path. ``folder`` ends with a slash and stands for all below it."""
        first = _first(folder)
        joined = sa.select(photos.c.photo_id).join(first, first.c.photo_id == photos.c.photo_id)
        if status is not None:
            joined = joined.where(*_status(status, first))
        if folder is not None:
            inside = sa.select(files.c.photo_id).where(files.c.folder.startswith(folder, autoescape=True))
            joined = joined.where(photos.c.photo_id.in_(inside))
        if person_id is not None:
            theirs = sa.select(faces.c.photo_id).join(members, members.c.face_id == faces.c.face_id)
            joined = joined.where(photos.c.photo_id.in_(theirs.where(members.c.person_id == person_id)))
        ordered = joined.order_by(first.c.display, photos.c.photo_id)
        with self._engine.connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(joined.subquery())) or 0
            keys = connection.scalars(ordered.offset(checked_position(offset)).limit(checked_page(limit))).all()
            found = _photos(connection, keys, folder)
        return PhotoPage(total, offset, tuple(found[key] for key in keys))

    def faces(self, offset: int, limit: int, *, include_poor: bool) -> FacePage:
        """Some faces, ordered by their photo's path and from left to right."""
        first = _first()
        joined = sa.select(faces.c.face_id, faces.c.photo_id).join(first, first.c.photo_id == faces.c.photo_id)
        if not include_poor:
            joined = joined.where(faces.c.reason.is_(None))
        ordered = joined.order_by(first.c.display, faces.c.x, faces.c.face_id)
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
        if known_id(photo_id) not in found:
            message = "The library has no photo with this id."
            raise UnknownIdError(message, "It may have been removed; load the page again.")
        return found[photo_id]

    def face(self, face_id: str) -> Face:
        """One face."""
        query = _faces.where(faces.c.face_id == known_id(face_id))
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            message = "The library has no face with this id."
            raise UnknownIdError(message, "It may have been removed; load the page again.")
        return _face(dict(row))

    def folders(self) -> tuple[Folder, ...]:
        """The folders that hold photos and those above them, up to the one that holds all of a source."""
        count = sa.func.count(sa.distinct(files.c.photo_id))
        query = sa.select(files.c.source, files.c.folder, count).group_by(files.c.source, files.c.folder)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
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
        return tuple(Folder(source, folder, number) for (source, folder), number in sorted(sums.items()))


def _common(folders: list[str]) -> str:
    """The folder that holds all of these, with its slash."""
    low, high = min(folders), max(folders)
    same = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:same].rpartition("/")[0] + "/"


def _status(status: Status | str, first: sa.Subquery) -> list[sa.ColumnElement[bool]]:
    if checked_status(status) is Status.MISSING:
        return [first.c.missing_since.is_not(None)]
    return [first.c.missing_since.is_(None), photos.c.status == str(status)]


def known_id(value: object) -> str:
    """An id as the database can look for it: "", which nothing has, for anything that is no id."""
    return str(value) if is_id(value) else ""


def _photos(connection: sa.Connection, photo_ids: Iterable[str], folder: str | None = None) -> dict[str, Photo]:
    """Photos with their files and faces, in the order of the ids; unknown ids are left out."""
    wanted = list(photo_ids)
    places: dict[str, list[Mapping[str, Any]]] = {}
    query = sa.select(files).where(files.c.photo_id.in_(wanted)).order_by(*place_order(folder))
    for row in connection.execute(query).mappings():
        places.setdefault(row["photo_id"], []).append(dict(row))
    inside: dict[str, list[Face]] = {}
    by_size = _faces.where(faces.c.photo_id.in_(wanted)).order_by(faces.c.size.desc(), faces.c.x)
    for row in connection.execute(by_size).mappings():
        inside.setdefault(row["photo_id"], []).append(_face(dict(row)))
    rows = connection.execute(sa.select(photos).where(photos.c.photo_id.in_(wanted))).mappings()
    found = {row["photo_id"]: dict(row) for row in rows if row["photo_id"] in places}
    return {key: _photo(found[key], places[key], inside.get(key, [])) for key in wanted if key in found}


def _photo(row: Mapping[str, Any], places: list[Mapping[str, Any]], inside: list[Face]) -> Photo:
    first = places[0]
    same = ("reason", "bytes", "width", "height", "format", "taken_at", "camera", "latitude", "longitude")
    return Photo(
        photo_id=row["photo_id"],
        path=first["display"],
        paths=tuple(place["display"] for place in places),
        source=first["source"],
        status=Status(row["status"]) if first["missing_since"] is None else Status.MISSING,
        faces=tuple(inside),
        copies=sum(place["missing_since"] is None for place in places) or 1,
        turn=row["turn"] or 0,
        **{name: row[name] for name in same},
    )


def _face(row: Mapping[str, Any]) -> Face:
    box = (row["x"], row["y"], row["w"], row["h"])
    return Face(row["face_id"], row["photo_id"], box, quality_of(row), row["person"], row["person_id"])


def _by_id(found: Iterable[Photo]) -> dict[str, Face]:
    return {face.face_id: face for photo in found for face in photo.faces}


def quality_of(row: Mapping[str, Any]) -> Quality:
    """The quality facts in a row of the catalog's faces."""
    names = ("detection_score", "size", "sharpness", "yaw", "pitch", "roll", "reason")
    return Quality(*(row[name] for name in names))
