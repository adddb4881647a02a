"""What can be rescued of a library whose catalog is damaged or lost."""

# ruff: noqa: S608 - the names in the statements are those of facekit's own tables

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from facekit.catalog.catalog import FILE, Catalog
from facekit.catalog.database import sync
from facekit.catalog.hidden import reveal
from facekit.catalog.migrations import SCHEMA
from facekit.catalog.outbox import note_all
from facekit.catalog.people_copy import COPY
from facekit.catalog.people_tables import PEOPLE_TABLES
from facekit.catalog.places import keep_places
from facekit.catalog.rows import set_meta
from facekit.catalog.tables import faces, metadata, photos
from facekit.errors import LibraryError
from facekit.storage.lock import OwnerLock
from facekit.storage.settings import read_settings
from facekit.system.disk_space import check_room

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import duckdb

    from facekit.storage.settings import Settings

_ROWS = 2048  # DuckDB reads and writes so many together (its STANDARD_VECTOR_SIZE)
_OF_OLD = "WHERE database_name = 'old'"
_NOUNS = {
    "photos": "photos",
    "files": "paths",
    "faces": "faces",
    "persons": "people",
    "members": "faces of people",
    "rejections": "decisions",
    "differences": "decisions",
    "allowed_twice": "decisions",
    "people_journal": "entries of the journal",
    "cluster_runs": "groupings",
    "runs": "ingests",
}
"""What users call the rows of the tables."""
_OTHER = "notes of facekit's own"
_DERIVED = {"staged_photos", "staged_faces"}


def refuse_lost_catalog(folder: Path, settings: Settings) -> None:
    """Refuse to take a library whose catalog is gone for a new one: its index would be emptied after it.

    Raises
    ------
    LibraryError
        If there is no catalog, and there was one.
    """
    if (folder / FILE).exists():
        return
    # An older facekit did not write down that it made a catalog; the index was made after it.
    if settings.catalog or any(folder.glob("vectors*.db")):
        message = f"The catalog {folder / FILE} is gone: all that the library knew of photos and people was in it."
        raise LibraryError(message, "Put it back from a backup; for a new, empty one: facekit doctor --repair.")


def _by_noun(rows: Mapping[str, int | None]) -> dict[str, int | None]:
    """Numbers of rows by table, as numbers of what users call them; None where one is not known."""
    found: dict[str, int | None] = {}
    for noun in dict.fromkeys([*_NOUNS.values(), _OTHER]):
        counts = [count for name, count in rows.items() if _NOUNS.get(name, _OTHER) == noun]
        if counts:
            known = [count for count in counts if count is not None]
            found[noun] = sum(known) if len(known) == len(counts) else None
    return found


@dataclass(slots=True)
class Repair:
    """What was done: ``kept`` and ``lost`` count rows by table; None where it can't be known how many were lost."""

    kept: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int | None] = field(default_factory=dict)
    again: int = 0
    """Photos that lost something, and are read again at the next ingest."""
    from_copy: bool = False
    """Whether people and names come from the copy that is made when the library is closed."""
    aside: Path | None = None
    """Where the catalog of before is kept; None where there was none."""

    def __repr__(self) -> str:
        kept, lost = _by_noun(self.kept), _by_noun(self.lost)
        there = [f"{count} {noun}" for noun, count in kept.items() if count]
        gone = [
            f"{count or ('some' if kept.get(noun) else 'all')} {noun}" for noun, count in lost.items() if count != 0
        ]
        lines = [f"Kept: {', '.join(there) or 'nothing'}", f"Lost: {', '.join(gone) or 'nothing'}"]
        if self.from_copy:
            lines.append("People and names are as they were when the library was last closed after a change of them.")
        if self.again:
            lines.append(f"{self.again} photos lost something.")
        if self.lost:
            lines.append("Ingest the folders again: what is missing is made anew from the photos.")
        if self.aside:
            lines.append(f"The catalog of before is kept as {self.aside.name}; delete it when all is well.")
        return "\n".join(lines)


def repair(folder: str | os.PathLike[str]) -> Repair:
    """Rescue what can be read of a library's catalog into a new one. The library must not be open.

    Raises
    ------
    LibraryLockedError
        If a process has the library open.
    LibraryError
        If there is no library, or no room.
    """
    folder = Path(folder)
    if read_settings(folder) is None:
        message = f"There is no library in {folder}."
        raise LibraryError(message, "Name the folder that holds library.toml.")
    lock = OwnerLock(folder)
    try:
        return _repair(folder)
    finally:
        lock.release()


def _repair(folder: Path) -> Repair:
    old, new = folder / FILE, folder / f"{FILE}.repaired"
    there = old.exists()
    check_room(folder, extra=old.stat().st_size if there else 0)
    for path in (new, _wal(new)):
        path.unlink(missing_ok=True)
    if not (there and _older(old, new)):
        Catalog(f"duckdb:///{new}").close()
    done = Repair()
    for table in _tables(new):
        if table.name not in _DERIVED:
            done.kept[table.name], lost = _rescue(old, new, table) if there else (0, None)
            if lost != 0:
                done.lost[table.name] = lost
    Catalog(f"duckdb:///{new}").close()  # where it is as old as the damaged one was, it is upgraded
    # Also where no row is lost: an index may be damaged, which is only seen when it is used.
    if (folder / COPY).exists() and {table.name for table in PEOPLE_TABLES} & done.lost.keys():
        done.from_copy = _people_of_copy(folder / COPY, new, done)
    done.again = _settle(new)
    sync(new)
    if there:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        done.aside = old.with_name(f"{FILE}.damaged-{stamp}")
        if _wal(old).exists():
            _wal(old).rename(_wal(done.aside))
        old.rename(done.aside)
    new.rename(old)
    return done


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _older(old: Path, new: Path) -> bool:
    """Where an older facekit made the catalog, make an empty one like it: what is rescued is then upgraded as a whole.

    Raises
    ------
    LibraryError
        If a newer facekit made it.
    """
    import duckdb

    try:
        version = _number(old, "SELECT value FROM old.meta WHERE key = 'schema'")
    except Exception:  # noqa: BLE001 - whatever damage brings about; nearly always it is of this version
        return False
    SCHEMA.refuse_newer(version, f"the catalog {old}")
    if version in {0, SCHEMA.version}:
        return False
    with suppress(Exception), duckdb.connect(new) as connection:
        connection.execute(f"ATTACH '{_quoted(old)}' AS old (READ_ONLY)")
        made = [f"SELECT sql FROM duckdb_{what}() {_OF_OLD}" for what in ("tables", "indexes")]
        connection.execute("BEGIN")
        for (statement,) in [row for query in made for row in connection.execute(query).fetchall()]:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('schema', ?)", [str(version)])
        connection.execute("COMMIT")
        return True
    return False


def _tables(path: Path) -> list[sa.Table]:
    """The tables that a catalog has."""
    engine = sa.create_engine(f"duckdb:///{path}")
    try:
        there = set(sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()
    return [table for table in metadata.sorted_tables if table.name in there]


def _rescue(old: Path, new: Path, table: sa.Table) -> tuple[int, int | None]:
    """Copy a table's rows that can be read: how many those are, and how many were lost (None: all of them)."""
    with suppress(Exception):
        if not _number(old, f"SELECT count(*) FROM duckdb_tables() {_OF_OLD} AND table_name = '{table.name}'"):
            return 0, 0  # an older facekit's
    with suppress(Exception):  # whatever damage brings about; then in parts
        return _copy(old, new, table, ""), 0
    try:
        total = _number(old, f"SELECT count(*) FROM old.{table.name}")
        last = _number(old, f"SELECT coalesce(max(rowid), -1) FROM old.{table.name}")
    except Exception:  # noqa: BLE001
        return 0, None
    kept = 0
    for start in range(0, last + 1, _ROWS):
        with suppress(Exception):
            kept += _copy(old, new, table, f"WHERE rowid >= {start} AND rowid < {start + _ROWS}")
    return kept, total - kept


def _copy(old: Path, new: Path, table: sa.Table, where: str) -> int:
    # A connection of its own: DuckDB refuses all that comes after it has met damage.
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{_quoted(old)}' AS old (READ_ONLY)")
        connection.execute(f"ATTACH '{_quoted(new)}' AS new")
        one, other = (_columns(connection, f"{name}.{table.name}") for name in ("old", "new"))
        names = ", ".join(f'"{name}"' for name in one if name in other)
        put = "INSERT OR REPLACE" if table.name == "meta" else "INSERT"
        connection.execute(f"{put} INTO new.{table.name} ({names}) SELECT {names} FROM old.{table.name} {where}")
        row = connection.fetchone()
        return int(row[0]) if row else 0


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]


def _number(old: Path, query: str) -> int:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{_quoted(old)}' AS old (READ_ONLY)")
        row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _people_of_copy(copy: Path, new: Path, done: Repair) -> bool:
    """Take the people's tables as a whole from the last good copy."""
    engine = sa.create_engine(f"duckdb:///{new}")
    try:
        with engine.begin() as connection:
            for table in PEOPLE_TABLES:
                connection.execute(sa.delete(table))
    finally:
        engine.dispose()
    upgraded = new.with_name(f"{COPY}.upgraded")
    try:
        with suppress(Exception):  # it may be damaged, too
            _upgrade(copy, upgraded)
            copy = upgraded
        for table in PEOPLE_TABLES:
            kept, lost = _rescue(copy, new, table)
            done.kept[table.name] = kept
            if lost == 0:
                done.lost.pop(table.name, None)
            else:
                done.lost[table.name] = lost
    finally:
        for path in (upgraded, _wal(upgraded)):
            path.unlink(missing_ok=True)
    return True


def _upgrade(copy: Path, new: Path) -> None:
    """Make a copy of the copy of people, of the newest version."""
    shutil.copyfile(copy, new)
    engine = sa.create_engine(f"duckdb:///{new}")
    try:
        with engine.begin() as connection:
            if not sa.inspect(connection).has_table("meta"):  # up to schema 2, it was the tables of people alone
                metadata.create_all(connection)
                set_meta(connection, "schema", "2")
    finally:
        engine.dispose()
    Catalog(f"duckdb:///{new}").close()


def _settle(new: Path) -> int:
    """Take out what is there in part, so that the next ingest makes it anew. Returns the number of such photos."""
    engine = sa.create_engine(f"duckdb:///{new}")
    try:
        with engine.begin() as connection:
            found = connection.exec_driver_sql(
                "SELECT photo_id FROM photos WHERE photo_id NOT IN (SELECT photo_id FROM files)"
                " OR faces != (SELECT count(*) FROM faces f WHERE f.photo_id = photos.photo_id)"
            )
            partly = [row[0] for row in found.all()]
            for photo_id in partly:
                connection.exec_driver_sql("DELETE FROM photos WHERE photo_id = ?", (photo_id,))
            for name in ("faces", "files"):
                connection.exec_driver_sql(f"DELETE FROM {name} WHERE photo_id NOT IN (SELECT photo_id FROM photos)")
            connection.exec_driver_sql("DELETE FROM meta WHERE key = 'staged'")
            note_all(connection)
            keep_places(connection, connection.scalars(sa.select(photos.c.photo_id)).all())
            for column in (faces.c.face_id, photos.c.photo_id):  # the copy may be older than they are
                reveal(connection, connection.scalars(sa.select(column)).all())
        return len(partly)
    finally:
        engine.dispose()
