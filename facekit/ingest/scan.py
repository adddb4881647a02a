"""What the files of some sources are to a library: new, changed, the same, vanished, or back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from loguru import logger

from facekit.ingest.names_lost import lost_names, named_faces
from facekit.sources.left_out import LIBRARY
from facekit.sources.mounts import MountedSource, display_of
from facekit.storage.relocation import to_mounts
from facekit.system.waiting import waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from facekit.catalog import FileState
    from facekit.ingest.report import IngestReport
    from facekit.sources import Source
    from facekit.storage.storage import Storage
    from facekit.types.photos import FoundFile, Status


class ToDo(NamedTuple):
    """Files to be read: those that are new at their path, and those that hold something else than they did."""

    new: list[tuple[Source, FoundFile]]
    changed: list[tuple[Source, FoundFile]]


class Scan:
    """Lists the files of some sources, and notes in the library which have vanished or are back.

    Parameters
    ----------
    storage : Storage
        The library.
    report : IngestReport
        Where what is found is counted.
    again : collection of Status
        Files whose photo has one of these are read again although they are the same.
    """

    def __init__(self, storage: Storage, report: IngestReport, again: Collection[Status]) -> None:
        self._storage = storage
        self._catalog = storage.catalog
        self._report = report
        self._again = again
        self._listed: set[tuple[str, bytes]] = set()

    def to_do(self, sources: Sequence[Source]) -> ToDo:
        """List some sources' files; note which have vanished or are back; return those to be read."""
        todo = ToDo([], [])
        for source in sources:
            self._list(source, todo)
        return todo

    def _list(self, source: Source, todo: ToDo) -> None:
        with waiting_for(f"the disk: listing {source.root}"):
            there = list(source.scan())
        found = [file for file in there if (file.source, file.path) not in self._listed]
        self._listed |= {(file.source, file.path) for file in found}
        logger.info("{} files found", len(found))
        self._report.found += len(found)
        self._report.warnings += [f"{path}: {reason}" for path, reason in source.problems]
        for kind, number in source.left_out_by_kind.items():
            self._report.skipped[kind] = self._report.skipped.get(kind, 0) + number
        take_over(self._storage, source, found)
        states = {path: state for path, state in self._catalog.file_states(source.name).items() if source.holds(path)}
        states = self._without_left_out(source, states)
        if states and not there:
            self._report.warnings.append(
                f"{source.root} holds no photos now, {len(states)} before: is a disk not mounted? Nothing was changed.",
            )
            return
        blind = [path for path, _ in source.problems]  # what is in there may well exist
        vanished = [
            path
            for path, state in states.items()
            if not (
                state.missing or (source.name, path) in self._listed or _is_in(display_of(source.name, path), blind)
            )
        ]
        self._report.missing += len(vanished)
        same = {file.path for file in found if is_same(file, states.get(file.path), self._again)}
        self._report.unchanged += len(same)
        back = [path for path in same if states[path].missing]
        for paths, missing in ((vanished, True), (back, False)):
            if paths:
                change = self._catalog.mark_missing(source.name, paths, missing=missing)
                self._storage.follow(change)
        if named := [file for file in found if file.facts is not None and file.path in same]:
            self._storage.follow(self._catalog.rename(source.name, named))
        todo.new.extend((source, file) for file in found if file.path not in states)
        todo.changed.extend((source, file) for file in found if file.path in states and file.path not in same)

    def _without_left_out(self, source: Source, states: dict[bytes, FileState]) -> dict[bytes, FileState]:
        """Known files that this run does not leave out. Pictures that a facekit library made never were photos."""
        kinds = {path: source.left_out(path) for path in states if (source.name, path) not in self._listed}
        own = [path for path, kind in kinds.items() if kind == LIBRARY]
        if own:
            logger.info("{} files of a facekit library are forgotten", len(own))
            gone = self._only_at(source, own, states)
            self._report.names_lost += lost_names(named_faces(self._catalog, gone), gone)
            change = self._catalog.remove_files(source.name, own)
            self._storage.follow(change)
        self._report.kept_out += sum(kind not in {None, LIBRARY} for kind in kinds.values())
        return {path: state for path, state in states.items() if kinds.get(path) is None}

    def _only_at(self, source: Source, paths: Sequence[bytes], states: Mapping[bytes, FileState]) -> dict[str, str]:
        """Photos that lie at some paths and nowhere else, with where they lie."""
        leaving = set(paths)
        found = self._catalog.places({states[path].photo_id for path in paths})
        return {
            photo_id: places[0].display
            for photo_id, places in found.items()
            if all(place.source == source.name and place.path in leaving for place in places)
        }

    def mark_moved(self, sources: Sequence[Source]) -> None:
        """Of photos that the sources were seen to hold, mark the other files that are certainly not there as missing.

        They are shown where they are then. Their disk may only be away: seen again, they are back.
        """
        self._report.missing += mark_moved(self._storage, sources, lambda name, path: (name, path) in self._listed)


def mark_moved(storage: Storage, sources: Sequence[Source], seen: Callable[[str, bytes], bool]) -> int:
    """See `Scan.mark_moved`; ``seen`` says of a source's name and a path whether a file was seen there."""
    catalog = storage.catalog
    by_name = {source.name: source for source in reversed(sources)}
    marked = 0
    for name, source in sorted(by_name.items()):
        gone: list[bytes] = []
        for paths in catalog.several(name).values():
            there = {path for path in paths if seen(name, path)}
            if there:
                gone += [path for path in paths if path not in there and source.gone(path)]
        if gone:
            marked += len(gone)
            change = catalog.mark_missing(name, gone, missing=True)
            storage.follow(change)
    return marked


def take_over(storage: Storage, source: Source, found: Sequence[FoundFile]) -> None:
    """Before there was a mount, its files were known by their paths on this machine: they are the same files.

    So it is where any of those that were found is as it was known; else another disk may be there now.
    """
    if not isinstance(source, MountedSource):
        return
    before = storage.catalog.file_states("local")
    if not before:
        return
    for file in found:
        state = before.get(storage.mounts.file(file.source, file.path) or b"")
        if state is not None and state.is_of(file):
            to_mounts(storage, source)
            return


def is_same(file: FoundFile, state: FileState | None, again: Collection[Status]) -> bool:
    """Whether a file is as the library knows it, and need not be read again."""
    return state is not None and state.is_of(file) and state.status not in again


def _is_in(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)
