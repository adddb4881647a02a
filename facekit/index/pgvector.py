"""pgvector as the vector index: a table in the database of a catalog on PostgreSQL."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from loguru import logger

from facekit.catalog.locks import hold_schema
from facekit.catalog.postgresql import make_schema, open_engine, shown
from facekit.errors import VectorIndexError
from facekit.index.calls import Calls
from facekit.index.protocol import MAX_LIMIT, NO_DATE, Fields, IndexFilter, batched, first_line, gone, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

    from facekit.catalog.records import IndexRow
    from facekit.types.arrays import FloatArray

R = TypeVar("R")

_OLDEST = (0, 8)  # with it came scans that go on until enough rows fit a filter
_BATCH = 1000  # rows in one transaction

_GRAPH_FROM = 50_000
"""Faces from which on a search walks a graph: 20,000 vectors are all compared in 20 ms, 200,000 in 110 to 180, and
then nothing is missed."""

_LOOKED_FOR = 60.0  # seconds between two looks whether another process has made the graph
_EF = 256  # as for Milvus
_SETTINGS = {
    "hnsw.ef_search": str(_EF),
    "hnsw.iterative_scan": "strict_order",
    "hnsw.max_scan_tuples": "100000",  # after which `search` compares all that fit the filter
    "plan_cache_mode": "force_custom_plan",  # a plan is for one filter: they differ in how much they leave
}
_MOST_BY_GRAPH = 1000  # neighbours; pgvector's largest ef_search


class PgVectorIndex:
    """One table of face vectors.

    Searches compare all vectors, until the table has 50,000 faces when it is opened: then it gets an HNSW index, which
    takes minutes once. Meanwhile others search, and wait with what they write.

    Parameters
    ----------
    url, schema : str
        As of `facekit.catalog.postgresql.open_engine`.
    dimension : int
        Length of the vectors.
    name : str
        Of the table.

    Raises
    ------
    VectorIndexError
        If it can't be opened: the server has no pgvector, or one before 0.8; the table is of other vectors.
    """

    def __init__(self, url: str, schema: str | None, dimension: int, name: str) -> None:
        self._where = f"{name} in {shown(url, schema)}"
        self._engine = _open(url, schema)
        self._calls = Calls()
        self._looked = -_LOOKED_FOR
        self._graph_there = False
        metadata = sa.MetaData()
        ordered = sa.String(collation="C")
        self._table = sa.Table(
            name,
            metadata,
            sa.Column("face_id", ordered, primary_key=True),
            sa.Column("vector", _Vector(dimension), nullable=False),
            sa.Column("usable", sa.Boolean, nullable=False),
            sa.Column("source", ordered, nullable=False),
            sa.Column("folder", ordered, nullable=False),
            sa.Column("taken_at", sa.BigInteger, nullable=False),
            sa.Index(f"{name}_place", "folder", "source"),
        )
        try:
            self._ask("open", lambda: self._settle(schema, dimension))
            if self.count() >= _GRAPH_FROM and not self._has_graph():
                self._make_graph()
        except BaseException:
            self.close()
            raise

    def _settle(self, schema: str | None, dimension: int) -> None:
        with self._engine.begin() as connection:
            hold_schema(connection, schema)
            if schema is not None:
                make_schema(connection, schema)
            _make_extension(connection, self._where)
            if connection.scalar(_DIMENSION, {"name": self._table.name}) is None:
                self._table.create(connection)
                # In the row itself: vectors of 512 numbers would lie elsewhere, and each be fetched from there.
                connection.execute(sa.text(f"ALTER TABLE {self._quoted} ALTER COLUMN vector SET STORAGE PLAIN"))
            held = connection.scalar(_DIMENSION, {"name": self._table.name})
        if held != dimension:
            message = f"The vector index {self._where} holds vectors of {held} numbers, not of {dimension}."
            raise VectorIndexError(message, "It belongs to other models, or to another library: name another one.")

    def _has_graph(self) -> bool:
        now = monotonic()
        if not self._graph_there and now - self._looked >= _LOOKED_FOR:
            there = sa.text("SELECT to_regclass(:name) IS NOT NULL")
            self._graph_there = bool(self._query(there.bindparams(name=self._graph))[0][0])
            self._looked = now
        return self._graph_there

    @property
    def _graph(self) -> str:
        return f"{self._table.name}_graph"

    def _make_graph(self) -> None:
        """Unless another process is at it. There is no limit for it: it may take as long as it takes."""
        logger.info("The vector index {} is given a graph, for it has become large.", self._where)
        made = f"CREATE INDEX IF NOT EXISTS {self._graph} ON {self._quoted} USING hnsw (vector vector_cosine_ops)"
        try:
            with self._engine.begin() as connection:
                key = sa.func.hashtextextended(f"facekit graph {self._where}", 0)
                if connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(key))):
                    connection.execute(sa.text("SET LOCAL maintenance_work_mem = '256MB'"))
                    connection.execute(sa.text(made))
        except sa.exc.SQLAlchemyError as error:  # it is searched without
            logger.warning("The vector index {} has no graph yet: {}.", self._where, first_line(error))
        self._looked = -_LOOKED_FOR

    def _ask(self, name: str, function: Callable[[], R]) -> R:
        try:
            return self._calls.ask(name, function)
        except sa.exc.SQLAlchemyError as error:
            raise _told(error, self._where) from error

    def upsert(self, rows: Iterable[IndexRow]) -> None:
        """See `VectorIndex.upsert`."""
        for batch in batched(rows, _BATCH):
            # Sorted: two processes that write the same rows wait for each other in one order.
            made = [self._values(row) for _, row in sorted({row.face_id: row for row in batch}.items())]
            self._ask("upsert", lambda made=made: self._write(made))  # type: ignore[misc]

    def _values(self, row: IndexRow) -> dict[str, Any]:
        return {"face_id": row.face_id, "vector": row.vector, **Fields.of(row)._asdict()}

    def _write(self, made: list[dict[str, Any]]) -> None:
        from sqlalchemy.dialects.postgresql import insert

        new = insert(self._table)
        others = {name: new.excluded[name] for name in ("vector", *Fields._fields)}
        with self._engine.begin() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["face_id"], set_=others), made)

    def delete(self, face_ids: Sequence[str]) -> None:
        """See `VectorIndex.delete`."""
        for batch in batched(face_ids, _BATCH):
            gone_ones = self._table.delete().where(_among(self._table.c.face_id, batch))
            self._ask("delete", lambda what=gone_ones: self._execute(what))  # type: ignore[misc]

    def _execute(self, statement: sa.Executable) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)

    def compact(self) -> None:
        """See `VectorIndex.compact`. PostgreSQL gives the room of what was deleted to what comes next."""
        self._ask("vacuum", lambda: self._query(sa.text(f"VACUUM {self._quoted}"), rows=False))

    @property
    def _quoted(self) -> str:
        return self._engine.dialect.identifier_preparer.format_table(self._table)

    def search(self, vector: FloatArray, limit: int, where: IndexFilter) -> list[tuple[str, float]]:
        """See `VectorIndex.search`."""
        limit = min(limit, MAX_LIMIT)
        return self._ask("search", lambda: self._search(vector, limit, where))

    def _search(self, vector: FloatArray, limit: int, where: IndexFilter) -> list[tuple[str, float]]:
        columns = self._table.c
        away = columns.vector.op("<=>", return_type=sa.Float())(sa.literal(vector, columns.vector.type))
        asked = sa.select(columns.face_id, (1 - away).label("similarity")).where(*_conditions(columns, where))
        if limit <= _MOST_BY_GRAPH and self._has_graph():
            found = self._query(asked.order_by(away).limit(limit))
            if len(found) == limit:
                return [(one.face_id, one.similarity) for one in found]
        # The index on distances serves no sum: all that fit the filter are compared.
        return [(one.face_id, one.similarity) for one in self._query(asked.order_by(away + 0.0).limit(limit))]

    def _count(self) -> int:
        return int(self._query(sa.select(sa.func.count()).select_from(self._table))[0][0])

    def _query(self, statement: sa.Executable, *, rows: bool = True) -> Sequence[sa.Row[Any]]:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            result = connection.execute(statement)
            return result.all() if rows else []

    def count(self, *, exact: bool = True) -> int:  # noqa: ARG002 - a search sees all that there is
        """See `VectorIndex.count`."""
        return self._ask("count", self._count)

    def rows(self) -> dict[str, Fields]:
        """See `VectorIndex.rows`."""
        columns = self._table.c
        asked = sa.select(columns.face_id, *(columns[name] for name in Fields._fields))
        return {key: Fields._make(fields) for key, *fields in map(tuple, self._ask("rows", lambda: self._query(asked)))}

    def close(self) -> None:
        """See `VectorIndex.close`."""
        self._engine.dispose()
        self._calls.close()

    @staticmethod
    def drop(url: str, schema: str | None, name: str) -> None:
        """Delete a table, if it is there. Whoever has it open is told that it is gone."""
        engine = _open(url, schema)
        try:
            with engine.begin() as connection:
                sa.Table(name, sa.MetaData()).drop(connection, checkfirst=True)
        except sa.exc.SQLAlchemyError as error:
            raise _told(error, f"{name} in {shown(url, schema)}") from error
        finally:
            engine.dispose()

    @staticmethod
    def version(url: str, schema: str | None) -> str:
        """Of the extension that the database has."""
        engine = _open(url, schema)
        try:
            with engine.connect() as connection:
                found = connection.execute(_EXTENSION).one_or_none()
                return str(found.extversion) if found else "is not there"
        except sa.exc.SQLAlchemyError as error:
            raise _told(error, shown(url, schema)) from error
        finally:
            engine.dispose()

    @staticmethod
    def names(url: str, schema: str | None) -> list[str]:
        """Of all tables in the schema."""
        engine = _open(url, schema)
        try:
            return sa.inspect(engine).get_table_names()
        except sa.exc.SQLAlchemyError as error:
            raise _told(error, shown(url, schema)) from error
        finally:
            engine.dispose()


class _Vector(sa.types.UserDefinedType[Any]):
    """pgvector's type, which is written as text: [0.5,-1,...]."""

    cache_ok = True

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def get_col_spec(self, **_: object) -> str:
        return f"vector({self.dimension})"

    def bind_processor(self, _dialect: object) -> Callable[[Any], str]:
        return lambda value: f"[{','.join(value.astype('float32').astype(str))}]"

    def bind_expression(self, bindvalue: sa.BindParameter[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(bindvalue, self)


_DIMENSION = sa.text("SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attname = 'vector'")
_EXTENSION = sa.text(
    "SELECT nspname, extversion FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
    " WHERE extname = 'vector'"
)
# Its types and operators lie in one schema, for all libraries in the database.
_SEE = sa.text(
    "SELECT set_config('search_path', concat_ws(', ', current_setting('search_path'), quote_ident(:found)), false)"
)


def _open(url: str, schema: str | None) -> sa.Engine:
    engine = open_engine(url, schema)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for name, value in _SETTINGS.items():
            cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
        cursor.execute(_EXTENSION.text)
        for found, _ in cursor.fetchall():
            cursor.execute(_SEE.text.replace(":found", "%s"), [found])
        cursor.close()
        connection.commit()

    return engine


def _make_extension(connection: sa.Connection, where: str) -> None:
    found = connection.execute(_EXTENSION).one_or_none()
    if found is None:
        message = f"The vector index {where} can't be made: the database has no pgvector."
        remedy = "Install pgvector on the server, and let its administrator run there: CREATE EXTENSION vector."
        there = connection.scalar(sa.text("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"))
        if there is None:
            raise VectorIndexError(message, remedy)
        try:
            connection.execute(sa.text("CREATE EXTENSION vector WITH SCHEMA public"))
        except sa.exc.ProgrammingError as error:
            raise VectorIndexError(message, remedy) from error
        connection.execute(_SEE, {"found": "public"})
        found = connection.execute(_EXTENSION).one()
    version = tuple(int(part) for part in found.extversion.split(".")[:2])
    if version < _OLDEST:
        message = f"The vector index {where} needs pgvector 0.8; the database has {found.extversion}."
        raise VectorIndexError(
            message, "Install a newer one on the server, and run there: ALTER EXTENSION vector UPDATE"
        )


def _among(column: sa.ColumnElement[str], names: Sequence[str]) -> sa.ColumnElement[bool]:
    return column == sa.func.any(sa.literal(list(names), sa.ARRAY(sa.String)))


def _conditions(columns: Any, where: IndexFilter) -> list[sa.ColumnElement[bool]]:  # noqa: ANN401 - SQLAlchemy's own
    place = []
    if where.within.sources:
        place.append(columns.source.in_(where.within.sources))
    if where.within.folders:  # prefixes; "0" comes right after "/"
        ranges = [(columns.folder >= one) & (columns.folder < one[:-1] + "0") for one in where.within.folders]
        place.append(sa.or_(*ranges))
    conditions = []
    if place:
        also = [_among(columns.face_id, where.also)] if where.also else []
        conditions.append(sa.or_(sa.and_(*place), *also))
    if where.usable_only:
        conditions.append(columns.usable)
    if where.after is not None:
        conditions.append(columns.taken_at >= seconds(where.after))
    if where.before is not None:
        conditions.append((columns.taken_at > NO_DATE) & (columns.taken_at < seconds(where.before)))
    return conditions


def _told(error: sa.exc.SQLAlchemyError, where: str) -> VectorIndexError:
    cause = getattr(error, "orig", None) or error
    if getattr(cause, "sqlstate", None) == "42P01":  # undefined_table
        return gone(where)
    message = f"The vector index {where} can't be read or written: {first_line(cause)}."
    return VectorIndexError(message, "See that the server runs, and do it again.")
