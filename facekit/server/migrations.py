"""The versions of the service's database: what each brought, and how one of the version before comes by it.

What is here stays as it is: see `facekit.catalog.migrations`.
"""

from __future__ import annotations

import sqlalchemy as sa

from facekit.catalog.schema import Schema, add_column
from facekit.server.tables import meta, metadata, shared_meta, shared_metadata


def _jobs_of_every_kind(connection: sa.Connection) -> None:
    """Jobs that change models, group faces, and leave files out."""
    # While no version was written down, `facekit users` made no jobs, and a service added columns one by one.
    tables = sa.MetaData()
    sa.Table(
        "jobs",
        tables,
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
        sa.Column("created_at", sa.DateTime, nullable=False),  # UTC
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
    )
    tables.create_all(connection)
    add_column(connection, "jobs", sa.Column("kind", sa.String(16), nullable=False, server_default="ingest"))
    for name in ("models", "clustering", "exclude"):
        add_column(connection, "jobs", sa.Column(name, sa.JSON))


def _jobs_of_several_services(connection: sa.Connection) -> None:
    """Jobs that several services share."""
    more = (
        sa.Column("worker", sa.String(32)),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("lease_until", sa.Double),
        sa.Column("removed", sa.JSON),
    )
    for column in more:
        add_column(connection, "jobs", column)


def _jobs_that_sync(connection: sa.Connection) -> None:
    """Jobs that bring photos in from connected places."""
    add_column(connection, "jobs", sa.Column("sync", sa.JSON))


_STEPS = {2: _jobs_of_every_kind, 3: _jobs_of_several_services, 4: _jobs_that_sync}

SCHEMA = Schema(metadata, meta, _STEPS)
"""The service's."""

SHARED = Schema(shared_metadata, shared_meta, _STEPS)
"""The service's on a server."""
