"""What a library writes is for its owner alone, whatever the umask and whoever made its folder."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from service import Process

import facekit as fk
from facekit.system import permissions as private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.demo.photos import DemoPhotos

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")

LIVE = """
import os, sys
os.umask(int(sys.argv[1], 8))
import facekit as fk
import psutil

folder, photos, probe = sys.argv[2:]
with fk.open(folder) as library:
    library.ingest(photos, progress=False)
    library.people.cluster()
    assert library.search(probe)
    library.export("photos", sys.argv[2] + ".csv")
    this = psutil.Process()
    doors = [one for each in (this, *this.children(recursive=True)) for one in each.net_connections("inet")]
    assert doors == [], doors
assert os.umask(0) == int(sys.argv[1], 8)
"""


def open_to_others(folder: Path) -> list[str]:
    """Everything in a folder, and itself, that is more than its owner's."""
    return [
        f"{stat.filemode(path.lstat().st_mode)} {path}"
        for path in (folder, *folder.rglob("*"))
        if stat.S_IMODE(path.lstat().st_mode) != (0o700 if path.is_dir() else 0o600)
    ]


@pytest.mark.parametrize("umask", ["022", "000"])
def test_a_library_is_its_owners_alone_whatever_the_umask_and_listens_nowhere(
    tmp_path: Path, demo_photos: DemoPhotos, umask: str
) -> None:
    folder = tmp_path / "new" / "faces"
    subprocess.run([sys.executable, "-c", LIVE, umask, folder, demo_photos.folder, demo_photos.probe], check=True)
    assert open_to_others(folder) == []
    assert len(list(folder.rglob("*.jpg"))) > 1
    exported = stat.S_IMODE(folder.with_name("faces.csv").stat().st_mode)
    assert exported == 0o666 & ~int(umask, 8)  # as all that its user writes
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o777 & ~int(umask, 8)


def test_an_older_library_is_mended_when_it_is_opened(demo_library: fk.Library, tmp_path: Path) -> None:
    folder = Path(demo_library.place)
    demo_library.close()
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.touch()
    elsewhere.chmod(0o644)
    (folder / "logs" / "link").symlink_to(elsewhere)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    with fk.open(folder):
        (folder / "logs" / "link").unlink()
        assert open_to_others(folder) == []
    assert open_to_others(folder) == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


def test_what_a_service_writes_is_its_owners_alone(demo_library: fk.Library) -> None:
    folder = Path(demo_library.place)
    demo_library.close()
    before = os.umask(0)
    try:
        service = Process(folder)
    finally:
        os.umask(before)
    try:
        assert (folder / "service.json").exists()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        service.stop()
    assert open_to_others(folder) == []


def test_a_folder_whose_modes_cannot_be_changed_is_opened_with_a_warning(
    demo_library: fk.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(demo_library.place)
    demo_library.close()
    folder.chmod(0o755)

    def refused(path: Path, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    log = folder / "logs" / "facekit.log"
    for change, words in ((refused, "Operation not permitted"), (lambda *_: None, "keeps no permissions")):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "chmod", change)
            assert words in private.protect(folder, "thumbnails")
            with fk.open(folder) as library:
                assert library.stats()["photos"]
    assert log.exists()


def test_a_folder_for_sockets_is_short_enough_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder = private.RuntimeFolder(20)
    try:
        assert len(os.fsencode(folder.path)) + 21 <= private.SOCKET_PATH_BYTES
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert list(deep.iterdir()) == []
    finally:
        folder.close()
    assert not folder.path.exists()


HOLD = """
import sys
from facekit.system.permissions import RuntimeFolder

folder = RuntimeFolder(20)
(folder.path / "socket").touch()
print(folder.path, flush=True)
sys.stdin.read()
"""


@contextmanager
def short_tmpdir() -> Iterator[Path]:
    """A folder for temporary ones, with a short name."""
    with tempfile.TemporaryDirectory(prefix="fk-", dir="/tmp") as place:
        yield Path(place)


def test_what_a_killed_process_left_goes_when_the_next_folder_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with short_tmpdir() as place:
        held = [
            subprocess.Popen(
                [sys.executable, "-c", HOLD],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"TMPDIR": str(place)},
            )
            for _ in range(2)
        ]
        try:
            paths = [Path(one.stdout.readline().strip()) for one in held if one.stdout]
            others = [place / "facekit-bench-1", place / "facekit-run-file", place / "facekit-run-link"]
            others[0].mkdir()
            others[1].touch()
            others[2].symlink_to(others[0])
            monkeypatch.setattr(tempfile, "tempdir", str(place))
            private.RuntimeFolder(20).close()
            assert all((path / "socket").exists() for path in paths)
            held[0].kill()
            held[0].wait()
            folder = private.RuntimeFolder(20)
            assert {*place.iterdir()} == {folder.path, paths[1], *others}
            assert (paths[1] / "socket").exists()
            folder.close()
        finally:
            for one in held:
                one.kill()
                one.communicate()
        private.RuntimeFolder(20).close()
        assert {*place.iterdir()} == {*others}


def test_a_folder_that_was_taken_for_an_abandoned_one_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the moments when it is made and when it is locked, another process may look."""
    with short_tmpdir() as place:
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        lock, looked = private._lock_folder, []

        def late(path: Path) -> int | None:
            if len(looked) < 2:
                looked.append(path)
                if len(looked) == 1:
                    private._remove_abandoned(place)  # which locks, too: the second look
                    assert not path.exists()
            return lock(path)

        monkeypatch.setattr(private, "_lock_folder", late)
        folder = private.RuntimeFolder(20)
        assert looked[0] == looked[1] != folder.path
        assert [*place.iterdir()] == [folder.path]
        folder.close()


def test_folders_are_made_where_none_can_be_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with short_tmpdir() as place:
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        monkeypatch.setattr("fcntl.flock", no_locks)
        folders = [private.RuntimeFolder(20) for _ in range(2)]
        assert {*place.iterdir()} == {one.path for one in folders}
        for one in folders:
            one.close()
        assert [*place.iterdir()] == []
