"""Milvus as the vector index: Milvus Lite for a library in a folder, a server for a large one."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from loguru import logger

from facekit.errors import FacekitError, VectorIndexError
from facekit.index.client import Client
from facekit.index.lite import LiteServer
from facekit.index.protocol import MAX_LIMIT, NO_DATE, Fields, IndexFilter, batched, first_line, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from facekit.catalog.records import IndexRow
    from facekit.types.arrays import FloatArray

_BATCH = 1000  # rows in one request: half a megabyte at 128 dimensions, far below gRPC's limit
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")  # what Milvus allows, and room for _COPY
_COPY = "_copy"  # while the index is being compacted

_HNSW_FROM = 200_000
"""Faces from which on a server searches a graph instead of all vectors. Measured on two cores at 128 dimensions: all of
20,000 take as long as the graph, all of 200,000 twice as long, and only they are exact."""

_GRAPH = {"M": 16, "efConstruction": 200}
_EF = 256  # of the faces that are alike enough it finds 99.95 %, measured on 40,000; 128 finds 99.4 %
_MOST_EF = 32_768  # Milvus' limit

_FRESH = 10.0  # seconds; Milvus lets a search that is not bound to a write miss the last 5


class MilvusIndex:
    """One collection of face vectors.

    On a server, a search sees all that this process wrote, and what others wrote more than 5 seconds ago (Milvus'
    ``common.gracefulTime``), in practice a quarter of a second; `count` and `rows` see everything. A collection is
    searched exactly; where it has 200,000 faces when it is opened, it gets an HNSW index, and searches wait for some
    seconds meanwhile.

    Parameters
    ----------
    uri : str
        A path that ends in ``.db`` (Milvus Lite, one process at a time) or a server's address.
    dimension : int
        Length of the vectors.
    name : str
        Of the collection: letters without accents, digits and underscores.
    token : str
        ``user:password`` or a key, for a server; they may also stand in the address. No error shows them.

    Raises
    ------
    VectorIndexError
        If the index can't be opened. `MilvusIndex.set_aside` then makes room for a new one.
    """

    def __init__(self, uri: str, dimension: int, name: str = "faces", token: str = "") -> None:
        self._lite = uri.endswith(".db")
        address, token = (uri, "") if self._lite else _login(uri, token)
        self._where = address if self._lite else f"{name} at {address}"
        if not _NAME.fullmatch(name):
            message = f"{name!r} can't be the name of a vector index."
            raise VectorIndexError(message, "Use letters without accents, digits and underscores.")
        self._path = Path(uri)
        self._server: LiteServer | None = None
        self._client: Any = None
        self._dimension = dimension
        self._name, self._copy = name, name + _COPY
        self._wrote = self._deleted = -_FRESH
        self._swapping = Lock()
        self._swaps = 0
        try:
            if self._lite:
                self._server = LiteServer(self._path)
            address = self._server.uri if self._server else address
            self._client = Client(address, token, name, self._where, lite=self._lite)
            self._settle()
            self._load()
        except FacekitError as error:  # a server's message says it already
            self.close()
            if self._lite and isinstance(error, VectorIndexError):
                raise self._not_opened(error.__cause__ or error) from error
            raise
        except Exception as error:
            self.close()
            raise self._not_opened(error) from error

    def _not_opened(self, error: BaseException) -> VectorIndexError:
        return VectorIndexError(f"The vector index {self._where} can't be opened: {first_line(error)}.")

    def _settle(self) -> None:
        """See that there is one collection, also where `compact` was cut off."""
        if self._client.has_collection(self._name):
            if self._client.has_collection(self._copy):
                self._client.drop_collection(self._copy)
        elif self._client.has_collection(self._copy):  # which is whole: the other one was dropped after it
            self._client.rename_collection(self._copy, self._name)
        else:
            self._create(self._name)
        if not self._lite:
            self._fit()

    def _fit(self) -> None:
        """See that a server's collection is one of these vectors, and has the kind of index that its size asks for."""
        fields = {field["name"]: field for field in self._client.describe_collection(self._name)["fields"]}
        held = fields.get("vector", {}).get("params", {}).get("dim")
        if held != self._dimension:
            message = f"The vector index {self._where} holds vectors of {held} numbers, not of {self._dimension}."
            raise VectorIndexError(message, "It belongs to other models, or to another library: name another one.")
        kind = (self._client.describe_index(self._name, "vector") or {}).get("index_type")
        if kind is None:  # whoever changed it was killed
            self._client.create_index(self._name, self._indexes(graph=False))
        self._client.load_collection(self._name)
        if kind == "HNSW" or self.count() < _HNSW_FROM:
            return
        logger.info("The vector index {} is given a graph, for it has become large.", self._where)
        self._client.release_collection(self._name)
        self._client.drop_index(self._name, "vector")
        self._client.create_index(self._name, self._indexes(graph=True))

    def _indexes(self, *, graph: bool) -> Any:  # noqa: ANN401 - pymilvus has no types
        indexes = self._client.prepare_index_params()
        kind: dict[str, Any] = {"index_type": "HNSW", "params": _GRAPH} if graph else {"index_type": "FLAT"}
        indexes.add_index("vector", metric_type="COSINE", **kind)
        return indexes

    def _create(self, name: str) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("face_id", DataType.VARCHAR, is_primary=True, max_length=32)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dimension)
        schema.add_field("usable", DataType.BOOL)
        schema.add_field("source", DataType.VARCHAR, max_length=256)
        schema.add_field("folder", DataType.VARCHAR, max_length=16_384)  # bytes
        schema.add_field("taken_at", DataType.INT64)
        indexes = self._indexes(graph=False)  # Lite walks all rows whatever the index
        self._client.create_collection(name, schema=schema, index_params=indexes, consistency_level="Strong")

    def _load(self) -> None:
        try:
            self._client.load_collection(self._name)
        except Exception as error:  # a sidecar index torn by a kill: Lite rebuilds one that is not there
            sidecars = list(self._path.rglob("*.idx")) if self._lite else []
            if not sidecars:
                raise
            logger.warning("Milvus Lite could not load its index, which is rebuilt: {}", first_line(error))
            for sidecar in sidecars:
                sidecar.unlink(missing_ok=True)
            self._client.load_collection(self._name)

    def upsert(self, rows: Iterable[IndexRow]) -> None:
        """See `VectorIndex.upsert`."""
        written = False
        for batch in batched(rows, _BATCH):
            made = [{"face_id": row.face_id, "vector": row.vector, **Fields.of(row)._asdict()} for row in batch]
            self._client.upsert(self._name, made)
            self._wrote = monotonic()
            written = True
        # Lite searches rows that were not flushed twenty times more slowly; a server flushes by itself, and limits us.
        if written and self._lite:
            self._client.flush(self._name)

    def delete(self, face_ids: Sequence[str]) -> None:
        """See `VectorIndex.delete`."""
        for batch in batched(face_ids, _BATCH):
            self._client.delete(self._name, ids=list(batch))
            self._deleted = monotonic()

    def compact(self) -> None:
        """See `VectorIndex.compact`.

        Milvus Lite rewrites its files when it likes, and keeps the ids of what was deleted. So everything is copied
        into another collection, which takes the place of this one: 0.25 ms of CPU a face at 512 dimensions. Whoever
        searches meanwhile waits for the change of places at most. A server frees its storage some time after this.
        """
        if not self._lite:
            self._client.flush(self._name)
            self._client.compact(self._name)
            return
        if self._client.has_collection(self._copy):  # of one that failed
            self._client.drop_collection(self._copy)
        self._create(self._copy)
        for batch in batched(self.rows(), _BATCH):
            self._client.upsert(self._copy, self._client.get(self._name, ids=list(batch), output_fields=["*"]))
        self._client.flush(self._copy)
        with self._swapping:
            self._swaps += 1
            try:
                self._client.drop_collection(self._name)
                self._client.rename_collection(self._copy, self._name)
                self._load()
            finally:
                self._swaps += 1  # again, for whoever began to ask in between

    def _read(self, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - what Milvus answers
        """Ask, and once more if the collection was replaced meanwhile."""
        swaps = self._swaps
        try:
            return ask()
        except VectorIndexError:
            with self._swapping:
                if swaps == self._swaps:
                    raise
                return ask()

    def search(self, vector: FloatArray, limit: int, where: IndexFilter) -> list[tuple[str, float]]:
        """See `VectorIndex.search`."""
        limit = min(limit, MAX_LIMIT)
        found = self._read(
            lambda: self._client.search(
                self._name,
                data=[vector.tolist()],
                limit=limit,
                filter=_expression(where),
                search_params={"metric_type": "COSINE", "params": {"ef": min(max(_EF, 2 * limit), _MOST_EF)}},
                consistency_level=self._consistency(),
            )[0]
        )
        return [(hit.id, float(hit.distance)) for hit in found]

    def _consistency(self) -> str:
        """What a server must have seen before it answers; each costs more time than the next.

        Strong: everything; Session: what this client upserted (pymilvus does not count what it deletes), but where it
        did nothing, whatever a server that is just starting has so far; Bounded: what is older than some seconds.
        """
        now = monotonic()
        return "Strong" if now - self._deleted < _FRESH else "Session" if now - self._wrote < _FRESH else "Bounded"

    def count(self, *, exact: bool = True) -> int:
        """See `VectorIndex.count`."""
        if self._lite:
            return int(self._read(lambda: self._client.get_collection_stats(self._name))["row_count"])
        # A server's statistics know nothing of what was written lately, and count what was replaced or deleted.
        seen = "Strong" if exact else self._consistency()
        asked = {"filter": "", "output_fields": ["count(*)"], "consistency_level": seen}
        return int(self._client.query(self._name, **asked)[0]["count(*)"])

    def rows(self) -> dict[str, Fields]:
        """See `VectorIndex.rows`."""
        asked = {"filter": 'face_id != ""', "output_fields": ["face_id", *Fields._fields]}
        if self._lite:  # one scan of everything beats an iterator, whose every page scans everything
            pages: Iterable[list[dict[str, Any]]] = [self._client.query(self._name, **asked)]
        else:
            iterator = self._client.query_iterator(self._name, consistency_level="Strong", **asked)
            pages = iter(lambda: self._client.ask("query_iterator", iterator.next), [])
        return {row["face_id"]: Fields(*(row[name] for name in Fields._fields)) for page in pages for row in page}

    def close(self) -> None:
        """See `VectorIndex.close`."""
        if self._client is not None:
            self._client.close()
        if self._server is not None:
            self._server.close()

    @staticmethod
    def drop(uri: str, name: str, token: str = "") -> None:
        """Delete a server's collection, or Milvus Lite's folder, which nobody has open.

        Whoever has a server's collection open is told that it is gone.
        """
        if uri.endswith(".db"):
            shutil.rmtree(uri, ignore_errors=True)
            return
        address, token = _login(uri, token)
        client = Client(address, token, name, f"{name} at {address}")
        try:
            client.drop_collection(name)
        finally:
            client.close()

    @staticmethod
    def names(uri: str, token: str = "") -> list[str]:
        """Of all collections on a server."""
        address, token = _login(uri, token)
        client = Client(address, token, "", address)
        try:
            return [str(name) for name in client.list_collections()]
        finally:
            client.close()

    @staticmethod
    def version(uri: str, token: str = "") -> str:
        """Of the server."""
        address, token = _login(uri, token)
        client = Client(address, token, "", f"at {address}")
        try:
            return str(client.get_server_version()).removeprefix("v")
        finally:
            client.close()

    @staticmethod
    def set_aside(path: Path) -> Path:
        """Move a broken Milvus Lite folder out of the way and return its new name."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        broken = path.with_name(f"{path.name}.broken-{stamp}")
        shutil.move(path, broken)
        return broken


def _login(uri: str, token: str) -> tuple[str, str]:
    """An address without what must not be shown, and the token."""
    parts = urlsplit(uri)
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host).geturl() if at else uri, token or unquote(user)


def _expression(where: IndexFilter) -> str:
    place = []
    if where.within.sources:
        place.append(f"source in [{', '.join(map(_quote, where.within.sources))}]")
    if where.within.folders:
        # A range instead of LIKE, in which % and _ can't be escaped; "0" comes right after "/".
        ranges = [(_quote(folder), _quote(folder[:-1] + "0")) for folder in where.within.folders]
        place.append(f"({' or '.join(f'(folder >= {first} and folder < {end})' for first, end in ranges)})")
    parts = []
    if place:
        also = f" or face_id in {json.dumps(list(where.also))}" if where.also else ""
        parts.append(f"(({' and '.join(place)}){also})")
    if where.usable_only:
        parts.append("usable == true")
    if where.after is not None:
        parts.append(f"taken_at >= {seconds(where.after)}")
    if where.before is not None:
        parts.append(f"taken_at > {NO_DATE} and taken_at < {seconds(where.before)}")
    return " and ".join(parts)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
