"""Older catalogs are upgraded step by step: nothing is lost, a step that fails changes nothing, newer ones stay."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import old_catalogs as old
import pytest
import sqlalchemy as sa
from loguru import logger
from test_catalog import RUN, file, photo

from facekit.catalog import Catalog, catalog, open_catalog
from facekit.catalog.migrations import SCHEMA
from facekit.catalog.people_copy import COPY
from facekit.catalog.people_tables import PEOPLE_TABLES
from facekit.catalog.rows import FileRow, PhotoRow
from facekit.catalog.tables import metadata
from facekit.errors import DiskFullError, LibraryError
from facekit.storage.backup import MANIFEST, restore
from facekit.storage.repair import repair
from facekit.storage.settings import Settings, write_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[[Path], None]

SETTINGS = Settings("yunet", "sface", "1", "1", 8)
# By the step that a catalog needs first: what made one.
BEFORE: dict[int, Make] = {
    2: old.make_schema_1,
    3: old.make_first_schema_2,
    4: old.make_last_schema_2,
    5: old.make_schema_4,
    6: old.make_schema_5,
}
LATE = {
    old.make_last_schema_2,
    old.make_schema_4,
    old.make_schema_5,
}  # they knew of turned photos, and by which order places come

# Where photos are shown: their files that are there come first.
FIRST = {
    "d0": {"display": old.CYRILLIC, "folder": "/фото/Й/", "missing": False, "files": 2, "source": "local"},
    "d1": {"display": "/photos/caf\ufffd.jpg", "folder": "/photos/", "missing": True, "files": 1, "source": "local"},
}


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Old catalogs hold local times: those of a zone that has a summer."""
    monkeypatch.setenv("TZ", old.ZONE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def url(path: Path) -> str:
    return f"duckdb:///{path}"


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """All that a catalog of the newest version holds, as facekit reads it."""
    engine = sa.create_engine(url(path))
    with engine.connect() as connection:
        found = {
            table.name: [
                dict(row) for row in connection.execute(sa.select(table).order_by(table.columns[0])).mappings()
            ]
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return found


def shape(path: Path) -> set[tuple[Any, ...]]:
    """Columns with their types, keys and indexes."""
    with duckdb.connect(path, read_only=True) as connection:
        columns = "SELECT table_name, column_name, data_type, is_nullable, column_default FROM duckdb_columns()"
        keys = "SELECT table_name, constraint_type, CAST(constraint_column_names AS VARCHAR) FROM duckdb_constraints()"
        indexes = "SELECT table_name, index_name, expressions FROM duckdb_indexes()"
        return {row for query in (columns, keys, indexes) for row in connection.execute(query).fetchall()}


def digest(path: Path) -> str:
    assert not path.with_name(f"{path.name}.wal").exists()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expected(make: Make) -> dict[str, list[dict[str, Any]]]:
    """The rows that a library of today would hold of the same photos and people."""
    given = old.PHOTOS | ({} if make is old.make_schema_1 else old.PEOPLE)
    moments = {column.name for table in metadata.sorted_tables for column in table.c if "UtcTime" in repr(column.type)}
    since_5 = {"missing_since", "started_at", "finished_at", "created_at", "at"}
    assert moments == since_5 | {"added_at", "synced_at", "resume_at", "modified"}
    found = {}
    for table in metadata.sorted_tables:
        if table.name == "meta":
            continue
        some = []
        for row in given.get(table.name, []):
            whole: dict[str, Any] = dict.fromkeys(table.c.keys()) | row
            whole |= {name: old.utc(whole[name]) for name in whole if name in moments}
            whole |= {name: json.loads(whole[name]) for name in ("landmarks", "roots", "parameters", "conflicts")
                      if isinstance(whole.get(name), str)}  # fmt: skip
            if table.name == "photos":
                whole |= FIRST[whole["photo_id"]]
            if "folder" in whole:
                whole["folder"] = unicodedata.normalize("NFC", whole["folder"])
            if "turn" in whole:
                whole["turn"] = 90 if make in LATE and whole["photo_id"] == "d0" else 0
            some.append(whole)
        found[table.name] = some
    return found


def test_every_step_has_a_catalog_of_before() -> None:
    assert list(SCHEMA.steps) == list(range(2, SCHEMA.version + 1))
    assert BEFORE.keys() == SCHEMA.steps.keys()


@pytest.mark.parametrize("step", BEFORE)
def test_an_older_catalog_becomes_what_a_new_one_is(tmp_path: Path, step: int) -> None:
    make = BEFORE[step]
    path, fresh = tmp_path / "old.duckdb", tmp_path / "new.duckdb"
    make(path)
    Catalog(url(fresh)).close()
    made = Catalog(url(path), path)
    assert made.upgraded
    assert made.counts()["faces"] == 3
    assert made.looked_all_ways is (make in LATE)  # the others' photos stood as they were stored
    made.close()
    assert shape(path) == shape(fresh)
    found = rows(path)
    meta = {row["key"]: row["value"] for row in found.pop("meta")}
    assert (meta["schema"], "places" in meta) == (str(SCHEMA.version), False)
    assert "index" not in meta
    # Where another place comes first now, or a change was going on, the index looks at all faces again.
    everything = set() if make in LATE else {row["face_id"] for row in found["faces"]}
    assert {row["face_id"] for row in found.pop("index_due")} == everything
    for row in found["people_journal"]:
        row.pop("changes")
    wanted = expected(make)
    wanted.pop("index_due")
    for row in wanted["people_journal"]:
        row.pop("changes")
    assert found == wanted

    before = digest(path)
    again = Catalog(url(path), path)
    assert not again.upgraded
    again.close()
    assert digest(path) == before


def test_changes_that_the_index_may_not_have_seen_are_due_after_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    old.make_schema_4(path)
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 'behind' WHERE key = 'index'")
        connection.execute("UPDATE faces SET embedding = NULL WHERE face_id = ?", [f"{2:032x}"])
    made = Catalog(url(path))
    assert {one.face_id for one in made.outbox.next(9)} == {f"{0:032x}", f"{1:032x}"}
    assert made.outbox.balance() == (2, 2)
    made.close()


def test_a_catalog_on_a_server_takes_the_step_of_first_places_too(postgres_url: str, postgres_schema: str) -> None:
    made = Catalog(postgres_url, schema=postgres_schema)
    asks = sa.text("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = :schema ORDER BY 1")
    columns = sa.text(
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = :schema ORDER BY 1, 2"
    )

    def looks() -> list[Any]:
        with made._engine.connect() as connection:
            return [connection.execute(query, {"schema": postgres_schema}).all() for query in (asks, columns)]

    new = looks()
    made.save([photo("p", 2), photo("q", 1)], [file("/a/1", "p"), file("/a/22", "p"), file("/b/1", "q")], **RUN)
    made.mark_missing("local", [b"/b/1"], missing=True)
    before = made.rows(PhotoRow)
    with made._engine.begin() as connection:
        old.take_back_to_schema_4(connection)
    made.close()
    made = Catalog(postgres_url, schema=postgres_schema, upgrade=True)
    assert made.upgraded
    assert looks() == new
    assert made.rows(PhotoRow) == before
    assert {one.face_id for one in made.outbox.next(9)} == {row.face_id for row in made.index_rows()}
    made.close()


def test_files_with_every_kind_of_name_are_found_after_the_upgrade(tmp_path: Path) -> None:
    old.make_first_schema_2(tmp_path / "old.duckdb")
    made = Catalog(url(tmp_path / "old.duckdb"))
    found = {row.path: row for row in made.rows(FileRow)}
    assert set(found) == {old.CYRILLIC.encode(), old.LATIN_1, old.DECOMPOSED.encode()}
    assert made.has_photos("/photos/й/")  # composed, and its file's name is as it was
    assert found[old.DECOMPOSED.encode()].display == old.DECOMPOSED
    assert found[old.LATIN_1].missing_since == datetime(2026, 7, 1, 16, 0, 5, tzinfo=UTC)
    assert made.taken_at()["d0"] == datetime(2020, 5, 1, 12)  # a camera's clock
    made.close()


@pytest.mark.parametrize("make", [old.make_first_schema_2, old.make_last_schema_2, old.make_schema_4])
def test_what_was_done_to_people_before_the_upgrade_is_undone_after_it(tmp_path: Path, make: Make) -> None:
    make(tmp_path / "old.duckdb")
    made = Catalog(url(tmp_path / "old.duckdb"))
    assert made.people.find("анна").faces == 2
    assert [entry.at for entry in made.people.entries(9)] == [
        datetime(2026, 7, 1, 16, 0, 5, tzinfo=UTC),
        datetime(2026, 1, 16, 9, 30, tzinfo=UTC),
        datetime(2026, 1, 16, 4, 30, tzinfo=UTC),
    ]
    with made._engine.begin() as connection:  # they speak of the person that entry 3 made
        connection.execute(sa.text("DELETE FROM differences"))
    made.people.undo(3, "ada")  # this compares the person's row, with its time, with what the journal says of it
    assert old.IVAN not in made.people.person_ids()
    made.people.undo(None, "ada")
    assert made.people.find(old.ANNA).name is None
    made.people.undo(4, "ada")  # the undo of 3: the person is there again, made when it was made
    assert rows_of(made, "persons")[old.IVAN]["created_at"] == old.utc(old.SUMMER)
    made.close()


def rows_of(made: Catalog, name: str) -> dict[str, dict[str, Any]]:
    table = metadata.tables[name]
    with made._engine.connect() as connection:
        return {row[table.columns[0].name]: dict(row) for row in connection.execute(sa.select(table)).mappings()}


# -- what fails changes nothing ----------------------------------------------------------------------------------


def spoil(connection: sa.Connection) -> None:
    """Something of each kind that a step may do."""
    connection.exec_driver_sql("ALTER TABLE files ADD COLUMN weather VARCHAR DEFAULT 'fine'")
    connection.exec_driver_sql("UPDATE photos SET status = 'lost'")
    connection.exec_driver_sql("DELETE FROM faces")
    connection.exec_driver_sql("CREATE TABLE clouds(cloud_id VARCHAR PRIMARY KEY)")
    connection.exec_driver_sql("INSERT INTO clouds VALUES ('cirrus')")


def failing(connection: sa.Connection) -> None:
    """The weather.

    More about it.
    """
    spoil(connection)
    connection.exec_driver_sql("SELECT * FROM thunderstorms")


def full(connection: sa.Connection) -> None:
    """The weather."""
    spoil(connection)
    raise OSError(28, "No space left on device")


def interrupted(connection: sa.Connection) -> None:
    """The weather."""
    spoil(connection)
    raise KeyboardInterrupt


@pytest.mark.parametrize("make", BEFORE.values())
@pytest.mark.parametrize(
    ("step", "kind", "words"),
    [
        (failing, LibraryError, "to schema 7 (The weather) failed: CatalogException: "),
        (full, DiskFullError, "to schema 7 (The weather) failed: OSError: [Errno 28] No space left on device"),
        (interrupted, KeyboardInterrupt, ""),
    ],
)
def test_a_step_that_fails_leaves_the_catalog_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make, step: Any, kind: type[BaseException], words: str
) -> None:
    path = tmp_path / "catalog.duckdb"
    make(path)
    before = digest(path)
    with monkeypatch.context() as patched:
        patched.setattr(catalog, "SCHEMA", replace(SCHEMA, steps={**SCHEMA.steps, SCHEMA.version + 1: step}))
        with pytest.raises(kind) as caught:
            open_catalog(tmp_path)
    assert digest(path) == before
    assert words in str(caught.value)
    if isinstance(caught.value, LibraryError):
        assert str(path) in caught.value.message
        assert "Nothing in it was changed." in caught.value.message
        assert caught.value.remedy
    made = open_catalog(tmp_path)  # the next facekit, whose step works
    assert made.counts()["faces"] == 3
    made.close()


KILLED = """
import os, sys
from dataclasses import replace
from pathlib import Path
from facekit.catalog import catalog
from facekit.catalog.migrations import SCHEMA
def step(connection):
    '''The weather.'''
    connection.exec_driver_sql("UPDATE photos SET status = 'lost'")
    connection.exec_driver_sql("ALTER TABLE files ADD COLUMN weather VARCHAR")
    if sys.argv[2] == "in the step":
        os.kill(os.getpid(), 9)
if sys.argv[2] == "in the step":
    catalog.SCHEMA = replace(SCHEMA, steps={**SCHEMA.steps, SCHEMA.version + 1: step})
catalog.open_catalog(Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("when", ["in the step", "after it"])
def test_a_process_that_is_killed_leaves_the_old_catalog_or_the_new_one(tmp_path: Path, when: str) -> None:
    path = tmp_path / "catalog.duckdb"
    old.make_last_schema_2(path)
    before = digest(path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, when], check=False, env=os.environ | {"TZ": old.ZONE}
    )
    assert done.returncode == -9
    if when == "in the step":
        assert digest(path) == before
    made = open_catalog(tmp_path)
    assert made.upgraded is (when == "in the step")
    assert made.statuses(["d0"])["d0"][0] == "ok"
    made.close()
    found = rows(path)
    assert {key: found[key] for key in ("files", "persons")} == {
        key: expected(old.make_last_schema_2)[key] for key in ("files", "persons")
    }


def test_a_disk_without_room_for_an_upgrade_refuses_it_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.duckdb"
    old.make_last_schema_2(path)
    before = digest(path)
    usage = shutil.disk_usage(tmp_path)
    room = 20 * 2**20 + path.stat().st_size
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=room - 1))
        with pytest.raises(DiskFullError, match=r"(?s)Only 2[0-9] MB are free.*Make room"):
            open_catalog(tmp_path)
        assert digest(path) == before
        patched.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=room))
        open_catalog(tmp_path).close()
    assert digest(path) != before


@pytest.mark.parametrize("version", [SCHEMA.version + 1, 99])
def test_a_catalog_of_a_newer_facekit_stays_as_it_is(tmp_path: Path, version: int) -> None:
    path = tmp_path / "catalog.duckdb"
    old.make_last_schema_2(path)
    with duckdb.connect(path) as connection:
        connection.execute(f"UPDATE meta SET value = '{version}' WHERE key = 'schema'")
    before = digest(path)
    message = (
        rf"(?s)newer facekit wrote the catalog {path} \(schema {version}; this one knows {SCHEMA.version}\).*Upgrade"
    )
    with pytest.raises(LibraryError, match=message):
        open_catalog(tmp_path)
    write_settings(tmp_path, SETTINGS)
    with pytest.raises(LibraryError, match=message):
        repair(tmp_path)
    assert digest(path) == before


# -- copies, backups and what is rescued -------------------------------------------------------------------------


def copy_of_people(folder: Path) -> None:
    """The copy beside the catalog, as the facekit of schema 2 made it."""
    with duckdb.connect(folder / COPY) as connection:
        connection.execute(f"ATTACH '{folder / 'catalog.duckdb'}' AS old (READ_ONLY)")
        for table in PEOPLE_TABLES:
            connection.execute(f"CREATE TABLE {table.name} AS SELECT * FROM old.{table.name}")


def test_the_copy_of_people_is_upgraded_with_the_catalog(tmp_path: Path) -> None:
    old.make_last_schema_2(tmp_path / "catalog.duckdb")
    copy_of_people(tmp_path)
    open_catalog(tmp_path).close()
    with duckdb.connect(tmp_path / COPY, read_only=True) as connection:
        times = {row[0] for row in connection.execute("SELECT created_at FROM persons").fetchall()}
    assert times == {datetime(2026, 7, 1, 16, 0, 5)}


def test_a_backup_of_an_older_facekit_is_restored_and_upgraded(tmp_path: Path) -> None:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), filter="facekit", level="INFO")
    backup, target = tmp_path / "backup", tmp_path / "library"
    backup.mkdir()
    old.make_last_schema_2(backup / "catalog.duckdb")
    copy_of_people(backup)
    write_settings(backup, SETTINGS)
    files = {}
    for name in ("catalog.duckdb", COPY, "library.toml"):
        sha256 = hashlib.sha256((backup / name).read_bytes()).hexdigest()
        files[name] = {"bytes": (backup / name).stat().st_size, "sha256": sha256}
        shutil.copy(backup / name, backup / f"{name}.{sha256[:16]}")
    document = {"format": 1, "made": "2026-11-28T08:00:00+00:00", "files": files, "thumbnails": {}}
    (backup / MANIFEST).write_text(json.dumps(document))
    try:
        restore(backup, target)
    finally:
        logger.remove(sink)
    assert [str(target / "catalog.duckdb") in line for line in said if "Upgraded" in line] == [True]
    assert not [line for line in said if ".restoring" in line]
    wanted = expected(old.make_last_schema_2)
    found = rows(target / "catalog.duckdb")
    assert {key: found[key] for key in ("files", "photos", "persons")} == {
        key: wanted[key] for key in ("files", "photos", "persons")
    }
    with duckdb.connect(target / COPY, read_only=True) as connection:
        assert connection.execute('SELECT max("at") FROM people_journal').fetchone() == (
            datetime(2026, 7, 1, 16, 0, 5),
        )


@pytest.mark.parametrize("make", BEFORE.values())
def test_what_is_rescued_of_an_older_catalog_is_upgraded(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "catalog.duckdb"
    make(path)
    write_settings(tmp_path, SETTINGS)
    done = repair(tmp_path)
    assert (done.kept["files"], done.kept["faces"], done.lost) == (3, 3, {})
    made = open_catalog(tmp_path)
    assert not made.upgraded
    made.close()
    found, wanted = rows(path), expected(make)
    for key in ("files", "photos", "faces", "runs", "persons", "members", "cluster_runs"):
        assert found[key] == wanted[key]


@pytest.mark.parametrize("gone", ["the catalog", "its tables of people"])
def test_people_of_a_copy_that_an_older_facekit_made_are_upgraded(tmp_path: Path, gone: str) -> None:
    path = tmp_path / "catalog.duckdb"
    old.make_last_schema_2(path)
    copy_of_people(tmp_path)
    write_settings(tmp_path, SETTINGS)
    if gone == "the catalog":
        path.unlink()
    else:  # 4 KB in the middle of what holds them; which blocks those are, DuckDB says
        with duckdb.connect(path, read_only=True) as connection:
            query = "SELECT min(block_id) FROM pragma_storage_info('persons') WHERE block_id >= 0"
            (block,) = connection.execute(query).fetchone() or (0,)
        with path.open("r+b") as stream:
            stream.seek(3 * 4096 + block * 2**18 + 8)  # three headers of 4 KB, then blocks of 256 KB
            stream.write(b"\xff" * 4096)
    done = repair(tmp_path)
    assert done.from_copy
    assert sorted(path.name for path in tmp_path.glob("people*")) == [COPY]
    found, wanted = rows(path), expected(old.make_last_schema_2)
    for key in ("persons", "members", "cluster_runs", "face_aliases"):
        assert found[key] == wanted[key]
    assert [row["at"] for row in found["people_journal"]] == [row["at"] for row in wanted["people_journal"]]


def test_the_copy_of_people_of_today_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    old.make_last_schema_2(path)
    open_catalog(tmp_path).close()
    wanted = rows(path)
    assert (tmp_path / COPY).exists()
    path.unlink()
    write_settings(tmp_path, SETTINGS)
    assert repair(tmp_path).from_copy
    found = rows(path)
    for table in PEOPLE_TABLES:
        assert found[table.name] == wanted[table.name]
    assert (found["photos"], found["files"]) == ([], [])
