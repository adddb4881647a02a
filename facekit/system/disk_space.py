"""Whether a disk has room for what is going to be written."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from facekit.errors import DiskFullError

if TYPE_CHECKING:
    from pathlib import Path

# Kept free, so that no commit meets a full disk: far more than the log of one change by hand.
RESERVE = 20 * 2**20


def check_room(folder: Path, need: int = RESERVE, *, extra: int = 0) -> None:
    """Refuse to write on a disk that is nearly full.

    Raises
    ------
    DiskFullError
        If less than ``need`` bytes would be left after ``extra`` ones.
    """
    free = shutil.disk_usage(folder).free
    if free < need + extra:
        message = f"Only {free // 2**20} MB are free on the disk of {folder}; nothing more was stored."
        raise DiskFullError(message, "Make room and run it again: what is done is kept.")


def is_disk_full(error: BaseException) -> bool:
    """Whether a failure to write, the system's or a database's, means that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    low = str(error).lower()
    return any(words in low for words in ("no space", "disk is full", "file too large"))


def remedy_for(error: OSError) -> str:
    """What to do where a library's folder can't be written."""
    if is_disk_full(error):
        return "Make room on the disk."
    return "Check its permissions, or copy it to where you may write."
