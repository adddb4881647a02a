"""The catalog's versions: what each brought, and how a catalog of the version before comes by it.

What is here stays as it is: a library may come from any of these versions. The tables are as they were then, and of
each only the columns that a step is about.
"""

from __future__ import annotations

import json
import unicodedata
import zlib
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from facekit.catalog import batch_tables, source_tables  # noqa: F401 - their tables belong to the metadata
from facekit.catalog.people_tables import persons
from facekit.catalog.schema import Schema, add_column, replace_values
from facekit.catalog.shared_tables import shared_metadata
from facekit.catalog.tables import meta


def _people(connection: sa.Connection) -> None:
    """People, and changes of models that carry them over."""
    # What other models make came while the version was 1, so that it may be there.
    tables = sa.MetaData()
    text, number, flag = sa.String, sa.Integer, sa.Boolean
    key = sa.String(32)

    def keyed(name: str) -> sa.Column[Any]:
        return sa.Column(name, key, primary_key=True)

    def full(name: str, kind: Any) -> sa.Column[Any]:  # noqa: ANN401 - a type of SQLAlchemy's
        return sa.Column(name, kind, nullable=False)

    measures = ("x", "y", "w", "h"), ("detection_score", "size", "sharpness", "yaw", "pitch", "roll", "quality")
    sa.Table("staged_photos", tables, full("photo_id", key), full("status", sa.String(16)), full("faces", number))
    sa.Table(
        "staged_faces",
        tables,
        *(full(name, key) for name in ("face_id", "photo_id")),
        *(full(name, sa.Double) for name in measures[0]),
        full("landmarks", sa.JSON),
        *(full(name, sa.Double) for name in measures[1]),
        sa.Column("reason", text),
        full("detector", text),
        full("embedder", text),
        sa.Column("embedding", sa.LargeBinary),
    )
    sa.Table("carried", tables, full("old_face_id", key), full("new_face_id", key))
    sa.Table(
        "persons",
        tables,
        keyed("person_id"),
        sa.Column("name", text),
        sa.Column("cover", key),
        full("hidden", flag),
        full("created_at", sa.DateTime),
    )
    sa.Table(
        "members",
        tables,
        keyed("face_id"),
        full("person_id", key),
        full("origin", sa.String(16)),
        sa.Column("run_id", key),
    )
    sa.Table("rejections", tables, keyed("face_id"), keyed("person_id"))
    sa.Table("differences", tables, keyed("person_id"), keyed("other_id"))
    sa.Table("allowed_twice", tables, keyed("photo_id"))
    sa.Table(
        "cluster_runs",
        tables,
        keyed("run_id"),
        full("method", key),
        full("parameters", sa.JSON),
        full("models", text),
        *(full(name, number) for name in ("faces", "people", "unassigned")),
        full("conflicts", sa.JSON),
        full("seconds", sa.Double),
        full("created_at", sa.DateTime),
        full("state", sa.String(16)),
        full("labels", sa.LargeBinary),
    )
    sa.Table(
        "people_journal",
        tables,
        sa.Column("number", number, primary_key=True, autoincrement=False),
        full("at", sa.DateTime),
        full("user", text),
        full("verb", key),
        full("words", text),
        full("faces", number),
        sa.Column("undoes", number),
        full("undone", flag),
        full("changes", sa.LargeBinary),
    )
    sa.Table("face_aliases", tables, full("old_face_id", key), full("new_face_id", key), full("since", number))
    tables.create_all(connection)


def _place_columns(connection: sa.Connection) -> None:
    """What schema 6 says of files: first of all, for DuckDB alters no table of which a transaction has changed rows."""
    for name in ("version", "album", "link"):
        add_column(connection, "files", sa.Column(name, sa.String))


def _turned_and_removed(connection: sa.Connection) -> None:
    """Photos shown upright, folders found however they are written, and removed photos named nowhere."""
    _place_columns(connection)
    # All of it came while the version was 2, so that any of it may be there.
    for table in ("photos", "staged_photos"):
        add_column(connection, table, sa.Column("turn", sa.Integer, server_default="0"))
    tables = sa.MetaData()
    sa.Table("hidden_ids", tables, sa.Column("hidden", sa.String(32), primary_key=True))
    sa.Table("hidden_ids_secret", tables, sa.Column("secret", sa.String(64), nullable=False))
    tables.create_all(connection)
    files = sa.Table("files", sa.MetaData(), sa.Column("folder", sa.String))
    folders = connection.scalars(sa.select(files.c.folder).distinct()).all()
    composed = {folder: unicodedata.normalize("NFC", folder) for folder in folders}
    replace_values(connection, files.c.folder, {old: new for old, new in composed.items() if old != new})
    # The vector index holds each photo's first place, and which one that is was decided otherwise before "places" 2.
    if folders and connection.scalar(sa.select(meta.c.value).where(meta.c.key == "places")) != "2":
        connection.execute(sa.update(meta).where(meta.c.key == "index").values(value="behind"))
    connection.execute(sa.delete(meta).where(meta.c.key == "places"))


def _times_with_a_zone(connection: sa.Connection) -> None:
    """Times with a zone."""
    _place_columns(connection)
    # They were this machine's local time, without a zone; from here on they are UTC.
    columns = {
        "files": ["missing_since"],
        "runs": ["started_at", "finished_at"],
        "persons": ["created_at"],
        "cluster_runs": ["created_at"],
        "people_journal": ["at"],
    }
    for name, times in columns.items():
        table = sa.Table(name, sa.MetaData(), *(sa.Column(time, sa.DateTime) for time in times))
        for column in table.c:
            values = connection.scalars(sa.select(column).where(column.is_not(None)).distinct()).all()
            replace_values(connection, column, {old: old.astimezone(UTC).replace(tzinfo=None) for old in values})
    journal = sa.Table(
        "people_journal", sa.MetaData(), sa.Column("number", sa.Integer), sa.Column("changes", sa.LargeBinary)
    )
    for number in connection.scalars(sa.select(journal.c.number)).all():  # one after another: some name many faces
        here = journal.c.number == number
        changes = json.loads(zlib.decompress(connection.execute(sa.select(journal.c.changes).where(here)).scalar_one()))
        rows = [row for _, _, before, after in changes for row in (before, after) if row and row.get("created_at")]
        for row in rows:
            row["created_at"] = datetime.fromisoformat(row["created_at"]).astimezone(UTC).isoformat()
        if rows:
            blob = zlib.compress(json.dumps(changes).encode())
            connection.execute(sa.update(journal).where(here).values(changes=blob))


def _outbox_and_first_places(connection: sa.Connection) -> None:
    """An index that follows change by change, and pages that cost the same whatever the size of the library."""
    tables = sa.MetaData()
    key = sa.String(32)
    due = sa.Table("index_due", tables, *(sa.Column(name, key, nullable=False) for name in ("change_id", "face_id")))
    tables.create_all(connection)
    # One word stood for all changes together. Where it says that the index may lack some, it looks at every face again.
    if connection.scalar(sa.select(meta.c.value).where(meta.c.key == "index")) != "current":
        faces = sa.Table("faces", sa.MetaData(), sa.Column("face_id", key), sa.Column("embedding", sa.LargeBinary))
        every = sa.select(sa.literal("upgrade", key), faces.c.face_id).where(faces.c.embedding.is_not(None))
        connection.execute(sa.insert(due).from_select(["change_id", "face_id"], every))
    connection.execute(sa.delete(meta).where(meta.c.key == "index"))

    place = {"source": sa.String, "display": sa.String, "folder": sa.String, "missing": sa.Boolean, "files": sa.Integer}
    for name, kind in place.items():
        add_column(connection, "photos", sa.Column(name, kind))
    photos = sa.Table(
        "photos", sa.MetaData(), sa.Column("photo_id", key), *(sa.Column(name, kind) for name, kind in place.items())
    )
    texts = [sa.Column(name, sa.String) for name in ("file_id", "photo_id", "source", "display", "folder")]
    more = sa.Column("mtime_ns", sa.BigInteger), sa.Column("missing_since", sa.DateTime)
    files = sa.Table("files", sa.MetaData(), *texts, *more)
    there = sa.case((files.c.missing_since.is_(None), 0), else_=1)
    order = (there, sa.func.length(files.c.display), files.c.mtime_ns, files.c.display, files.c.file_id)
    ranked = sa.select(
        *(files.c[name] for name in ("photo_id", "source", "display", "folder")),
        files.c.missing_since.is_not(None).label("missing"),
        sa.func.row_number().over(partition_by=files.c.photo_id, order_by=order).label("rank"),
        sa.func.count().over(partition_by=files.c.photo_id).label("files"),
    ).subquery()
    values = {name: ranked.c[name] for name in place}
    here = (photos.c.photo_id == ranked.c.photo_id, ranked.c.rank == 1)
    connection.execute(sa.update(photos).values(values).where(*here))
    if connection.dialect.name == "postgresql":  # DuckDB reads columns as fast, and changes an indexed one by exchange
        connection.exec_driver_sql('CREATE INDEX ix_photos_display ON photos ("left"(display, 256), photo_id)')
        connection.exec_driver_sql('CREATE INDEX ix_photos_folder ON photos ("left"(folder, 256) text_pattern_ops)')
        connection.exec_driver_sql('CREATE INDEX ix_files_folder ON files ("left"(folder, 256) text_pattern_ops)')
        connection.exec_driver_sql("CREATE INDEX ix_photos_files ON photos (photo_id) WHERE files > 1")
        connection.exec_driver_sql("CREATE INDEX ix_members_person_id ON members (person_id)")


def _connected_places(connection: sa.Connection) -> None:
    """Photos from connected places, such as a cloud disk."""
    _place_columns(connection)
    tables = sa.MetaData()
    text, flag, number, moment = sa.String, sa.Boolean, sa.Integer, sa.DateTime

    def full(name: str, kind: Any) -> sa.Column[Any]:  # noqa: ANN401 - a type of SQLAlchemy's
        return sa.Column(name, kind, nullable=False)

    sa.Table(
        "sources",
        tables,
        sa.Column("name", text, primary_key=True),
        full("kind", text),
        full("settings", sa.JSON),
        *(full(name, flag) for name in ("keep_originals", "paused")),
        full("added_at", moment),
        sa.Column("synced_at", moment),
        *(sa.Column(name, text) for name in ("problem", "remedy")),
        full("sign_in", flag),
        sa.Column("resume_at", moment),
        sa.Column("cursor", sa.JSON),
        full("listing", number),
        full("listing_open", flag),
    )
    items = sa.Table(
        "source_items",
        tables,
        sa.Column("item_id", sa.String(32), primary_key=True),
        *(full(name, text) for name in ("source", "key", "version", "name", "album")),
        sa.Column("bytes", sa.BigInteger),
        *(sa.Column(name, text) for name in ("content", "link")),
        sa.Column("modified", moment),
        sa.Column("taken_at", moment),
        *(sa.Column(name, sa.Double) for name in ("latitude", "longitude")),
        full("listing", number),
        full("gone", flag),
    )
    sa.Index("ix_source_items_content", items.c.content).ddl_if(dialect="postgresql")
    tables.create_all(connection)


_STEPS = {
    2: _people,
    3: _turned_and_removed,
    4: _times_with_a_zone,
    5: _outbox_and_first_places,
    6: _connected_places,
}

SCHEMA = Schema(persons.metadata, meta, _STEPS, shared_metadata)
"""The catalog's."""
