"""Faces that are called otherwise now: another id takes the old one's place in all that was said of them."""

from __future__ import annotations

import sqlalchemy as sa

from facekit.catalog.people_tables import face_aliases, journal, members, persons, rejections
from facekit.catalog.rows import among


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


def aliases_of(connection: sa.Connection, number: int) -> dict[str, str]:
    """What faces are called now that were called otherwise when an entry of the journal was written."""
    query = sa.select(face_aliases.c.old_face_id, face_aliases.c.new_face_id).where(face_aliases.c.since >= number)
    rows = connection.execute(query.order_by(face_aliases.c.since.desc())).all()  # the first renaming after it counts
    return {old: new for old, new in rows}  # noqa: C416 - dict() does not know what a row is
