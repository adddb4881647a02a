"""Changes of the tables about people that are written down as they are made, and can be taken back.

A change is one row of one table before and after. Of a row that was there before and after, only the columns that
differ are kept, so that two changes of different columns don't stand in each other's way.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa

from facekit.catalog.aliases import aliases_of
from facekit.catalog.people_tables import (
    allowed_twice,
    cluster_runs,
    differences,
    journal,
    members,
    persons,
    rejections,
)
from facekit.catalog.rows import JournalRow, among, delete, fetch, insert, select
from facekit.catalog.times import UtcTime
from facekit.errors import RefusedError, UnknownIdError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from facekit.catalog.rows import Values
    from facekit.types.people import Verb

RowKey: TypeAlias = tuple[str, ...]
Place: TypeAlias = tuple[str, RowKey]
"""A row: its table and its key."""

_TABLES = {table.name: table for table in (persons, members, rejections, differences, allowed_twice, cluster_runs)}
# Rows that belong to a person, by the columns that name one.
_OF_PERSON = ((members, "person_id"), (rejections, "person_id"), (differences, "person_id"), (differences, "other_id"))

_UNDONE, _AGAIN = "undone: ", "done again: "
_MOST_NAMED = 5  # entries in the way that a message names


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row before and after; None where there was or is none. Columns that did not change are left out."""

    table: str
    key: RowKey
    before: Values | None
    after: Values | None

    @property
    def inverse(self) -> RowChange:
        """What takes it back."""
        return RowChange(self.table, self.key, self.after, self.before)


@dataclass(slots=True)
class UnitOfWork:
    """Changes of one verb, made in one transaction and logged for the journal."""

    connection: sa.Connection
    verb: Verb
    user: str = ""
    words: str = ""
    undoes: int | None = None
    _changes: dict[Place, RowChange] = field(default_factory=dict)
    number: int = 0
    """Of its entry, once that is written down; 0 where nothing was changed."""

    @property
    def changes(self) -> list[RowChange]:
        """What became of each row in all."""
        return list(self._changes.values())

    def put(self, table: sa.Table, rows: Sequence[Values]) -> None:
        """Insert rows, or update those that are there: columns that are not named stay as they are."""
        now = read_rows(self.connection, table, [_key(table, row) for row in rows])
        changes = []
        for row in rows:
            key = _key(table, row)
            old = now.get(key)
            if old is None:
                changes.append(RowChange(table.name, key, None, dict(row)))
            else:
                names = [name for name, value in row.items() if old[name] != value]
                if names:
                    before, after = ({name: values[name] for name in names} for values in (old, row))
                    changes.append(RowChange(table.name, key, before, after))
        self._apply(changes, now)

    def remove(self, table: sa.Table, keys: Iterable[RowKey]) -> None:
        """Delete rows; those that are not there are passed over."""
        now = read_rows(self.connection, table, list(keys))
        self._apply([RowChange(table.name, key, dict(row), None) for key, row in now.items()], now)

    def _apply(self, changes: Sequence[RowChange], now: dict[RowKey, Values]) -> None:
        write(self.connection, changes, now)
        for change in changes:
            place = (change.table, change.key)
            both = _merged(self._changes[place], change) if place in self._changes else change
            if both is None:
                del self._changes[place]
            else:
                self._changes[place] = both

    def write_down(self, at: datetime) -> int | None:
        """Write the journal's entry and return its number; None where nothing was changed."""
        if not self.changes:
            return None
        number = int(self.connection.scalar(sa.select(sa.func.coalesce(sa.func.max(journal.c.number), 0))) or 0) + 1
        faces = len({change.key[0] for change in self.changes if change.table in {members.name, rejections.name}})
        said, undone = encode(self.changes), False
        entry = JournalRow(number, at, self.user, self.verb, self.words, faces, self.undoes, undone, said)
        insert(self.connection, journal, [entry._asdict()])
        return number


def _merged(first: RowChange, second: RowChange) -> RowChange | None:
    """Two changes of a row as one; None where nothing is left of them."""
    if first.before is None and second.after is None:
        return None
    before = None if first.before is None else (second.before or {}) | first.before
    after = None if second.after is None else (first.after or {}) | second.after
    if first.after is None and before is not None:  # taken out and put in again: `before` is the whole row
        before = first.before
    if before is not None and after is not None:
        names = [name for name, value in after.items() if before.get(name, value) != value]
        if not names:
            return None
        before, after = ({name: row[name] for name in names} for row in (before, after))
    return RowChange(first.table, first.key, before, after)


def undo_entry(connection: sa.Connection, number: int | None, user: str) -> UnitOfWork:
    """Undo an entry of the journal, by default the last that was not undone: a `UnitOfWork` that is not written yet.

    Raises
    ------
    RefusedError
        If there is no such entry, it was undone, or something done later stands in the way.
    """
    entry = _entry(connection, number)
    changes = [change.inverse for change in decode(entry, connection)]
    in_the_way = _conflicting_rows(connection, changes)
    if in_the_way:
        _refuse(connection, entry, rows=in_the_way)
    by_table: dict[str, list[RowKey]] = {}
    for change in changes:
        by_table.setdefault(change.table, []).append(change.key)
    for name, keys in by_table.items():
        write(
            connection,
            [change for change in changes if change.table == name],
            read_rows(connection, _TABLES[name], keys),
        )
    wrong = _people_without_row(connection, changes) | _namesakes(connection)
    if wrong:
        _refuse(connection, entry, people=wrong)
    _mark(connection, entry.number)
    before, words = entry.words, _UNDONE + entry.words
    if entry.verb == "undo":
        again = before.startswith(_UNDONE)
        words = _AGAIN + before.removeprefix(_UNDONE) if again else _UNDONE + before.removeprefix(_AGAIN)
    kept = {(change.table, change.key): change for change in changes}
    return UnitOfWork(connection, "undo", user, words, entry.number, kept)


def _mark(connection: sa.Connection, number: int) -> None:
    """An entry is undone now; what it had undone counts again, and so on."""
    following: int | None = number
    undone = True
    while following is not None:
        here = journal.c.number == following
        connection.execute(sa.update(journal).where(here).values(undone=undone))
        following, undone = connection.scalar(sa.select(journal.c.undoes).where(here)), not undone


def _entry(connection: sa.Connection, number: int | None) -> JournalRow:
    query = select(JournalRow, journal)
    if number is None:
        by_user = journal.c.verb != "assign"  # what facekit did by itself is taken back by its number only
        query = query.where(journal.c.undone.is_(False), journal.c.undoes.is_(None), by_user)
        query = query.order_by(journal.c.number.desc()).limit(1)
    else:
        query = query.where(journal.c.number == number)
    found = fetch(connection, query, JournalRow)
    if not found and number is None:
        message = "There is nothing to undo."
        raise RefusedError(message, "The journal lists what was done.")
    if not found:
        message = f"The journal has no entry {number}."
        raise UnknownIdError(message, "lib.people.journal() lists what was done.")
    if found[0].undone:
        message = f"Entry {found[0].number} was undone already."
        raise RefusedError(message, "Undo the undo to do it again.")
    return found[0]


def _conflicting_rows(connection: sa.Connection, changes: Sequence[RowChange]) -> set[Place]:
    """Conflicts: rows that are not as the change left them, because of a later change."""
    wrong: set[Place] = set()
    for name in {change.table for change in changes}:
        mine = [change for change in changes if change.table == name]
        now = read_rows(connection, _TABLES[name], [change.key for change in mine])
        for change in mine:  # `before` is what the entry left
            row = now.get(change.key)
            if change.before is None or row is None:
                same = change.before is None and row is None
            else:
                same = all(row[column] == value for column, value in change.before.items())
            if not same:
                wrong.add((change.table, change.key))
    return wrong


def _people_without_row(connection: sa.Connection, changes: Sequence[RowChange]) -> set[str]:
    """People whose row is not there, although rows that were touched, or that were left, belong to them."""
    gone = {change.key[0] for change in changes if change.table == persons.name and change.after is None}
    named = {
        value
        for change in changes
        for column, value in (change.after or {}).items()
        if column in {"person_id", "other_id"} and change.table != persons.name
    }
    there = read_rows(connection, persons, [(one,) for one in named])
    lost = {one for one in named if (one,) not in there}
    for table, column in _OF_PERSON:
        lost |= set(connection.scalars(sa.select(table.c[column]).where(among(table.c[column], gone))))
    return lost


def _namesakes(connection: sa.Connection) -> set[str]:
    """People who have the name of somebody else."""
    low = sa.func.lower(persons.c.name)
    twice = sa.select(low).where(persons.c.name.is_not(None)).group_by(low).having(sa.func.count() > 1)
    return set(connection.scalars(sa.select(persons.c.person_id).where(low.in_(twice))))


def _refuse(
    connection: sa.Connection,
    entry: JournalRow,
    *,
    rows: Collection[Place] = (),
    people: Collection[str] = frozenset(),
) -> None:
    after = (journal.c.number > entry.number, journal.c.undone.is_(False))
    query = select(JournalRow, journal).where(*after).order_by(journal.c.number.desc())
    later = [
        f"{one.number} ({one.words})"
        for one in fetch(connection, query, JournalRow)
        if any(
            (change.table, change.key) in rows or not _ids(change).isdisjoint(people)
            for change in decode(one, connection)
        )
    ]
    message = f"Entry {entry.number} ({entry.words}) can't be undone: something done later builds on it."
    if not later:
        raise RefusedError(message, "Correct it by hand: move the faces, or give the name that is meant.")
    more = f", and {len(later) - _MOST_NAMED} more" if len(later) > _MOST_NAMED else ""
    raise RefusedError(message, f"Undo first, in this order: {'; '.join(later[:_MOST_NAMED])}{more}.")


def _ids(change: RowChange) -> set[str]:
    values = [value for row in (change.before, change.after) if row for value in row.values()]
    return set(change.key) | {value for value in values if isinstance(value, str)}


# -- rows --------------------------------------------------------------------------------------------------------


def read_rows(connection: sa.Connection, table: sa.Table, keys: Sequence[RowKey]) -> dict[RowKey, Values]:
    """Rows by key, without the labels of runs, which never change."""
    columns = [column for column in table.c if not isinstance(column.type, sa.LargeBinary)]
    first = next(iter(table.primary_key.columns))
    wanted = set(keys)
    return {
        key: dict(row)
        for row in connection.execute(sa.select(*columns).where(among(first, {key[0] for key in keys}))).mappings()
        if (key := _key(table, dict(row))) in wanted
    }


def write(connection: sa.Connection, changes: Sequence[RowChange], now: dict[RowKey, Values]) -> None:
    """Make changes of one table whose rows are now as given."""
    if not changes:
        return
    table = _TABLES[changes[0].table]
    if table is cluster_runs:  # they are never inserted or deleted here
        for change in changes:
            connection.execute(sa.update(table).where(table.c.run_id == change.key[0]).values(change.after or {}))
        return
    old = [change.key for change in changes if change.key in now]
    _delete(connection, table, old)
    insert(
        connection,
        table,
        [now.get(change.key, {}) | change.after for change in changes if change.after is not None],
    )


def _delete(connection: sa.Connection, table: sa.Table, keys: Sequence[RowKey]) -> None:
    columns = list(table.primary_key.columns)
    if len(columns) == 1:
        delete(connection, columns[0], [key[0] for key in keys])
        return
    for key in keys:
        connection.execute(
            sa.delete(table).where(*(column == value for column, value in zip(columns, key, strict=True)))
        )


def _key(table: sa.Table, row: Values) -> RowKey:
    return tuple(row[column.name] for column in table.primary_key.columns)


# -- changes as bytes --------------------------------------------------------------------------------------------


def encode(changes: Sequence[RowChange]) -> bytes:
    """Changes as they are kept."""
    rows = [[change.table, change.key, change.before, change.after] for change in changes]
    return zlib.compress(json.dumps(rows, default=_plain).encode())


def decode(entry: JournalRow, connection: sa.Connection) -> list[RowChange]:
    """An entry's changes, of the faces as they are called now."""
    rows = json.loads(zlib.decompress(entry.changes))
    aliases = aliases_of(connection, entry.number)

    def now(row: Values | None, table: str) -> Values | None:
        if row is None:
            return None
        times = {column.name for column in _TABLES[table].c if isinstance(column.type, UtcTime)}
        faces = {"face_id", "cover"}
        return {
            name: datetime.fromisoformat(value)
            if name in times and value is not None
            else aliases.get(value, value)
            if name in faces
            else value
            for name, value in row.items()
        }

    return [
        RowChange(
            table,
            tuple(aliases.get(value, value) for value in key),
            now(before, table),
            now(after, table),
        )
        for table, key, before, after in rows
    ]


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
