"""Folders and files that only this user may enter: what shows people's faces is nobody else's, whatever the umask."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
OTHERS = 0o077
SOCKET_PATH_BYTES = 100
"""The longest path that a Unix socket may have: 104 bytes on macOS, 108 on Linux, with the zero at their end."""
_RUNTIME = "facekit-run-"  # other temporary folders of facekit are called otherwise


class RuntimeFolder:
    """A new folder for sockets, which only this user may enter.

    What processes of this user left that were killed goes when the next folder is made: the system gives up a lock on
    the folder when the process that made it ends, however it ends.

    Parameters
    ----------
    longest_name : int
        Bytes of the longest name of a socket in it. ``path`` is the folder.

    Raises
    ------
    OSError
        If no folder can be made.
    """

    def __init__(self, longest_name: int) -> None:
        beside = tempfile.gettempdir()
        random_part = 8  # letters, see `tempfile`
        if len(os.fsencode(beside)) + len(_RUNTIME) + random_part + 2 + longest_name > SOCKET_PATH_BYTES:
            beside = "/tmp"  # noqa: S108 - a TMPDIR deep inside something
        _remove_abandoned(Path(beside))
        self._lock: int | None = None
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_RUNTIME, dir=beside))
            try:
                self._lock = _lock_folder(self.path)
            except (BlockingIOError, FileNotFoundError):  # another process took it for an abandoned one
                continue
            except OSError:  # a file system without locks: nobody takes it for an abandoned one
                pass
            return

    def close(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _lock_folder(path: Path) -> int | None:
    """A descriptor that locks a folder of this user's; None on Windows, which can't lock folders.

    Raises
    ------
    OSError
        BlockingIOError if another process has locked it, FileNotFoundError if it is gone.
    """
    if os.name == "nt":
        return None
    import fcntl

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = os.fstat(descriptor)
        if mine.st_uid != os.geteuid() or not os.path.samestat(mine, path.lstat()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))  # noqa: TRY301 - as if not there
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove_abandoned(beside: Path) -> None:
    for path in beside.glob(f"{_RUNTIME}*"):
        with suppress(OSError):  # its process lives, or it is another user's
            lock = _lock_folder(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def private_opener(path: str | os.PathLike[str], flags: int) -> int:
    """For ``open(path, opener=private_opener)``: a file that is made is for this user alone."""
    return os.open(path, flags, PRIVATE_FILE)


def make_private_folder(path: Path, *, for_group: bool = False) -> None:
    """Make a folder for this user alone, or also for its group, if it is not there.

    Its parents get the modes of all other folders.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=PRIVATE_FOLDER)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        if for_group:
            let_group_in(path)


def may_group_write(folder: Path) -> bool:
    """Whether a folder's group may write into it; False where it is not there."""
    try:
        return os.name != "nt" and bool(folder.stat().st_mode & stat.S_IWGRP)
    except OSError:
        return False


def let_group_in(path: Path) -> None:
    """Let the group of a file or folder do with it what its owner may, whatever the umask."""
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(mode | (mode & stat.S_IRWXU) >> 3)


def protect(folder: Path, written_privately: str) -> str:
    """Let nobody but its owner into a folder, and read what is in it.

    The folder's own mode keeps others out of everything in it. What databases wrote there, with the process's umask,
    is mended too, because folders are copied and their modes changed.

    Parameters
    ----------
    folder : Path
        A library's folder.
    written_privately : str
        Name of a folder in it with many files, which are made with the right modes. It is looked through only if
        others could enter ``folder`` before.

    Returns
    -------
    str
        What hindered it, "" if nothing did: the folder may be somebody else's, or its file system has no modes.
    """
    if os.name == "nt":  # access is inherited from the folder above
        return ""
    try:
        was_open = _others_may(folder)
        _close(folder)
        for base, folders, files in os.walk(folder):
            if not was_open and base == str(folder) and written_privately in folders:
                folders.remove(written_privately)
            for name in (*folders, *files):
                _close(Path(base, name))
        return "its file system keeps no permissions" if _others_may(folder) else ""
    except OSError as error:
        return error.strerror or str(error)


def _others_may(path: Path) -> bool:
    return bool(path.stat().st_mode & OTHERS)


def _close(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
        if mode & OTHERS and not stat.S_ISLNK(mode):
            path.chmod(PRIVATE_FOLDER if stat.S_ISDIR(mode) else PRIVATE_FILE)
    except FileNotFoundError:  # a temporary file of a database
        pass
