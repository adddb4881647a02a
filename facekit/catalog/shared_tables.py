"""Tables that only a catalog on a server has, because several processes work with it; in a file there are none."""

from __future__ import annotations

import sqlalchemy as sa

shared_metadata = sa.MetaData()

# How often transactions changed a table of the catalog: see `changes`.
table_versions = sa.Table(
    "table_versions",
    shared_metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
