"""Aliases: faces whose id has changed. The new id takes the old one's place in memberships, rejections and covers."""

from __future__ import annotations

import sqlalchemy as sa

from facekit.catalog.people_tables import face_aliases, journal, members, persons, rejections
from facekit.catalog.rows import MemberRow, RejectionRow, delete, fetch, fields_of, insert


def rename_faces(connection: sa.Connection, pairs: sa.Select[tuple[str, str]]) -> None:
    """Faces have another id from now on: ``pairs`` selects the old and the new ones."""
    table = sa.Table(
        "renamed_faces", sa.MetaData(), sa.Column("old", sa.String), sa.Column("new", sa.String), prefixes=["TEMPORARY"]
    )
    table.create(connection)
    chosen = pairs.subquery()
    old, new = chosen.c
    connection.execute(sa.insert(table).from_select(["old", "new"], sa.select(old, new).where(old != new)))
    for owned, kind in ((members, MemberRow), (rejections, RejectionRow)):
        rest = [owned.c[name] for name in fields_of(kind) if name != "face_id"]
        moved = sa.select(table.c.new.label("face_id"), *rest).join(owned, owned.c.face_id == table.c.old)
        rows: list[MemberRow | RejectionRow] = fetch(connection, moved, kind)
        connection.execute(sa.delete(owned).where(owned.c.face_id.in_(sa.select(table.c.old))))
        delete(connection, owned.c.face_id, [row.face_id for row in rows])  # from before the models were changed back
        insert(connection, owned, [row._asdict() for row in rows])
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
