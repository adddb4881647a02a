"""The tables of connected places that photos come from, such as a cloud disk, and of what was listed there.

Tokens are none of the catalog's: see `facekit.sources.signing_in.vault`.
"""

from __future__ import annotations

import sqlalchemy as sa

from facekit.catalog.tables import metadata
from facekit.catalog.times import UtcTime

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("name", sa.String, primary_key=True),  # as in the column `source` of files
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("keep_originals", sa.Boolean, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("added_at", UtcTime, nullable=False),
    sa.Column("synced_at", UtcTime),  # when all of it was last brought in
    sa.Column("problem", sa.String),  # what ended the last sync before its end
    sa.Column("remedy", sa.String),
    sa.Column("sign_in", sa.Boolean, nullable=False),  # whether it wants another token
    sa.Column("resume_at", UtcTime),
    sa.Column("cursor", sa.JSON),  # where the listing goes on
    sa.Column("listing", sa.Integer, nullable=False),  # counts the listings from the beginning
    sa.Column("listing_open", sa.Boolean, nullable=False),  # whether the last one is not at its end
)

source_items = sa.Table(
    "source_items",
    metadata,
    sa.Column("item_id", sa.String(32), primary_key=True),  # the file's that it becomes
    sa.Column("source", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("album", sa.String, nullable=False),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("content", sa.String),  # a hash of the bytes that the place has
    sa.Column("link", sa.String),
    sa.Column("modified", UtcTime),
    sa.Column("taken_at", sa.DateTime),  # as the camera's clock had it, no time zone
    sa.Column("latitude", sa.Double),
    sa.Column("longitude", sa.Double),
    sa.Column("listing", sa.Integer, nullable=False),  # the last one that showed it
    sa.Column("gone", sa.Boolean, nullable=False),
)
sa.Index("ix_source_items_content", source_items.c.content).ddl_if(dialect="postgresql")
