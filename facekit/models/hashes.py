"""SHA-256 of model files: those that are published, and those that nobody publishes.

Of these the first file that is met counts: its hash is written down in ``hashes.json``.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING

from facekit.models.cache import public_file, unfinished_folder, weights_folder

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.models.downloads import WeightFile

_LOCK_SECONDS = 5.0  # writing a few lines takes no time


def _hashes() -> Path:
    return weights_folder() / "hashes.json"


def expected_hash(file: WeightFile) -> str | None:
    """The hash that a file must have, where it is known."""
    return file.sha256 or _pinned_hashes().get(file.name)


def _pinned_hashes() -> dict[str, str]:
    try:
        return dict(json.loads(_hashes().read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def pin_hash(file: WeightFile, digest: str | None) -> None:
    """Write down the hash of a file that is met for the first time; None forgets it."""
    from filelock import FileLock
    from loguru import logger

    try:
        with FileLock(unfinished_folder() / "hashes.lock", timeout=_LOCK_SECONDS):
            known = _pinned_hashes() | ({file.name: digest} if digest else {})
            if digest is None:
                known.pop(file.name, None)
            with public_file(_hashes()) as target:
                target.write(json.dumps(known, indent=1).encode())
    except OSError as error:  # a read-only cache
        logger.warning("The SHA-256 of {} ({}) could not be written down: {}", file.name, digest, error)


def forget(file: WeightFile) -> None:
    """A file turned out to be no model: another one may be the first."""
    pin_hash(file, None)


def not_as_before(file: WeightFile) -> str:
    """What to do about a file that has another hash than the first that was met; "" where the hash is published."""
    if file.sha256 is not None:
        return ""
    return (
        f"It is not the file that was met first. If you changed it knowingly, delete its line in {_hashes()} and make "
        "a new library: vectors of other weights don't mix."
    )


def hash_of(path: Path) -> str:
    """A file's SHA-256, hexadecimal."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    """Size and time are part of the key: a file of 100 MB is read once for each version of it, not at each question."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
