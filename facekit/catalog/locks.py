"""Locks of the database: who may write what, where several processes write into one catalog.

DuckDB has one writer, and needs none.
"""

from __future__ import annotations

import sqlalchemy as sa


def has_locks(connection: sa.Connection) -> bool:
    """Whether other processes may write at the same time."""
    return connection.dialect.name == "postgresql"


def hold_schema(connection: sa.Connection, schema: str | None) -> None:
    """Keep other processes from making or upgrading the tables of a schema until the end of the transaction."""
    if has_locks(connection):
        name = f"facekit schema {schema or ''}"
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))
