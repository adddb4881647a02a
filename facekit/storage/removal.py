"""Photos that a library is to forget: how they are named, where the library has them, and how it forgets them."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from loguru import logger

from facekit.arguments import is_id
from facekit.errors import FacekitError, UnknownIdError
from facekit.images.files import display_name
from facekit.index.sync import apply_change
from facekit.sources import LocalSource
from facekit.sources.local import composed_path
from facekit.system.files import user_path
from facekit.types.photos import Hit, Photo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from facekit.catalog.records import FileState
    from facekit.storage.storage import Storage

Removable: TypeAlias = "str | bytes | os.PathLike[Any] | Photo | Hit"
"""A path of a photo or a folder, the id of a photo, a `Photo`, or a `Hit`, whose photo is meant."""

_SEPARATOR = os.fsencode(os.sep)


def named_photos(given: Removable | Iterable[Removable]) -> tuple[list[Path], list[str]]:
    """What was given, as paths and as ids of photos, each once. An id is a path's where a file is called so.

    Raises
    ------
    FacekitError
        If something names no photo.
    """
    alone = isinstance(given, str | bytes | os.PathLike) or not isinstance(given, Iterable)
    paths: dict[Path, None] = {}
    ids: dict[str, None] = {}
    for one in [given] if alone else given:  # type: ignore[union-attr]
        if isinstance(one, Photo | Hit):
            ids[one.photo_id] = None
        elif isinstance(one, str) and is_id(one) and not Path(one).exists():
            ids[str(one)] = None
        else:
            paths[user_path(one)] = None  # type: ignore[arg-type]
    return list(paths), list(ids)


class KnownFiles:
    """The files that a library knows of a source, to be found by path, by folder and by photo.

    Parameters
    ----------
    states : mapping
        What the catalog remembers of them, by path.
    """

    def __init__(self, states: Mapping[bytes, FileState]) -> None:
        self._states = states
        self._sorted = sorted((path, path) for path in states)
        self._composed: list[tuple[bytes, bytes]] | None = None

    def at(self, source: LocalSource) -> list[bytes]:
        """The files at a place or below it, however its letters are written."""
        exactly = _at(self._sorted, source.path)
        if exactly or source.path.isascii():
            return exactly
        # Composed and decomposed letters mean the same: what was ingested from a Mac is typed differently here.
        if self._composed is None:
            self._composed = sorted((os.fsencode(composed_path(path)), path) for path in self._states)
        return _at(self._composed, os.fsencode(composed_path(source.path)))

    def to_remove(self, paths: Iterable[os.PathLike[Any]], ids: Sequence[str]) -> tuple[list[bytes], list[str]]:
        """The files that are meant, each once, and the places by which they were called.

        Raises
        ------
        FacekitError
            If the library has no photo at one of the paths, or of one of the ids.
        """
        found: set[bytes] = set()
        roots: list[str] = []
        lacking: list[str] = []
        for path in paths:
            source = LocalSource(path, must_exist=False)
            mine = self.at(source)
            found.update(mine)
            (roots if mine else lacking).append(source.root)
        if lacking:
            more = f" Nor at {len(lacking) - 1} others that were named." if len(lacking) > 1 else ""
            message = f"The library has no photo at {lacking[0]}.{more}"
            raise FacekitError(message, "lib.photos() lists what it has.")
        if ids:
            wanted = set(ids)
            shown = {path: state.photo_id for path, state in self._states.items() if state.photo_id in wanted}
            if unknown := wanted - set(shown.values()):
                message = f"The library has no photo {min(unknown)!r}."
                raise UnknownIdError(message, "lib.photos() lists what it has.")
            found.update(shown)
        return sorted(found), roots


def remove(storage: Storage, paths: Sequence[Path], ids: Sequence[str]) -> int:
    """See `facekit.library.base.Library.remove`; `named_photos` makes paths and ids of what is given."""
    known = KnownFiles(storage.catalog.file_states(LocalSource.name))
    files, roots = known.to_remove(paths, ids)
    change = storage.catalog.remove_files(LocalSource.name, files)
    apply_change(change, storage.catalog, storage.index, storage.blobs)
    # What is in a folder that stays is named in full; a folder's own name stands where its photos stood.
    names = [*roots, *map(display_name, files)]
    storage.forget(names)
    storage.erase()
    logger.info("{} paths were removed", len(files))
    return len(files)


def _at(known: Sequence[tuple[bytes, bytes]], path: bytes) -> list[bytes]:
    """What is called so or lies below, of sorted pairs: of the name to be compared, and the name to be given."""
    below = path.rstrip(_SEPARATOR) + _SEPARATOR
    end = below[:-1] + bytes([below[-1] + 1])
    first = bisect_left(known, (path,))
    exactly = []
    while first < len(known) and known[first][0] == path:
        exactly.append(known[first][1])
        first += 1
    inside = known[bisect_left(known, (below,)) : bisect_left(known, (end,))]
    return list(dict.fromkeys([*exactly, *(name for _, name in inside)]))
