"""Rows of the catalog's tables: their types, and how they are made, written, read and deleted.

A type of rows has the names of its columns as fields. `select` asks a table for just these, `fetch` makes the rows.
"""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass
from datetime import datetime  # noqa: TC003 - the types of fields are compared with the tables'
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import sqlalchemy as sa

from facekit.catalog.locks import Kind, hold
from facekit.catalog.tables import meta
from facekit.types.arrays import Quality
from facekit.types.people import Origin, RunState, Verb  # noqa: TC001 - see datetime

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from facekit.catalog.records import FaceRecord
    from facekit.types.photos import Box

_CHUNK = 1000

RowT = TypeVar("RowT")

Values: TypeAlias = dict[str, Any]
"""Some columns of a row, by name, as they are written: which ones, its maker knows."""


class FileRow(NamedTuple):
    """A row of ``files``."""

    file_id: str
    source: str
    path: bytes
    display: str
    folder: str
    photo_id: str
    bytes: int
    mtime_ns: int
    missing_since: datetime | None
    version: str | None = None
    album: str | None = None
    link: str | None = None


class PhotoRow(NamedTuple):
    """A row of ``photos``."""

    photo_id: str
    status: str
    reason: str | None
    bytes: int
    format: str | None
    width: int | None
    height: int | None
    taken_at: datetime | None
    camera: str | None
    latitude: float | None
    longitude: float | None
    turn: int | None
    faces: int
    run_id: str
    source: str | None = None
    display: str | None = None
    folder: str | None = None
    missing: bool | None = None
    files: int | None = None


class FaceRow(NamedTuple):
    """A row of ``faces`` without the embedding, which is most of it."""

    face_id: str
    photo_id: str
    x: float
    y: float
    w: float
    h: float
    landmarks: list[list[float]]
    detection_score: float
    size: float
    sharpness: float
    yaw: float
    pitch: float
    roll: float
    quality: float
    reason: str | None
    detector: str
    embedder: str


class OwnedFaceRow(NamedTuple):
    """A face as a gallery shows it: with its owner, if it has one."""

    face_id: str
    photo_id: str
    x: float
    y: float
    w: float
    h: float
    detection_score: float
    size: float
    sharpness: float
    yaw: float
    pitch: float
    roll: float
    reason: str | None
    person_id: str | None
    person: str | None


class PictureRow(NamedTuple):
    """A photo with one of its files: what is needed to draw it."""

    photo_id: str
    width: int | None
    height: int | None
    turn: int | None
    source: str
    path: bytes
    display: str
    bytes: int
    mtime_ns: int
    version: str | None


class FacePictureRow(NamedTuple):
    """A face with its photo and one of the photo's files: what is needed to draw it."""

    photo_id: str
    width: int | None
    height: int | None
    turn: int | None
    source: str
    path: bytes
    display: str
    bytes: int
    mtime_ns: int
    version: str | None
    x: float
    y: float
    w: float
    h: float
    roll: float
    reason: str | None


class RunRow(NamedTuple):
    """A row of ``runs``."""

    run_id: str
    started_at: datetime
    finished_at: datetime | None
    roots: list[str]
    detector: str
    embedder: str
    device: str
    report: dict[str, Any] | None


class MemberRow(NamedTuple):
    """A row of ``members``: the owner of a face, who said so, and in which run."""

    face_id: str
    person_id: str
    origin: Origin
    run_id: str | None


class RejectionRow(NamedTuple):
    """A row of ``rejections``."""

    face_id: str
    person_id: str


class MembershipRow(NamedTuple):
    """A face that is in the library, with its owner and its photo."""

    face_id: str
    person_id: str
    origin: Origin
    run_id: str | None
    photo_id: str


class ClusterRunRow(NamedTuple):
    """A row of ``cluster_runs`` without the labels, of which every face has one."""

    run_id: str
    method: str
    parameters: dict[str, Any]
    models: str
    faces: int
    people: int
    unassigned: int
    conflicts: list[str]
    seconds: float
    created_at: datetime
    state: RunState


class JournalRow(NamedTuple):
    """A row of ``people_journal``."""

    number: int
    at: datetime
    user: str
    verb: Verb
    words: str
    faces: int
    undoes: int | None
    undone: bool
    changes: bytes


def fields_of(kind: type[Any]) -> tuple[str, ...]:
    """The names of the fields of a NamedTuple or of a dataclass."""
    return tuple(one.name for one in fields(kind)) if is_dataclass(kind) else tuple(kind._fields)


def select(kind: type[Any], table: sa.Table) -> sa.Select[Any]:
    """A query for the columns of a table that a type of rows names: a NamedTuple, or a dataclass."""
    return sa.select(*(table.c[name] for name in fields_of(kind)))


def fetch(connection: sa.Connection, query: sa.Select[Any], kind: type[RowT]) -> list[RowT]:
    """What a query finds, as rows of a type.

    Raises
    ------
    TypeError
        If the query's columns are not the type's fields, one for one.
    """
    found = connection.execute(query)
    if tuple(found.keys()) != fields_of(kind):
        message = f"{kind.__name__} has the fields {fields_of(kind)}; the query finds {tuple(found.keys())}"
        raise TypeError(message)
    return [kind(*row) for row in found]


def box_of(row: FaceRow | OwnedFaceRow | FacePictureRow) -> Box:
    """A face's left, top, width and height in 0..1 of the upright photo."""
    return row.x, row.y, row.w, row.h


def quality_of(row: FaceRow | OwnedFaceRow) -> Quality:
    """The facts of a face's quality."""
    return Quality(row.detection_score, row.size, row.sharpness, row.yaw, row.pitch, row.roll, row.reason)


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Some ids at a time."""
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def among(column: sa.Column[Any], ids: Iterable[str]) -> sa.ColumnElement[bool]:
    """Whether a column has one of some values, however many: they travel as one array.

    An ``IN`` with a parameter a value takes DuckDB eight times as long.
    """
    wanted: sa.BindParameter[Any] = sa.bindparam(f"{column.name}s", list(ids), unique=True)
    return column.in_(sa.select(sa.func.unnest(sa.cast(wanted, sa.ARRAY(sa.String)))))


def column(connection: sa.Connection, query: sa.Select[Any], key: sa.Column[Any], ids: Sequence[str]) -> list[str]:
    """What a query of one column finds for some ids."""
    return list(connection.scalars(query.where(among(key, ids))))


def by_key(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, str]:
    """What a query of two columns finds: the second by the first."""
    return {key: value for key, value in connection.execute(query)}  # noqa: C416 - a row is no pair to mypy


def delete(connection: sa.Connection, key: sa.Column[Any], ids: Sequence[str]) -> None:
    """Delete the rows with some ids."""
    if ids:
        connection.execute(sa.delete(key.table).where(among(key, ids)))


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Values]) -> None:
    """Insert rows, if there are any."""
    if rows:
        connection.execute(sa.insert(table), rows)


def set_meta(connection: sa.Connection, key: str, value: str) -> None:
    """Write down a fact about the catalog as a whole."""
    hold(connection, Kind.FACTS)
    here = meta.c.key == key
    found = connection.scalar(sa.select(meta.c.value).where(here))
    # In place: DuckDB can't undo the exchange of a keyed row when its commit fails, and ends the process.
    if found is None:
        connection.execute(sa.insert(meta), {"key": key, "value": value})
    elif found != value:
        connection.execute(sa.update(meta).where(here).values(value=value))


def face_values(photo_id: str, face: FaceRecord, detector: str, embedder: str) -> Values:
    """A face with its embedding, for `faces` or `staged_faces`."""
    row = FaceRow(
        face.face_id,
        photo_id,
        *face.box,
        landmarks=np.asarray(face.landmarks, float).round(6).tolist(),
        **asdict(face.quality),
        quality=face.quality_score,
        detector=detector,
        embedder=embedder,
    )
    embedding = None if face.embedding is None else np.ascontiguousarray(face.embedding, np.float32).tobytes()
    return row._asdict() | {"embedding": embedding}
