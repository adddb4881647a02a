"""What the catalog knows about people. Counts are of faces that are in the library now."""

from __future__ import annotations

import json
import zlib
from contextlib import contextmanager
from threading import RLock, local
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from facekit.catalog.hidden import reveal
from facekit.catalog.journal import Row, Work, aliases_of, take_back
from facekit.catalog.names import composed
from facekit.catalog.pages import MAX_PAGE
from facekit.catalog.people_tables import (
    allowed_twice,
    cluster_runs,
    differences,
    face_aliases,
    journal,
    members,
    persons,
    rejections,
)
from facekit.catalog.rows import among, chunks, set_meta
from facekit.catalog.tables import faces, meta
from facekit.catalog.times import now
from facekit.errors import FacekitError, UnknownIdError
from facekit.types.people import SHORT_ID, Person, Proposal, faces_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from facekit.catalog.database import Database
    from facekit.types.arrays import FloatArray
    from facekit.types.people import Verb

_here = (
    sa.select(
        members.c.person_id,
        sa.func.count().label("faces"),
        sa.func.count(sa.distinct(faces.c.photo_id)).label("photos"),
    )
    .join(faces, faces.c.face_id == members.c.face_id)
    .group_by(members.c.person_id)
    .subquery()
)
# People whom the user touched: derived from what the user said, so that taking it back takes this back.
_touched = sa.union(
    sa.select(members.c.person_id).where(members.c.origin == "user"),
    sa.select(rejections.c.person_id),
    sa.select(differences.c.person_id),
    sa.select(differences.c.other_id),
).subquery()
_settled = sa.or_(
    persons.c.name.is_not(None),
    persons.c.hidden.is_(True),
    persons.c.cover.is_not(None),
    persons.c.person_id.in_(sa.select(_touched.c[0])),
)
_count = sa.func.coalesce(_here.c.faces, 0)
_people = (
    sa.select(
        persons,
        _count.label("faces"),
        sa.func.coalesce(_here.c.photos, 0).label("photos"),
        _settled.label("settled"),
    )
    .outerjoin(_here, _here.c.person_id == persons.c.person_id)
    .where(sa.or_(_count > 0, _settled))  # whoever has no face in the library and was never touched is nobody
)
_to_be_seen = sa.or_(_count > 0, persons.c.name.is_not(None))  # all that is left of the others is what was said


class PeopleTables:
    """Reads and changes what the catalog knows about people."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine
        self._lock = RLock()
        self._working = local()

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        """A connection for reading; inside `work` the one that sees what was written there."""
        current: sa.Connection | None = getattr(self._working, "connection", None)
        if current is not None:
            yield current
            return
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All that this thread reads here inside the block is as it was at one moment."""
        with self._connect() as connection:
            before = getattr(self._working, "connection", None)
            self._working.connection = connection
            try:
                yield
            finally:
                self._working.connection = before

    # -- people --------------------------------------------------------------------------------------------------

    def page(self, *, hidden: bool, named: bool | None, text: str, offset: int, limit: int) -> tuple[int, list[Person]]:
        """How many people there are of a kind, and some of them: named ones first, then those with most faces."""
        if not (isinstance(limit, int) and 1 <= limit <= MAX_PAGE):
            message = f"A page of {limit!r} was asked for."
            raise FacekitError(message, f"Ask for 1 to {MAX_PAGE}.")
        query = _people.where(persons.c.hidden.is_(hidden), _to_be_seen)
        if named is not None:
            query = query.where(persons.c.name.is_not(None) if named else persons.c.name.is_(None))
        if text:
            query = query.where(sa.func.strpos(sa.func.lower(persons.c.name), sa.func.lower(composed(text))) > 0)
        unnamed = sa.case((persons.c.name.is_(None), 1), else_=0)
        ordered = query.order_by(unnamed, _count.desc(), persons.c.name, persons.c.person_id)
        with self._connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
            rows = connection.execute(ordered.offset(offset).limit(limit)).mappings().all()
            return total, _persons(connection, [dict(row) for row in rows])

    def some(self, person_ids: Iterable[str]) -> dict[str, Person]:
        """People by id; unknown ids are left out."""
        query = _people.where(among(persons.c.person_id, person_ids))
        with self._connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
            return {one.person_id: one for one in _persons(connection, rows)}

    def all(self) -> dict[str, Person]:
        """Everybody, hidden or not, by id."""
        with self._connect() as connection:
            rows = [dict(row) for row in connection.execute(_people).mappings()]
            return {one.person_id: one for one in _persons(connection, rows)}

    def find(self, who: str) -> Person:
        """A person by name, id or the beginning of an id; see `facekit.people.base.People.get`."""
        text = composed(who)
        with self.reading():
            found = self.some([text.lower()])  # an id first: a name may look like somebody's id
            if not found and (key := self.named(text)):
                found = self.some([key])
            if not found and len(text) >= SHORT_ID:
                found = self._beginning(text.lower())
        if len(found) > 1:
            message = f"The ids of several people begin with {text!r}."
            raise UnknownIdError(message, "Write more of the id.")
        if not found:
            message = f"There is no person {text!r}."
            raise UnknownIdError(message, "lib.people lists the people; give a name, or at least six digits of an id.")
        return next(iter(found.values()))

    def _beginning(self, text: str) -> dict[str, Person]:
        query = _people.where(persons.c.person_id.startswith(text, autoescape=True)).limit(2)
        with self._connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
            return {one.person_id: one for one in _persons(connection, rows)}

    def named(self, name: str) -> str | None:
        """Who has a name, or None; upper and lower case are alike."""
        # The database makes both small: it and Python don't agree about all letters.
        query = sa.select(persons.c.person_id).where(sa.func.lower(persons.c.name) == sa.func.lower(name))
        with self._connect() as connection:
            return connection.scalar(query)

    def whose(self, face_ids: Iterable[str]) -> dict[str, tuple[str, str | None]]:
        """The id and the name of the person whose each face is; faces that are nobody's are left out."""
        query = sa.select(members.c.face_id, persons.c.person_id, persons.c.name)
        query = query.join(persons, persons.c.person_id == members.c.person_id)
        with self._connect() as connection:
            return {
                key: (person, name)
                for key, person, name in connection.execute(query.where(among(members.c.face_id, face_ids)))
            }

    def person_ids(self) -> set[str]:
        """Everybody who has a row, also those who have no face in the library now."""
        with self._connect() as connection:
            return set(connection.scalars(sa.select(persons.c.person_id)))

    def settled_ids(self) -> set[str]:
        """Those whom the user touched."""
        with self._connect() as connection:
            return set(connection.scalars(sa.select(persons.c.person_id).where(_settled)))

    def named_and_hidden(self) -> tuple[set[str], set[str]]:
        """Those who have a name, and those who are hidden."""
        with self._connect() as connection:
            rows = connection.execute(sa.select(persons.c.person_id, persons.c.name, persons.c.hidden)).all()
        return {key for key, name, _ in rows if name is not None}, {key for key, _, hidden in rows if hidden}

    def counts(self) -> dict[str, int]:
        """How many people there are, and how many of them have a name."""
        inside = _people.where(_to_be_seen).subquery()
        query = sa.select(sa.func.count(), sa.func.count(inside.c.name)).select_from(inside)
        with self._connect() as connection:
            people, named = connection.execute(query).one()
        return {"people": people, "named_people": named}

    # -- faces ---------------------------------------------------------------------------------------------------

    def members(self, person_ids: Iterable[str] | None = None) -> list[Row]:
        """Faces in the library that are somebody's, or one of these people's: with person, origin, run and photo."""
        query = sa.select(members, faces.c.photo_id, faces.c.quality, faces.c.reason)
        query = query.join(faces, faces.c.face_id == members.c.face_id).order_by(members.c.face_id)
        with self._connect() as connection:
            if person_ids is None:
                return [dict(row) for row in connection.execute(query).mappings()]
            return [
                dict(row) for row in connection.execute(query.where(among(members.c.person_id, person_ids))).mappings()
            ]

    def spoken_of(self, photo_ids: Iterable[str]) -> dict[str, str]:
        """Faces on some photos of which anything was said, whose they are or are not: with their photos."""
        known = sa.union(sa.select(members.c.face_id), sa.select(rejections.c.face_id)).subquery()
        query = sa.select(faces.c.face_id, faces.c.photo_id).join(known, known.c.face_id == faces.c.face_id)
        with self._connect() as connection:
            return _by_key(connection, query.where(among(faces.c.photo_id, photo_ids)))

    def vectors(self, face_ids: Sequence[str]) -> dict[str, FloatArray]:
        """Embeddings by face id, float32 (D,); faces without one are left out."""
        query = sa.select(faces.c.face_id, faces.c.embedding).where(faces.c.embedding.is_not(None))
        with self._connect() as connection:
            return {
                key: np.frombuffer(blob, np.float32)
                for key, blob in connection.execute(query.where(among(faces.c.face_id, face_ids)))
            }

    def all_faces(self) -> list[tuple[str, str, str | None, str | None, bytes]]:
        """All faces with an embedding: face id, photo id, why it is poor, whose it is, the embedding's bytes."""
        query = (
            sa.select(faces.c.face_id, faces.c.photo_id, faces.c.reason, members.c.person_id, faces.c.embedding)
            .outerjoin(members, members.c.face_id == faces.c.face_id)
            .where(faces.c.embedding.is_not(None))
            .order_by(faces.c.face_id)
        )
        with self._connect() as connection:
            return [(a, b, c, d, e) for a, b, c, d, e in connection.execute(query)]

    def owners(self, person_ids: Iterable[str] | None = None) -> dict[str, str]:
        """Whose faces are, also of faces that are not in the library now; of everybody, or of these people."""
        query = sa.select(members.c.face_id, members.c.person_id).order_by(members.c.face_id)
        with self._connect() as connection:
            if person_ids is None:
                return _by_key(connection, query)
            return _by_key(connection, query.where(among(members.c.person_id, person_ids)))

    def photo_of(self, face_ids: Iterable[str] | None = None) -> dict[str, str]:
        """The photo of each face in the library, or of these; unknown ids are left out."""
        query = sa.select(faces.c.face_id, faces.c.photo_id)
        with self._connect() as connection:
            if face_ids is None:
                return _by_key(connection, query)
            return _by_key(connection, query.where(among(faces.c.face_id, face_ids)))

    def rejections(self) -> list[tuple[str, str]]:
        """Which face is not which person."""
        return self._pairs(rejections)

    def differences(self) -> list[tuple[str, str]]:
        """Which two people are not one."""
        return self._pairs(differences)

    def _pairs(self, table: sa.Table) -> list[tuple[str, str]]:
        with self._connect() as connection:
            return [(a, b) for a, b in connection.execute(sa.select(*table.c).order_by(*table.c))]

    def allowed_twice(self) -> set[str]:
        """Photos that may show a face twice."""
        with self._connect() as connection:
            return set(connection.scalars(sa.select(allowed_twice.c.photo_id)))

    def photo_ids(self, person_id: str) -> list[str]:
        """The photos that a person is on."""
        query = sa.select(faces.c.photo_id).join(members, members.c.face_id == faces.c.face_id)
        with self._connect() as connection:
            return sorted(set(connection.scalars(query.where(members.c.person_id == person_id))))

    @property
    def assign_due(self) -> bool:
        """Whether there are new faces since `assigned` was called: a run may have been cut off in between."""
        with self._connect() as connection:
            return connection.scalar(sa.select(meta.c.value).where(meta.c.key == "assign")) == "due"

    @staticmethod
    def assigned(work: Work) -> None:
        """Note that faces were given to people."""
        set_meta(work.connection, "assign", "done")

    # -- runs ----------------------------------------------------------------------------------------------------

    def add_run(self, row: Row, proposal: Proposal) -> None:
        """Keep what a run proposes."""
        blob = zlib.compress(json.dumps([dict(proposal.labels), dict(proposal.settled)]).encode())
        with self._lock, self._engine.begin() as connection:
            connection.execute(sa.insert(cluster_runs), row | {"labels": blob})

    def runs(self) -> list[Row]:
        """The runs, newest first, without their labels."""
        columns = [column for column in cluster_runs.c if column.name != "labels"]
        query = sa.select(*columns).order_by(cluster_runs.c.created_at.desc(), cluster_runs.c.run_id)
        with self._connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

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

    # -- the journal ---------------------------------------------------------------------------------------------

    @contextmanager
    def work(self, verb: Verb, user: str) -> Iterator[Work]:
        """One verb's changes: all of them and their entry in the journal, or nothing."""
        with self._lock, self._engine.begin() as connection:
            self._working.connection = connection
            try:
                work = Work(connection, verb, user)
                yield work
                work.number = work.write_down(now()) or 0
            finally:
                self._working.connection = None

    def undo(self, number: int | None, user: str) -> int:
        """Take an entry back; returns the number of the entry that says so."""
        with self._lock, self._engine.begin() as connection:
            done = take_back(connection, number, user).write_down(now())
        return done or 0

    def entries(self, limit: int) -> list[Row]:
        """The journal, newest first, without the changes."""
        columns = [column for column in journal.c if column.name != "changes"]
        query = sa.select(*columns).order_by(journal.c.number.desc()).limit(limit)
        with self._connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    # -- faces that are called otherwise now ---------------------------------------------------------------------

    def reveal(self, ids: Iterable[str]) -> None:
        """Photos and faces are about to come in; see `facekit.catalog.hidden`."""
        with self._lock, self._engine.begin() as connection:
            reveal(connection, ids)

    def rename(self, pairs: Mapping[str, str]) -> None:
        """Faces have another id from now on; all that was said of them stays."""
        if pairs:
            values = sa.values(sa.column("old", sa.String), sa.column("new", sa.String), name="renamed")
            with self._lock, self._engine.begin() as connection:
                for chunk in chunks(list(pairs)):
                    part = values.data([(key, pairs[key]) for key in chunk])
                    rename_faces(connection, sa.select(part.c.old, part.c.new))

    def copy(self, pairs: Mapping[str, str]) -> None:
        """Faces are also there under another id: there, they are and are not the same people's."""
        with self.work("assign", "") as work:
            for table in (members, rejections):
                query = sa.select(table)
                rows = [
                    dict(row) | {"face_id": pairs[row["face_id"]]}
                    for row in work.connection.execute(query.where(among(table.c.face_id, pairs))).mappings()
                ]
                there = self.owners() if table is members else {}
                work.put(table, [row for row in rows if row["face_id"] not in there])
            work.words = f"{faces_in_words(len(pairs))} of changed photos: whose they were before"

    def allow_too(self, photo_id: str, new_photo_id: str) -> None:
        """If a photo may show a face twice, another may, too."""
        with self.work("assign", "") as work:
            if photo_id in self.allowed_twice():
                work.put(allowed_twice, [{"photo_id": new_photo_id}])
            work.words = "a changed photo may show a face twice, as before"


def rename_faces(connection: sa.Connection, pairs: sa.Select[tuple[str, str]]) -> None:
    """Faces have another id from now on: ``pairs`` selects the old and the new ones."""
    table = sa.Table(
        "renamed_faces", sa.MetaData(), sa.Column("old", sa.String), sa.Column("new", sa.String), prefixes=["TEMPORARY"]
    )
    table.create(connection)
    chosen = pairs.subquery()
    old, new = chosen.c
    connection.execute(sa.insert(table).from_select(["old", "new"], sa.select(old, new).where(old != new)))
    for owned in (members, rejections):
        rest = [column for column in owned.c if column.name != "face_id"]
        moved = sa.select(table.c.new.label("face_id"), *rest).join(owned, owned.c.face_id == table.c.old)
        rows = [dict(row) for row in connection.execute(moved).mappings()]
        connection.execute(sa.delete(owned).where(owned.c.face_id.in_(sa.select(table.c.old))))
        if rows:
            left = [row["face_id"] for row in rows]  # from before the models were changed back
            connection.execute(sa.delete(owned).where(among(owned.c.face_id, left)))
            connection.execute(sa.insert(owned), rows)
    connection.execute(sa.update(persons).values(cover=table.c.new).where(persons.c.cover == table.c.old))
    connection.execute(
        sa.update(face_aliases).values(new_face_id=table.c.new).where(face_aliases.c.new_face_id == table.c.old)
    )
    last = sa.select(sa.func.coalesce(sa.func.max(journal.c.number), 0)).scalar_subquery()
    names = ["old_face_id", "new_face_id", "since"]
    connection.execute(sa.insert(face_aliases).from_select(names, sa.select(table.c.old, table.c.new, last)))
    table.drop(connection)


def _by_key(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, str]:
    """What a query of two columns finds: the second by the first."""
    return {key: value for key, value in connection.execute(query)}  # noqa: C416 - a row is no pair to mypy


def _persons(connection: sa.Connection, rows: Sequence[Row]) -> list[Person]:
    covers = _covers(connection, [row["person_id"] for row in rows])
    return [
        Person(
            person_id=row["person_id"],
            name=row["name"],
            faces=row["faces"],
            photos=row["photos"],
            cover=covers.get(row["person_id"]),
            hidden=row["hidden"],
            settled=bool(row["settled"]),
        )
        for row in rows
    ]


def _covers(connection: sa.Connection, person_ids: Sequence[str]) -> dict[str, str]:
    """The face that the user chose, while the person has it, or else the one of best quality."""
    chosen = sa.case((persons.c.cover == members.c.face_id, 0), else_=1)
    rank = sa.func.row_number().over(
        partition_by=members.c.person_id, order_by=(chosen, faces.c.quality.desc(), members.c.face_id)
    )
    ranked = (
        sa.select(members.c.person_id, members.c.face_id, rank.label("rank"))
        .join(faces, faces.c.face_id == members.c.face_id)
        .join(persons, persons.c.person_id == members.c.person_id)
    )
    inside = ranked.where(among(members.c.person_id, person_ids)).subquery()
    best = sa.select(inside.c.person_id, inside.c.face_id).where(inside.c.rank == 1)
    return _by_key(connection, best)
