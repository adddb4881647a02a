"""The tables of work that many processes share. Libraries on servers have them; one in a folder has one process."""

from __future__ import annotations

import sqlalchemy as sa

from facekit.catalog.shared_tables import shared_metadata

_MOMENT = sa.DateTime(timezone=True)  # by the server's clock, which all machines share

# What somebody asked for: folders to be ingested in the background.
work = sa.Table(
    "work",
    shared_metadata,
    sa.Column("work_id", sa.String(32), primary_key=True),
    sa.Column("roots", sa.JSON, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),  # `Options`
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False),
    sa.Column("queued_at", _MOMENT, nullable=False),
    sa.Column("finished_at", _MOMENT),
    sa.Column("files_done", sa.Integer, nullable=False),  # of batches that were counted into the report, and are gone
    sa.Column("report", sa.JSON),
)

# A piece of it that one process does at a time: the listing of the folders, some files, or what comes last.
batches = sa.Table(
    "batches",
    shared_metadata,
    sa.Column("batch_id", sa.String(32), primary_key=True),
    sa.Column("work_id", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),  # `Kind`
    sa.Column("state", sa.String(8), nullable=False),  # `State`
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("since", _MOMENT, nullable=False),  # when the whole was asked for
    sa.Column("wave", sa.Integer, nullable=False),  # begun when nothing of the waves before is queued or running
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),  # of files
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("worker", sa.String),
    sa.Column("lease_until", _MOMENT),  # of the process that is at it; after that it is taken for dead
    sa.Column("problem", sa.String),  # what the last try met
    sa.Column("report", sa.JSON),
    sa.Index(
        "batches_in_order", sa.text("priority DESC"), "since", "wave", "number", postgresql_where="state = 'queued'"
    ),
    sa.Index("batches_of_work", "work_id", "wave", "state"),
)

# Who works, and when they last said so.
workers = sa.Table(
    "workers",
    shared_metadata,
    sa.Column("worker", sa.String, primary_key=True),
    sa.Column("seen_at", _MOMENT, nullable=False),
)
