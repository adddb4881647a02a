"""The catalog's tables, in the SQL that DuckDB and PostgreSQL share; a change of them is a step in `migrations`, too.

Ids come from facekit (hashes), not from the database, so that writing the same thing twice is harmless and the
vectors' keys are stable. There are no foreign keys: DuckDB checks them too eagerly to delete a parent and its
children, or to change a parent's indexed column, in one transaction.
"""

from __future__ import annotations

import sqlalchemy as sa

from facekit.catalog.times import UtcTime

metadata = sa.MetaData()

INDEXED = 256
"""Characters of a path in an index: an entry has at most 2704 bytes (PostgreSQL, B-tree), a path up to 4096."""

# Of files: ordered as Python does it, by the characters' numbers, whatever the database's own order is.
_Path = sa.String().with_variant(sa.String(collation="C"), "postgresql")

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

# One row for each path that was ever found; several may show the same photo.
files = sa.Table(
    "files",
    metadata,
    sa.Column("file_id", sa.String(32), primary_key=True),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("path", sa.LargeBinary, nullable=False),  # the name's own bytes: it need not be valid UTF-8
    sa.Column("display", _Path, nullable=False),
    sa.Column("folder", _Path, nullable=False),  # of `display`, with a slash at the end
    sa.Column("photo_id", sa.String(32), nullable=False, index=True),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    sa.Column("missing_since", UtcTime),
    # Of a file at a connected place: what changes when its bytes do, its album, and the page that shows it.
    sa.Column("version", sa.String),
    sa.Column("album", sa.String),
    sa.Column("link", sa.String),
)

# One row for each content, named by its hash; a file that can't be read gets one of its own.
photos = sa.Table(
    "photos",
    metadata,
    sa.Column("photo_id", sa.String(32), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.String),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("format", sa.String(16)),
    sa.Column("width", sa.Integer),  # pixels of the upright photo
    sa.Column("height", sa.Integer),
    sa.Column("taken_at", sa.DateTime),  # as the camera's clock had it, no time zone
    sa.Column("camera", sa.String),
    sa.Column("latitude", sa.Double),
    sa.Column("longitude", sa.Double),
    sa.Column("turn", sa.Integer, server_default="0"),  # degrees clockwise that bring it upright; boxes are not turned
    sa.Column("faces", sa.Integer, nullable=False),
    sa.Column("run_id", sa.String(32), nullable=False),
    # Of the first of its files, which is the one to show: kept by `places`, so that no page has to rank all files.
    sa.Column("source", sa.String),
    sa.Column("display", _Path),
    sa.Column("folder", _Path),
    sa.Column("missing", sa.Boolean),
    sa.Column("files", sa.Integer),  # how many there are
)
# DuckDB reads columns as fast; to change an indexed one it takes a row out and puts it in again, which can fail.
_SERVER = "postgresql"
sa.Index("ix_photos_display", sa.func.left(photos.c.display, INDEXED), photos.c.photo_id).ddl_if(dialect=_SERVER)
for _table in (photos, files):
    sa.Index(
        f"ix_{_table.name}_folder",
        sa.func.left(_table.c.folder, INDEXED).label("start"),
        postgresql_ops={"start": "text_pattern_ops"},  # for LIKE, in whatever order texts are there
    ).ddl_if(dialect=_SERVER)
sa.Index("ix_photos_files", photos.c.photo_id, postgresql_where=photos.c.files > 1).ddl_if(dialect=_SERVER)

faces = sa.Table(
    "faces",
    metadata,
    sa.Column("face_id", sa.String(32), primary_key=True),
    sa.Column("photo_id", sa.String(32), nullable=False, index=True),
    sa.Column("x", sa.Double, nullable=False),  # 0..1 of the upright photo
    sa.Column("y", sa.Double, nullable=False),
    sa.Column("w", sa.Double, nullable=False),
    sa.Column("h", sa.Double, nullable=False),
    sa.Column("landmarks", sa.JSON, nullable=False),  # five [x, y], 0..1
    sa.Column("detection_score", sa.Double, nullable=False),
    sa.Column("size", sa.Double, nullable=False),
    sa.Column("sharpness", sa.Double, nullable=False),
    sa.Column("yaw", sa.Double, nullable=False),
    sa.Column("pitch", sa.Double, nullable=False),
    sa.Column("roll", sa.Double, nullable=False),
    sa.Column("quality", sa.Double, nullable=False),
    sa.Column("reason", sa.String),
    sa.Column("detector", sa.String, nullable=False),
    sa.Column("embedder", sa.String, nullable=False),
    sa.Column("embedding", sa.LargeBinary),  # float32, L2-normalised; null where the model gave no usable vector
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("roots", sa.JSON, nullable=False),
    sa.Column("detector", sa.String, nullable=False),
    sa.Column("embedder", sa.String, nullable=False),
    sa.Column("device", sa.String, nullable=False),
    sa.Column("report", sa.JSON),
)

# What other models make of the photos, until it takes the place of what the library has: see `staging`. Without keys,
# because they are filled once and then moved as a whole, which keys make three times as slow.
staged_photos = sa.Table(
    "staged_photos",
    metadata,
    sa.Column("photo_id", sa.String(32), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("turn", sa.Integer, server_default="0"),
    sa.Column("faces", sa.Integer, nullable=False),
)

staged_faces = sa.Table(
    "staged_faces",
    metadata,
    *(sa.Column(column.name, column.type, nullable=column.nullable) for column in faces.c),
)

# On a server several processes may collect: each looks whether a photo is there already.
for _staged in (staged_photos, staged_faces):
    sa.Index(f"ix_{_staged.name}_photo_id", _staged.c.photo_id).ddl_if(dialect="postgresql")

# Faces that the vector index must look at again: see `outbox`. Without keys, because rows come and go all the time.
index_due = sa.Table(
    "index_due",
    metadata,
    sa.Column("change_id", sa.String(32), nullable=False),  # the rows of a change come in one transaction, with it
    sa.Column("face_id", sa.String(32), nullable=False),
)

# Which face of the models before is which face of the models now, written for the last change of models and kept.
carried = sa.Table(
    "carried",
    metadata,
    sa.Column("old_face_id", sa.String(32), nullable=False),
    sa.Column("new_face_id", sa.String(32), nullable=False),
)
