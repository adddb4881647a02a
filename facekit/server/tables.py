"""The tables of the service's own database; a change of them is a step in `migrations`, too."""

from __future__ import annotations

import sqlalchemy as sa

from facekit.catalog.times import UtcTime

metadata = sa.MetaData()

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

_SECONDS = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # since 1970; 32 bits end in 2038

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String, primary_key=True),  # casefolded: Ada and ada are one
    sa.Column("display", sa.String, nullable=False),  # as it was written when the account was made
    sa.Column("password_hash", sa.String, nullable=False),
    sa.Column("role", sa.String(8), nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False, default=False),
    sa.Column("created_at", _SECONDS, nullable=False),
)

# One row for each sign-in: all the refresh tokens that came of it, of which the last is good.
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("user", sa.String, nullable=False, index=True),
    sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("created_at", _SECONDS, nullable=False),
    sa.Column("last_used_at", _SECONDS, nullable=False),
    sa.Column("expires_at", _SECONDS, nullable=False),
    sa.Column("revoked", sa.Boolean, nullable=False, default=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("user", sa.String, nullable=False, index=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at", _SECONDS, nullable=False),
    sa.Column("last_used_at", _SECONDS),
    sa.Column("expires_at", _SECONDS),
    sa.Column("revoked", sa.Boolean, nullable=False, default=False),
)

# What the service was asked to do.
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("detail", sa.String(16), nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("anywhere", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer),
    sa.Column("report", sa.JSON),
    sa.Column("problem", sa.String),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("started_at", UtcTime),
    sa.Column("finished_at", UtcTime),
    sa.Column("kind", sa.String(16), nullable=False, server_default="ingest"),
    sa.Column("models", sa.JSON),
    sa.Column("clustering", sa.JSON),
    sa.Column("exclude", sa.JSON),
    sa.Column("sync", sa.JSON),
    # Which service does it, the how manieth that began it is, and until when nobody else may.
    sa.Column("worker", sa.String(32)),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lease_until", sa.Double),  # seconds since 1970, by the clock of the database
    sa.Column(
        "removed", sa.JSON(none_as_null=True)
    ),  # names of photos that were removed since it began: its report must not name them
)

# On a server they lie beside the catalog's tables, of which one is called "meta", too.
shared_metadata = sa.MetaData()
for _table in metadata.sorted_tables:
    _table.to_metadata(shared_metadata, name="service_meta" if _table is meta else None)
shared_meta = shared_metadata.tables["service_meta"]
