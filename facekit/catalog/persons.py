"""Who there is: people by page, name and id. Counts are of faces that are in the library now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facekit.arguments import checked_page, checked_position, no_such_person
from facekit.catalog.names import composed
from facekit.catalog.people_tables import differences, members, persons, rejections
from facekit.catalog.rows import among
from facekit.catalog.snapshots import Snapshots
from facekit.catalog.tables import faces
from facekit.errors import UnknownIdError
from facekit.types.people import SHORT_ID, Person

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class _People:
    """What queries about people are made of: of everybody, or of some by id, which takes a quarter of the time."""

    def __init__(self, ids: Collection[str] | None = None) -> None:
        self._ids = ids
        count = sa.select(
            members.c.person_id,
            sa.func.count().label("faces"),
            sa.func.count(sa.distinct(faces.c.photo_id)).label("photos"),
        ).join(faces, faces.c.face_id == members.c.face_id)
        self._owned = self._of(count, members.c.person_id).group_by(members.c.person_id).subquery()
        self.faces = sa.func.coalesce(self._owned.c.faces, 0)
        # Whom the user touched: derived from what the user said, so that taking it back takes this back.
        touched = sa.union(
            self._of(sa.select(members.c.person_id).where(members.c.origin == "user"), members.c.person_id),
            *(
                self._of(sa.select(column), column)
                for column in (rejections.c.person_id, differences.c.person_id, differences.c.other_id)
            ),
        ).subquery()
        self.settled = sa.or_(
            persons.c.name.is_not(None),
            persons.c.hidden.is_(True),
            persons.c.cover.is_not(None),
            persons.c.person_id.in_(sa.select(touched.c[0])),
        )

    def _of(self, query: sa.Select[Any], person: sa.Column[Any]) -> sa.Select[Any]:
        return query if self._ids is None else query.where(among(person, self._ids))

    def select(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """Whoever has no face in the library and was never touched is nobody."""
        query = sa.select(*columns).select_from(persons)
        query = query.outerjoin(self._owned, self._owned.c.person_id == persons.c.person_id)
        return self._of(query.where(sa.or_(self.faces > 0, self.settled)), persons.c.person_id)

    def rows(self) -> sa.Select[Any]:
        """A query for `Person`."""
        cover = self._covers()
        photos = sa.func.coalesce(self._owned.c.photos, 0).label("photos")
        query = self.select(
            *(persons.c.person_id, persons.c.name, self.faces.label("faces"), photos, cover.c.face_id.label("cover")),
            *(persons.c.hidden, self.settled.label("settled")),
        )
        return query.outerjoin(cover, sa.and_(cover.c.person_id == persons.c.person_id, cover.c.rank == 1))

    def _covers(self) -> sa.Subquery:
        """The face that the user chose, while the person has it, or else the one of best quality, has rank 1."""
        whose = persons.alias()
        chosen = sa.case((whose.c.cover == members.c.face_id, 0), else_=1)
        rank = sa.func.row_number().over(
            partition_by=members.c.person_id, order_by=(chosen, faces.c.quality.desc(), members.c.face_id)
        )
        ranked = (
            sa.select(members.c.person_id, members.c.face_id, rank.label("rank"))
            .join(faces, faces.c.face_id == members.c.face_id)
            .join(whose, whose.c.person_id == members.c.person_id)
        )
        return self._of(ranked, members.c.person_id).subquery()

    @property
    def to_be_seen(self) -> sa.ColumnElement[bool]:
        """All that is left of the others is what was said of them."""
        return sa.or_(self.faces > 0, persons.c.name.is_not(None))


class Persons(Snapshots):
    """Reads who there is."""

    def page(self, *, hidden: bool, named: bool | None, text: str, offset: int, limit: int) -> tuple[int, list[Person]]:
        """How many people there are of a kind, and some of them: named ones first, then those with most faces."""
        offset, limit = checked_position(offset), checked_page(limit)
        people = _People()
        query = people.select(persons.c.person_id).where(persons.c.hidden.is_(hidden), people.to_be_seen)
        if named is not None:
            query = query.where(persons.c.name.is_not(None) if named else persons.c.name.is_(None))
        if text:
            query = query.where(sa.func.strpos(sa.func.lower(persons.c.name), sa.func.lower(composed(text))) > 0)
        unnamed = sa.case((persons.c.name.is_(None), 1), else_=0)
        ordered = query.order_by(unnamed, people.faces.desc(), persons.c.name, persons.c.person_id)
        with self.reading(), self._connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
            ids = list(connection.scalars(ordered.offset(offset).limit(limit)))
            found = self.some(ids)
        return total, [found[key] for key in ids]

    def some(self, person_ids: Iterable[str]) -> dict[str, Person]:
        """People by id; unknown ids are left out."""
        return self._read(_People(list(person_ids)))

    def all(self) -> dict[str, Person]:
        """Everybody, hidden or not, by id."""
        return self._read(_People())

    def _read(self, people: _People) -> dict[str, Person]:
        with self._connect() as connection:
            rows = connection.execute(people.rows())
            return {row.person_id: Person(**row._mapping) for row in rows}  # noqa: SLF001 - public in spite of its name

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
            raise no_such_person(text)
        return next(iter(found.values()))

    def _beginning(self, text: str) -> dict[str, Person]:
        begins = persons.c.person_id.startswith(text, autoescape=True)
        with self._connect() as connection:
            return self.some(connection.scalars(_People().select(persons.c.person_id).where(begins).limit(2)))

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
            return set(connection.scalars(sa.select(persons.c.person_id).where(_People().settled)))

    def named_and_hidden(self) -> tuple[set[str], set[str]]:
        """Those who have a name, and those who are hidden."""
        with self._connect() as connection:
            rows = connection.execute(sa.select(persons.c.person_id, persons.c.name, persons.c.hidden)).all()
        return {key for key, name, _ in rows if name is not None}, {key for key, _, hidden in rows if hidden}

    def counts(self) -> dict[str, int]:
        """How many people there are, and how many of them have a name."""
        people = _People()
        inside = people.select(persons.c.person_id, persons.c.name).where(people.to_be_seen).subquery()
        query = sa.select(sa.func.count(), sa.func.count(inside.c.name)).select_from(inside)
        with self._connect() as connection:
            count, named = connection.execute(query).one()
        return {"people": count, "named_people": named}
