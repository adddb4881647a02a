"""All of a catalog in another one, which may be of the other kind, and whether both hold the same."""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import blake2b
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from facekit.catalog.rows import set_meta
from facekit.catalog.tables import meta, metadata
from facekit.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from facekit.catalog.database import Database
    from facekit.catalog.rows import Values

_PAGE = 5_000  # rows of one transaction: some seconds, which is what an interruption costs
_FROM = "copied_from"  # what a catalog says while it is being filled
# Facts about the catalog itself, and not about what it holds: its schema, what its library is bound to, and whose paths
# it knows.
_OWN = frozenset({"schema", "library", "bound", "paths", _FROM})


class Content(NamedTuple):
    """What a table holds: how many rows, and a number that any other content makes another one."""

    rows: int
    digest: int


class Copies:
    """What makes a catalog a copy of another one."""

    _engine: Database

    @property
    def filled_from(self) -> str | None:
        """Which library this one is being filled from: until that is done, it is of no use. None where it is whole."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(meta.c.value).where(meta.c.key == _FROM))

    def note_whole(self) -> None:
        """Write down that all that belongs to a library that was filled is there."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(meta).where(meta.c.key == _FROM))

    @property
    def row_count(self) -> int:
        """How many rows `copy_from` copies of this catalog."""
        with self._engine.connect() as connection:
            return sum(_count(connection, table) for table in _tables())

    def copy_from(
        self, source: Copies, label: str, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> dict[str, Content]:
        """Fill this catalog, which is empty, from another one: see `copy_catalog`."""
        return copy_catalog(source._engine, self._engine, label, progress)


def contents(database: Database) -> dict[str, Content]:
    """What each table of a catalog holds, as it is at one moment; the order of rows makes no difference."""
    with database.connect() as connection:
        return {table.name: _content(_rows(connection, table)) for table in _tables()}


def copy_catalog(
    source: Database,
    target: Database,
    label: str,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Content]:
    """Copy all tables into an empty catalog, and compare both afterwards.

    Cut off, it goes on where it was when it is called again with the same label, until `note_whole` was called.

    Parameters
    ----------
    source, target : Database
        Catalogs of the newest schema. The source is read as it is at one moment. Nobody else writes into the target.
    label : str
        Which catalog this is, in a user's words.
    progress : callable
        Called with the rows done and all rows.

    Returns
    -------
    dict of str to Content
        What each table holds now.

    Raises
    ------
    LibraryError
        If the target is not empty, or is being filled from another catalog; or if it does not hold the same in the end.
    """
    _claim(target, label)
    with source.connect() as reading:
        counts = {table.name: _count(reading, table) for table in _tables()}
        done = 0
        copied: dict[str, Content] = {}
        for table in _tables():
            # Each table is read twice: what is compared is what stands in the source, not what went through here.
            for rows in _missing(reading, target, table):
                with target.begin() as writing:
                    writing.execute(sa.insert(table), rows)
                done += len(rows)
                progress(done, sum(counts.values()))
            copied[table.name] = _content(_rows(reading, table))
            done = sum(counts[name] for name in copied)
            progress(done, sum(counts.values()))
    held = contents(target)
    wrong = sorted(name for name, content in copied.items() if held[name] != content)
    if wrong:
        _empty(target, wrong)
        message = f"The copy differs from {label} in {', '.join(wrong)}."
        raise LibraryError(message, "Run it again: what differs is copied anew. Nothing was changed in the source.")
    return held


def _tables() -> list[sa.Table]:
    return metadata.sorted_tables


def _claim(target: Database, label: str) -> None:
    """See that the target is empty, or was being filled from the same catalog."""
    with target.begin() as connection:
        begun = connection.scalar(sa.select(meta.c.value).where(meta.c.key == _FROM))
        if begun == label:
            return
        if begun is not None:
            message = f"The target is being filled from {begun}, not from {label}."
            raise LibraryError(message, "Go on with that one, or name an empty target.")
        full = [table.name for table in _tables() if table is not meta and _count(connection, table)]
        if full:
            message = f"The target is not empty: it holds {', '.join(full)}."
            raise LibraryError(message, "Name a new library, so that nothing in it is overwritten.")
        connection.execute(sa.delete(meta).where(*_copied(meta)))
        set_meta(connection, _FROM, label)


def _missing(reading: sa.Connection, target: Database, table: sa.Table) -> Iterator[list[Values]]:
    """The rows that the target lacks, a transaction's worth at a time."""
    key = _key(table)
    with target.connect() as connection:
        here = _count(connection, table)
        last = None if key is None else connection.scalar(sa.select(sa.func.max(key)))
    # Rows travel in the order of their keys, so that the last one there says where to go on; without a key, a table
    # travels at once.
    if here and key is None:
        _empty(target, [table.name])
    rows = _rows(reading, table, key, last)
    while page := list(islice(rows, None if key is None else _PAGE)):
        yield page


def _key(table: sa.Table) -> sa.Column[Any] | None:
    keys = list(table.primary_key.columns)
    return keys[0] if len(keys) == 1 and table is not meta else None


def _rows(
    connection: sa.Connection, table: sa.Table, key: sa.Column[Any] | None = None, after: object = None
) -> Iterator[Values]:
    """A table's rows, without holding all of them."""
    query = sa.select(table).where(*_copied(table))
    if key is not None:
        # Keys are hexadecimal digits or numbers, which each collation puts into the same order.
        query = query.order_by(key) if after is None else query.order_by(key).where(key > after)
    with connection.execute(query, execution_options={"yield_per": _PAGE}) as found:
        for page in found.mappings().partitions():
            yield from (_clean(dict(row)) for row in page)


def _clean(row: Values) -> Values:
    """A row without what PostgreSQL does not keep: NUL characters in texts, which facekit wrote once."""
    return {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in row.items()}


def _content(rows: Iterable[Values]) -> Content:
    count = digest = 0
    for row in rows:
        count += 1
        text = json.dumps(list(chain.from_iterable(sorted(row.items()))), default=_plain, sort_keys=True)
        digest += int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
    return Content(count, digest % 2**64)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    message = f"{type(value).__name__} is no value of a catalog"
    raise TypeError(message)


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.scalar(sa.select(sa.func.count()).select_from(table).where(*_copied(table))) or 0)


def _copied(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    return [meta.c.key.not_in(_OWN)] if table is meta else []


def _empty(target: Database, names: Iterable[str]) -> None:
    for name in names:
        table = metadata.tables[name]
        with target.begin() as connection:
            connection.execute(sa.delete(table).where(*_copied(table)))
