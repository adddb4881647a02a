"""The vector index against exact arithmetic, its filters against Python, and its repair."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facekit.catalog import IndexRow
from facekit.errors import StalledError, VectorIndexError
from facekit.index import IndexFilter, MilvusIndex
from facekit.index.protocol import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator

DIMENSION = 16
FOLDERS = ["/", "/a/", "/a/b/", "/a0/", "/a_b%/", '/a"b/', "/a\\b/", "/Фото/Лето 🌞/", "/line\nbreak'/"]


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def row(number: int) -> IndexRow:
    taken = None if number % 3 == 0 else datetime(2000 + number % 20, 5, 1)
    source = "local" if number % 4 else "vk"
    return IndexRow(f"face{number:03}", unit(number), number % 5 != 0, source, FOLDERS[number % len(FOLDERS)], taken)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusIndex]:
    index = MilvusIndex(str(tmp_path_factory.mktemp("index") / "vectors.db"), DIMENSION)
    yield index
    index.close()


def fits(one: IndexRow, where: IndexFilter) -> bool:
    place = (where.source is None or one.source == where.source) and (
        where.folder is None or one.folder.startswith(where.folder)
    )
    return (
        (place or one.face_id in where.also)
        and (one.usable or not where.usable_only)
        and (where.after is None or (one.taken_at is not None and one.taken_at >= where.after))
        and (where.before is None or (one.taken_at is not None and one.taken_at < where.before))
    )


dates = st.none() | st.datetimes(datetime(1999, 1, 1), datetime(2021, 1, 1))
filters = st.builds(
    IndexFilter,
    usable_only=st.booleans(),
    source=st.none() | st.sampled_from(["local", "vk", "elsewhere"]),
    folder=st.none() | st.sampled_from(FOLDERS),
    after=dates,
    before=dates,
    also=st.lists(st.integers(0, 60).map("face{:03}".format), max_size=3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters, seed=st.integers(100, 200), limit=st.integers(1, 60))
def test_search_is_exact_and_filters_as_python_does(
    index: MilvusIndex,
    where: IndexFilter,
    seed: int,
    limit: int,
) -> None:
    rows = [row(number) for number in range(60)]
    index.upsert(rows)  # again and again: an upsert of the same rows must not add any
    assert index.count() == 60
    probe = unit(seed)
    expected = sorted(((float(one.vector @ probe), one.face_id) for one in rows if fits(one, where)), reverse=True)[
        :limit
    ]
    found = index.search(probe, limit, where)
    assert [key for key, _ in found] == [key for _, key in expected]
    np.testing.assert_allclose([score for _, score in found], [score for score, _ in expected], atol=1e-5)


def test_rows_survive_reopening_and_can_be_deleted(tmp_path: Path) -> None:
    path = str(tmp_path / "vectors.db")
    index = MilvusIndex(path, DIMENSION)
    index.upsert([row(1), row(2), row(3)])
    index.delete(["face002", "never there"])
    index.close()
    index = MilvusIndex(path, DIMENSION)
    assert index.rows() == {f"face{number:03}": Fields.of(row(number)) for number in (1, 3)}
    index.upsert([row(4)])
    assert index.search(unit(4), 1, IndexFilter(usable_only=False)) == [("face004", pytest.approx(1.0))]
    index.close()


def test_an_upsert_replaces_vector_and_fields(tmp_path: Path) -> None:
    index = MilvusIndex(str(tmp_path / "vectors.db"), DIMENSION)
    index.upsert([row(1)])
    index.upsert([IndexRow("face001", unit(9), usable=False, source="vk", folder="/new/", taken_at=None)])
    assert index.count() == 1
    assert index.search(unit(9), 5, IndexFilter()) == []
    found = index.search(unit(9), 5, IndexFilter(usable_only=False, folder="/new/"))
    assert found == [("face001", pytest.approx(1.0))]
    index.close()


def test_a_broken_index_says_so_and_can_be_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    index = MilvusIndex(str(path), DIMENSION)
    index.upsert([row(number) for number in range(30)])
    index.close()
    for parquet in path.rglob("*.parquet"):
        parquet.write_bytes(parquet.read_bytes()[:40])
    with pytest.raises(VectorIndexError, match=r"vectors\.db can't be opened"):
        MilvusIndex(str(path), DIMENSION)
    broken = MilvusIndex.set_aside(path)
    assert broken.exists()
    again = MilvusIndex(str(path), DIMENSION)
    assert again.count() == 0
    again.close()


def everything(folder: Path) -> bytes:
    """All bytes of an index's files, those of Parquet also as they are after decompression, and the files' names."""
    parts = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        parts += [os.fsencode(path), path.read_bytes()]
        if path.suffix == ".parquet":
            for column in pq.read_table(path).columns:
                parts += [buffer.to_pybytes() for chunk in column.chunks for buffer in chunk.buffers() if buffer]
    return b"\n".join(parts)


@pytest.mark.parametrize("closed_first", [False, True])
def test_no_byte_of_a_deleted_face_is_left_after_compacting(tmp_path: Path, *, closed_first: bool) -> None:
    path = tmp_path / "vectors.db"
    gone = [
        IndexRow(f"secret{n}", unit(500 + n), usable=True, source="local", folder=f"/hidden/{n}/", taken_at=None)
        for n in range(3)
    ]
    moved = IndexRow("moved", unit(600), usable=True, source="local", folder="/hidden/before/", taken_at=None)
    index = MilvusIndex(str(path), DIMENSION)
    index.upsert([row(number) for number in range(20)])
    index.upsert([*gone, moved])
    traces = [b"secret", b"/hidden/", *(one.vector.tobytes() for one in gone)]
    before = everything(path)
    assert all(trace in before for trace in traces)
    kept = IndexRow("moved", moved.vector, usable=True, source="local", folder="/shown/", taken_at=None)
    index.upsert([row(30), kept])
    index.delete([one.face_id for one in gone])
    if closed_first:  # what was deleted before lies in other files then
        index.close()
        index = MilvusIndex(str(path), DIMENSION)
    left = index.rows()
    index.compact()
    after = everything(path)
    assert [trace for trace in traces if trace in after] == []
    assert kept.vector.tobytes() in after
    assert index.rows() == left
    for number in (1, 19, 30):
        found = index.search(unit(number), 1, IndexFilter(usable_only=False))
        assert found == [(f"face{number:03}", pytest.approx(1.0, abs=1e-5))]
    index.upsert([row(31)])
    index.close()
    assert [trace for trace in traces if trace in everything(path)] == []
    index = MilvusIndex(str(path), DIMENSION)
    assert index.rows() == {**left, "face031": Fields.of(row(31))}
    index.delete(list(index.rows()))
    index.compact()  # also to nothing
    assert (index.count(), index.search(unit(1), 5, IndexFilter())) == (0, [])
    index.close()


@pytest.mark.parametrize("call", ["upsert", "drop_collection", "rename_collection", "load_collection"])
def test_compacting_that_is_cut_off_loses_nothing(tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "vectors.db")
    index = MilvusIndex(path, DIMENSION)
    index.upsert([row(number) for number in range(20)])
    index.delete(["face007"])
    left = index.rows()

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(index._client, call, cut_off)
        with pytest.raises(KeyboardInterrupt):
            index.compact()
    index.close()
    index = MilvusIndex(path, DIMENSION)
    assert index.rows() == left
    index.compact()
    assert index.rows() == left
    assert b"face007" not in everything(Path(path))
    index.close()


def test_searches_go_on_while_the_index_is_compacted(tmp_path: Path) -> None:
    index = MilvusIndex(str(tmp_path / "vectors.db"), DIMENSION)
    index.upsert([row(number) for number in range(60)])
    done = Event()
    wrong: list[object] = []

    def look() -> None:
        while not done.is_set():
            try:
                found = index.search(unit(7), 1, IndexFilter(usable_only=False))
                if [key for key, _ in found] != ["face007"] or index.count() != 60:
                    wrong.append(found)
            except Exception as error:  # noqa: BLE001 - whatever it is, the main thread tells
                wrong.append(error)

    threads = [Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        index.compact()
    done.set()
    for thread in threads:
        thread.join()
    index.close()
    assert wrong == []


def private_sockets() -> set[Path]:
    sockets = psutil.Process().net_connections("unix")
    return {Path(one.laddr) for one in sockets if "facekit-" in str(one.laddr)}


@pytest.mark.skipif(os.name == "nt", reason="gRPC has no Unix sockets on Windows")
def test_an_open_index_listens_only_where_no_other_user_enters(tmp_path: Path) -> None:
    others = private_sockets()  # of the index that all tests here share
    index = MilvusIndex(str(tmp_path / "vectors.db"), DIMENSION)
    index.upsert([row(1)])
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    assert [one for process in family for one in process.net_connections("inet")] == []
    sockets = private_sockets() - others
    assert sockets
    for socket in sockets:
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        if os.getuid() == 0:
            asked = subprocess.run(
                [sys.executable, "-c", KNOCK, str(socket)], check=False, capture_output=True, text=True
            )
            assert "PermissionError" in asked.stderr, asked
    index.close()
    assert not any(socket.parent.exists() for socket in sockets)


# What another user finds: even before, as the one who owns it, that something answers there.
KNOCK = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as own:
    own.connect(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as other:
    other.connect(sys.argv[1])
"""


@pytest.mark.parametrize("call", ["Search", "Upsert", "GetCollectionStatistics"])
def test_a_call_that_is_never_answered_has_an_end(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from milvus_lite.adapter.grpc import MilvusServicer

    answer, asked = getattr(MilvusServicer, call), Event()
    stuck, go_on = Event(), Event()

    def never(servicer: object, request: object, context: object) -> object:
        if stuck.is_set():
            asked.set()
            go_on.wait(120)
        return answer(servicer, request, context)

    monkeypatch.setattr(MilvusServicer, call, never)
    index = MilvusIndex(str(tmp_path / "vectors.db"), DIMENSION)
    try:
        index.upsert([row(number) for number in range(5)])
        monkeypatch.setenv("FACEKIT_GIVE_UP_AFTER", "2")
        stuck.set()
        with pytest.raises(StalledError, match=r"Gave up waiting for the vector index .* nothing came for 2 s"):
            _ = {
                "Search": lambda: index.search(unit(1), 3, IndexFilter()),
                "Upsert": lambda: index.upsert([row(6)]),
                "GetCollectionStatistics": index.count,
            }[call]()
        assert asked.is_set()
        stuck.clear()
        go_on.set()
        assert index.search(unit(1), 1, IndexFilter())
    finally:
        go_on.set()
        index.close()
