"""The one door to the catalog's file: connections, transactions, and errors that say what to do."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from math import inf
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa

from facekit.catalog.changes import ChangeCounter, count_for_all
from facekit.catalog.postgresql import is_postgresql, meets_user, open_engine, shown, translated_from_server
from facekit.errors import DiskFullError, FacekitError, LibraryError, StalledError
from facekit.system.disk_space import check_room, is_disk_full
from facekit.system.semaphores import FairSemaphore
from facekit.system.waiting import give_up_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_WAIT_SECONDS = 30.0  # for those who read, before a rewrite is left to the next opening
_NEW = ".new"
_MOST_LOCKS = 10  # connections that hold locks: as many searches of one process are under way at once


class Database:
    """Connections to a catalog, as SQLAlchemy's engine gives them.

    Parameters
    ----------
    url : str
        ``duckdb:///...`` or ``postgresql://...``.
    path : Path, optional
        The catalog's file, where it is one: its disk must have room for a change, and it can be rewritten.
    schema : str, optional
        Of a PostgreSQL database: the schema that the tables lie in, see `facekit.catalog.postgresql.open_engine`.

    Attributes
    ----------
    where : str
        The catalog, in the middle of a sentence.
    on_server : bool
        Whether other processes may use it, too.
    guard : callable, optional
        What each transaction begins with. It raises where nothing may be written.
    """

    def __init__(self, url: str, path: Path | None = None, schema: str | None = None) -> None:
        self._path = path
        self.schema = schema
        self.on_server = is_postgresql(url)
        self.guard: Callable[[sa.Connection], None] | None = None
        if self.on_server:
            self.where = f"the catalog {shown(url, schema)}"
            self._engine, self._locks = open_engine(url, schema), open_engine(url, schema, _MOST_LOCKS)
        else:
            self.where = f"the catalog {path}" if path else "the catalog"
            self._engine = self._locks = sa.create_engine(url)
        # DuckDB's transactions see one moment anyway. Those that write see what others wrote before they took a lock.
        self._reading: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if self.on_server else {}
        self._changes = ChangeCounter(self._engine)
        self._state = Condition()
        self._used = 0
        self._rewriting = False
        self._copying = Lock()
        self._turns = FairSemaphore(_MOST_LOCKS)
        if path is not None:
            path.with_name(path.name + _NEW).unlink(missing_ok=True)  # of a rewrite that was cut off

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A connection for reading: all that is read is as it was at one moment."""
        options = self._changes.options() | self._reading
        with self._use(), self._engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def lock(self) -> Iterator[sa.Connection]:
        """A connection that holds a lock while the same thread reads and writes through others.

        It comes from a pool of its own: threads that each hold one connection and want a second one of the same pool
        would wait for each other.

        Raises
        ------
        StalledError
            If none is free in the end.
        """
        with self._use(), self._turn(), self._locks.connect() as connection:
            yield connection

    @contextmanager
    def _turn(self) -> Iterator[None]:
        limit = give_up_after()
        with ExitStack() as entered:
            try:
                entered.enter_context(self._turns.acquired(None if limit == inf else limit))
            except TimeoutError as error:
                raise self._none_free() from error
            yield

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction: all of it, or nothing.

        Raises
        ------
        LibraryError
            If the disk has no room for it: DuckDB ends the whole process when a commit fails whose undoing fails, too.
        """
        if self._path is not None:
            check_room(self._path.parent)
        with self._use(), self._engine.connect().execution_options(**self._changes.options()) as connection:
            try:
                with connection.begin():
                    if self.guard is not None:
                        self.guard(connection)
                    yield connection
                    count_for_all(connection)
            finally:
                self._changes.count(connection)

    @contextmanager
    def _use(self) -> Iterator[None]:
        with self._state:
            self._state.wait_for(lambda: not self._rewriting)
            self._used += 1
        try:
            yield
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError) as error:  # a fault of facekit's own
            if not meets_user(error):
                raise
            self._fail(error)
        except sa.exc.DBAPIError as error:
            self._fail(error)
        except sa.exc.TimeoutError as error:
            raise self._none_free() from error
        except Exception as error:
            if not type(error).__module__.startswith(("duckdb", "_duckdb")):
                raise
            self._fail(error)
        finally:
            with self._state:
                self._used -= 1
                self._state.notify_all()

    def _none_free(self) -> StalledError:
        message = f"Gave up waiting for a connection to {self.where}: this process uses all that it may have."
        return StalledError(message, "Try again later, or ask less at once.")

    def _fail(self, error: Exception) -> NoReturn:
        if self.on_server:
            raise translated_from_server(error, self.where) from error
        text = str(getattr(error, "orig", None) or error)
        if "FATAL" in text or "invalidated" in text:  # DuckDB refuses all that comes after it, until it is opened anew
            self._engine.dispose()
        raise translated(error, self._path) from error

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()
        self._locks.dispose()

    def copy_to(self, new: Path) -> None:
        """Write all that is live now into a new file; others may go on reading and writing."""
        with self._use(), self._copying:
            _copy(self._engine, new)

    def rewrite(self, done: sa.Update) -> bool:
        """Copy all that is there into a new file, which takes the place of the old one: DuckDB keeps what was deleted.

        ``done`` is executed in the copy. Returns False where others were reading all the time: do it again later.
        """
        if self._path is None:  # a server gives the room of what was deleted to what comes next
            with self.begin() as connection:
                connection.execute(done)
            return True
        check_room(self._path.parent, extra=self._path.stat().st_size)
        with self._state:
            if self._rewriting or not self._state.wait_for(lambda: self._used == 0, _WAIT_SECONDS):
                return False
            self._rewriting = True
        new = self._path.with_name(self._path.name + _NEW)
        try:
            _copy(self._engine, new)
            self._engine.dispose()
            fresh = sa.create_engine(f"duckdb:///{new}")
            with fresh.begin() as connection:
                connection.execute(done)
            with fresh.connect() as connection:
                connection.exec_driver_sql("CHECKPOINT")
            fresh.dispose()
            sync(new)
            os.replace(new, self._path)  # noqa: PTH105 - atomic
        except Exception as error:
            new.unlink(missing_ok=True)
            raise translated(error, self._path) from error
        finally:
            with self._state:
                self._rewriting = False
                self._state.notify_all()
        return True


def _copy(engine: sa.Engine, new: Path) -> None:
    """A DuckDB file with all that is live in a database, as it is at one moment."""
    for path in (new, new.with_name(f"{new.name}.wal")):
        path.unlink(missing_ok=True)
    quoted = str(new).replace("'", "''")
    with engine.connect() as connection:
        run = connection.exec_driver_sql
        name = str(run("SELECT current_database()").scalar()).replace('"', '""')
        run(f"ATTACH '{quoted}' AS facekit_copy")
        connection.commit()
        try:
            run(f'COPY FROM DATABASE "{name}" TO facekit_copy')
            connection.commit()
        finally:
            connection.rollback()
            run("DETACH facekit_copy")
            connection.commit()


def sync(path: Path) -> None:
    """See that a file is on the disk before it takes another one's place."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def translated(error: Exception, path: Path | None) -> FacekitError:
    """What a database's failure means to a user, in one line."""
    if isinstance(error, FacekitError):
        return error
    cause: Any = getattr(error, "orig", None) or error
    text = (str(cause).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]
    where = f"The catalog {path}" if path else "The catalog"
    if is_disk_full(cause):
        message = f"{where} can't be written: the disk is full."
        return DiskFullError(message, "Make room and do it again: what was done before is kept.")
    message = f"{where} can't be read or written: {text}."
    return LibraryError(message, "Run facekit doctor; where the file is damaged: facekit doctor --repair.")
