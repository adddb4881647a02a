"""Milvus as the vector index: Milvus Lite for a library in a folder, a server for a large one."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.errors import FacekitError, StalledError, VectorIndexError
from facekit.index.lite import LiteServer
from facekit.index.protocol import MAX_LIMIT, NO_DATE, Fields, IndexFilter, seconds
from facekit.system.threads import Threads
from facekit.system.waiting import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from facekit.catalog.records import IndexRow
    from facekit.types.arrays import FloatArray

_NEVER = 2**31 - 1  # gRPC's word for it, in milliseconds
_CALLS_AT_ONCE = 8  # searches run beside each other, and beside what is stored
_BATCH = 1000  # rows in one request: half a megabyte at 128 dimensions, far below gRPC's limit


class MilvusIndex:
    """One collection of face vectors.

    Parameters
    ----------
    uri : str
        A path that ends in ``.db`` (Milvus Lite, one process at a time) or a server's address.
    dimension : int
        Length of the vectors.
    name : str
        The collection's name on a server that several libraries share.
    token : str
        What opens the server, where it asks.

    Raises
    ------
    VectorIndexError
        If the index can't be opened. `MilvusIndex.set_aside` then makes room for a new one.
    """

    def __init__(self, uri: str, dimension: int, *, name: str = "faces", token: str = "") -> None:
        from pymilvus import MilvusClient

        self._uri = uri
        self._name, self._copy = name, f"{name}_copy"  # while the index is being compacted
        self._lite = uri.endswith(".db")
        self._server: LiteServer | None = None
        self._client: Any = None
        self._dimension = dimension
        self._swapping = Lock()
        self._swaps = 0
        try:
            if self._lite:
                self._server = LiteServer(Path(uri))
            address = self._server.uri if self._server else uri
            # A connection inside this process needs no sign of life; pings that come too often are refused, in red.
            options = {"grpc.keepalive_time_ms": _NEVER} if self._lite else {}
            self._client = _Client(MilvusClient(address, token=token, grpc_options=options))
            self._settle()
            self._load()
        except FacekitError:  # it is not broken
            self.close()
            raise
        except Exception as error:
            self.close()
            message = f"The vector index {uri} can't be opened: {_first_line(error)}."
            raise VectorIndexError(message) from error

    def _settle(self) -> None:
        """See that there is one collection, also where `compact` was cut off."""
        if self._client.has_collection(self._name):
            if self._client.has_collection(self._copy):
                self._client.drop_collection(self._copy)
        elif self._client.has_collection(self._copy):  # which is whole: the other one was dropped after it
            self._client.rename_collection(self._copy, self._name)
        else:
            self._create(self._name)

    def _create(self, name: str) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("face_id", DataType.VARCHAR, is_primary=True, max_length=32)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._dimension)
        schema.add_field("usable", DataType.BOOL)
        schema.add_field("source", DataType.VARCHAR, max_length=256)
        schema.add_field("folder", DataType.VARCHAR, max_length=16_384)  # bytes
        schema.add_field("taken_at", DataType.INT64)
        # Exact search: Lite walks all rows whatever the index, and a server holds this many faces exactly too.
        indexes = self._client.prepare_index_params()
        indexes.add_index("vector", index_type="FLAT", metric_type="COSINE")
        self._client.create_collection(name, schema=schema, index_params=indexes, consistency_level="Strong")

    def _load(self) -> None:
        try:
            self._client.load_collection(self._name)
        except Exception as error:  # a sidecar index torn by a kill: Lite rebuilds one that is not there
            sidecars = list(Path(self._uri).rglob("*.idx")) if self._lite else []
            if not sidecars:
                raise
            logger.warning("Milvus Lite could not load its index, which is rebuilt: {}", _first_line(error))
            for sidecar in sidecars:
                sidecar.unlink(missing_ok=True)
            self._client.load_collection(self._name)

    def upsert(self, rows: Iterable[IndexRow]) -> None:
        """See `VectorIndex.upsert`."""
        written = False
        for batch in _batched(rows, _BATCH):
            made = [{"face_id": row.face_id, "vector": row.vector, **Fields.of(row)._asdict()} for row in batch]
            self._client.upsert(self._name, made)
            written = True
        # Lite searches rows that were not flushed twenty times more slowly; a server flushes by itself, and limits us.
        if written and self._lite:
            self._client.flush(self._name)

    def delete(self, face_ids: Sequence[str]) -> None:
        """See `VectorIndex.delete`."""
        for batch in _batched(face_ids, _BATCH):
            self._client.delete(self._name, ids=list(batch))

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
        for batch in _batched(self.rows(), _BATCH):
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
        from pymilvus import MilvusException

        swaps = self._swaps
        try:
            return ask()
        except MilvusException:
            with self._swapping:
                if swaps == self._swaps:
                    raise
                return ask()

    def search(self, vector: FloatArray, limit: int, where: IndexFilter) -> list[tuple[str, float]]:
        """See `VectorIndex.search`."""
        found = self._read(
            lambda: self._client.search(
                self._name,
                data=[vector.tolist()],
                limit=min(limit, MAX_LIMIT),
                filter=_expression(where),
                search_params={"metric_type": "COSINE"},
            )[0]
        )
        return [(hit.id, float(hit.distance)) for hit in found]

    def count(self) -> int:
        """See `VectorIndex.count`."""
        if self._lite:
            return int(self._read(lambda: self._client.get_collection_stats(self._name))["row_count"])
        return int(self._client.query(self._name, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def rows(self) -> dict[str, Fields]:
        """See `VectorIndex.rows`."""
        fields = ["face_id", *Fields._fields]
        if self._lite:  # one scan of everything beats an iterator, whose every page scans everything
            pages: Iterable[list[dict[str, Any]]] = [
                self._client.query(self._name, filter='face_id != ""', output_fields=fields),
            ]
        else:
            iterator = self._client.query_iterator(self._name, filter='face_id != ""', output_fields=fields)
            pages = iter(iterator.next, [])
        return {row["face_id"]: Fields(*(row[name] for name in Fields._fields)) for page in pages for row in page}

    def close(self) -> None:
        """See `VectorIndex.close`."""
        if self._client is not None:
            self._client.close()
        if self._server is not None:
            self._server.close()

    @staticmethod
    def drop(uri: str, name: str, *, token: str = "") -> None:
        """Delete a server's collection, which nobody has open. Raises VectorIndexError."""
        from pymilvus import MilvusClient, MilvusException

        try:
            client = MilvusClient(uri, token=token)
            try:
                client.drop_collection(name)
            finally:
                client.close()
        except MilvusException as error:
            message = f"The vectors {name} at {uri} can't be deleted: {_first_line(error)}."
            raise VectorIndexError(message) from error

    @staticmethod
    def set_aside(path: Path) -> Path:
        """Move a broken Milvus Lite folder out of the way and return its new name."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        broken = path.with_name(f"{path.name}.broken-{stamp}")
        shutil.move(path, broken)
        return broken


class _Client:
    """A `MilvusClient` whose calls have an end: by itself it waits for an answer for ever.

    Its own ``timeout`` would not do: with one it also tries failed calls again until then.
    """

    _LOCAL_CALLS = ("create_schema", "prepare_index_params")  # nothing is asked of Milvus

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - pymilvus has no types
        self._client = client
        self._threads = Threads(_CALLS_AT_ONCE, "facekit-index")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._client, name)
        return method if name in self._LOCAL_CALLS else partial(self._call_with_deadline, name, method)

    def _call_with_deadline(self, name: str, method: Callable[..., Any], *what: Any, **how: Any) -> Any:  # noqa: ANN401
        future = self._threads.submit(partial(method, *what, **how))
        try:
            remedy = "Close the library and open it again; the vectors are in the catalog."
            return result_of(future, f"the vector index ({name})", remedy)
        except StalledError:
            self._threads.leave([future])
            raise

    def close(self) -> None:
        self._client.close()
        self._threads.close()


def _expression(where: IndexFilter) -> str:
    place = []
    if where.source is not None:
        place.append(f"source == {_quote(where.source)}")
    if where.folder is not None:
        # A range instead of LIKE, in which % and _ can't be escaped; "0" comes right after "/".
        place.append(f"folder >= {_quote(where.folder)} and folder < {_quote(where.folder[:-1] + '0')}")
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


def _batched(items: Iterable[Any], size: int) -> Iterable[tuple[Any, ...]]:
    iterator = iter(items)
    return iter(lambda: tuple(islice(iterator, size)), ())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
