"""Folders and files that only this user may enter: what shows people's faces is nobody else's, whatever the umask."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
OTHERS = 0o077
SOCKET_PATH_BYTES = 100
"""The longest path that a Unix socket may have: 104 bytes on macOS, 108 on Linux, with the zero at their end."""


def runtime_folder(longest_name: int) -> Path:
    """A new folder for sockets, which only this user may enter; the caller deletes it.

    Parameters
    ----------
    longest_name : int
        Bytes of the longest name of a socket in it.

    Raises
    ------
    OSError
        If no folder can be made.
    """
    folder = Path(tempfile.mkdtemp(prefix="facekit-"))
    if len(os.fsencode(folder)) + 1 + longest_name <= SOCKET_PATH_BYTES:
        return folder
    folder.rmdir()  # a TMPDIR deep inside something
    return Path(tempfile.mkdtemp(prefix="facekit-", dir="/tmp"))


def private_opener(path: str | os.PathLike[str], flags: int) -> int:
    """For ``open(path, opener=private_opener)``: a file that is made is for this user alone."""
    return os.open(path, flags, PRIVATE_FILE)


def make_private_folder(path: Path) -> None:
    """Make a folder for this user alone, if it is not there. Its parents get the modes of all other folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


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
