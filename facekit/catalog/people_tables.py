"""The catalog's tables about people: who there is, whose the faces are, what the user said, and what was done.

They are keyed by face ids, which come from the photo's content and the box: a photo that is removed and brought back
finds its people again (`facekit.catalog.hidden` says how they wait). A change of models, and an edited file, write down
in `face_aliases` which face became which.
"""

from __future__ import annotations

import sqlalchemy as sa

from facekit.catalog.tables import metadata
from facekit.catalog.times import UtcTime

persons = sa.Table(
    "persons",
    metadata,
    sa.Column("person_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String),
    sa.Column("cover", sa.String(32)),  # the face that the user chose
    sa.Column("hidden", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

# Memberships: the owner of a face; a face without a row is nobody's.
members = sa.Table(
    "members",
    metadata,
    sa.Column("face_id", sa.String(32), primary_key=True),
    sa.Column("person_id", sa.String(32), nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("run_id", sa.String(32)),
)
sa.Index("ix_members_person_id", members.c.person_id).ddl_if(dialect="postgresql")  # as those of `photos`

# Rejections, as in "this is not Anna".
rejections = sa.Table(
    "rejections",
    metadata,
    sa.Column("face_id", sa.String(32), primary_key=True),
    sa.Column("person_id", sa.String(32), primary_key=True),
)

# Differences, as in "Anna and Ivan are two people". The smaller id is the first.
differences = sa.Table(
    "differences",
    metadata,
    sa.Column("person_id", sa.String(32), primary_key=True),
    sa.Column("other_id", sa.String(32), primary_key=True),
)

# Photos that may show a face twice.
allowed_twice = sa.Table(
    "allowed_twice",
    metadata,
    sa.Column("photo_id", sa.String(32), primary_key=True),
)

cluster_runs = sa.Table(
    "cluster_runs",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("method", sa.String(32), nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("models", sa.String, nullable=False),
    sa.Column("faces", sa.Integer, nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Column("unassigned", sa.Integer, nullable=False),
    sa.Column("conflicts", sa.JSON, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("labels", sa.LargeBinary, nullable=False),  # zlib of JSON: face id -> cluster, face id -> person
)

journal = sa.Table(
    "people_journal",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("verb", sa.String(32), nullable=False),
    sa.Column("words", sa.String, nullable=False),
    sa.Column("faces", sa.Integer, nullable=False),
    sa.Column("undoes", sa.Integer),  # the entry that this one takes back
    sa.Column("undone", sa.Boolean, nullable=False),
    sa.Column("changes", sa.LargeBinary, nullable=False),  # zlib of JSON, see `facekit.catalog.journal`
)

# What face an id stands for now that stood for it up to an entry of the journal; later, the id may be another face's,
# or the same face's again. Without a key: see `staged_photos`.
face_aliases = sa.Table(
    "face_aliases",
    metadata,
    sa.Column("old_face_id", sa.String(32), nullable=False),
    sa.Column("new_face_id", sa.String(32), nullable=False),
    sa.Column("since", sa.Integer, nullable=False),  # the journal's last entry when the face was renamed
)

# What stands in the tables above for faces and photos that were removed, and what it was made with: see `hidden`.
hidden_ids = sa.Table(
    "hidden_ids",
    metadata,
    sa.Column("hidden", sa.String(32), primary_key=True),
)

hidden_ids_secret = sa.Table(
    "hidden_ids_secret",
    metadata,
    sa.Column("secret", sa.String(64), nullable=False),
)

PEOPLE_TABLES = (
    persons,
    members,
    rejections,
    differences,
    allowed_twice,
    cluster_runs,
    journal,
    face_aliases,
    hidden_ids,
    hidden_ids_secret,
)
"""All that is known about people, which no photo can be asked for again."""
