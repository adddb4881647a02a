"""Folders and files that only this user may enter: what shows people's faces is nobody else's, whatever the umask."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

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
