"""Photos of connected places as files of this machine: kept for good, or in a cache with a limit."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from time import time, time_ns
from typing import TYPE_CHECKING

from facekit.errors import DiskFullError
from facekit.system.disk_space import check_room, is_disk_full
from facekit.system.permissions import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

FOLDER = "originals"
CACHE_BYTES = 5 * 10**9
"""Ours: some thousand photos, less than most disks lack."""

_ROOM_AGAIN = 0.9  # of the limit is left after some had to go, so that not every photo makes another one go
_LEFT_SECONDS = 3600.0  # no transfer rests so long between two pieces
_NEWEST = 8  # are never taken away: somebody may be about to read them


class Originals:
    """Keeps what was fetched, by its source, key and version; of each key the last version only.

    Parameters
    ----------
    folder : Path
        Where; it is made when the first one comes.
    most_bytes : int
        The most that the cache holds: then those that were not asked for longest go.
    """

    def __init__(self, folder: Path, most_bytes: int = CACHE_BYTES) -> None:
        self._folder, self._most = folder, most_bytes
        self._lock = Lock()
        self._bytes: int | None = None  # in the cache, once it was counted

    def find(self, source: str, key: str, version: str) -> Path | None:
        """The file of a photo, where there is one."""
        for keep in (True, False):
            path = self._path(source, key, version, keep=keep)
            with suppress(OSError):
                os.utime(path, ns=(time_ns(), path.stat().st_mtime_ns))  # asked for now; not changed: it may be read
                return path
        return None

    def get(
        self, source: str, key: str, version: str, write: Callable[[BinaryIO], None], *, keep: bool, size: int = 0
    ) -> Path:
        """The file of a photo, which ``write`` writes where there is none yet.

        Parameters
        ----------
        source, key, version : str
            The photo.
        write : callable
            Writes it into a file; what it raises leaves nothing behind.
        keep : bool
            Whether to keep it for good.
        size : int
            How large it is, as far as that is known.

        Raises
        ------
        DiskFullError
            If there is no room for it.
        """
        found = self.find(source, key, version)
        if found is not None:
            return found
        path = self._path(source, key, version, keep=keep)
        make_private_folder(path.parent)
        check_room(path.parent, extra=size)
        descriptor, part = tempfile.mkstemp(prefix="part-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                written = file.tell()
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)  # noqa: PTH105 - atomic
        except BaseException as error:
            with suppress(OSError):
                Path(part).unlink()
            if is_disk_full(error) and isinstance(error, OSError):
                message = f"The disk of {path.parent} is full; the photo that was being fetched was not kept."
                raise DiskFullError(message, "Make room and run it again: what is done is kept.") from error
            raise
        self._delete(source, key, but=path)
        if not keep:
            self._make_room(written)
        return path

    def forget(self, source: str, keys: Iterable[str]) -> None:
        """Delete what is kept of some photos."""
        for key in keys:
            self._delete(source, key)
        self._bytes = None

    def _delete(self, source: str, key: str, but: Path | None = None) -> None:
        """Delete all that there is of a photo ``but`` one version."""
        for keep in (True, False):
            here = self._path(source, key, "", keep=keep)
            for path in here.parent.glob(f"{here.name.partition('.')[0]}.*"):
                if path != but:
                    with suppress(OSError):
                        path.unlink()

    def forget_source(self, source: str, *, kept: bool) -> None:
        """Delete what is cached of all photos of a place; what is kept for good goes too, unless it is ``kept``."""
        for kind in ("cache",) if kept else ("kept", "cache"):
            shutil.rmtree(self._folder / kind / _name(source), ignore_errors=True)
        self._bytes = None

    def tidy_up(self) -> None:
        """Delete what a process that was killed left half written; what was written lately, somebody may be at."""
        for path in self._folder.glob("*/*/*/part-*"):
            with suppress(OSError):
                if path.stat().st_mtime < time() - _LEFT_SECONDS:
                    path.unlink()

    def _path(self, source: str, key: str, version: str, *, keep: bool) -> Path:
        name = _name(key)
        return self._folder / ("kept" if keep else "cache") / _name(source) / name[:2] / f"{name}.{_name(version)}"

    def _make_room(self, more: int) -> None:
        with self._lock:
            if self._bytes is not None and self._bytes + more <= self._most:
                self._bytes += more
                return
            there = []
            for path in (self._folder / "cache").glob("*/*/*"):
                with suppress(OSError):
                    status = path.stat()
                    there.append((status.st_atime_ns, status.st_size, path))
            there.sort(key=lambda one: one[0], reverse=True)
            total = sum(size for _, size, _ in there)
            if total > self._most:
                while len(there) > _NEWEST and total > self._most * _ROOM_AGAIN:
                    _, size, path = there.pop()
                    with suppress(OSError):
                        path.unlink()
                    total -= size
            self._bytes = total


def _name(text: str) -> str:
    """A name for a file that stands for a text, whatever letters it has."""
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
