"""The vector index in a folder: what is left in its files, who can reach it, and what a torn one says."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from threading import Event

import psutil
import pyarrow.parquet as pq
import pytest
from index_rows import DIMENSION, row, unit

from facekit.catalog import IndexRow
from facekit.errors import StalledError, VectorIndexError
from facekit.index import IndexFilter, MilvusIndex
from facekit.index.protocol import Fields


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


def private_sockets() -> set[Path]:
    sockets = psutil.Process().net_connections("unix")
    return {Path(one.laddr) for one in sockets if "facekit-" in str(one.laddr)}


def internet_sockets() -> set[object]:
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {one for process in family for one in process.net_connections("inet")}


@pytest.mark.skipif(os.name == "nt", reason="gRPC has no Unix sockets on Windows")
def test_an_open_index_listens_only_where_no_other_user_enters(tmp_path: Path) -> None:
    others, others_there = private_sockets(), internet_sockets()  # what tests before left open
    index = MilvusIndex(str(tmp_path / "vectors.db"), DIMENSION)
    index.upsert([row(1)])
    assert internet_sockets() - others_there == set()
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
        monkeypatch.delenv("FACEKIT_GIVE_UP_AFTER")
        stuck.clear()
        go_on.set()
        assert index.search(unit(1), 1, IndexFilter())
    finally:
        go_on.set()
        index.close()
