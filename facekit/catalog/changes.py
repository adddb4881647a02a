"""How often the tables of a catalog were changed by this process: what was read once need not be read again."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping

Version: TypeAlias = tuple[int, ...]
"""How often each of some tables was changed. What was read at the same version is the same."""

_OPTION = "facekit_changes"


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
        """Count what a connection changed; call it when its transaction has ended."""
        changed = connection.get_execution_options()[_OPTION].changed
        if changed:
            with self._lock:
                self.counts = {**self.counts, **{name: self.counts.get(name, 0) + 1 for name in changed}}


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
        if name not in self._seen:
            connection.execute(sa.select(table.columns[0]).limit(0))  # from here on it sees one moment
            before, after = self._before.get(name, 0), self._counter.counts.get(name, 0)
            self._seen[name] = before if before == after else None
        return None if name in self.changed else self._seen[name]


def version(connection: sa.Connection, *tables: sa.Table) -> Version | None:
    """The version of some tables as a connection sees them.

    None where that is not known, or its own transaction changed one of them: then they must be read.
    """
    transaction = connection.get_execution_options()[_OPTION]
    found = [transaction.seen(connection, table) for table in tables]
    return None if None in found else tuple(one for one in found if one is not None)


def _note(connection: sa.Connection, statement: object, *_more: object) -> None:
    transaction = connection.get_execution_options().get(_OPTION)
    if transaction is not None and isinstance(statement, sa.UpdateBase) and isinstance(statement.table, sa.TableClause):
        transaction.changed.add(statement.table.name)
