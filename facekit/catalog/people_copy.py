"""A copy of what the catalog knows about people, beside it: photos can be read again, and names can't be.

It is a catalog, of its version, that holds nothing else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import sqlalchemy as sa

from facekit.catalog.people_tables import PEOPLE_TABLES, journal

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.catalog.database import Database

COPY = "people.duckdb"


def state_of_people(database: Database) -> tuple[int, ...]:
    """Numbers of which one changes when something is changed of people."""
    counts = [
        sa.select(sa.literal(place).label("place"), sa.func.count().label("number")).select_from(table)
        for place, table in enumerate(PEOPLE_TABLES)
    ]
    last = sa.select(sa.literal(len(PEOPLE_TABLES)), sa.func.coalesce(sa.func.max(journal.c.number), 0))
    with database.connect() as connection:  # in one question: it is asked at each opening, and at each closing
        return tuple(int(number) for _, number in sorted(connection.execute(sa.union_all(*counts, last)).all()))


def copy_people(database: Database, path: Path) -> None:
    """Write the copy, in one step; the one before stays where something can't be read."""
    part = path.with_name(f"{path.name}.new")
    part.unlink(missing_ok=True)
    quoted = str(part).replace("'", "''")
    with database.connect() as connection:
        run = connection.exec_driver_sql
        run(f"ATTACH '{quoted}' AS people_copy")
        try:
            name = str(run("SELECT current_database()").scalar()).replace('"', '""')
            run(f'COPY FROM DATABASE "{name}" TO people_copy (SCHEMA)')
            for table in PEOPLE_TABLES:
                run(f"INSERT INTO people_copy.{table.name} BY NAME SELECT * FROM {table.name}")  # noqa: S608 - our own names
            run("INSERT INTO people_copy.meta SELECT * FROM meta WHERE key = 'schema'")
            connection.commit()
        finally:
            connection.rollback()
            run("DETACH people_copy")
            connection.commit()
    os.replace(part, path)  # noqa: PTH105 - atomic
