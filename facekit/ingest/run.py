"""Photos into a library, again and again, without doing anything twice."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.images.files import Limits
from facekit.index.sync import apply_due
from facekit.ingest.pipeline import Pipeline, known_in
from facekit.ingest.progress import Progress, show_progress
from facekit.ingest.report import IngestReport
from facekit.ingest.scan import Scan
from facekit.ingest.store import Store
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from facekit.ingest.pipeline import Item
    from facekit.models.protocols import Detector, Embedder
    from facekit.sources import Source
    from facekit.storage.storage import Storage
    from facekit.types.photos import FoundFile


_STORE_FILES = 64  # written together: a kill costs at most so many photos' work
_STORE_SECONDS = 5.0


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
        self._storage = storage
        self._models, self._vectors = (detector, embedder), storage.models.now.name
        again = statuses_to_try_again(limits)
        known, self._photo_with = known_in(storage.catalog, again), dict[str, str]()
        self._pipeline = Pipeline(detector, embedder, limits or Limits(), known, photo_with=self._photo_with.get)
        self.report = IngestReport(
            models=what_ran_where(detector, embedder),
            stages=self._pipeline.seconds,
        )
        self._scan = Scan(storage, self.report, again)

    def run(self, sources: Sequence[Source], roots: Sequence[str], progress: Progress) -> IngestReport:
        """List the sources' files, do what is new, and say what was done. Ctrl-C stops it; what is done is kept."""
        start = perf_counter()
        catalog = self._storage.catalog
        detector, embedder = self._models
        run_id = catalog.start_run(roots, detector.name, embedder.name, embedder.device)
        try:
            todo = self._scan.to_do(sources)
            contents = (file.facts.content for _, file in todo.new + todo.changed if file.facts and file.facts.content)
            self._photo_with.update(catalog.sources.photos_with(contents))
            # New files first: one may hold what a changed one held before, as the original of an edit does.
            self._work(
                [*todo.new, *todo.changed], Store(self._storage, detector, embedder, self._vectors, run_id), progress
            )
            self._scan.mark_moved(sources)
        except KeyboardInterrupt:
            self.report.stopped = True
            logger.warning("Ingest was stopped; what is done is kept.")
            apply_due(catalog, self._storage.index)  # it may have been stopped between the catalog and the index
        finally:
            self.report.seconds = perf_counter() - start
            catalog.finish_run(run_id, report_of_run(self.report))
        logger.info("Ingest: {}", "; ".join(self.report._numbers()))  # noqa: SLF001 - our own report
        return self.report

    def _work(self, todo: Sequence[tuple[Source, FoundFile]], store: Store, progress: Progress) -> None:
        if not todo:
            return
        again: list[tuple[Source, FoundFile]] = []
        with show_progress(len(todo), progress, _what(todo)) as advance:

            def write(items: Sequence[Item]) -> None:
                with self._pipeline.timed("store"):
                    stored = store.write(items)
                self._pipeline.forget(item.photo_id for item in stored.lost)
                again.extend((item.source, item.file) for item in stored.lost)
                self.report.names_lost += stored.names_lost
                self.report.count(stored.items, stored.twice)
                advance(len(stored.items))

            while todo:
                with closing(self._pipeline.run(todo)) as batches:
                    store_batches(batches, write, self._stop)
                todo, again = again, []


def _what(todo: Sequence[tuple[Source, FoundFile]]) -> str:
    """What stands before the bar: the place, where photos come from one that has a name."""
    names = {source.name for source, _ in todo} - {"local"}
    return names.pop() if len(names) == 1 else "ingest"


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


def statuses_to_try_again(limits: Limits | None) -> frozenset[Status]:
    """Photos with one of these are read again; those once refused as too large where somebody gave limits."""
    return frozenset({Status.IO_ERROR} | ({Status.TOO_LARGE} if limits else set()))


def report_of_run(report: IngestReport) -> dict[str, Any]:
    """What is kept of a report: of files that failed, how many, for their names go with their photos."""
    failed = Counter(one.status.value for one in report.failed)
    return report.to_dict() | {"failed": dict(failed), "stopped": report.stopped}


def what_ran_where(detector: Detector, embedder: Embedder) -> str:
    """The models, and the device and engine of each, in words."""
    places = {model.name: f"{model.device} ({model.engine})" for model in (detector, embedder)}
    if len(set(places.values())) == 1:
        return f"{detector.name} + {embedder.name} on {places[embedder.name]}"
    return " + ".join(f"{name} on {place}" for name, place in places.items())
