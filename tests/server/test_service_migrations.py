"""The service's database of an older facekit is upgraded once, whoever opens it; what fails changes nothing."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from facekit.catalog import Catalog
from facekit.errors import LibraryError
from facekit.server import database
from facekit.server.accounts import Accounts
from facekit.server.database import ServiceStore
from facekit.server.migrations import SCHEMA
from facekit.server.shared_store import SharedServiceStore
from facekit.server.tables import api_keys, jobs, metadata, users

if TYPE_CHECKING:
    from pathlib import Path

# As `facekit users` of the facekits before versions were kept made it; SQLite keeps the statements.
ACCOUNTS = """
CREATE TABLE meta ("key" VARCHAR NOT NULL, value BLOB NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE users (name VARCHAR NOT NULL, display VARCHAR NOT NULL, password_hash VARCHAR NOT NULL,
    role VARCHAR(8) NOT NULL, disabled BOOLEAN NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (name));
CREATE TABLE sessions (id VARCHAR(32) NOT NULL, user VARCHAR NOT NULL, token_hash BLOB NOT NULL,
    created_at INTEGER NOT NULL, last_used_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked BOOLEAN NOT NULL,
    PRIMARY KEY (id));
CREATE INDEX ix_sessions_user ON sessions (user);
CREATE TABLE api_keys (id VARCHAR(16) NOT NULL, user VARCHAR NOT NULL, name VARCHAR NOT NULL, hash BLOB NOT NULL,
    scopes JSON NOT NULL, created_at INTEGER NOT NULL, last_used_at INTEGER, expires_at INTEGER,
    revoked BOOLEAN NOT NULL, PRIMARY KEY (id));
CREATE INDEX ix_api_keys_user ON api_keys (user);
INSERT INTO meta VALUES ('token_secret', X'00ff');
INSERT INTO users VALUES ('анна', 'Анна', 'hash', 'admin', 0, 1700000000);
INSERT INTO api_keys VALUES ('k', 'анна', 'laptop', X'01', '["read"]', 1700000000, NULL, NULL, 0);
"""

# As the first service with people left it, and the last before versions were kept: one column more.
JOBS = """
CREATE TABLE jobs (job_id VARCHAR(32) NOT NULL, path VARCHAR NOT NULL, detail VARCHAR(16) NOT NULL,
    user VARCHAR NOT NULL, anywhere BOOLEAN NOT NULL, state VARCHAR(16) NOT NULL, cancelled BOOLEAN NOT NULL,
    done INTEGER NOT NULL, total INTEGER, report JSON, problem VARCHAR, created_at DATETIME NOT NULL,
    started_at DATETIME, finished_at DATETIME, {more} PRIMARY KEY (job_id));
INSERT INTO jobs (job_id, path, detail, user, anywhere, state, cancelled, done, created_at, started_at)
    VALUES ('j', '/фото', 'normal', 'анна', 0, 'done', 0, 3, '2026-11-23 01:00:00.000005',
        '2026-11-23 01:00:01.000000');
"""
FIRST = "kind VARCHAR(16) DEFAULT 'ingest' NOT NULL, models JSON, clustering JSON,"

ALONE = f"{FIRST} exclude JSON,"
SHARED = f"{ALONE} worker VARCHAR(32), tries INTEGER DEFAULT '0' NOT NULL, lease_until DOUBLE, removed JSON,"
VERSION = "INSERT OR REPLACE INTO meta VALUES ('schema', CAST('{}' AS BLOB));"

# By the step that a database needs first: what older facekits left.
BEFORE = {
    2: [ACCOUNTS, *(ACCOUNTS + JOBS.format(more=more) for more in ("", FIRST, ALONE))],
    3: [ACCOUNTS + JOBS.format(more=ALONE) + VERSION.format(2)],
    4: [ACCOUNTS + JOBS.format(more=SHARED) + VERSION.format(3)],
}
OLD = [script for scripts in BEFORE.values() for script in scripts]


def make(folder: Path, script: str) -> Path:
    path = folder / "service.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(script)
    return path


def content(path: Path) -> list[str]:
    """All that is in a database, as statements."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def shape(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Columns with types, defaults and keys, and indexes; the order of columns is no matter."""
    with closing(sqlite3.connect(path)) as connection:
        found = {
            table.name: sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({table.name})"))
            for table in metadata.sorted_tables
        }
        indexes = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' ORDER BY 1, 2"
        return found | {"indexes": connection.execute(indexes).fetchall()}


def version(path: Path) -> bytes | None:
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        return row and row[0]


def test_every_step_has_databases_of_before() -> None:
    assert list(SCHEMA.steps) == list(range(2, SCHEMA.version + 1))
    assert BEFORE.keys() == SCHEMA.steps.keys()


@pytest.mark.parametrize("script", OLD)
def test_an_older_database_becomes_what_a_new_one_is(tmp_path: Path, script: str) -> None:
    path = make(tmp_path, script)
    (tmp_path / "new").mkdir()
    ServiceStore(tmp_path / "new").close()
    store = ServiceStore(tmp_path)
    assert [user.name for user in Accounts(store).users()] == ["Анна"]
    assert store.secret() == b"\x00\xff"  # whoever is signed in stays signed in
    with store.read() as connection:
        assert connection.scalar(sa.select(api_keys.c.scopes)) == ["read"]
        assert connection.scalar(sa.select(users.c.created_at)) == 1_700_000_000
        found = [dict(row) for row in connection.execute(sa.select(jobs)).mappings()]
    if script is not ACCOUNTS:
        (job,) = found
        assert (job["path"], job["kind"], job["models"], job["exclude"]) == ("/фото", "ingest", None, None)
        assert job["created_at"] == datetime(2026, 11, 23, 1, 0, 0, 5, UTC)
        assert (job["started_at"], job["finished_at"]) == (datetime(2026, 11, 23, 1, 0, 1, tzinfo=UTC), None)
    store.close()
    assert shape(path) == shape(tmp_path / "new" / "service.db")
    assert version(path) == version(tmp_path / "new" / "service.db") == str(SCHEMA.version).encode()
    before = content(path)
    ServiceStore(tmp_path).close()
    assert content(path) == before


def test_on_a_server_older_tables_are_refused_until_they_are_upgraded(postgres_url: str, postgres_schema: str) -> None:
    def columns(store: SharedServiceStore) -> list[str]:
        with store.read() as connection:
            return sorted(column["name"] for column in sa.inspect(connection).get_columns("jobs"))

    Catalog(postgres_url, schema=postgres_schema).close()
    store = SharedServiceStore(postgres_url, postgres_schema)
    secret, newest = store.secret(), columns(store)
    with store.write() as connection:  # as a facekit that does not share jobs would leave it
        for name in ("worker", "tries", "lease_until", "removed"):
            connection.execute(sa.text(f"ALTER TABLE jobs DROP COLUMN {name}"))
        connection.execute(sa.text("UPDATE service_meta SET value = '2' WHERE key = 'schema'"))
    store.close()
    with pytest.raises(LibraryError, match=r"(?s)older facekit made the accounts and jobs.*schema 2.* upgrade"):
        SharedServiceStore(postgres_url, postgres_schema)
    SharedServiceStore(postgres_url, postgres_schema, upgrade=True).close()
    store = SharedServiceStore(postgres_url, postgres_schema)
    assert columns(store) == newest
    assert store.secret() == secret
    with store.write() as connection:
        connection.execute(sa.text("UPDATE service_meta SET value = '99' WHERE key = 'schema'"))
    store.close()
    with pytest.raises(LibraryError, match="newer facekit wrote"):
        SharedServiceStore(postgres_url, postgres_schema)


def failing(connection: sa.Connection) -> None:
    """The weather."""
    connection.exec_driver_sql("ALTER TABLE users ADD COLUMN weather VARCHAR")
    connection.exec_driver_sql("DELETE FROM api_keys")
    connection.exec_driver_sql("SELECT * FROM thunderstorms")


@pytest.mark.parametrize("script", OLD)
def test_a_step_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    path = make(tmp_path, script)
    before = content(path)
    with monkeypatch.context() as patched:
        patched.setattr(database, "SCHEMA", replace(SCHEMA, steps={**SCHEMA.steps, SCHEMA.version + 1: failing}))
        with pytest.raises(LibraryError) as caught:
            ServiceStore(tmp_path)
    said = rf"the accounts and jobs in {path} to schema {SCHEMA.version + 1} (The weather) failed: OperationalError: "
    assert said in caught.value.message
    assert "Nothing in it was changed." in caught.value.message
    assert caught.value.remedy
    assert content(path) == before
    ServiceStore(tmp_path).close()


@pytest.mark.parametrize("newer", [SCHEMA.version + 1, 99])
def test_a_database_of_a_newer_facekit_is_refused_and_stays(tmp_path: Path, newer: int) -> None:
    path = make(tmp_path, OLD[-1] + VERSION.format(newer))
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    known = rf"{path} \(schema {newer}; this one knows {SCHEMA.version}\)"
    with pytest.raises(LibraryError, match=rf"(?s)newer facekit wrote the accounts and jobs in {known}.*Upgrade"):
        ServiceStore(tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


# A step that takes a while, and says that it ran; with "die" the process is killed in the middle of it.
OPENER = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
from facekit.server import database
from facekit.server.migrations import SCHEMA
folder, what = Path(sys.argv[1]), sys.argv[2]
def slow(connection):
    '''The weather.'''
    connection.exec_driver_sql("ALTER TABLE users ADD COLUMN weather VARCHAR")
    with open(folder / "ran", "a") as file:
        file.write("once ")
    if what == "die":
        os.kill(os.getpid(), 9)
    time.sleep(1)
database.SCHEMA = replace(SCHEMA, steps={**SCHEMA.steps, SCHEMA.version + 1: slow})
print("ready", flush=True)
sys.stdin.readline()
store = database.ServiceStore(folder)
store.close()
"""


def opener(folder: Path, what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPENER, str(folder), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def test_of_two_that_open_it_at_the_same_time_one_upgrades_it(tmp_path: Path) -> None:
    path = make(tmp_path, OLD[1])
    both = [opener(tmp_path, "live") for _ in range(2)]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in both:
        one.communicate(timeout=120)
    assert [one.returncode for one in both] == [0, 0]
    assert (tmp_path / "ran").read_text() == "once "
    assert version(path) == str(SCHEMA.version + 1).encode()


def test_a_process_that_is_killed_in_a_step_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = make(tmp_path, OLD[2])
    before = content(path)
    one = opener(tmp_path, "die")
    one.communicate("go\n", timeout=120)
    assert one.returncode == -9
    assert content(path) == before
    ServiceStore(tmp_path).close()
    assert version(path) == str(SCHEMA.version).encode()
