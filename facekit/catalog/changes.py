"""How often the tables of a catalog were changed by this process: what was read once need not be read again."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping

Version: TypeAlias = tuple[int, ...]
"""How often each of some tables was changed. What was read at the same version is the same."""

_SEEN, _CHANGED = "facekit_seen", "facekit_changed"


class ChangeCounter:
    """Counts the transactions that changed each table.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Whose insertions, updates and deletions are watched, where its connections have the `options`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._lock = Lock()
        self._counts: Mapping[str, int] = {}
        sa.event.listen(engine, "before_execute", _note)

    def options(self) -> dict[str, Any]:
        """What a connection must carry from before its transaction on: a count seen later might be of after it."""
        return {_SEEN: self._counts, _CHANGED: set()}

    def count(self, connection: sa.Connection) -> None:
        """Count what a connection changed; call it when its transaction has ended."""
        changed: set[str] = connection.get_execution_options()[_CHANGED]
        if changed:
            with self._lock:
                self._counts = {**self._counts, **{name: self._counts.get(name, 0) + 1 for name in changed}}


def version(connection: sa.Connection, *tables: sa.Table) -> Version | None:
    """The version of some tables as a connection sees them; None where its own transaction changed one of them."""
    options = connection.get_execution_options()
    names = [table.name for table in tables]
    if options[_CHANGED].intersection(names):
        return None
    return tuple(options[_SEEN].get(name, 0) for name in names)


def _note(connection: sa.Connection, statement: object, *_more: object) -> None:
    changed = connection.get_execution_options().get(_CHANGED)
    if changed is not None and isinstance(statement, sa.UpdateBase) and isinstance(statement.table, sa.TableClause):
        changed.add(statement.table.name)
