"""Who may come into a library on servers, and what it was asked to do: tables beside those of its catalog."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import sqlalchemy as sa
from loguru import logger
from typing_extensions import override

from facekit.catalog.locks import hold_service
from facekit.catalog.postgresql import open_engine, shown
from facekit.errors import LibraryError
from facekit.server.database import ServiceStore, StoreAwayError
from facekit.server.migrations import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from psycopg import Connection
    from psycopg.abc import Buffer
    from sqlalchemy.pool import ConnectionPoolEntry

_POLL_SECONDS = 1.0
_WORKER_LETTERS = 32
_PATIENCE_SECONDS = 20.0  # a server that is started anew takes a few


class SharedServiceStore(ServiceStore):
    """Accounts and jobs in a PostgreSQL database, which the services of several machines share.

    Parameters
    ----------
    url, schema
        Those of the library's catalog, see `facekit.catalog.postgresql.open_engine`.
    upgrade : bool
        Bring the tables of an older facekit to this one's version; by default they are refused.

    Raises
    ------
    StoreAwayError
        If the server can't be reached.
    LibraryError
        If there is no library in the schema, or another facekit made the tables.
    """

    poll_seconds = _POLL_SECONDS
    patience = _PATIENCE_SECONDS

    def __init__(self, url: str, schema: str, *, upgrade: bool = False) -> None:
        self.worker = f"{os.getpid()}-{uuid4().hex}"[:_WORKER_LETTERS]
        self._schema = SHARED
        self._name = schema
        self._where = f"the accounts and jobs in {shown(url, schema)}"
        self.engine = open_engine(url, schema)
        sa.event.listen(self.engine, "connect", _take_text)
        try:
            with self.write() as connection:
                self._prepare(connection, upgrade=upgrade)
        except BaseException:
            self.close()
            raise

    def _prepare(self, connection: sa.Connection, *, upgrade: bool) -> None:
        if not sa.inspect(connection).has_table("photos"):
            message = f"There is no library for {self._where}."
            raise LibraryError(message, "Make one: facekit init DIR --catalog ADDRESS --index ADDRESS")
        if not upgrade:  # others may be at work with the older ones
            SHARED.check(connection, self._where)
        found = SHARED.prepare(connection, self._where, None)
        if found not in {None, SHARED.version}:
            logger.info("Upgraded {} from schema {} to {}", self._where, found, SHARED.version)

    @contextmanager
    @override
    def read(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the database and never waits for a writer."""
        with (
            self._said(),
            self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        ):
            yield connection

    @contextmanager
    @override
    def write(self) -> Iterator[sa.Connection]:
        """A transaction; nobody else writes between what it reads and what it writes."""
        with self._said(), self.engine.begin() as connection:
            hold_service(connection, self._name)
            yield connection

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Say in one line that the server does not answer."""
        try:
            yield
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError):  # a fault of facekit's own
            raise
        except sa.exc.DBAPIError as error:
            said = (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0].rstrip(".")
            message = f"{self._where[0].upper()}{self._where[1:]} can't be read or written: {said}."
            raise StoreAwayError(message, "See that the server runs and can be reached, and do it again.") from error

    @override
    def time(self, connection: sa.Connection) -> datetime:
        """The moment that it is, by the server's clock."""
        moment: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return moment

    @override
    def erase(self) -> None:
        """PostgreSQL gives the room of what was deleted to what comes next."""


def _take_text(connection: Connection, _entry: ConnectionPoolEntry) -> None:
    """Text with a NUL, which PostgreSQL has none of, is text that nothing is called by."""
    from psycopg.types.string import StrDumperUnknown  # psycopg's own for text

    class _Dumper(StrDumperUnknown):
        def dump(self, obj: str) -> Buffer | None:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    connection.adapters.register_dumper(str, _Dumper)
