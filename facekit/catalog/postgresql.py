"""A catalog on a PostgreSQL server: its address, its connections, and the schema that keeps libraries apart."""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facekit.errors import DiskFullError, FacekitError, LibraryBusyError, LibraryError
from facekit.system.waiting import give_up_after

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

MOST_CONNECTIONS = 15
"""Of a process to its catalog, at once: SQLAlchemy's default."""

_KEPT_CONNECTIONS = 5  # in the pool, also when nobody needs them: SQLAlchemy's default
_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 30  # after which a server that does not answer is taken for gone
_LOCK_SECONDS = 120  # that a change waits for another process's
_LONGEST_SCHEMA = 63  # PostgreSQL: longer names are cut off, so that two would be one
_INSTEAD_OF_NUL = "\N{REPLACEMENT CHARACTER}".encode()
_CAPITAL = "\N{CYRILLIC CAPITAL LETTER YA}"  # no letter of ASCII, which all know
_SCHEMA = re.compile(rf"[a-z_][a-z0-9_]{{0,{_LONGEST_SCHEMA - 1}}}")


def is_postgresql(url: str) -> bool:
    """Whether an address is that of a PostgreSQL database."""
    return sa.make_url(url).get_backend_name() == "postgresql"


def shown(url: str, schema: str | None) -> str:
    """A database's address as people may see it: without user, password and options."""
    whole = sa.make_url(url)
    bare = sa.URL.create("postgresql", host=whole.host, port=whole.port, database=whole.database)
    return f"{bare.render_as_string()} (schema {schema})" if schema else bare.render_as_string()


def open_engine(url: str, schema: str | None, most: int = MOST_CONNECTIONS) -> sa.Engine:
    """Connections to a PostgreSQL database, which see the tables of one schema; it is made where there is none.

    Parameters
    ----------
    url : str
        ``postgresql://user@host:port/database``. What is left out is asked of the environment, as libpq does it.
    schema : str, optional
        Lower case letters, digits and ``_``, at most 63; by default what the server takes, which is ``public``.
    most : int
        Connections at once; who wants one more waits, at most for `facekit.system.waiting.give_up_after`.

    Raises
    ------
    LibraryError
        If the schema's name is none, the driver is not installed, or the server can't be reached.
    """
    if schema is not None and not _SCHEMA.fullmatch(schema):
        message = f"{schema!r} is no name for a schema."
        raise LibraryError(message, f"Take lower case letters, digits and _, at most {_LONGEST_SCHEMA}.")
    limit = give_up_after()
    waits = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": _SILENCE_SECONDS * 1000}
    try:
        import psycopg

        engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,  # a server that was restarted is found again
            max_overflow=most - _KEPT_CONNECTIONS,
            pool_timeout=None if limit == inf else limit,
            connect_args={"application_name": "facekit", "client_encoding": "utf8", **waits},
        )
    except ModuleNotFoundError as error:
        message = "A catalog on PostgreSQL needs a package that is not installed: psycopg."
        raise LibraryError(message, 'Install it with: pip install "facekit[postgresql]"') from error

    class Text(psycopg.adapt.Dumper):
        """Text as PostgreSQL can hold it: DuckDB holds a NUL, too."""

        def dump(self, obj: str) -> bytes:
            return obj.encode("utf-8", "replace").replace(b"\0", _INSTEAD_OF_NUL)

    # Before SQLAlchemy asks the first connection what it is like.
    @sa.event.listens_for(engine, "connect", insert=True)
    def prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:  # noqa: ANN401 - psycopg's
        connection.adapters.register_dumper(str, Text)
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{_LOCK_SECONDS}s"])
        if schema is not None:
            cursor.execute("SELECT set_config('search_path', %s, false)", [schema])
        cursor.close()
        connection.commit()

    return engine


def prepare_server(connection: sa.Connection, where: str, schema: str | None) -> None:
    """See that a database can hold a catalog, and make the catalog's schema where it is not there.

    Raises
    ------
    LibraryError
        If the database can't hold every name, or does not know small from capital letters.
    """
    encoding = connection.scalar(sa.text("SHOW server_encoding"))
    if encoding != "UTF8" or connection.scalar(sa.select(sa.func.lower(_CAPITAL))) != _CAPITAL.lower():
        wrong = "does not know the letters of all languages" if encoding == "UTF8" else f"is in {encoding}"
        message = f"The database of {where} {wrong}."
        making = "CREATE DATABASE facekit TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
        raise LibraryError(message, f"Make another one for facekit: {making}")
    if schema is not None:
        make_schema(connection, schema)


def make_schema(connection: sa.Connection, schema: str) -> None:
    """Make a schema, unless it is there: only then the right to make one is needed."""
    there = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :schema")
    if connection.scalar(there, {"schema": schema}) is None:
        connection.execute(sa.schema.CreateSchema(schema))


_BUSY = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
_GONE = {"3F000", "42501", "42P01"}  # no such schema, no right, no such table
_FULL = {"53100"}


def meets_user(error: sa.exc.DBAPIError) -> bool:
    """Whether a failure is the server's state and no fault of facekit's own, although its kind says so."""
    return getattr(error.orig, "sqlstate", None) in _GONE


def translated_from_server(error: Exception, where: str) -> FacekitError:
    """What a server's failure means to a user, in one line without the password."""
    if isinstance(error, FacekitError):
        return error
    cause: Any = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    text = (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")[:200]
    message = f"Something can't be done with {where}: {text}."
    if state in _BUSY:
        message = f"Other processes are changing {where} all the time."
        return LibraryBusyError(message, "Do it again later: nothing was changed.")
    if state in _FULL:
        return DiskFullError(message, "Make room on the server's disk and do it again.")
    if state in _GONE:
        return LibraryError(message, "See that the schema is there, and that its user may read and write in it.")
    if "password" in text:
        return LibraryError(message, "PGPASSWORD, PGPASSFILE or ~/.pgpass may hold the right one.")
    return LibraryError(message, "See that the server runs and can be reached. It is used again as soon as it answers.")
