"""A whole library into another one that is empty: from a folder to servers, and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.errors import LibraryError
from facekit.images.files import display_name
from facekit.index.sync import catch_up
from facekit.storage.relocation import to_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.storage.backend import Backend
    from facekit.storage.storage import Storage

_TOGETHER = 64  # thumbnails that are written at once


@dataclass(frozen=True, slots=True, repr=False)
class Migration:
    """What was copied, and found to be the same afterwards.

    Parameters
    ----------
    rows : dict of str to int
        By table of the catalog, how many rows.
    thumbnails : int
        How many thumbnails the new library has.
    faces : int
        How many faces its vector index holds.
    """

    rows: dict[str, int]
    thumbnails: int
    faces: int

    def to_dict(self) -> dict[str, Any]:
        """It as plain values."""
        return asdict(self)

    def __repr__(self) -> str:
        """In words, for a terminal."""
        rows = self.rows
        said = [f"{rows[name]} {name}" for name in ("files", "photos", "faces", "persons")]
        entries = f"{rows['people_journal']} entries of the journal"
        return f"Copied and compared: {', '.join(said)}, {entries}, {self.thumbnails} thumbnails."


def migrate(
    source: Storage,
    target: Storage,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    also: Callable[[Backend, Backend], None] | None = None,
) -> Migration:
    """Copy a library into an empty one: photos, faces, people, decisions, the journal and thumbnails.

    Both are left as they are where this is cut off; called again, it goes on where it was. Until it is done, the new
    library can't be opened. Files in mounts of the new library are known by them then.

    Parameters
    ----------
    source, target : Storage
        Both of the same models; the target was opened with ``filling=True``.
    progress : callable
        Called with what is done and all that is to be done: rows and thumbnails.
    also : callable, optional
        Copies what else belongs to the library, as a service's accounts; called again after a stop.

    Raises
    ------
    LibraryError
        If the target is not empty, or does not hold the same in the end.
    """
    label = source.backend.place
    old, new = source.settings, target.settings
    if (old.detector, old.embedder) != (new.detector, new.embedder):
        message = f"{target.backend.place} is made for {new.words}, and {label} for {old.words}."
        raise LibraryError(message, "Name a new library: it gets the models of the old one.")
    with source.backend.alone("A migration"), target.backend.alone("A migration"):
        rows, kept = source.catalog.row_count, source.blobs.kept()
        total = rows + len(kept)
        copied = target.catalog.copy_from(source.catalog, label, lambda done, _rows: progress(done, total))
        there = target.blobs.kept()
        wanted = [key for key, one in kept.items() if key not in there or there[key].bytes != one.bytes]
        done = total - len(wanted)
        for start in range(0, len(wanted), _TOGETHER):
            some = wanted[start : start + _TOGETHER]
            found = {key: data for key in some if (data := source.blobs.get(key)) is not None}
            target.blobs.put(found)
            done += len(some)
            progress(done, total)
        target.save_settings(replace(old, mounts=_mounts(source, target)))
        catch_up(target.catalog, target.index)
        if also is not None:
            also(source.backend, target.backend)
        target.catalog.note_whole()
        to_mounts(target)
    logger.info("{} was copied to {}", label, target.backend.place)
    return Migration({name: one.rows for name, one in copied.items()}, len(kept), target.index.count())


def _mounts(source: Storage, target: Storage) -> dict[str, str]:
    """The mounts by which the photos are known from now on, whether settings or the environment named them."""
    roots = target.mounts.roots
    roots |= {name: root for name, root in source.mounts.roots.items() if root not in roots.values()} | roots
    return {name: text for name, root in roots.items() if (text := display_name(root)).encode() == root}
