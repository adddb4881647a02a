"""Files that a user named: written whole or not at all, and a failure says what to do."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from facekit.errors import FacekitError
from facekit.system.permissions import private_opener

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMEDIES = {
    errno.EACCES: "Choose a folder in which you may write.",
    errno.EPERM: "Choose a folder in which you may write.",
    errno.EROFS: "The disk is read-only: choose another.",
    errno.ENOSPC: "Make room on the disk, or choose another.",
    errno.EDQUOT: "Make room on the disk, or choose another.",
    errno.EISDIR: "Name a file in it.",
    errno.ENOTDIR: "One of the folders in the path is a file: choose another.",
    errno.EEXIST: "One of the folders in the path is a file: choose another.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


@contextmanager
def atomic_file(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Open a new file that appears under ``path``, whole and safely on disk, when the block ends without an error.

    A missing folder is made. What was there keeps its permissions; a new file has ``mode`` (and is nobody else's before
    it is whole), or what the user's umask leaves of 0666. A link stays, and what it leads to is replaced; a device or a
    pipe is written into.

    Raises
    ------
    OSError
        If it can't be written; what was there is as it was.
    """
    path = Path(os.path.realpath(path))
    kept = _mode(path)
    if kept is not None and not stat.S_ISREG(kept):
        with path.open("wb") as file:  # a folder can't be opened: IsADirectoryError
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        opener = private_opener if mode is not None else None
        with open(part, "xb", opener=opener) as file:  # "x" takes the place of nothing and follows no link
            yield file
            file.flush()
            os.fsync(file.fileno())
        if kept is not None:
            shutil.copymode(path, part)
        elif mode is not None:
            part.chmod(mode)
        part.replace(path)
    except BaseException:  # Ctrl-C, too
        with suppress(OSError):
            part.unlink()
        raise


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


@contextmanager
def named_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """`atomic_file` for a path that a user named, ``~`` included.

    Raises
    ------
    FacekitError
        If it can't be written: why, and what to do.
    """
    try:
        with atomic_file(user_path(path)) as file:
            yield file
    except OSError as error:
        raise not_written(path, error) from error


def user_path(path: str | bytes | os.PathLike[Any]) -> Path:
    """A path as a user writes it, ``~`` being the home folder. Raises FacekitError."""
    if not isinstance(path, str | bytes | os.PathLike):
        message = f"{type(path).__name__} is no path."
        raise FacekitError(message, "Write the path of one file or folder.")
    if not path or "\0" in os.fsdecode(path):
        message = f"{os.fsdecode(path)!r} is no path."
        raise FacekitError(message, "Write the path of a file or a folder.")
    return Path(os.path.expanduser(os.fsdecode(path)))  # noqa: PTH111 - leaves the ~ of a name that is no user's


def not_written(path: str | os.PathLike[str], error: OSError) -> FacekitError:
    """The error of a file or folder that can't be written."""
    remedy = _REMEDIES.get(error.errno or 0, "Choose another.")
    return FacekitError(f"{os.fsdecode(path)} can't be written: {error.strerror or error}.", remedy)
