"""The accounts of one service in another one's store: users, sign-ins, keys, and what tokens are signed with."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from facekit.errors import LibraryError
from facekit.server.stores import open_store
from facekit.server.tables import api_keys, sessions, users

if TYPE_CHECKING:
    from facekit.server.database import ServiceStore
    from facekit.storage.backend import Backend

_TABLES = (users, sessions, api_keys)
_SECRET = "token_secret"  # noqa: S105 - the name of what holds it


def copy_accounts(source: ServiceStore, target: ServiceStore) -> int:
    """Copy all accounts into a store that has none; who is signed in stays so, and keys open what they opened.

    Called again, it changes nothing. Jobs stay where they are.

    Returns
    -------
    int
        How many users there are.

    Raises
    ------
    LibraryError
        If the target has other accounts.
    """
    with source.read() as reading:
        rows = {table: _rows(reading, table) for table in _TABLES}
        secret = reading.scalar(sa.select(source.meta.c.value).where(source.meta.c.key == _SECRET))
    with target.write() as writing:
        there = _rows(writing, users)
        if there and there != rows[users]:
            message = "The target has accounts of its own."
            raise LibraryError(message, "Name a new library, so that nobody's account is overwritten.")
        for table in _TABLES:
            writing.execute(sa.delete(table))
            if rows[table]:
                writing.execute(sa.insert(table), rows[table])
        if secret is not None:
            writing.execute(sa.delete(target.meta).where(target.meta.c.key == _SECRET))
            writing.execute(sa.insert(target.meta), {"key": _SECRET, "value": secret})
    return len(rows[users])


def copy_accounts_of(source: Backend, target: Backend) -> None:
    """Copy the accounts of a library's service, if it ever had one; see `copy_accounts`."""
    if isinstance(source.service, Path) and not (source.service / "service.db").exists():
        return
    with closing(open_store(source)) as old, closing(open_store(target)) as new:
        copy_accounts(old, new)


def _rows(connection: sa.Connection, table: sa.Table) -> list[dict[str, object]]:
    ordered = sa.select(table).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(ordered).mappings()]
