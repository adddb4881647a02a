"""The service's own database: who may come in, and what it was asked to do.

It is a file beside the catalog and not in it: DuckDB lets one process in, and ``facekit users`` has to work while the
service runs.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from loguru import logger

from facekit.errors import DiskFullError, LibraryError
from facekit.server.migrations import SCHEMA
from facekit.storage.job_rows import ERASE
from facekit.system.disk_space import check_room, is_disk_full

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUSY_MS = 30_000  # how long one process waits while another writes: milliseconds, but seconds on a busy disk
_SECRET_BYTES = 32  # RFC 7518 section 3.2: a key for HS256 has at least as many bits as its hash


class StoreAwayError(LibraryError):
    """The server with the accounts and jobs does not answer now."""


class ServiceStore:
    """``service.db`` in a library's folder; several processes may have it open.

    Parameters
    ----------
    folder : Path
        The library's folder.

    Attributes
    ----------
    worker : str
        Who does a job, in the jobs' table. One process has the library, so that what "owner" had begun is left over
        when it starts.
    poll_seconds : float or None
        How often to look for jobs that others have added; None where nobody else adds any.
    patience : float
        Seconds for which what is to be written waits for a database that does not answer.
    """

    worker = "owner"
    poll_seconds: float | None = None
    patience = 0.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._schema = SCHEMA
        path = folder / "service.db"
        try:  # it holds what tokens are signed with; SQLite gives its other files the same mode
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            message = f"The accounts of the library {folder} can't be opened: {error.strerror or error}."
            raise LibraryError(message, "Check that the folder exists and that you may write to it.") from error
        self.engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)))
        sa.event.listen(self.engine, "connect", _prepare)
        sa.event.listen(self.engine, "begin", _begin)
        where = f"the accounts and jobs in {path}"
        try:
            with self.write() as connection:
                found = SCHEMA.prepare(connection, where, path)
        except BaseException:
            self.close()
            raise
        if found not in {None, SCHEMA.version}:
            logger.info("Upgraded {} from schema {} to {}", where, found, SCHEMA.version)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the database and never waits for a writer."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction; nobody else writes between what it reads and what it writes."""
        check_room(self._folder)
        try:
            with self.engine.connect().execution_options(immediate=True) as connection, connection.begin():
                yield connection
        except (sa.exc.OperationalError, sa.exc.DatabaseError) as error:
            if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError):
                raise
            message = f"The accounts in {self._folder / 'service.db'} can't be written: {error.orig}."
            if is_disk_full(error.orig or error):  # SQLite: "database or disk is full"
                raise DiskFullError(message, "Make room on the disk and do it again.") from error
            raise LibraryError(message, "See that the disk has room, or restore the file from a backup.") from error

    @property
    def meta(self) -> sa.Table:
        """The table of facts about the store as a whole."""
        return self._schema.meta

    def secret(self) -> bytes:
        """What access tokens are signed with, made at its first use."""
        meta = self.meta
        query = sa.select(meta.c.value).where(meta.c.key == "token_secret")
        with self.write() as connection:
            found: bytes | None = connection.scalar(query)
            if found is None:
                found = secrets.token_bytes(_SECRET_BYTES)
                connection.execute(sa.insert(meta), {"key": "token_secret", "value": found})
        return found

    def time(self, connection: sa.Connection) -> datetime:  # noqa: ARG002 - others ask their server
        """The moment that it is, for all who share the database."""
        return datetime.now(UTC)

    def erase(self) -> None:
        """See that nothing that was deleted is still in a file."""
        try:
            with closing(self.engine.raw_connection()) as connection:  # such statements stand in no transaction
                for statement in ERASE:
                    connection.cursor().execute(statement)
        except sqlite3.Error as error:
            logger.warning("What the service's jobs say of removed photos could not be erased: {}", error)

    def close(self) -> None:
        """Give the database back."""
        self.engine.dispose()


def now() -> int:
    """Whole seconds since 1970."""
    return int(time.time())


def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - sqlite3's connection, or a stand-in
    connection.isolation_level = None  # _begin says how a transaction starts; the module's own way is too late
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: sa.Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
