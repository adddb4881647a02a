"""A library's backup in another folder, and back: what can't be made again, and the thumbnails, each copied once."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from facekit.catalog.catalog import FILE as CATALOG
from facekit.catalog.catalog import open_catalog
from facekit.catalog.database import copy_database, sync
from facekit.catalog.people_copy import COPY
from facekit.errors import LibraryError
from facekit.lock import OwnerLock
from facekit.room import check_room
from facekit.settings import FILE as SETTINGS
from facekit.settings import read_settings

_ACCOUNTS = "service.db"
_THUMBNAILS = "thumbnails"


def backup(folder: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
    """Bring a backup of a library up to date; the library must not be open. Returns the thumbnails that were copied.

    It holds no photos, but small pictures and descriptions of faces: treat it as you treat the photos. What was removed
    from the library stands in it until the next backup into the same folder.

    Raises
    ------
    LibraryLockedError
        If a process has the library open.
    LibraryError
        If there is no library, or ``target`` holds something else.
    """
    folder, target = Path(folder), Path(target)
    if read_settings(folder) is None or not (folder / CATALOG).exists():
        message = f"There is no library in {folder}."
        raise LibraryError(message, "Name the folder that holds library.toml and catalog.duckdb.")
    if target.exists() and any(target.iterdir()) and not (target / SETTINGS).exists():
        message = f"{target} is no backup of a library, and not empty."
        raise LibraryError(message, "Choose a new folder for the backup.")
    lock = OwnerLock(folder)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.chmod(0o700)
        check_room(target, extra=(folder / CATALOG).stat().st_size)
        part = target / f"{CATALOG}.part"
        copy_database(folder / CATALOG, part)
        sync(part)
        os.replace(part, target / CATALOG)  # noqa: PTH105 - atomic
        for name in (SETTINGS, COPY):
            if (folder / name).exists():
                shutil.copy2(folder / name, target / name)
        if (folder / _ACCOUNTS).exists():
            _copy_accounts(folder / _ACCOUNTS, target / _ACCOUNTS)
        return _copy_thumbnails(folder, target)
    finally:
        lock.release()


def restore(target: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
    """Make a library of a backup, in a folder that is empty or not there.

    Raises
    ------
    LibraryError
        If there is no backup, its catalog can't be read, or the folder holds something.
    """
    target, folder = Path(target), Path(folder)
    if not ((target / SETTINGS).exists() and (target / CATALOG).exists()):
        message = f"There is no backup in {target}."
        raise LibraryError(message, "Name the folder that facekit backup wrote.")
    if folder.exists() and any(folder.iterdir()):
        message = f"{folder} is not empty; nothing was restored."
        raise LibraryError(message, "Move it away first, or name another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f"{folder.name}.restoring")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    shutil.copytree(target, part, dirs_exist_ok=True)
    part.chmod(0o700)
    catalog = open_catalog(part)
    try:
        catalog.counts()
    finally:
        catalog.close()
    if folder.exists():
        folder.rmdir()
    part.rename(folder)


def _copy_accounts(old: Path, new: Path) -> None:
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(old)) as source, closing(sqlite3.connect(new)) as copy:
        source.backup(copy)


def _copy_thumbnails(folder: Path, target: Path) -> int:
    """Thumbnails never change: those that are there stay, and those of removed photos go."""
    mine, theirs = ({path.relative_to(one) for path in one.glob(f"{_THUMBNAILS}/*/*.jpg")} for one in (folder, target))
    for name in theirs - mine:
        (target / name).unlink()
    for name in mine - theirs:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        part = (target / name).with_suffix(".part")
        shutil.copy2(folder / name, part)
        os.replace(part, target / name)  # noqa: PTH105 - atomic
    return len(mine - theirs)
