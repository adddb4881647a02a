"""Moments are stored as UTC and come back with a zone, in DuckDB and in SQLite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from facekit.catalog.times import UtcTime, now

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=offsets)
table = sa.Table("things", sa.MetaData(), sa.Column("at", UtcTime))


def engine(url: str) -> sa.Engine:
    made = sa.create_engine(url, poolclass=sa.StaticPool)
    table.create(made)
    return made


DATABASES = [engine("duckdb:///:memory:"), engine("sqlite://")]


@pytest.mark.parametrize("database", DATABASES)
@given(moment=moments)
def test_a_moment_comes_back_as_utc_whatever_its_zone(database: sa.Engine, moment: datetime) -> None:
    with database.connect() as connection:
        connection.execute(sa.insert(table), [{"at": moment}, {"at": None}])
        found = connection.scalars(sa.select(table.c.at).where(table.c.at.is_not(None))).one()
        assert found == moment
        assert found.tzinfo is UTC
        assert connection.scalars(sa.select(table.c.at).where(table.c.at == moment)).one() == moment
        assert connection.scalars(sa.select(table.c.at).where(table.c.at.is_(None))).one() is None
        text = str(connection.scalar(sa.select(sa.cast(table.c.at, sa.String)).where(table.c.at.is_not(None))))
        assert datetime.fromisoformat(text) == moment.astimezone(UTC).replace(tzinfo=None)
        connection.rollback()


@pytest.mark.parametrize("database", DATABASES)
def test_a_time_without_a_zone_is_refused(database: sa.Engine) -> None:
    with database.connect() as connection, pytest.raises(sa.exc.StatementError, match="has no zone"):
        connection.execute(sa.insert(table), {"at": datetime(2026, 1, 1)})


def test_now_is_a_moment_to_the_second() -> None:
    assert (now().tzinfo, now().microsecond) == (UTC, 0)
