"""What the catalog knows about people, and how it is changed: one transaction and one entry of the journal a verb."""

from __future__ import annotations

import json
import zlib
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING

import sqlalchemy as sa

from facekit.catalog.aliases import aliases_of, rename_faces
from facekit.catalog.changes import version as version_of
from facekit.catalog.hidden import reveal
from facekit.catalog.journal import UnitOfWork, undo_entry
from facekit.catalog.locks import Kind, hold
from facekit.catalog.memberships import Memberships
from facekit.catalog.people_tables import allowed_twice, cluster_runs, journal, members, rejections
from facekit.catalog.persons import Persons
from facekit.catalog.rows import ClusterRunRow, MemberRow, RejectionRow, among, chunks, fetch, select, set_meta
from facekit.catalog.tables import faces
from facekit.catalog.times import now
from facekit.types.people import ClusterRun, Entry, Proposal, faces_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from facekit.catalog.changes import Version
    from facekit.catalog.database import Database
    from facekit.types.people import Verb


class PeopleTables(Persons, Memberships):
    """Reads and changes what the catalog knows about people."""

    def __init__(self, engine: Database) -> None:
        super().__init__(engine)
        self._lock = RLock()

    # -- transactions and the journal ----------------------------------------------------------------------------

    @contextmanager
    def work(self, verb: Verb, user: str) -> Iterator[UnitOfWork]:
        """A transaction for one verb: all its changes and their entry in the journal, or nothing."""
        with self.changing() as connection:
            work = UnitOfWork(connection, verb, user)
            yield work
            work.number = work.write_down(now()) or 0

    @contextmanager
    def changing(self) -> Iterator[sa.Connection]:
        """A transaction that changes what is known about people, one at a time; those inside it are a part of it."""
        current: sa.Connection | None = getattr(self._current, "connection", None)
        if current is not None and getattr(self._current, "changing", False):
            yield current
            return
        with self._lock, self._engine.begin() as connection:
            hold(connection, Kind.PEOPLE)
            self._current.connection, self._current.changing = connection, True
            try:
                yield connection
            finally:
                self._current.connection, self._current.changing = current, False

    def undo(self, number: int | None, user: str) -> int:
        """Undo an entry of the journal, in one transaction; returns the number of the entry that says so."""
        with self.changing() as connection:
            done = undo_entry(connection, number, user).write_down(now())
        return done or 0

    def entries(self, limit: int) -> list[Entry]:
        """The journal, newest first, without the changes; times are on this machine's clock."""
        query = select(Entry, journal).order_by(journal.c.number.desc()).limit(limit)
        with self._connect() as connection:
            return [replace(entry, at=entry.at.astimezone()) for entry in fetch(connection, query, Entry)]

    def assigned(self, version: Version | None) -> None:
        """Note that all faces that there were at a version were assigned to people; there may be more by now."""
        with self._engine.begin() as connection:
            hold(connection, Kind.FACTS)  # every writer waits for it, and who brings faces notes that these are due
            if version is not None and version == version_of(connection, faces):
                set_meta(connection, "assign", "done")

    # -- runs ----------------------------------------------------------------------------------------------------

    def add_run(self, run: ClusterRun, proposal: Proposal) -> None:
        """Keep what a run proposes."""
        row = {name: getattr(run, name) for name in ClusterRunRow._fields} | {"conflicts": list(run.conflicts)}
        blob = zlib.compress(json.dumps([dict(proposal.labels), dict(proposal.settled)]).encode())
        with self.changing() as connection:
            connection.execute(sa.insert(cluster_runs), row | {"labels": blob})

    def runs(self) -> list[ClusterRun]:
        """The runs, newest first, without their labels; times are on this machine's clock."""
        query = select(ClusterRunRow, cluster_runs)
        query = query.order_by(cluster_runs.c.created_at.desc(), cluster_runs.c.run_id)
        with self._connect() as connection:
            rows = fetch(connection, query, ClusterRunRow)
        return [
            ClusterRun(**row._asdict() | {"conflicts": tuple(row.conflicts), "created_at": row.created_at.astimezone()})
            for row in rows
        ]

    def proposal(self, run_id: str) -> Proposal:
        """What a run proposed, of the faces as they are called now."""
        with self._connect() as connection:
            blob = connection.scalar(sa.select(cluster_runs.c.labels).where(cluster_runs.c.run_id == run_id))
            aliases = aliases_of(connection, 0)
        labels, settled = json.loads(zlib.decompress(blob)) if blob else ({}, {})
        now = {key: aliases.get(key, key) for key in labels}
        # A run that knows the new id already means another face, or the same one again, by the old id.
        now |= {key: key for key, new in now.items() if new in labels}
        return Proposal(
            {now[key]: label for key, label in labels.items()}, {now[key]: who for key, who in settled.items()}
        )

    # -- faces that are called otherwise now ---------------------------------------------------------------------

    def reveal(self, ids: Iterable[str]) -> None:
        """Photos and faces are about to come in; see `facekit.catalog.hidden`."""
        with self.changing() as connection:
            reveal(connection, ids)

    def rename(self, pairs: Mapping[str, str]) -> None:
        """Faces have another id from now on; their memberships and rejections stay."""
        if pairs:
            values = sa.values(sa.column("old", sa.String), sa.column("new", sa.String), name="renamed")
            with self.changing() as connection:
                for chunk in chunks(list(pairs)):
                    part = values.data([(key, pairs[key]) for key in chunk])
                    rename_faces(connection, sa.select(part.c.old, part.c.new))

    def copy(self, pairs: Mapping[str, str]) -> None:
        """Faces are also there under another id, which has the same memberships and rejections."""
        with self.work("assign", "") as work:
            owned = select(MemberRow, members).where(among(members.c.face_id, pairs))
            there = self.owners()
            rows = [row._replace(face_id=pairs[row.face_id]) for row in fetch(work.connection, owned, MemberRow)]
            work.put(members, [row._asdict() for row in rows if row.face_id not in there])
            denied = select(RejectionRow, rejections).where(among(rejections.c.face_id, pairs))
            said = fetch(work.connection, denied, RejectionRow)
            work.put(rejections, [row._replace(face_id=pairs[row.face_id])._asdict() for row in said])
            work.words = f"{faces_in_words(len(pairs))} of changed photos: whose they were before"

    def allow_too(self, photo_id: str, new_photo_id: str) -> None:
        """If a photo may show a face twice, another may, too."""
        with self.work("assign", "") as work:
            if photo_id in self.allowed_twice():
                work.put(allowed_twice, [{"photo_id": new_photo_id}])
            work.words = "a changed photo may show a face twice, as before"
