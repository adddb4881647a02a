"""Moments in the databases: UTC there, aware in Python. When a photo was taken is none: a camera knows no zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class UtcTime(sa.TypeDecorator[datetime]):
    """A moment: whatever its zone, it is stored as UTC, and comes back as that, aware.

    The recipe is SQLAlchemy's own ("Store Timezone Aware Timestamps as Timezone Naive UTC"). SQLite has no type with a
    zone, and DuckDB can't give a column of a table with an index another type.
    """

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """A moment as it is stored. Raises TypeError for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"{value} has no zone"
            raise TypeError(message)
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """A moment as it is used."""
        return None if value is None else value.replace(tzinfo=UTC)


def now() -> datetime:
    """The moment that it is, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
