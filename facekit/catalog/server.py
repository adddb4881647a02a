"""What only a catalog on a PostgreSQL server has: other processes beside this one, which take turns, and a clock."""

from __future__ import annotations

import os
import socket
import zlib
from contextlib import contextmanager, suppress
from math import inf
from typing import TYPE_CHECKING

import sqlalchemy as sa

from facekit.catalog.database import Database
from facekit.catalog.tables import meta
from facekit.errors import LibraryBusyError, StalledError
from facekit.system.waiting import give_up_after

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_OURS = 0x666B6C  # beside the advisory locks of other programs in the same database
_NAME_BYTES = 63  # of an application's name: PostgreSQL's NAMEDATALEN, less one
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's error code where lock_timeout has passed


def has_catalog(url: str, schema: str) -> bool:
    """Whether there is a catalog in a schema of a database; opening one makes it. Raises LibraryError."""
    database = Database(url, schema=schema)
    try:
        with database.connect() as connection:
            return connection.scalar(sa.select(sa.func.to_regclass(f"{schema}.{meta.name}"))) is not None
    finally:
        database.close()


class CatalogServer:
    """The server, and who may do what with a library there: advisory locks, which end with their process.

    Parameters
    ----------
    engine : Database
        The catalog, in PostgreSQL; its schema tells the library from others in the same database.
    """

    def __init__(self, engine: Database) -> None:
        self._engine = engine
        names = (f"{engine.schema}/{what}" for what in ("change", "models", "adding"))
        self._change, self._models, self._adding = (zlib.crc32(name.encode()) >> 1 for name in names)

    def about(self) -> str:
        """Version, encoding and order of text, in words."""
        query = (
            "SELECT current_setting('server_version'), current_setting('server_encoding'), datcollate,"
            " datlocprovider = 'i' FROM pg_database WHERE datname = current_database()"
        )
        with self._engine.connect() as connection:
            version, encoding, order, icu = connection.execute(sa.text(query)).one()
        return f"PostgreSQL {version.split()[0]}, {encoding}, {'ICU' if icu else order}"

    def clock(self) -> datetime:
        """The server's time now."""
        with self._engine.connect() as connection:
            found: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        return found

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """One change of the library at a time; it begins when those who are adding photos have done what they have.

        Raises
        ------
        LibraryBusyError
            If another change is going on; it says who is at it. Or if those who add photos don't come to an end.
        """
        with self._session() as connection:
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_OURS, self._change))):
                message = f"{what} can't start: another change of the library is going on{self._holder(connection)}."
                raise LibraryBusyError(message, "Wait until it is done, or stop it.")
            mine = f"facekit {socket.gethostname()[:20]}:{os.getpid()}: {what}".encode()[:_NAME_BYTES]
            connection.execute(_setting("application_name", mine.decode(errors="ignore"), local=False))
            try:
                connection.execute(sa.select(sa.func.pg_advisory_lock(_OURS, self._adding)))
            except sa.exc.OperationalError as error:
                if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                    raise
                message = f"{what} can't start: workers are adding photos, and have not come to an end."
                raise LibraryBusyError(message, "Try again later, or stop the workers.") from error
            yield

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Add photos beside others who do, while nobody changes the library alone, or waits for that.

        Raises
        ------
        LibraryBusyError
            If somebody does.
        """
        with self._session() as connection:
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock_shared(_OURS, self._adding))):
                message = f"Nothing can be added: a change of the library is going on{self._holder(connection)}."
                raise LibraryBusyError(message, "Wait until it is done, or stop it.")
            yield

    @contextmanager
    def _session(self) -> Iterator[sa.Connection]:
        """A connection whose locks last as long as the block, which may be hours: it is in no transaction."""
        with self._engine.lock() as pooled:
            connection = pooled.execution_options(isolation_level="AUTOCOMMIT")
            try:
                yield connection
            finally:
                try:
                    connection.execute(_setting("application_name", "facekit", local=False))
                    connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
                except sa.exc.DBAPIError:  # the server is gone, and the locks with it
                    with suppress(Exception):
                        connection.invalidate()

    def _holder(self, connection: sa.Connection) -> str:
        query = sa.text(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.granted"
            " AND l.locktype = 'advisory' AND l.classid = :ours AND l.objid = :change"
            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        name = connection.scalar(query, {"ours": _OURS, "change": self._change}) or ""
        return f" ({name.removeprefix('facekit ')})" if name.startswith("facekit ") else ""

    @contextmanager
    def using_models(self) -> Iterator[sa.Connection]:
        """Beside others who use the library's models: until the end of the block nobody replaces them.

        Raises
        ------
        StalledError
            If a change of models does not end.
        """
        with self._models_locked(sa.func.pg_advisory_xact_lock_shared, "a change of the library's models") as found:
            yield found

    @contextmanager
    def replacing_models(self) -> Iterator[None]:
        """Nobody is inside `using_models`, in no process, until the end of the block. Raises StalledError."""
        users = "searches, or work with the people of the library,"
        with self._models_locked(sa.func.pg_advisory_xact_lock, users):
            yield

    @contextmanager
    def _models_locked(self, lock: sa.sql.functions._FunctionGenerator, what: str) -> Iterator[sa.Connection]:
        limit = give_up_after()
        milliseconds = 0 if limit == inf else max(1, round(limit * 1000))
        with self._engine.lock() as pooled:
            # What is read after the lock is as it is then, and not as it was when the waiting began.
            connection = pooled.execution_options(isolation_level="READ COMMITTED")
            connection.execute(_setting("lock_timeout", str(milliseconds)))
            connection.execute(_setting("idle_in_transaction_session_timeout", "0"))
            try:
                connection.execute(sa.select(lock(_OURS, self._models)))
            except sa.exc.OperationalError as error:
                if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                    raise
                message = f"Gave up waiting for {what} to end: {limit:g} s have passed."
                raise StalledError(message, "Try again later; what is done is kept.") from error
            yield connection


def _setting(name: str, value: str, *, local: bool = True) -> sa.Select[tuple[str]]:
    """Change a setting of the session, or of the transaction."""
    return sa.select(sa.func.set_config(name, value, local))
