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
    _hold_one(connection, f"facekit schema {schema or ''}")


def hold_index(connection: sa.Connection, schema: str | None) -> None:
    """Keep other processes from bringing the index up to the catalog until the end of the transaction."""
    _hold_one(connection, f"facekit index {schema or ''}")


def hold_service(connection: sa.Connection, schema: str | None) -> None:
    """Keep others from writing accounts and jobs of a service until the end of the transaction."""
    _hold_one(connection, f"facekit service {schema or ''}")


def _hold_one(connection: sa.Connection, name: str) -> None:
    if has_locks(connection):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))
