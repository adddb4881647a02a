"""What the vector index has still to do: written with each change of faces or places, struck out when it is done.

A row names a face, not what became of it: that says the catalog when the row's turn comes. So doing it twice is
harmless, and several changes of a face cost no more than the last one.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import sqlalchemy as sa

from facekit.catalog.locks import hold_index
from facekit.catalog.rows import among, chunks, fetch, insert, select
from facekit.catalog.tables import faces, index_due

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from facekit.catalog.database import Database
    from facekit.catalog.records import Change


class Due(NamedTuple):
    """A row of ``index_due``: a face that the index must look at again, because of a change."""

    change_id: str
    face_id: str


class Balance(NamedTuple):
    """How many faces the index has still to look at, and how many it holds when it has: both of one moment."""

    due: int
    vectors: int


def note(connection: sa.Connection, change: Change) -> None:
    """Write down, in the change's own transaction, what it means for the vector index."""
    key = uuid4().hex
    insert(connection, index_due, [Due(key, face)._asdict() for face in change.faces])
    for chunk in chunks(change.touched):
        _add(connection, key, among(faces.c.photo_id, chunk))


def note_all(connection: sa.Connection) -> None:
    """Write down that the vector index must look at every face again."""
    _add(connection, uuid4().hex, sa.true())


def _add(connection: sa.Connection, key: str, where: sa.ColumnElement[bool]) -> None:
    some = sa.select(sa.literal(key, sa.String), faces.c.face_id).where(where, faces.c.embedding.is_not(None))
    connection.execute(sa.insert(index_due).from_select(list(Due._fields), some))


class Outbox:
    """Reads what is due, and strikes it out."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine
        self._lock = Lock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else brings the index up to the catalog until the end of the block.

        Whoever read the truth first would otherwise write it last. It can't be nested.
        """
        with self._lock, self._engine.connect() as connection:
            hold_index(connection, self._engine.schema)
            yield

    def note_all(self) -> None:
        """Have the index look at every face again."""
        with self._engine.begin() as connection:
            note_all(connection)

    def note_faces(self, face_ids: Iterable[str]) -> None:
        """Have the index look at some faces again, whether or not they are there."""
        key = uuid4().hex
        with self._engine.begin() as connection:
            insert(connection, index_due, [Due(key, face)._asdict() for face in face_ids])

    def next(self, limit: int) -> list[Due]:
        """Some of what is due."""
        with self._engine.connect() as connection:
            return fetch(connection, select(Due, index_due).limit(limit), Due)

    def strike(self, done: Sequence[Due]) -> None:
        """Strike out what is done.

        A change's rows come all at once, so that those of these changes were there when the truth was read; what came
        since has another change's id.
        """
        changes = among(index_due.c.change_id, {one.change_id for one in done})
        with self._engine.begin() as connection:
            for chunk in chunks(sorted({one.face_id for one in done})):
                connection.execute(sa.delete(index_due).where(changes, among(index_due.c.face_id, chunk)))

    def balance(self) -> Balance:
        """What is due, and what the index holds when it is done."""
        due = sa.select(sa.func.count(sa.distinct(index_due.c.face_id))).scalar_subquery()
        held = sa.select(sa.func.count()).select_from(faces).where(faces.c.embedding.is_not(None)).scalar_subquery()
        with self._engine.connect() as connection:
            return Balance(*connection.execute(sa.select(due, held)).one())
