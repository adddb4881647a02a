"""What can be rescued of a library whose catalog is damaged or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.catalog.catalog import FILE
from facekit.errors import LibraryError

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.settings import Settings


def refuse_lost_catalog(folder: Path, settings: Settings) -> None:
    """Refuse to take a library whose catalog is gone for a new one: its index would be emptied after it.

    Raises
    ------
    LibraryError
        If there is no catalog, and there was one.
    """
    if (folder / FILE).exists():
        return
    # An older facekit did not write down that it made a catalog; the index was made after it.
    if settings.catalog or any(folder.glob("vectors*.db")):
        message = f"The catalog {folder / FILE} is gone: all that the library knew of photos and people was in it."
        raise LibraryError(message, "Put it back from a backup; for a new, empty one: facekit doctor --repair.")
