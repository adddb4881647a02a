"""A library's backup in another folder, and back: what can't be made again, and the thumbnails, each copied once.

What changes is kept under a name with its hash, and ``backup.json`` says which of it belongs together. It is replaced
last, so that a backup that is cut off leaves the one before as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.catalog.catalog import FILE as CATALOG
from facekit.catalog.catalog import open_catalog
from facekit.catalog.database import sync
from facekit.catalog.people_copy import COPY
from facekit.errors import LibraryError
from facekit.images.blobs import THUMBNAILS, FolderBlobs
from facekit.storage.lock import OwnerLock
from facekit.storage.settings import FILE as SETTINGS
from facekit.system.disk_space import check_room, remedy_for
from facekit.system.permissions import private_opener, protect

if TYPE_CHECKING:
    from facekit.catalog import Catalog
    from facekit.images.blobs import Blobs, Stored

MANIFEST = "backup.json"
_FORMAT = 1
_ACCOUNTS = "service.db"
_NAMES = (CATALOG, COPY, SETTINGS, _ACCOUNTS)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file of a backup."""

    bytes: int
    sha256: str

    def name(self, name: str) -> str:
        return f"{name}.{self.sha256[:16]}"


def write_backup(catalog: Catalog, blobs: Blobs, folder: Path, target: Path) -> int:
    """Bring a library's backup up to date; see `facekit.library.base.Library.backup`."""
    here, there = folder.resolve(), target.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        message = f"The backup can't lie in the library, nor the library in the backup: {target}."
        raise LibraryError(message, "Choose another folder, best on another disk.")
    if not target.name.isprintable():
        message = f"{str(target)!r} is no name for a backup."  # DuckDB writes into folders whose names are text only
        raise LibraryError(message, "Choose a folder whose name is text.")
    try:
        if target.exists() and any(target.iterdir()) and not (target / MANIFEST).exists():
            message = f"{target} is no backup of a library, and not empty."
            raise LibraryError(message, "Choose a new folder for the backup.")
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        protect(target, THUMBNAILS)
        check_room(target, extra=(folder / CATALOG).stat().st_size)
        return _write(catalog, blobs, folder, target)
    except OSError as error:
        message = f"The backup in {target} can't be written: {error.strerror or error}."
        raise LibraryError(message, f"{remedy_for(error)} The backup before is kept.") from error


def _write(catalog: Catalog, blobs: Blobs, folder: Path, target: Path) -> int:
    # Thumbnails are written before their photo stands in the catalog, and deleted after it: those of all photos that
    # the copy of the catalog has are there now, but for those that are being removed at this moment.
    parts = {name: target / f"{name}.part" for name in _NAMES}
    catalog.copy_to(parts[CATALOG])
    catalog.copy_people_to(parts[COPY])
    shutil.copyfile(folder / SETTINGS, parts[SETTINGS])
    if (folder / _ACCOUNTS).exists():
        _copy_accounts(folder / _ACCOUNTS, parts[_ACCOUNTS])
    kept = {}
    for name, part in parts.items():
        if part.exists():
            sync(part)
            kept[name] = _Kept(part.stat().st_size, _sha256(part))
            os.replace(part, target / kept[name].name(name))  # noqa: PTH105 - atomic
    there = FolderBlobs(target)
    mine, theirs = blobs.kept(), there.kept()
    new = [photo_id for photo_id, one in mine.items() if _is_new(one, theirs.get(photo_id))]
    for photo_id in new:
        _copy_thumbnail(blobs, there, photo_id)
    shutil.copyfile(target / kept[SETTINGS].name(SETTINGS), target / SETTINGS)  # so that no ingest takes it for photos
    sizes = {_file(photo_id): one.bytes for photo_id, one in there.kept().items() if photo_id in mine}
    _write_manifest(target, kept, sizes)
    wanted = {one.name(name) for name, one in kept.items()}
    for name in _NAMES:
        for path in target.glob(f"{name}.*"):
            if path.name not in wanted:
                path.unlink()
    there.delete(theirs.keys() - mine.keys())
    protect(target, THUMBNAILS)
    return len(new)


def _write_manifest(target: Path, kept: dict[str, _Kept], thumbnails: dict[str, int]) -> None:
    files = {name: {"bytes": one.bytes, "sha256": one.sha256} for name, one in kept.items()}
    document = {"format": _FORMAT, "made": datetime.now(UTC).isoformat(timespec="seconds"), "files": files}
    part = target / f"{MANIFEST}.part"
    with open(part, "w", encoding="utf-8", opener=private_opener) as stream:
        json.dump(document | {"thumbnails": thumbnails}, stream)
    sync(part)
    os.replace(part, target / MANIFEST)  # noqa: PTH105 - atomic


def _read_manifest(target: Path) -> tuple[dict[str, _Kept], dict[str, int]]:
    """The files and the thumbnails' sizes. Raises LibraryError."""
    path = target / MANIFEST
    if not path.exists():
        message = f"There is no backup in {target}."
        raise LibraryError(message, "Name the folder that facekit backup wrote.")
    try:
        said = json.loads(path.read_bytes())
        newer = int(said["format"]) > _FORMAT
        files = {name: _Kept(int(one["bytes"]), str(one["sha256"])) for name, one in said["files"].items()}
        thumbnails = {str(name): int(size) for name, size in said["thumbnails"].items()}
        named_well = files.keys() <= set(_NAMES) and all(one.sha256.isalnum() for one in files.values())
        named_well &= all(_file(Path(name).stem) == name for name in thumbnails)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _damaged(target, path.name) from error
    if not (newer or (named_well and {CATALOG, SETTINGS} <= files.keys())):
        raise _damaged(target, path.name)
    if newer:
        message = f"A newer facekit made the backup in {target}."
        raise LibraryError(message, "Upgrade facekit.")
    return files, thumbnails


def _damaged(target: Path, name: str) -> LibraryError:
    message = f"The backup in {target} is damaged ({name}); nothing was restored."
    return LibraryError(message, "Take another backup, or ingest the photos into a new library.")


def restore(target: str | os.PathLike[str], folder: str | os.PathLike[str], *, replace: bool = False) -> Path | None:
    """Make a library of a backup.

    Parameters
    ----------
    target : path
        The backup's folder.
    folder : path
        The library's folder, empty or not there.
    replace : bool
        Take the place of a library that is in the folder; it is kept beside it.

    Returns
    -------
    Path or None
        Where the library is that was in the folder.

    Raises
    ------
    LibraryLockedError
        If a process has the library open that is to be replaced.
    LibraryError
        If there is no backup, it is damaged, or the folder holds something. Nothing is changed then.
    """
    target, folder = Path(target), Path(folder)
    files, thumbnails = _read_manifest(target)
    library = any((folder / name).exists() for name in (SETTINGS, CATALOG))
    if folder.exists() and any(folder.iterdir()) and not (replace and library):
        message = f"{folder} is not empty; nothing was restored."
        remedy = "Name another folder, or replace the library: facekit restore --replace." if library else ""
        raise LibraryError(message, remedy or "Move it away first, or name another folder.")
    _check(target, files, thumbnails)
    try:
        return _restore(target, folder, files, thumbnails)
    except OSError as error:
        message = f"{folder} can't be written: {error.strerror or error}."
        raise LibraryError(message, remedy_for(error)) from error


def _check(target: Path, files: dict[str, _Kept], thumbnails: dict[str, int]) -> None:
    """Refuse a backup that is not as it was written. Raises LibraryError."""
    for name, one in files.items():
        path = target / one.name(name)
        try:
            good = path.stat().st_size == one.bytes and _sha256(path) == one.sha256
        except OSError as error:
            raise _damaged(target, path.name) from error
        if not good:
            raise _damaged(target, path.name)
    there = {_file(photo_id): one.bytes for photo_id, one in FolderBlobs(target).kept().items()}
    if lost := [name for name, size in thumbnails.items() if there.get(name) != size]:
        raise _damaged(target, f"{lost[0]} and {len(lost) - 1} more" if len(lost) > 1 else lost[0])


def _restore(target: Path, folder: Path, files: dict[str, _Kept], thumbnails: dict[str, int]) -> Path | None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    size = sum(one.bytes for one in files.values()) + sum(thumbnails.values())
    check_room(folder.parent, extra=size)
    part = folder.with_name(f"{folder.name}.restoring")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    for name, one in files.items():
        shutil.copyfile(target / one.name(name), part / name)
    for name in thumbnails:
        _copy_thumbnail(FolderBlobs(target), FolderBlobs(part), Path(name).stem)
    protect(part, "")
    catalog = open_catalog(part, shown=folder)
    try:
        catalog.counts()
    finally:
        catalog.close()
    aside = None
    if folder.exists() and any(folder.iterdir()):
        lock = OwnerLock(folder)
        lock.release()
        aside = folder.with_name(f"{folder.name}.replaced-{datetime.now(UTC):%Y%m%d-%H%M%S}")
        folder.rename(aside)
    elif folder.exists():
        folder.rmdir()
    part.rename(folder)
    return aside


def _copy_accounts(old: Path, new: Path) -> None:
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(old)) as source, closing(sqlite3.connect(new)) as copy:
        source.backup(copy)


def _is_new(mine: Stored, theirs: Stored | None) -> bool:
    # Written again where a photo is turned.
    return theirs is None or mine.bytes != theirs.bytes or mine.changed > theirs.changed


def _file(photo_id: str) -> str:
    """A thumbnail's path in a backup, as its manifest has it."""
    return FolderBlobs(Path()).file(photo_id).as_posix()


def _copy_thumbnail(old: Blobs, new: Blobs, photo_id: str) -> None:
    if (data := old.get(photo_id)) is not None:  # else it was removed just now
        new.put({photo_id: data})


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
