"""The faces that other models make of the photos, beside those that the library has, until they take their place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from facekit.catalog.aliases import rename_faces
from facekit.catalog.hidden import reveal
from facekit.catalog.locks import Kind, hold
from facekit.catalog.rows import chunks, column, face_values, insert, set_meta
from facekit.catalog.tables import carried, faces, meta, photos, staged_faces, staged_photos
from facekit.errors import LibraryBusyError
from facekit.types.photos import Box, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from facekit.catalog.database import Database
    from facekit.catalog.records import PhotoRecord

# What the faces are of that are collected; not there, they are of no use any more.
_STAGED = sa.select(meta.c.value).where(meta.c.key == "staged")


class Bound(NamedTuple):
    """What a library was bound to by its last change of models: names and versions, and the index's file."""

    models: dict[str, Any]
    vectors: str


class Staging:
    """Collects the faces of other models, and puts them in the place of the library's in one transaction."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine
        self._said: str | None = None

    @property
    def bound(self) -> Bound | None:
        """What the last `switch` bound the library to; None if there was none."""
        with self._engine.connect() as connection:
            found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "bound"))
        return None if found is None else Bound(**json.loads(found))

    def begin(self, models: Mapping[str, Any]) -> tuple[set[str], int]:
        """Make ready for what some models make: names, versions, and all else that makes a difference to the faces.

        Returns the photos that are done, where a run was stopped, and how many of other models went. What was collected
        of photos that the library has no more goes, too.
        """
        said = json.dumps(dict(models), sort_keys=True)
        discarded = 0
        with self._engine.begin() as connection:
            hold(connection, Kind.PHOTOS)
            hold(connection, Kind.FACTS)
            if connection.scalar(_STAGED) != said:
                discarded = _clear(connection)
                set_meta(connection, "staged", said)
            self._said = said
            for table in (staged_photos, staged_faces):
                connection.execute(sa.delete(table).where(table.c.photo_id.not_in(sa.select(photos.c.photo_id))))
            return set(connection.scalars(sa.select(staged_photos.c.photo_id))), discarded

    def join(self, models: Mapping[str, Any]) -> bool:
        """Collect beside other processes what some models make; False where nobody has begun that."""
        said = json.dumps(dict(models), sort_keys=True)
        with self._engine.connect() as connection:
            if connection.scalar(_STAGED) != said:
                return False
        self._said = said
        return True

    def done(self, photo_ids: Sequence[str]) -> set[str]:
        """Those of some photos that were collected."""
        query = sa.select(staged_photos.c.photo_id)
        with self._engine.connect() as connection:
            return set(column(connection, query, staged_photos.c.photo_id, photo_ids))

    def save(
        self,
        records: Sequence[PhotoRecord],
        *,
        detector: str,
        embedder: str,
        also: Callable[[sa.Connection], None] = lambda _connection: None,
    ) -> None:
        """Collect photos with their faces, each photo once: what is there stays.

        ``also`` is what else is part of the transaction.

        Raises
        ------
        LibraryBusyError
            If what is collected is not what `begin` made ready for: another process collects for other models.
        """
        rows = [
            {"photo_id": one.photo_id, "status": one.status.value, "turn": one.turn, "faces": len(one.faces)}
            for one in records
        ]
        with self._engine.begin() as connection:
            hold(connection, Kind.PHOTOS, [one.photo_id for one in records])
            self._check(connection)
            keys = [one.photo_id for one in records]
            done = set(column(connection, sa.select(staged_photos.c.photo_id), staged_photos.c.photo_id, keys))
            insert(connection, staged_photos, [row for row in rows if row["photo_id"] not in done])
            inside = [
                face_values(photo.photo_id, face, detector, embedder)
                for photo in records
                if photo.photo_id not in done
                for face in photo.faces
            ]
            insert(connection, staged_faces, inside)
            also(connection)

    def _check(self, connection: sa.Connection) -> None:
        """Refuse where what is collected is not what this process made ready for."""
        if connection.scalar(_STAGED) != self._said:
            message = "Another process has begun or ended a change of models: what this one made is not kept."
            raise LibraryBusyError(message, "Wait until it is done, or stop it.")

    def clear(self) -> int:
        """Forget what was collected, and return of how many photos no `switch` made use."""
        with self._engine.begin() as connection:
            return _clear(connection)

    def clear_used(self) -> None:
        """Forget what a `switch` made use of, if it was cut off before `clear`."""
        with self._engine.connect() as connection:
            if connection.scalar(_STAGED) or not connection.scalar(sa.select(staged_photos.c.photo_id).limit(1)):
                return
        with self._engine.begin() as connection:
            hold(connection, Kind.PHOTOS)
            if connection.scalar(_STAGED) is None:
                _clear(connection)

    def boxes(self, table: sa.Table) -> dict[str, dict[str, Box]]:
        """The boxes in `faces` or `staged_faces`: by photo id, then by face id."""
        columns = (table.c.photo_id, table.c.face_id, table.c.x, table.c.y, table.c.w, table.c.h)
        found: dict[str, dict[str, Box]] = {}
        with self._engine.connect() as connection:
            for photo_id, face_id, x, y, w, h in connection.execute(sa.select(*columns).order_by(table.c.face_id)):
                found.setdefault(photo_id, {})[face_id] = (x, y, w, h)
        return found

    def carry(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Write down which face the switch that comes next turns into which: (old face id, new face id)."""
        with self._engine.begin() as connection:
            hold(connection, Kind.PEOPLE)
            connection.execute(sa.delete(carried))
            insert(connection, carried, [{"old_face_id": old, "new_face_id": new} for old, new in pairs])

    def switch(
        self,
        bound: Bound,
        unread: Mapping[str, str],
        also: Callable[[sa.Connection], None] = lambda _connection: None,
    ) -> None:
        """Put what was collected in the place of what the library has, and bind it to other models: one transaction.

        What was collected is left to `clear`, because searches wait for the end of this.

        ``unread`` photos, whose faces could not be made, by id with the reason, are left without faces. What people
        did with faces is carried over to those that took their place; the rest waits for the models that made them.
        ``also`` is what else is part of the transaction.

        Raises
        ------
        LibraryBusyError
            See `save`; and if there are photos of which nothing was collected: they came in meanwhile. Nothing is
            changed then.
        """
        good = photos.c.status.in_([Status.OK, Status.NO_FACE])
        other = sa.select(photos.c.photo_id).where(good, photos.c.photo_id.not_in(sa.select(staged_photos.c.photo_id)))
        with self._engine.begin() as connection:
            for kind in Kind:
                hold(connection, kind)
            self._check(connection)
            if new := set(connection.scalars(other)) - unread.keys():
                message = f"Nothing was changed: {len(new)} photos came in while their faces were made anew."
                raise LibraryBusyError(message, "Change the models again: only what is missing is made.")
            set_meta(connection, "looks", "all")
            set_meta(connection, "bound", json.dumps(bound._asdict()))
            reveal(connection, connection.scalars(sa.select(staged_faces.c.face_id)).all())
            rename_faces(connection, sa.select(carried.c.old_face_id, carried.c.new_face_id))
            connection.execute(sa.delete(meta).where(meta.c.key == "staged"))
            connection.execute(sa.delete(faces))
            connection.execute(sa.insert(faces).from_select(faces.c.keys(), sa.select(staged_faces)))
            made = {name: staged_photos.c[name] for name in ("status", "turn", "faces")}
            connection.execute(sa.update(photos).values(made).where(photos.c.photo_id == staged_photos.c.photo_id))
            for chunk in chunks(list(unread)):
                reasons = sa.case({key: unread[key] for key in chunk}, value=photos.c.photo_id)
                values = {"status": Status.IO_ERROR.value, "reason": reasons, "faces": 0}
                connection.execute(sa.update(photos).values(values).where(photos.c.photo_id.in_(chunk), good))
            also(connection)


def refuse_other_models(connection: sa.Connection, vectors: str) -> None:
    """Refuse the faces of models that the library is not bound to any more; their photos are held.

    Raises
    ------
    LibraryBusyError
        If the last change of models bound it to other vectors.
    """
    found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "bound"))
    if found is not None and Bound(**json.loads(found)).vectors != vectors:
        message = "The models of the library were changed meanwhile: what the ones before made is not kept."
        raise LibraryBusyError(message, "Do it again, with the models that it has now.")


def _clear(connection: sa.Connection) -> int:
    hold(connection, Kind.PHOTOS)
    hold(connection, Kind.FACTS)
    unused = connection.scalar(_STAGED) is not None
    count = int(connection.scalar(sa.select(sa.func.count()).select_from(staged_photos)) or 0) if unused else 0
    for table in (staged_photos, staged_faces):
        connection.execute(sa.delete(table))
    connection.execute(sa.delete(meta).where(meta.c.key == "staged"))
    return count
