"""Photos that a library is to forget: how they are named, where the library has them, and how it forgets them."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from loguru import logger

from facekit.arguments import is_id
from facekit.catalog.rows import FileRow
from facekit.errors import FacekitError, UnknownIdError
from facekit.images.files import display_name
from facekit.sources.local import composed_path
from facekit.sources.mounts import display_of
from facekit.system.files import user_path
from facekit.types.photos import Hit, Photo

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from facekit.catalog import Catalog
    from facekit.sources import LocalSource
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
    names : iterable of (bytes, bytes)
        What each is called, from the source's own beginning on, and its path: `Catalog.file_names`.
    """

    def __init__(self, names: Iterable[tuple[bytes, bytes]]) -> None:
        self._sorted = sorted(names)
        self._composed: list[tuple[bytes, bytes]] | None = None

    def at(self, source: LocalSource) -> list[bytes]:
        """The files at a place or below it, however its letters are written."""
        exactly = _at(self._sorted, source.path)
        if exactly or source.path.isascii():
            return exactly
        # Composed and decomposed letters mean the same: what was ingested from a Mac is typed differently here.
        if self._composed is None:
            self._composed = sorted((os.fsencode(composed_path(name)), path) for name, path in self._sorted)
        return _at(self._composed, os.fsencode(composed_path(source.path)))


class AllKnownFiles:
    """The files that a library knows, to be found by place.

    Parameters
    ----------
    catalog : Catalog
        Where they are read from, each source once.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._sources: dict[str, KnownFiles] = {}

    def at(self, places: Iterable[LocalSource]) -> set[tuple[str, bytes]]:
        """The files at some places or below them: source and path."""
        found: set[tuple[str, bytes]] = set()
        for place in places:
            if place.name not in self._sources:
                self._sources[place.name] = KnownFiles(self._catalog.file_names(place.name))
            found.update((place.name, path) for path in self._sources[place.name].at(place))
        return found

    def to_remove(
        self, asked: Iterable[Sequence[LocalSource]], ids: Sequence[str]
    ) -> tuple[set[tuple[str, bytes]], list[str]]:
        """The files that are meant, each once, and the places by which they were called.

        Parameters
        ----------
        asked : iterable of sequence of LocalSource
            Of each path that was named, the places that it may mean.
        ids : sequence of str
            Photos, which are meant wherever they lie.

        Raises
        ------
        FacekitError
            If the library has no photo at one of the paths, or of one of the ids.
        """
        found: set[tuple[str, bytes]] = set()
        roots: list[str] = []
        lacking: list[str] = []
        for places in asked:
            mine = self.at(places)
            self._refuse_twins(mine, places)
            found |= mine
            if mine:
                roots += (place.root for place in places)
            else:
                lacking.append(places[0].root)
        if lacking:
            more = f" Nor at {len(lacking) - 1} others that were named." if len(lacking) > 1 else ""
            message = f"The library has no photo at {lacking[0]}.{more}"
            raise FacekitError(message, "lib.photos() lists what it has.")
        shown = self._catalog.rows(FileRow, ids) if ids else []
        if unknown := set(ids) - {row.photo_id for row in shown}:
            message = f"The library has no photo {min(unknown)!r}."
            raise UnknownIdError(message, "lib.photos() lists what it has.")
        return found | {(row.source, row.path) for row in shown}, roots

    def _refuse_twins(self, found: Collection[tuple[str, bytes]], places: Sequence[LocalSource]) -> None:
        """Refuse a name that several photos of a connected place have: whoever gives it sees one, and means one."""
        called = Counter(self._catalog.shown_names(found)) if len(found) > 1 else Counter[str]()
        for place in places:
            if called[place.root] > 1:
                message = f"{called[place.root]} photos are called {place.root}."
                raise FacekitError(message, "Give the id of the one that is meant: lib.photos() has it.")


def remove(storage: Storage, paths: Sequence[Path], ids: Sequence[str]) -> int:
    """See `facekit.library.base.Library.remove`; `named_photos` makes paths and ids of what is given."""
    catalog, mounts = storage.catalog, storage.mounts
    found, names = AllKnownFiles(catalog).to_remove([mounts.all_at(path) for path in paths], ids)
    names += catalog.shown_names(found)
    for source in sorted({source for source, _ in found}):
        of_source = sorted(path for of, path in found if of == source)
        change = catalog.remove_files(source, of_source)
        storage.follow(change)
        storage.connections.originals.forget(source, (path.decode(errors="replace") for path in of_source))
    # What is in a folder that stays is named in full; a folder's own name stands where its photos stood.
    for source, path in sorted(found):
        here = mounts.file(source, path)
        names += dict.fromkeys([display_of(source, path), *([] if here is None else [display_name(here)])])
    storage.forget(names)
    storage.erase()
    logger.info("{} paths were removed", len(found))
    return len(found)


def _at(known: Sequence[tuple[bytes, bytes]], path: bytes) -> list[bytes]:
    """What is called so or lies below, of sorted pairs: of the name to be compared, and the name to be given."""
    if not path:  # a mount as a whole
        return [name for _, name in known]
    below = path.rstrip(_SEPARATOR) + _SEPARATOR
    end = below[:-1] + bytes([below[-1] + 1])
    first = bisect_left(known, (path,))
    exactly = []
    while first < len(known) and known[first][0] == path:
        exactly.append(known[first][1])
        first += 1
    inside = known[bisect_left(known, (below,)) : bisect_left(known, (end,))]
    return list(dict.fromkeys([*exactly, *(name for _, name in inside)]))
