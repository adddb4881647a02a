"""Thumbnails in a folder, in memory, and on a server that speaks as S3 does: the same in all three."""

from __future__ import annotations

import os
import re
import stat
import sys
from threading import Event, Thread
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from stores import s3_endpoint, s3_server, s3_store  # noqa: F401 - fixtures

from facekit.errors import LibraryError
from facekit.images.blobs import Blobs, FolderBlobs, StoreBlobs, open_blobs
from facekit.storage.shared_blobs import blobs_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE, OTHER, THIRD = ("0123456789abcdef" * 2, "ab" * 16, "ac" * 16)


@pytest.fixture(params=["folder", "memory", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return str(request.getfixturevalue("s3_store"))
    return f"memory://{uuid4().hex}/family" if request.param == "memory" else str(tmp_path / "library")


def test_what_is_written_is_read_listed_and_deleted(address: str) -> None:
    blobs: Blobs = open_blobs(address)
    assert blobs.kept() == {}
    assert (blobs.get(ONE), blobs.has(ONE)) == (None, False)
    blobs.put({ONE: b"one", OTHER: b"other"})
    blobs.put({ONE: b"the first"})
    assert (blobs.get(ONE), blobs.has(ONE), blobs.get(OTHER)) == (b"the first", True, b"other")
    assert {key: one.bytes for key, one in blobs.kept().items()} == {ONE: 9, OTHER: 5}
    assert all(1.7e9 < one.changed < 1e11 for one in blobs.kept().values())
    blobs.delete([ONE, THIRD])  # the third is not there
    assert (blobs.get(ONE), list(blobs.kept())) == (None, [OTHER])
    blobs.delete([])


def test_another_opener_sees_what_was_written_since_it_looked(address: str) -> None:
    mine, theirs = open_blobs(address), open_blobs(address)
    assert theirs.kept() == {}
    assert not theirs.has(ONE)
    mine.put({ONE: b"one"})
    assert (list(theirs.kept()), theirs.has(ONE), theirs.get(ONE)) == ([ONE], True, b"one")
    mine.delete([ONE])
    assert (theirs.kept(), theirs.has(ONE)) == ({}, False)


def test_many_at_once(address: str) -> None:
    blobs = open_blobs(address)
    many = {f"{number:032x}": bytes([number]) * (number + 1) for number in range(100)}
    blobs.put(many)
    assert {key: one.bytes for key, one in blobs.kept().items()} == {key: len(data) for key, data in many.items()}
    blobs.delete(many)
    assert blobs.kept() == {}


def test_whoever_reads_while_it_is_written_sees_the_old_or_the_new(address: str) -> None:
    blobs = open_blobs(address)
    states = [bytes([letter]) * 50_000 for letter in b"ab"]
    blobs.put({ONE: states[0]})
    done = Event()

    def write() -> None:
        for number in range(20):
            blobs.put({ONE: states[number % 2]})
        done.set()

    writer = Thread(target=write)
    writer.start()
    while not done.is_set():
        assert blobs.get(ONE) in states
    writer.join()


def test_other_things_in_the_place_are_none_of_ours(address: str, tmp_path: Path) -> None:
    blobs = open_blobs(address)
    blobs.put({ONE: b"one"})
    if isinstance(blobs, StoreBlobs):
        root = blobs._path(ONE).rpartition("/")[0]
        for name in ("notes.txt", f"{OTHER}.jpg", f"{ONE}.part"):
            blobs._store.pipe_file(f"{root}/{name}", b"x")
    else:
        for name in ("notes.txt", f"{OTHER}.jpg", f"{ONE}.part"):
            (blobs.file(ONE) or tmp_path).with_name(name).write_bytes(b"x")
    assert list(blobs.kept()) == [ONE]


def test_a_folder_keeps_its_files_where_they_always_were_and_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        blobs = FolderBlobs(tmp_path / "library")
        blobs.put({ONE: b"one"})
    finally:
        os.umask(before)
    path = tmp_path / "library" / "thumbnails" / "01" / f"{ONE}.jpg"
    assert blobs.file(ONE) == path
    assert path.read_bytes() == b"one"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, *path.parents[:2])] == [0o600, 0o700, 0o700]
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="access is inherited on Windows")
@pytest.mark.parametrize(
    ("mode", "modes"),
    [(0o2770, [0o660, 0o2770, 0o2770]), (0o755, [0o600, 0o700, 0o700]), (0o700, [0o600, 0o700, 0o700])],
)
def test_the_group_of_a_folder_that_machines_share_gets_the_thumbnails_where_it_may_write(
    tmp_path: Path, mode: int, modes: list[int]
) -> None:
    before = os.umask(0o077)
    try:
        (tmp_path / "thumbs").mkdir()
        (tmp_path / "thumbs").chmod(mode)
        blobs = blobs_at(str(tmp_path / "thumbs"))
        blobs.put({ONE: b"one"})
    finally:
        os.umask(before)
    path = tmp_path / "thumbs" / "thumbnails" / "01" / f"{ONE}.jpg"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, *path.parents[:2])] == modes
    blobs.put({ONE: b"again"})
    assert path.read_bytes() == b"again"


def test_a_folder_can_be_named_as_an_address(tmp_path: Path) -> None:
    for where in (tmp_path, str(tmp_path), f"file://{tmp_path}", f"FILE://{tmp_path}"):
        blobs = open_blobs(where)
        assert isinstance(blobs, FolderBlobs)
        assert blobs.place == str(tmp_path / "thumbnails")


def test_a_store_that_can_not_be_reached_is_named_in_one_line(
    s3_store: str,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from s3fs import S3FileSystem

    blobs = open_blobs(s3_store.replace("s3://", "s3://no-such-bucket-"))
    for work in (lambda: blobs.put({ONE: b"one"}), blobs.kept):
        with pytest.raises(LibraryError, match=r"^The thumbnails in s3://no-such-bucket-") as refused:
            work()
        assert "\n" not in str(refused.value)
    with s3_server() as gone:
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", gone)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    blobs = open_blobs(s3_store)
    asked: list[Callable[[], object]] = [
        lambda: blobs.get(ONE),
        lambda: blobs.has(ONE),
        lambda: blobs.put({ONE: b"one"}),
        lambda: blobs.delete([ONE]),
        blobs.kept,
    ]
    for work in asked:
        with pytest.raises(
            LibraryError, match=rf"^The thumbnails in {re.escape(s3_store)} can't be \w+: .*[Cc]onnect"
        ) as refused:
            work()
        assert "not a secret" not in str(refused.value)
        assert "\n" not in str(refused.value)


def test_credentials_do_not_belong_into_the_address() -> None:
    with pytest.raises(LibraryError, match="holds a name or a password") as refused:
        open_blobs("s3://key:secret@bucket/family")
    assert "secret" not in str(refused.value)
    with pytest.raises(LibraryError, match="can't be kept in nonsense://x"):
        open_blobs("nonsense://x")


@pytest.mark.parametrize("package", ["fsspec", "s3fs"])
def test_a_package_that_is_not_installed_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.registry import _registry

    monkeypatch.delitem(_registry, "s3", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type] - as if it were not there
    with pytest.raises(LibraryError, match=r"need a package that is not installed") as refused:
        open_blobs("s3://bucket/family")
    assert 'pip install "facekit[blobs]"' in str(refused.value)
