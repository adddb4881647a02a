"""One process owns a library at a time; a second one learns at once who that is."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from facekit.errors import LibraryError, LibraryLockedError, ServiceAddress
from facekit.system.disk_space import remedy_for
from facekit.system.forks import give_up_in_forks
from facekit.system.permissions import PRIVATE_FILE, private_opener

if TYPE_CHECKING:
    from pathlib import Path


SERVICE = "service.json"


class OwnerLock:
    """An exclusive lock on a library's folder, which the system gives back when the process dies.

    Raises
    ------
    LibraryLockedError
        If another process holds it; its ``pid`` says which.
    LibraryError
        If the folder can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self._owner = folder / "owner.json"
        self._lock = FileLock(folder / "lock", timeout=0, mode=PRIVATE_FILE)
        try:
            self._lock.acquire()
            give_up_in_forks(folder / "lock")
            (folder / SERVICE).unlink(missing_ok=True)  # a killed service left it; its number may be ours now
            with open(self._owner, "w", encoding="utf-8", opener=private_opener) as stream:
                json.dump({"pid": os.getpid()}, stream)
        except Timeout as error:
            raise self._locked(folder) from error
        except OSError as error:
            message = f"The library {folder} can't be written: {error.strerror or error}."
            raise LibraryError(message, remedy_for(error)) from error

    def _locked(self, folder: Path) -> LibraryLockedError:
        try:
            pid = int(json.loads(self._owner.read_text())["pid"])
        except (OSError, ValueError, KeyError):
            pid = None
        who = f"process {pid}" if pid else "another process"
        remedy = "Close it there (a notebook: shut its kernel down), or use another library."
        message = f"The library {folder} is open in {who}; only one may have it."
        return LibraryLockedError(message, remedy, pid, read_service(folder, pid))

    def release(self) -> None:
        """Let others open the library."""
        self._owner.unlink(missing_ok=True)
        self._lock.release()


def announce_service(folder: Path, url: str, key: str, app_url: str | None = None) -> Path:
    """Say where the service is that owns the library, and the key for programs of the same user; remove it at the end.

    Only this user may read the file: the key opens everything.
    """
    path = folder / SERVICE
    part = folder / f"{SERVICE}.part"
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        json.dump({"pid": os.getpid(), "url": url, "key": key, "app_url": app_url}, stream)
    os.replace(part, path)  # noqa: PTH105 - atomic
    return path


def withdraw_service(folder: Path) -> None:
    """Take back what this process announced; another service of a library on servers may have done so since."""
    if read_service(folder, os.getpid()):
        (folder / SERVICE).unlink(missing_ok=True)


def read_service(folder: Path, pid: int | None) -> ServiceAddress | None:
    """The service that owns a library as process ``pid``, or None: what a killed service left behind does not count."""
    try:
        said = json.loads((folder / SERVICE).read_text(encoding="utf-8"))
        return ServiceAddress(said["url"], said["key"]) if said["pid"] == pid else None
    except (OSError, ValueError, KeyError):
        return None
