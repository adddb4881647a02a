"""Locks of the database: who may write what, where several processes write into one catalog.

A transaction takes what it needs of each kind at once, and the kinds in the order of `Kind`: then nobody waits for
somebody who waits for them. What was read before a lock was taken may have changed: read it again. DuckDB has one
writer, and needs none of this.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_IDS = 200  # PostgreSQL has room for 64 locks a connection, for all of them together; beyond it, all are locked


class Kind(Enum):
    """What can be locked, in the order in which a transaction does it."""

    FILES = "files"
    """Where files lie and what they hold, by file id."""
    PHOTOS = "photos"
    """Photos with their faces, and what other models make of them, by photo id."""
    PEOPLE = "people"
    """All that is known about people, with its journal."""
    FACTS = "facts"
    """The facts about the catalog as a whole (`meta`), and the runs. They come last: every writer waits for them."""


def has_locks(connection: sa.Connection) -> bool:
    """Whether other processes may write at the same time."""
    return connection.dialect.name == "postgresql"


def hold(connection: sa.Connection, kind: Kind, ids: Iterable[str] | None = None) -> None:
    """Keep other writers from some things of a kind, by default from all of them, until the end of the transaction."""
    if not has_locks(connection):
        return
    wanted = None if ids is None else set(ids)
    if wanted is None or len(wanted) > _MOST_IDS:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_key(kind.value))))
    elif wanted:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_key(kind.value))))
        names = sa.bindparam("held", [f"{kind.value} {one}" for one in wanted], type_=sa.ARRAY(sa.String))
        name = sa.func.unnest(names).column_valued("name")
        keys = sa.select(_key(name).label("key")).distinct().order_by(sa.text("1")).subquery()
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(keys.c.key)))


def hold_schema(connection: sa.Connection, schema: str | None) -> None:
    """Keep other processes from making or upgrading a schema's tables until the end of the transaction."""
    _hold_one(connection, f"facekit schema {schema or ''}")


def share_schema(connection: sa.Connection, schema: str | None) -> None:
    """Wait for whoever makes or upgrades the tables of a schema, and keep others from it until the transaction ends."""
    if has_locks(connection):
        key = sa.func.hashtextextended(f"facekit schema {schema or ''}", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(key)))


def hold_index(connection: sa.Connection, schema: str | None) -> None:
    """Keep other processes from bringing the index up to the catalog until the end of the transaction."""
    _hold_one(connection, f"facekit index {schema or ''}")


def hold_service(connection: sa.Connection, schema: str | None) -> None:
    """Keep others from writing accounts and jobs of a service until the end of the transaction."""
    _hold_one(connection, f"facekit service {schema or ''}")


def _hold_one(connection: sa.Connection, name: str) -> None:
    if has_locks(connection):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


def _key(name: sa.ColumnElement[str] | str) -> sa.ColumnElement[int]:
    """The number of a lock: locks are the whole database's, and libraries in other schemas have their own."""
    return sa.func.hashtextextended(sa.func.concat("facekit ", sa.func.current_schema(), " ", name), 0)
