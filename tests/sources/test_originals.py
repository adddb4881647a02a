"""Photos of connected places as files: several threads at once, the cache's limit, what a kill left."""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, BinaryIO

from facekit.sources.originals import Originals
from facekit.system.threads import Threads

if TYPE_CHECKING:
    import pytest


def _write(data: bytes, *, at: Barrier | None = None) -> object:
    def write(file: BinaryIO) -> None:
        if at is not None:
            at.wait(30)
        file.write(data)

    return write


def _files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def test_two_that_fetch_the_same_photo_both_have_it_at_all_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None takes away what the other one has just put there, not even for a moment."""
    originals, barrier, gone = Originals(tmp_path), Barrier(2), []
    unlink = Path.unlink

    def watched(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is
        if not path.name.startswith("part-"):
            gone.append(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", watched)

    def fetch() -> bytes:
        return originals.get("vk", "1", "v", _write(b"same", at=barrier), keep=False).read_bytes()  # type: ignore[arg-type]

    with Threads(2, "test") as threads:
        assert [one.result(30) for one in [threads.submit(fetch), threads.submit(fetch)]] == [b"same", b"same"]
    assert gone == []
    assert originals.get("vk", "1", "v2", _write(b"other"), keep=True).read_bytes() == b"other"  # type: ignore[arg-type]
    assert _files(tmp_path) == [b"other"]


def test_the_cache_is_counted_once_and_not_for_each_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    originals, counted = Originals(tmp_path, most_bytes=1000), []
    glob = Path.glob

    def watched(path: Path, pattern: str) -> object:
        counted.extend([pattern] if path.name == "cache" else [])
        return glob(path, pattern)

    monkeypatch.setattr(Path, "glob", watched)
    for number in range(90):
        originals.get("vk", str(number), "v", _write(b"x" * 10), keep=False)  # type: ignore[arg-type]
    assert len(counted) == 1
    for number in range(90, 300):
        originals.get("vk", str(number), "v", _write(b"x" * 10), keep=False)  # type: ignore[arg-type]
    assert sum(map(len, _files(tmp_path))) <= 1000
    assert len(counted) < 50


def test_what_is_being_fetched_is_no_leftover(tmp_path: Path) -> None:
    originals = Originals(tmp_path)

    def write(file: BinaryIO) -> None:
        Originals(tmp_path).tidy_up()  # as a sync that begins now does
        file.write(b"data")

    path = originals.get("vk", "1", "v", write, keep=False)
    assert path.read_bytes() == b"data"
    left = path.with_name("part-x")
    left.write_bytes(b"half")
    long_ago = time.time() - 24 * 3600
    os.utime(left, (long_ago, long_ago))
    originals.tidy_up()
    assert not left.exists()


def test_what_was_asked_for_lately_stays_and_is_as_it_was(tmp_path: Path) -> None:
    originals = Originals(tmp_path, most_bytes=190)

    def get(key: int) -> Path:
        return originals.get("vk", str(key), "v", _write(b"x" * 10), keep=False)  # type: ignore[arg-type]

    paths = [get(number) for number in range(19)]
    for age, path in enumerate(paths):
        os.utime(path, (age, age))
    before = paths[0].stat().st_mtime_ns
    assert originals.find("vk", "0", "v") == paths[0]
    assert paths[0].stat().st_mtime_ns == before, "who reads it meanwhile would take it for another"
    get(19)
    assert paths[0].exists()
    assert not paths[1].exists()
