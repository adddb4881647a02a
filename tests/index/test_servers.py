"""Vector indexes on servers: other processes, servers that die or never answer, and what errors say."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from socket import socket
from threading import Thread
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest
import sqlalchemy as sa
from index_rows import DIMENSION, FOLDERS, row, unit
from milvus_server import Milvus, Programs
from postgres import free_port

from facekit.catalog import IndexRow
from facekit.catalog.records import Within
from facekit.errors import FacekitError, VectorIndexError
from facekit.index import IndexFilter, MilvusIndex, VectorIndex, client, drop_index, milvus, open_index, pgvector
from facekit.index.opening import index_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERYTHING = IndexFilter(usable_only=False)
SECRET = "geheim"


@pytest.fixture(params=["milvus", "pgvector"])
def place(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def name(place: str) -> Iterator[str]:
    """The name of an index that is not there yet, and is dropped after the test."""
    name = f"test_{uuid4().hex}"
    yield name
    drop_index(place, name)


def in_another_process(program: str, *arguments: str) -> None:
    """Run a program that has `place` and `name`, and what it needs to open an index."""
    head = (
        "import sys; place, name = sys.argv[1:]\n"
        "from facekit.index import drop_index, open_index\nfrom index_rows import DIMENSION, row\n"
    )
    here = {"cwd": Path(__file__).parent.parent}
    subprocess.run([sys.executable, "-c", head + program, *arguments], check=True, timeout=120, **here)


def seen(index: VectorIndex, number: int, *, there: bool) -> bool:
    """Whether a search sees, in time, that a face is there, or is not."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if (index.search(unit(number), 1, EVERYTHING)[:1] == [(f"face{number:03}", pytest.approx(1.0))]) == there:
            return True
        time.sleep(0.1)
    return False


def test_what_another_process_writes_and_deletes_is_seen(place: str, name: str) -> None:
    index = open_index(place, name, DIMENSION)
    index.upsert([row(number) for number in range(5)])
    in_another_process("open_index(place, name, DIMENSION).upsert([row(7)])", place, name)
    assert seen(index, 7, there=True)
    assert index.count() == 6
    in_another_process("open_index(place, name, DIMENSION).delete(['face003'])", place, name)
    assert seen(index, 3, there=False)
    assert sorted(index.rows()) == ["face000", "face001", "face002", "face004", "face007"]
    index.close()


def test_an_index_that_another_process_dropped_is_gone_and_can_be_made_again(place: str, name: str) -> None:
    index = open_index(place, name, DIMENSION)
    index.upsert([row(1)])
    in_another_process("drop_index(place, name); drop_index(place, name)", place, name)
    calls: list[Callable[[], object]] = [
        lambda: index.search(unit(1), 1, EVERYTHING),
        lambda: index.upsert([row(1)]),
        lambda: index.delete(["face001"]),
        index.count,
        index.rows,
    ]
    for call in calls:
        with pytest.raises(VectorIndexError, match=rf"{name} .* is gone: another process has deleted it\. Open the"):
            call()
    again = open_index(place, name, DIMENSION)
    assert again.count() == 0
    again.upsert([row(2)])
    assert seen(index, 2, there=True)  # who has it open goes on with what took its place
    index.close()
    again.close()


def test_indexes_with_other_names_know_nothing_of_each_other(place: str, name: str) -> None:
    one, two = (open_index(place, each, DIMENSION) for each in (name, f"{name}_2"))
    one.upsert([row(1)])
    two.upsert([row(2)])
    assert {name, f"{name}_2"} <= set(index_names(place))
    assert [sorted(index.rows()) for index in (one, two)] == [["face001"], ["face002"]]
    drop_index(place, f"{name}_2")
    assert one.count() == 1
    one.close()
    two.close()


def test_an_index_of_other_vectors_is_refused(place: str, name: str) -> None:
    open_index(place, name, DIMENSION).close()
    with pytest.raises(VectorIndexError, match=rf"holds vectors of {DIMENSION} numbers, not of {DIMENSION + 1}"):
        open_index(place, name, DIMENSION + 1)


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
@pytest.mark.parametrize("listens", [False, True])
def test_a_server_that_is_not_there_or_never_answers_is_named_without_secrets(
    scheme: str, *, listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_GIVE_UP_AFTER", "2")
    with socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        port = silent.getsockname()[1] if listens else free_port()
        with pytest.raises(FacekitError) as caught:
            open_index(f"{scheme}://root:{SECRET}@127.0.0.1:{port}/db", "faces", DIMENSION, token=f"root:{SECRET}")
    said = str(caught.value)
    assert SECRET not in said
    assert "\n" not in said
    assert listens or f"127.0.0.1:{port}" in said


@pytest.mark.parametrize("bad", ["a-b", "", "1st", "имя", "a" * 300])
def test_names_that_a_server_does_not_take_are_refused(milvus_url: str, bad: str) -> None:
    with pytest.raises(VectorIndexError, match="can't be the name of a vector index"):
        open_index(milvus_url, bad, DIMENSION)


# -- Milvus --------------------------------------------------------------------------------------------------------


def test_a_search_waits_for_a_milvus_that_was_killed_and_misses_nothing(
    milvus_programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PATIENCE", dict.fromkeys(client._PATIENCE, 240.0))
    server = Milvus(milvus_programs)
    index = reader = None
    try:
        index = open_index(server.url, "faces", DIMENSION)
        index.upsert([row(number) for number in range(60)])
        reader = open_index(server.url, "faces", DIMENSION)  # it wrote nothing
        server.kill()
        found: dict[str, object] = {}
        calls: dict[str, Callable[[], object]] = {
            "writer": lambda: index.search(unit(7), 1, EVERYTHING),
            "reader": lambda: reader.search(unit(7), 1, EVERYTHING),
            "count": index.count,
            "upsert": lambda: index.upsert([row(60)]),
        }
        threads = [Thread(target=lambda key=key, call=call: found.update({key: call()})) for key, call in calls.items()]
        for thread in threads:
            thread.start()
        server.start()
        for thread in threads:
            thread.join(300)
        best = [("face007", pytest.approx(1.0, abs=1e-5))]
        assert found == {"writer": best, "reader": best, "count": found["count"], "upsert": None}
        assert found["count"] in (60, 61)
        assert index.count() == 61
    finally:
        for one in (index, reader):
            if one is not None:
                one.close()
        server.remove()


def test_a_large_collection_gets_a_graph_when_it_is_opened(
    milvus_url: str, milvus_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_index(milvus_url, milvus_name, DIMENSION)
    assert isinstance(before, MilvusIndex)

    def kind() -> str:
        return before._client.describe_index(milvus_name, "vector")["index_type"]

    monkeypatch.setattr(milvus, "_HNSW_FROM", 50)
    rows = [row(number) for number in range(49)]
    before.upsert(rows)
    open_index(milvus_url, milvus_name, DIMENSION).close()
    assert kind() == "FLAT"
    before.upsert([row(49)])
    after = open_index(milvus_url, milvus_name, DIMENSION)
    assert kind() == "HNSW"
    for index in (before, after):  # who had it open goes on
        index.upsert([row(50)])
        for number in (3, 49, 50):
            assert seen(index, number, there=True)
        assert index.count() == 51
    monkeypatch.setattr(milvus, "_HNSW_FROM", 1000)
    open_index(milvus_url, milvus_name, DIMENSION).close()
    assert kind() == "HNSW"
    before.close()
    after.close()


@pytest.mark.parametrize("left", ["released", "without an index"])
def test_a_change_to_a_graph_that_was_cut_off_is_put_right(milvus_url: str, milvus_name: str, left: str) -> None:
    index = open_index(milvus_url, milvus_name, DIMENSION)
    assert isinstance(index, MilvusIndex)
    index.upsert([row(number) for number in range(5)])
    index._client.release_collection(milvus_name)
    if left == "released":  # found by whoever has it open
        assert seen(index, 3, there=True)
    else:
        index._client.drop_index(milvus_name, "vector")
        again = open_index(milvus_url, milvus_name, DIMENSION)
        assert seen(again, 3, there=True)
        again.close()
    index.close()


# -- pgvector ------------------------------------------------------------------------------------------------------


def test_a_database_without_pgvector_is_refused(postgres_url: str, postgres_schema: str) -> None:
    with pytest.raises(VectorIndexError, match=r"has no pgvector\. Install pgvector .*: CREATE EXTENSION vector\.$"):
        open_index(postgres_url, "faces", DIMENSION, schema=postgres_schema)


def test_a_pgvector_that_is_too_old_is_refused(pgvector_url: str) -> None:
    engine = sa.create_engine(sa.make_url(pgvector_url).set(drivername="postgresql+psycopg"))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text("CREATE DATABASE old_pgvector"))
    old = sa.make_url(pgvector_url).set(database="old_pgvector")
    others = sa.create_engine(old.set(drivername="postgresql+psycopg"))
    try:
        with others.begin() as connection:
            connection.execute(sa.text("CREATE EXTENSION vector"))
            connection.execute(sa.text("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'"))
        with pytest.raises(VectorIndexError, match=r"needs pgvector 0\.8; the database has 0\.7\.4\. Install"):
            open_index(old.render_as_string(hide_password=False), "faces", DIMENSION)
    finally:
        others.dispose()
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(sa.text("DROP DATABASE old_pgvector WITH (FORCE)"))
        engine.dispose()


def test_the_vectors_of_libraries_in_one_database_lie_in_their_schemas(pgvector_url: str) -> None:
    schemas = [f"test_{uuid4().hex}" for _ in range(2)]
    one, two = (open_index(pgvector_url, "faces", DIMENSION, schema=schema) for schema in schemas)
    one.upsert([row(1)])
    assert [one.count(), two.count()] == [1, 0]
    drop_index(pgvector_url, "faces", schema=schemas[1])
    assert one.search(unit(1), 1, EVERYTHING) == [("face001", pytest.approx(1.0))]
    one.close()
    two.close()
    engine = sa.create_engine(sa.make_url(pgvector_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        for schema in schemas:
            connection.execute(sa.schema.DropSchema(schema, cascade=True))
    engine.dispose()


def test_a_graph_finds_nearly_all_and_a_narrow_filter_misses_nothing(
    pgvector_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"test_{uuid4().hex}"
    index = open_index(pgvector_url, name, DIMENSION)
    rows = [
        IndexRow(
            f"face{n:05}",
            unit(n),
            usable=True,
            source="local",
            folder=FOLDERS[n % 3] if n % 500 else "/rare/",
            taken_at=None,
        )
        for n in range(4000)
    ]
    index.upsert(rows)
    engine = sa.create_engine(sa.make_url(pgvector_url).set(drivername="postgresql+psycopg"))

    def walks() -> int | None:
        with engine.connect() as connection:
            asked = sa.text("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = :name")
            return connection.scalar(asked, {"name": f"{name}_graph"})

    matrix = np.stack([one.vector for one in rows])

    def exact(probe: np.ndarray, where: IndexFilter, limit: int) -> set[str]:
        fits = [n for n, one in enumerate(rows) if where.within.has(one.source, one.folder)]
        best = sorted(fits, key=lambda n: -float(matrix[n] @ probe))[:limit]
        return {rows[n].face_id for n in best}

    rare = IndexFilter(within=Within(folders=("/rare/",)))
    assert {key for key, _ in index.search(unit(9000), 20, rare)} == exact(unit(9000), rare, 20)
    assert walks() is None
    index.close()
    monkeypatch.setattr(pgvector, "_GRAPH_FROM", 4000)
    # PostgreSQL itself would compare so few.
    monkeypatch.setattr(pgvector, "_SETTINGS", pgvector._SETTINGS | {"enable_seqscan": "off"})
    index = open_index(pgvector_url, name, DIMENSION)
    assert walks() == 0
    right = 0
    for seed in range(9000, 9010):
        found = index.search(unit(seed), 50, IndexFilter())
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        right += len({key for key, _ in found} & exact(unit(seed), IndexFilter(), 50))
        assert {key for key, _ in index.search(unit(seed), 20, rare)} == exact(unit(seed), rare, 20)
    assert right >= 0.95 * 500
    for connection in (index, open_index(pgvector_url, name, DIMENSION)):  # PostgreSQL counts when they are closed
        connection.close()
    until = time.monotonic() + 30
    while not walks() and time.monotonic() < until:
        time.sleep(0.1)
    assert (walks() or 0) >= 10
    engine.dispose()
    drop_index(pgvector_url, name)
