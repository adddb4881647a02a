"""Folders for what facekit can make or fetch again; ``FACEKIT_CACHE`` moves them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

from facekit.system.files import atomic_file

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def cache_folder() -> Path:
    """Folder for what facekit can make or fetch again; ``FACEKIT_CACHE`` overrides the user's cache directory."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("FACEKIT_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("facekit", appauthor=False)


def weights_folder() -> Path:
    """Folder that fetched model files are kept in."""
    return cache_folder() / "weights"


def unfinished_folder() -> Path:
    """Folder for what has begun to come."""
    folder = weights_folder() / "unfinished"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def public_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    """What lies in the cache is public, and may be shared, whatever the umask."""
    return atomic_file(path, mode=0o644)
