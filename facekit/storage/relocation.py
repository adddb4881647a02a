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
from facekit.index.sync import apply_change
from facekit.sources import LocalSource
from facekit.sources.local import composed_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facekit.catalog import Catalog
    from facekit.images.blobs import Blobs
    from facekit.index import VectorIndex


@dataclass(frozen=True, slots=True)
class Relocation:
    """What became of the paths below a folder that was moved.

    ``files`` have a new path, ``not_found`` of them are marked missing because nothing of their size lies there.
    """

    files: int
    not_found: int


def relocate(
    catalog: Catalog,
    index: VectorIndex,
    blobs: Blobs,
    old: str | os.PathLike[str],
    new: str | os.PathLike[str],
) -> Relocation:
    """See `facekit.library.base.Library.relocate`; ``blobs`` are the library's thumbnails."""
    was, target = LocalSource(old, must_exist=False), LocalSource(new)
    if was.path == target.path:
        message = f"{target.root} was named as the old place and as the new one."
        raise FacekitError(message, "Name where the library has the photos, and then where they are now.")
    known = catalog.file_states(was.name)
    paths = [path for path in known if was.holds(path)]
    if not paths and not was.path.isascii():
        # As it was ingested, its letters may be written in another way.
        same = _known_as(was, known)
        if same is not None:
            was = LocalSource(same, must_exist=False)
            paths = [path for path in known if was.holds(path)]
    if not paths:
        message = f"The library has no photo at {was.root}."
        raise FacekitError(message, "lib.folders() lists the folders that it has photos of.")
    moment = now()
    moves = []
    for path in paths:
        there = was.moved(path, target.path)
        moves.append(FileMove(path, there, display_name(there), _is_there(there, known[path].size), moment))
    not_found = sum(not move.there for move in moves)
    if not_found == len(moves):
        message = f"None of the {len(moves)} photos of {was.root} is found in {target.root}."
        raise FacekitError(message, "Give the folder that has the same files at the same places below it.")
    change = catalog.relocate(was.name, moves, (was.root.rstrip(os.sep), target.root.rstrip(os.sep)))
    apply_change(change, catalog, index, blobs)
    logger.info("{} files lie elsewhere now, {} of them are not found there", len(moves), not_found)
    return Relocation(len(moves), not_found)


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
