"""How often the tables of a catalog were changed: what was read once need not be read again.

A file has one process, which counts in memory. On a server many may write: they count in `table_versions`, in the
transaction that makes the change.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from facekit.catalog.locks import has_locks
from facekit.catalog.shared_tables import table_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

Version: TypeAlias = tuple[int, ...]
"""How often each of some tables was changed. What was read at the same version is the same."""

_OPTION = "facekit_changes"
_COUNTED = ("allowed_twice", "cluster_runs", "differences", "faces", "members", "persons", "rejections")
"""The tables of which versions are asked; in this order, so that no two transactions wait for each other."""


class ChangeCounter:
    """Counts the transactions that changed each table.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Whose insertions, updates and deletions are watched, where its connections have the `options`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._lock = Lock()
        self.counts: Mapping[str, int] = {}
        sa.event.listen(engine, "before_execute", _note)

    def options(self) -> dict[str, _Transaction]:
        """What a connection must carry from before its transaction on."""
        return {_OPTION: _Transaction(self)}

    def count(self, connection: sa.Connection) -> None:
        """Count in memory what a connection changed; call it when its transaction has ended."""
        changed = connection.get_execution_options()[_OPTION].changed
        if changed:
            with self._lock:
                self.counts = {**self.counts, **{name: self.counts.get(name, 0) + 1 for name in changed}}


def count_for_all(connection: sa.Connection) -> None:
    """Count in the database what a connection changed; the last statement of its transaction: others wait for it."""
    changed = connection.get_execution_options()[_OPTION].changed
    rows = [{"name": name, "count": 1} for name in _COUNTED if name in changed]
    if rows and has_locks(connection):
        first = insert(table_versions).values(rows)
        more = {"count": table_versions.c.count + 1}
        connection.execute(first.on_conflict_do_update(index_elements=["name"], set_=more))


class _Transaction:
    """What a transaction changed, and which versions it sees."""

    def __init__(self, counter: ChangeCounter) -> None:
        self._counter = counter
        self._before = counter.counts
        self._seen: dict[str, int | None] = {}
        self.changed: set[str] = set()

    def seen(self, connection: sa.Connection, table: sa.Table) -> int | None:
        """The version of a table; None where another transaction may have ended just before or after this one began."""
        name = table.name
        if name in self.changed:
            return None
        if has_locks(connection):  # as it is now: one that writes sees what others have written since it began
            count = sa.select(table_versions.c.count).where(table_versions.c.name == name)
            return int(connection.scalar(count) or 0)
        if name not in self._seen:
            connection.execute(sa.select(table.columns[0]).limit(0))  # from here on it sees one moment
            before, after = self._before.get(name, 0), self._counter.counts.get(name, 0)
            self._seen[name] = before if before == after else None
        return self._seen[name]


def version(connection: sa.Connection, *tables: sa.Table) -> Version | None:
    """The version of some tables as a connection sees them; ask before and after you read them.

    None where that is not known, or its own transaction changed one of them: then they must be read.
    """
    transaction = connection.get_execution_options()[_OPTION]
    found = [transaction.seen(connection, table) for table in tables]
    return None if None in found else tuple(one for one in found if one is not None)


def _note(connection: sa.Connection, statement: object, *_more: object) -> None:
    transaction = connection.get_execution_options().get(_OPTION)
    if transaction is not None and isinstance(statement, sa.UpdateBase) and isinstance(statement.table, sa.TableClause):
        transaction.changed.add(statement.table.name)
