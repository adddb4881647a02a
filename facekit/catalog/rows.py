"""Rows of the catalog's tables: how they are made, written, read and deleted."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from facekit.catalog.tables import meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from facekit.catalog.records import FaceRecord

_CHUNK = 1000


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


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, if there are any."""
    if rows:
        connection.execute(sa.insert(table), rows)


def set_meta(connection: sa.Connection, key: str, value: str) -> None:
    """Write down a fact about the catalog as a whole."""
    here = meta.c.key == key
    found = connection.scalar(sa.select(meta.c.value).where(here))
    # In place: DuckDB can't undo the exchange of a keyed row when its commit fails, and ends the process.
    if found is None:
        connection.execute(sa.insert(meta), {"key": key, "value": value})
    elif found != value:
        connection.execute(sa.update(meta).where(here).values(value=value))


def face_row(photo_id: str, face: FaceRecord, detector: str, embedder: str) -> dict[str, Any]:
    """A row of `faces`."""
    x, y, w, h = face.box
    embedding = None if face.embedding is None else np.ascontiguousarray(face.embedding, np.float32).tobytes()
    return {
        "face_id": face.face_id,
        "photo_id": photo_id,
        "x": x,
        "y": y,
        "w": w,
        "h": h,
        "landmarks": np.asarray(face.landmarks, float).round(6).tolist(),
        **asdict(face.quality),
        "quality": face.quality_score,
        "detector": detector,
        "embedder": embedder,
        "embedding": embedding,
    }
