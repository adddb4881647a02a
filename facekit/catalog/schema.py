"""A database's version, and the numbered steps that bring what an older facekit made to the newest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa

from facekit.errors import DiskFullError, LibraryError
from facekit.system.disk_space import check_room, is_disk_full

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    Step: TypeAlias = Callable[[sa.Connection], None]

_KEY = "schema"


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a database, and how older ones become them.

    Parameters
    ----------
    metadata : sa.MetaData
        The tables as they are in the newest version, which a new database gets at once.
    meta : sa.Table
        The one of them, with a ``key`` and a ``value``, whose row "schema" holds the version.
    steps : mapping of int to callable
        By the version that it leads to, from 2 on: what makes a database of the version before into one of this. Its
        docstring's first line says in a user's words what is new. It runs once, in one transaction with the others, on
        the SQL that DuckDB, SQLite and PostgreSQL share, and uses no table of ``metadata``, which the steps after it
        change, but tables of its own.
    shared : sa.MetaData, optional
        Tables that only a database on a server has: a step that changes them asks what the connection's dialect is.
    """

    metadata: sa.MetaData
    meta: sa.Table
    steps: Mapping[int, Step]
    shared: sa.MetaData | None = None

    @property
    def version(self) -> int:
        """The newest."""
        return max(self.steps)

    def version_of(self, connection: sa.Connection) -> int | None:
        """A database's version: 1 where it has its tables and none is written down, None where it has none of them."""
        inspector = sa.inspect(connection)
        if inspector.has_table(self.meta.name):
            found = connection.scalar(sa.select(self.meta.c.value).where(self.meta.c.key == _KEY))
            return 1 if found is None else int(found)
        return None if self.metadata.tables.keys().isdisjoint(inspector.get_table_names()) else 1

    def refuse_newer(self, version: int, what: str) -> None:
        """Refuse what a newer facekit made: it may hold what this one would spoil. Raises LibraryError."""
        if version > self.version:
            message = f"A newer facekit wrote {what} (schema {version}; this one knows {self.version})."
            raise LibraryError(message, "Upgrade facekit.")

    def check(self, connection: sa.Connection, what: str) -> None:
        """Refuse a database whose version is another than the newest. Raises LibraryError."""
        found = self.version_of(connection)
        if found is not None and found < self.version:
            message = f"An older facekit made {what} (schema {found}; this one needs {self.version})."
            raise LibraryError(message, "Stop all that use it, then upgrade it: facekit --library PLACE upgrade")
        if found is not None:
            self.refuse_newer(found, what)

    def prepare(self, connection: sa.Connection, what: str, path: Path | None) -> int | None:
        """Bring a database to the newest version, in the transaction that the connection is in.

        Parameters
        ----------
        connection : sa.Connection
            Nobody else writes until its transaction ends. Where this raises, it must be rolled back.
        what : str
            The database, in the middle of a sentence.
        path : Path, optional
            Its file, where it is one: its disk must have room for all of it once more.

        Returns
        -------
        int or None
            The version that it had; None if it was new.

        Raises
        ------
        LibraryError
            If a newer facekit wrote it, or a step failed.
        DiskFullError
            If there is no room.
        """
        found = self.version_of(connection)
        if found == self.version:
            return found
        if found is None:
            self.metadata.create_all(connection)
            if self.shared is not None and connection.dialect.name == "postgresql":
                self.shared.create_all(connection)
            self._write(connection, self.version)
            return None
        self.refuse_newer(found, what)
        if path is not None:
            check_room(path.parent, extra=path.stat().st_size)
        for version in range(found + 1, self.version + 1):
            step = self.steps[version]
            try:
                step(connection)
            except Exception as error:
                raise _failed(error, f"{what} to schema {version} ({_words(step)})") from error
        self._write(connection, self.version)
        return found

    def _write(self, connection: sa.Connection, version: int) -> None:
        stored = str(version).encode() if isinstance(self.meta.c.value.type, sa.LargeBinary) else str(version)
        here = self.meta.c.key == _KEY
        # In place: DuckDB can't undo the exchange of a keyed row when its commit fails, and ends the process.
        if not connection.execute(sa.select(self.meta.c.key).where(here)).first():
            connection.execute(sa.insert(self.meta), {"key": _KEY, "value": stored})
        else:
            connection.execute(sa.update(self.meta).where(here).values(value=stored))


def _words(step: Step) -> str:
    return (step.__doc__ or step.__name__).splitlines()[0].rstrip(".")


def _failed(error: Exception, what: str) -> LibraryError:
    cause: Any = getattr(error, "orig", None) or error
    text = (str(cause).strip().splitlines() or [""])[0].rstrip(".")[:300]
    message = f"Upgrading {what} failed: {type(cause).__name__}: {text}. Nothing in it was changed."
    if is_disk_full(cause):
        return DiskFullError(message, "Make room on the disk and open it again.")
    return LibraryError(message, "The facekit that made it opens it as before. Report this message, please.")


# -- what steps are made of --------------------------------------------------------------------------------------


def add_column(connection: sa.Connection, table: str, column: sa.Column[Any]) -> None:
    """Give a table a column, unless it has it."""
    if all(one["name"] != column.name for one in sa.inspect(connection).get_columns(table)):
        sa.Table(table, sa.MetaData(), column)
        made = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {made}")


def replace_values(connection: sa.Connection, column: sa.Column[Any], new: Mapping[Any, Any]) -> None:
    """Put other values in the place of some of a column's, all at once."""
    if not new:
        return
    pairs = sa.Table(
        "replaced_values",
        sa.MetaData(),
        sa.Column("old", column.type),
        sa.Column("new", column.type),
        prefixes=["TEMPORARY"],
    )
    pairs.create(connection)
    connection.execute(sa.insert(pairs), [{"old": old, "new": value} for old, value in new.items()])
    value = sa.select(pairs.c.new).where(pairs.c.old == column).scalar_subquery()
    changed = column.in_(sa.select(pairs.c.old))
    connection.execute(sa.update(column.table).where(changed).values({column.name: value}))
    pairs.drop(connection)
