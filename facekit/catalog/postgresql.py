"""A catalog on a PostgreSQL server: its address, its connections, and the schema that keeps libraries apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa

from facekit.errors import LibraryError

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 30  # after which a server that does not answer is taken for gone
_LOCK_SECONDS = 120  # that a change waits for another process's
_LONGEST_SCHEMA = 63  # PostgreSQL: longer names are cut off, so that two would be one
_SCHEMA = re.compile(rf"[a-z_][a-z0-9_]{{0,{_LONGEST_SCHEMA - 1}}}")


def is_postgresql(url: str) -> bool:
    """Whether an address is that of a PostgreSQL database."""
    return sa.make_url(url).get_backend_name() == "postgresql"


def shown(url: str, schema: str | None) -> str:
    """A database's address as people may see it: without user, password and options."""
    whole = sa.make_url(url)
    bare = sa.URL.create("postgresql", host=whole.host, port=whole.port, database=whole.database)
    return f"{bare.render_as_string()} (schema {schema})" if schema else bare.render_as_string()


def open_engine(url: str, schema: str | None) -> sa.Engine:
    """Connections to a PostgreSQL database, which see the tables of one schema; it is made where there is none.

    Parameters
    ----------
    url : str
        ``postgresql://user@host:port/database``. What is left out is asked of the environment, as libpq does it.
    schema : str, optional
        Lower case letters, digits and ``_``, at most 63; by default what the server takes, which is ``public``.

    Raises
    ------
    LibraryError
        If the schema's name is none, the driver is not installed, or the server can't be reached.
    """
    if schema is not None and not _SCHEMA.fullmatch(schema):
        message = f"{schema!r} is no name for a schema."
        raise LibraryError(message, f"Take lower case letters, digits and _, at most {_LONGEST_SCHEMA}.")
    waits = {"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": _SILENCE_SECONDS * 1000}
    try:
        engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,  # a server that was restarted is found again
            connect_args={"application_name": "facekit", **waits},
        )
    except ModuleNotFoundError as error:
        message = "A catalog on PostgreSQL needs a package that is not installed: psycopg."
        raise LibraryError(message, 'Install it with: pip install "facekit[postgresql]"') from error

    # Before SQLAlchemy asks the first connection what it is like.
    @sa.event.listens_for(engine, "connect", insert=True)
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{_LOCK_SECONDS}s"])
        if schema is not None:
            cursor.execute("SELECT set_config('search_path', %s, false)", [schema])
        cursor.close()
        connection.commit()

    return engine


def make_schema(connection: sa.Connection, schema: str) -> None:
    """Make a schema, unless it is there: only then the right to make one is needed."""
    there = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :schema")
    if connection.scalar(there, {"schema": schema}) is None:
        connection.execute(sa.schema.CreateSchema(schema))
