"""Photos that lie elsewhere now: the library's paths follow them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from facekit.catalog.records import FileMove
from facekit.catalog.times import now
from facekit.errors import FacekitError
from facekit.images.files import display_name
from facekit.sources import LocalSource
from facekit.sources.local import composed_path
from facekit.sources.mounts import display_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facekit.catalog import Catalog
    from facekit.catalog.records import FileState
    from facekit.storage.storage import Storage


@dataclass(frozen=True, slots=True)
class Relocation:
    """What became of the paths below a folder that was moved.

    ``files`` have a new path, ``not_found`` of them are marked missing because nothing of their size lies there.
    """

    files: int
    not_found: int


def relocate(storage: Storage, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> Relocation:
    """See `facekit.library.base.Library.relocate`."""
    catalog, mounts = storage.catalog, storage.mounts
    target = mounts.place(new)
    storage.may_be_known([target])
    asked = [place for place in mounts.places(old) if (place.name, place.path) != (target.name, target.path)]
    if not asked:
        message = f"{target.root} was named as the old place and as the new one."
        raise FacekitError(message, "Name where the library has the photos, and then where they are now.")
    was, known = next((one for place in asked if (one := _at(place, catalog))[1]), (asked[0], {}))
    if not known:
        message = f"The library has no photo at {asked[0].root}."
        raise FacekitError(message, "lib.folders() lists the folders that it has photos of.")
    moment = now()
    moves = []
    for path, state in known.items():
        there = was.moved(path, target.path)
        here = mounts.file(target.name, there)
        found = here is not None and _is_there(here, state.size)
        moves.append(FileMove(path, there, display_of(target.name, there), found, moment, target.name))
    not_found = sum(not move.there for move in moves)
    if not_found == len(moves):
        message = f"None of the {len(moves)} photos of {was.root} is found in {target.root}."
        raise FacekitError(message, "Give the folder that has the same files at the same places below it.")
    change = catalog.relocate(was.name, moves, (was.root.rstrip(os.sep), target.root.rstrip(os.sep)))
    storage.follow(change)
    logger.info("{} files lie elsewhere now, {} of them are not found there", len(moves), not_found)
    return Relocation(len(moves), not_found)


def to_mounts(storage: Storage, within: LocalSource | None = None) -> int:
    """Let files be known by mount that are known by their paths on this machine, from before there was the mount.

    Nothing is read, not even whether they are there: those that were missing stay so.

    Parameters
    ----------
    storage : Storage
        The library, with its mounts.
    within : LocalSource, optional
        Only those that are in this place of a mount then.

    Returns
    -------
    int
        How many files those are.
    """
    catalog, mounts = storage.catalog, storage.mounts
    moves: dict[str, list[FileMove]] = {}
    for path, state in catalog.file_states(LocalSource.name).items():
        source, there = mounts.known(path)
        if source != LocalSource.name and (within is None or (within.name == source and within.holds(there))):
            shown = display_of(source, there)
            moves.setdefault(source, []).append(FileMove(path, there, shown, not state.missing, now(), source))
    for source, some in sorted(moves.items()):
        roots = display_name(mounts.roots[source]).rstrip(os.sep), display_of(source, b"").rstrip(os.sep)
        change = catalog.relocate(LocalSource.name, some, roots)
        storage.follow(change)
        logger.info("{} files are known by mount now", len(some))
    return sum(map(len, moves.values()))


def _at(place: LocalSource, catalog: Catalog) -> tuple[LocalSource, dict[bytes, FileState]]:
    """What the library knows at a place, which may be written with other letters there."""
    known = catalog.file_states(place.name)
    found = {path: state for path, state in known.items() if place.holds(path)}
    if not found and not place.path.isascii() and (same := _known_as(place, known)) is not None:
        place = place.called(same)
        found = {path: state for path, state in known.items() if place.holds(path)}
    return place, found


def _known_as(asked: LocalSource, known: Iterable[bytes]) -> bytes | None:
    """A folder as the library knows it, when its letters are written in another way."""
    wanted = composed_path(asked.path)
    depth = asked.path.count(os.fsencode(os.sep))
    for path in known:
        top = os.fsencode(os.sep).join(path.split(os.fsencode(os.sep))[: depth + 1])
        if composed_path(top) == wanted:
            return top
    return None


def _is_there(path: bytes, size: int) -> bool:
    try:
        return os.stat(path).st_size == size  # noqa: PTH116 - bytes
    except OSError:
        return False
