"""Who there is: people by page, name and id. Counts are of faces that are in the library now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facekit.arguments import checked_page, checked_position
from facekit.catalog.names import composed
from facekit.catalog.people_tables import differences, members, persons, rejections
from facekit.catalog.rows import PersonRow, among, by_key, fetch
from facekit.catalog.snapshots import Snapshots
from facekit.catalog.tables import faces
from facekit.errors import UnknownIdError
from facekit.types.people import SHORT_ID, Person

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        persons.c.person_id,
        persons.c.name,
        persons.c.hidden,
        _count.label("faces"),
        sa.func.coalesce(_here.c.photos, 0).label("photos"),
        _settled.label("settled"),
    )
    .outerjoin(_here, _here.c.person_id == persons.c.person_id)
    .where(sa.or_(_count > 0, _settled))  # whoever has no face in the library and was never touched is nobody
)
_to_be_seen = sa.or_(_count > 0, persons.c.name.is_not(None))  # all that is left of the others is what was said


class Persons(Snapshots):
    """Reads who there is."""

    def page(self, *, hidden: bool, named: bool | None, text: str, offset: int, limit: int) -> tuple[int, list[Person]]:
        """How many people there are of a kind, and some of them: named ones first, then those with most faces."""
        offset, limit = checked_position(offset), checked_page(limit)
        query = _people.where(persons.c.hidden.is_(hidden), _to_be_seen)
        if named is not None:
            query = query.where(persons.c.name.is_not(None) if named else persons.c.name.is_(None))
        if text:
            query = query.where(sa.func.strpos(sa.func.lower(persons.c.name), sa.func.lower(composed(text))) > 0)
        unnamed = sa.case((persons.c.name.is_(None), 1), else_=0)
        ordered = query.order_by(unnamed, _count.desc(), persons.c.name, persons.c.person_id)
        with self._connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
            return total, _persons(connection, ordered.offset(offset).limit(limit))

    def some(self, person_ids: Iterable[str]) -> dict[str, Person]:
        """People by id; unknown ids are left out."""
        query = _people.where(among(persons.c.person_id, person_ids))
        with self._connect() as connection:
            return {one.person_id: one for one in _persons(connection, query)}

    def all(self) -> dict[str, Person]:
        """Everybody, hidden or not, by id."""
        with self._connect() as connection:
            return {one.person_id: one for one in _persons(connection, _people)}

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
            return {one.person_id: one for one in _persons(connection, query)}

    def named(self, name: str) -> str | None:
        """Who has a name, or None; upper and lower case are alike."""
        # The database makes both small: it and Python don't agree about all letters.
        query = sa.select(persons.c.person_id).where(sa.func.lower(persons.c.name) == sa.func.lower(name))
        with self._connect() as connection:
            return connection.scalar(query)

    def person_ids(self) -> set[str]:
        """Everybody who has a row, also those without a face in the library now."""
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


def _persons(connection: sa.Connection, query: sa.Select[Any]) -> list[Person]:
    """The people whom a query for `PersonRow` finds, with their cover faces."""
    rows = fetch(connection, query, PersonRow)
    covers = _covers(connection, [row.person_id for row in rows])
    return [
        Person(
            person_id=row.person_id,
            name=row.name,
            faces=row.faces,
            photos=row.photos,
            cover=covers.get(row.person_id),
            hidden=row.hidden,
            settled=row.settled,
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
    return by_key(connection, best)
