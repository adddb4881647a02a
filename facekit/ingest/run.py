"""Photos into a library, again and again, without doing anything twice."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING

from loguru import logger

from facekit.catalog import FileRecord
from facekit.images.files import Limits, display_name
from facekit.images.thumbnails import write_thumbnail
from facekit.index.sync import apply_change, apply_due
from facekit.ingest.edited_files import Thumbnails, carry_edited
from facekit.ingest.pipeline import Pipeline
from facekit.ingest.progress import Progress, show_progress
from facekit.ingest.report import Failure, IngestReport, LostName, _lost_words
from facekit.sources.left_out import LIBRARY
from facekit.storage.logs import short_id
from facekit.system.disk_space import check_room
from facekit.system.waiting import waiting_for
from facekit.types.photos import FoundFile, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from facekit.catalog import FileState
    from facekit.catalog.records import PhotoRecord
    from facekit.ingest.pipeline import Item
    from facekit.models.protocols import Detector, Embedder
    from facekit.sources import Source
    from facekit.storage.storage import Storage


_STORE_FILES = 64  # written together: a kill costs at most so many photos' work
_STORE_SECONDS = 5.0
_FREE_BYTES = 200 * 2**20  # below this the run stops: Milvus Lite can lose rows when a flush meets a full disk


class Ingest:
    """One run over some sources.

    Parameters
    ----------
    storage : Storage
        Where photos, faces, vectors and thumbnails go.
    detector, embedder : Detector, Embedder
        The models.
    limits : Limits, optional
        The largest file and picture that are accepted. Given, photos once refused as too large are tried again.
    stop : threading.Event, optional
        Set, it stops the run as Ctrl-C does.
    """

    def __init__(
        self,
        storage: Storage,
        detector: Detector,
        embedder: Embedder,
        *,
        limits: Limits | None = None,
        stop: Event | None = None,
    ) -> None:
        self._stop = stop or Event()
        self._catalog, self._index, self._folder = storage.catalog, storage.index, storage.folder
        self._models = (detector, embedder)
        again = {Status.IO_ERROR} | ({Status.TOO_LARGE} if limits else set())
        known = {key: found for key, found in storage.catalog.photo_statuses().items() if found[0] not in again}
        self._pipeline = Pipeline(detector, embedder, limits or Limits(), known)
        self._again = again
        self._listed: set[tuple[str, bytes]] = set()
        self._replaced: dict[tuple[str, bytes], str] = {}  # the photos that changed files held before
        self._forgotten: set[str] = set()  # photos that no file held any more
        self._lost: list[tuple[Source, FoundFile]] = []  # files that hold such a photo after all
        self._run_id = ""
        self.report = IngestReport(
            models=_what_ran_where(detector, embedder),
            stages=self._pipeline.seconds,
        )

    def run(self, sources: Sequence[Source], roots: Sequence[str], progress: Progress) -> IngestReport:
        """List the sources' files, do what is new, and say what was done. Ctrl-C stops it; what is done is kept."""
        start = perf_counter()
        detector, embedder = self._models
        self._run_id = self._catalog.start_run(roots, detector.name, embedder.name, embedder.device)
        try:
            todo = [entry for source in sources for entry in self._changed(source)]
            # New files first: one may hold what a changed one held before, as the original of an edit does.
            todo.sort(key=lambda entry: (entry[1].source, entry[1].path) in self._replaced)
            self._work(todo, progress)
            for name in sorted({source.name for source in sources}):
                self._mark_moved(next(source for source in sources if source.name == name))
        except KeyboardInterrupt:
            self.report.stopped = True
            logger.warning("Ingest was stopped; what is done is kept.")
            apply_due(self._catalog, self._index)  # it may have been stopped between the catalog and the index
        finally:
            self.report.seconds = perf_counter() - start
            failed = Counter(one.status.value for one in self.report.failed)  # by number: names go with their photos
            kept = self.report.to_dict() | {"failed": dict(failed), "stopped": self.report.stopped}
            self._catalog.finish_run(self._run_id, kept)
        logger.info("Ingest: {}", "; ".join(self.report._numbers()))  # noqa: SLF001 - our own report
        return self.report

    def _changed(self, source: Source) -> list[tuple[Source, FoundFile]]:
        """List a source's files; note which have vanished or are back; return those to be read."""
        with waiting_for(f"the disk: listing {source.root}"):
            found = [file for file in source.scan() if (file.source, file.path) not in self._listed]
        self._listed |= {(file.source, file.path) for file in found}
        logger.info("{} files found", len(found))
        self.report.found += len(found)
        self.report.warnings += [f"{path}: {reason}" for path, reason in source.problems]
        for kind in source.skipped.values():
            self.report.skipped[kind] = self.report.skipped.get(kind, 0) + 1
        states = {path: state for path, state in self._catalog.file_states(source.name).items() if source.holds(path)}
        states = self._without_left_out(source, states)
        if states and not found:
            self.report.warnings.append(
                f"{source.root} holds no photos now, {len(states)} before: is a disk not mounted? Nothing was changed.",
            )
            return []
        blind = [path for path, _ in source.problems]  # what is in there may well exist
        vanished = [
            path
            for path, state in states.items()
            if not (state.missing or (source.name, path) in self._listed or _is_in(display_name(path), blind))
        ]
        self.report.missing += len(vanished)
        same = [file for file in found if self._is_same(file, states.get(file.path))]
        self.report.unchanged += len(same)
        back = [file.path for file in same if states[file.path].missing]
        for paths, missing in ((vanished, True), (back, False)):
            if paths:
                change = self._catalog.mark_missing(source.name, paths, missing=missing)
                apply_change(change, self._catalog, self._index, self._folder)
        unchanged = {file.path for file in same}
        self._replaced |= {
            (file.source, file.path): states[file.path].photo_id
            for file in found
            if file.path in states and file.path not in unchanged
        }
        return [(source, file) for file in found if file.path not in unchanged]

    def _without_left_out(self, source: Source, states: dict[bytes, FileState]) -> dict[bytes, FileState]:
        """Known files that this run does not leave out. Pictures that a facekit library made never were photos."""
        kinds = {path: source.left_out(path) for path in states if (source.name, path) not in self._listed}
        own = [path for path, kind in kinds.items() if kind == LIBRARY]
        if own:
            logger.info("{} files of a facekit library are forgotten", len(own))
            gone = self._only_at(own, states)
            self._note_lost(self._named(gone), gone)
            change = self._catalog.remove_files(source.name, own)
            apply_change(change, self._catalog, self._index, self._folder)
            for photo_id in change.photos:
                self._pipeline.known.pop(photo_id, None)
        self.report.kept_out += sum(kind not in {None, LIBRARY} for kind in kinds.values())
        return {path: state for path, state in states.items() if kinds.get(path) is None}

    def _only_at(self, paths: Sequence[bytes], states: Mapping[bytes, FileState]) -> dict[str, str]:
        """Photos that lie at some paths and nowhere else, with where they lie."""
        leaving = set(paths)
        found = self._catalog.places({states[path].photo_id for path in paths})
        return {
            photo_id: places[0].display
            for photo_id, places in found.items()
            if all(place.path in leaving for place in places)
        }

    def _named(self, photo_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
        """The faces in some photos that have a name: the photo, the name."""
        said = self._catalog.people.faces_with_decisions(photo_ids)
        whose = self._catalog.people.whose(said)
        return {face: (said[face], name) for face, (_, name) in whose.items() if name}

    def _note_lost(self, named: Mapping[str, tuple[str, str]], paths: Mapping[str, str]) -> None:
        for (photo_id, name), faces in sorted(Counter(named.values()).items()):
            lost = LostName(name, faces, paths[photo_id])
            self.report.names_lost.append(lost)
            said = logger.bind(console=f"names lost: {_lost_words(lost)}")
            said.warning("photo {}: the names of {} faces are lost", short_id(photo_id), faces)

    def _mark_moved(self, source: Source) -> None:
        """Of photos that this run saw, mark the other files that are certainly not there as missing.

        They are shown where they are then. Their disk may only be away: seen again, they are back.
        """
        gone = []
        for paths in self._catalog.several(source.name).values():
            if any((source.name, path) in self._listed for path in paths):
                gone += [path for path in paths if (source.name, path) not in self._listed and source.gone(path)]
        if gone:
            self.report.missing += len(gone)
            change = self._catalog.mark_missing(source.name, gone, missing=True)
            apply_change(change, self._catalog, self._index, self._folder)

    def _is_same(self, file: FoundFile, state: FileState | None) -> bool:
        return (
            state is not None
            and (state.size, state.mtime_ns) == (file.size, file.mtime_ns)
            and state.status not in self._again
        )

    def _work(self, todo: Sequence[tuple[Source, FoundFile]], progress: Progress) -> None:
        if not todo:
            return
        with show_progress(len(todo), progress) as advance:

            def store(items: Sequence[Item]) -> None:
                advance(self._store(items))

            while todo:
                with closing(self._pipeline.run(todo)) as batches:
                    store_batches(batches, store, self._stop)
                todo, self._lost = self._lost, []

    def _store(self, items: Sequence[Item]) -> int:
        """Write finished files: thumbnails, then the catalog in one transaction, then the vector index.

        Returns how many those were. Files whose photo was forgotten after they were read are to be read again: the
        files were given each other's names.
        """
        check_disk(self._folder)
        made = {item.photo_id for item in items if item.record}
        lost = self._forgotten - made
        self._lost += [(item.source, item.file) for item in items if item.photo_id in lost]
        for photo_id in lost:
            self._pipeline.known.pop(photo_id, None)
        items = [item for item in items if item.photo_id not in lost]
        detector, embedder = self._models
        with self._pipeline.timed("store"), waiting_for("the library: storing photos"):
            for item in items:
                if item.thumbnail:
                    write_thumbnail(self._folder, item.photo_id, item.thumbnail)
            records = {item.photo_id: item.record for item in items if item.record}
            edited, leaving = self._edited(items, records)
            if edited:  # what waits for a photo that comes back counts before what its file held
                self._catalog.people.reveal(face.face_id for _, record in edited for face in record.faces)
            paths = self._leaving(leaving)
            named = self._named(paths)
            kept = carry_edited(self._catalog, edited, leaving, Thumbnails(self._folder, self._catalog, items))
            self._note_lost({face: who for face, who in named.items() if face not in kept}, paths)
            change = self._catalog.save(
                list(records.values()),
                [FileRecord(item.file, item.photo_id) for item in items],
                run_id=self._run_id,
                detector=detector.name,
                embedder=embedder.name,
            )
            apply_change(change, self._catalog, self._index, self._folder)
        self._forgotten = (self._forgotten - made) | set(change.photos)
        self._count(items)
        return len(items)

    def _leaving(self, leaving: Mapping[str, int]) -> dict[str, str]:
        """Photos that no file shows any more when so many files fewer show them: with where they lay."""
        found = self._catalog.places([photo_id for photo_id, count in leaving.items() if count > 0])
        return {key: places[0].display for key, places in found.items() if len(places) <= leaving[key]}

    def _edited(
        self, items: Sequence[Item], records: Mapping[str, PhotoRecord]
    ) -> tuple[list[tuple[str, PhotoRecord]], Counter[str]]:
        """Photos in changed files, with what took their place, and how many files fewer show each photo then."""
        edited: list[tuple[str, PhotoRecord]] = []
        leaving: Counter[str] = Counter()
        for item in items:
            old, new = self._replaced.get((item.file.source, item.file.path)), item.photo_id
            if old != new:
                leaving[new] -= 1
            if old and old != new:
                leaving[old] += 1
                edited += [(old, records[new])] if new in records else []
        return edited, leaving

    def _count(self, items: Sequence[Item]) -> None:
        report = self.report
        for item in items:
            status, reason = self._pipeline.known[item.photo_id]
            if status not in {Status.OK, Status.NO_FACE}:
                if item.record is None:
                    reason = f"{item.file.display} has the same content as a file refused before: {reason}"
                report.failed.append(Failure(item.file.display, status, reason or ""))
                said = logger.bind(console=f"{status}: {reason}")
                said.warning("photo {}: {}", short_id(item.photo_id), status)
            elif item.record is None:
                report.duplicates += 1
            else:
                report.ingested += 1
                report.faces += len(item.record.faces)
                report.no_face += status is Status.NO_FACE


def store_batches(batches: Iterable[list[Item]], store: Callable[[Sequence[Item]], None], stop: Event) -> None:
    """Store what a pipeline yields, some photos or some seconds at a time.

    Whatever ends it, also ``stop`` (by `KeyboardInterrupt`), what the models have done is kept.
    """
    buffer: list[Item] = []
    stored = perf_counter()
    try:
        for batch in batches:
            buffer += batch
            if len(buffer) >= _STORE_FILES or perf_counter() - stored >= _STORE_SECONDS:
                ready, buffer = buffer, []
                store(ready)
                stored = perf_counter()
            if stop.is_set():
                raise KeyboardInterrupt
    finally:
        if buffer:
            store(buffer)


def check_disk(folder: Path) -> None:
    """Refuse to store more on a disk that is nearly full."""
    check_room(folder, _FREE_BYTES)


def _what_ran_where(detector: Detector, embedder: Embedder) -> str:
    places = {model.name: f"{model.device} ({model.engine})" for model in (detector, embedder)}
    if len(set(places.values())) == 1:
        return f"{detector.name} + {embedder.name} on {places[embedder.name]}"
    return " + ".join(f"{name} on {place}" for name, place in places.items())


def _is_in(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)
