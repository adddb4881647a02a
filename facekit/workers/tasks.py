"""What a worker does with a batch: it lists folders, reads files, or brings the whole to its end.

What a change of models is made of is in `facekit.workers.model_change`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.errors import FacekitError, LibraryError
from facekit.images.files import Limits
from facekit.ingest.pipeline import Pipeline, known_in
from facekit.ingest.report import IngestReport
from facekit.ingest.run import report_of_run, statuses_to_try_again, what_ran_where
from facekit.ingest.scan import Scan, is_same, mark_moved
from facekit.ingest.store import Store
from facekit.models.registry import load_detector
from facekit.sources import LocalSource
from facekit.storage.settings import check_versions
from facekit.types.work import Kind
from facekit.workers.model_change import ModelChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from facekit.catalog.batches import Batches
    from facekit.ingest.store import Stored
    from facekit.library.local import LocalLibrary
    from facekit.models.protocols import Detector
    from facekit.storage.models_in_use import ModelSet
    from facekit.system.workers import WorkerPool
    from facekit.types.photos import Detail
    from facekit.types.work import Claim

BATCH_FILES = 16
"""Ours: as many as the models take at once, a second or two of work, which is what a killed process costs."""

_AGAIN = statuses_to_try_again(None)


class Tasks:
    """Does batches, for a library that is open.

    Parameters
    ----------
    library : LocalLibrary
        The library.
    batches : Batches
        Where batches are written off.
    pool : WorkerPool
        The processes that decode.
    """

    def __init__(self, library: LocalLibrary, batches: Batches, pool: WorkerPool) -> None:
        self._library, self._storage, self._batches, self._pool = library, library.storage, batches, pool
        self._change = ModelChange(library.storage, batches, pool, BATCH_FILES)

    def unseen(self, claim: Claim) -> str:
        """What a batch needs that is not there for this machine, a folder or the models; empty where all is.

        One that is empty now, and held files when it was listed, is a place where a disk is not mounted.
        """
        if claim.kind is Kind.FINISH and not claim.options.models:
            return ""
        if not self._storage.blobs.is_there():
            return self._storage.blobs.place
        if claim.options.models:
            return self._change.unseen(claim)
        return self._unseen_root(claim) or (self._unseen_models() if claim.files else "")

    def _unseen_models(self) -> str:
        """The library's models, where this machine lacks them, or has other versions; empty where it has them."""
        with self._storage.models.shared() as models:
            try:
                check_versions(models.settings)
                models.detector, models.embedder  # noqa: B018 - their weights may not be here, nor what reads them
            except FacekitError as error:
                logger.warning("{}", error)
                return models.settings.words
        return ""

    def _unseen_root(self, claim: Claim) -> str:
        """The first of a batch's folders that is not there for this machine."""
        for place in self._sources(claim, must_exist=False):
            here = self._storage.mounts.file(place.name, place.path)
            if here is None or not self._has(place):
                return place.root
            folder = Path(os.fsdecode(here))
            try:
                if not os.path.lexists(folder) or (claim.files and folder.is_dir() and not any(folder.iterdir())):
                    return place.root
            except OSError:
                return place.root
        return ""

    def _has(self, place: LocalSource) -> bool:
        if place.name != LocalSource.name:
            return self._storage.mounts.has(place.name)
        try:
            self._storage.may_be_known([place])
        except LibraryError:
            return False
        return True

    def do(self, claim: Claim) -> None:
        """Do a batch.

        Raises
        ------
        LostClaimError
            If it is somebody else's by now.
        LibraryBusyError
            If somebody changes the library in other ways.
        """
        change = self._change if claim.options.models else None
        if claim.kind is Kind.SCAN:
            (change.scan if change else self._scan)(claim)
        elif claim.kind is Kind.FILES:
            (change.read if change else self._read)(claim)
        else:
            (change.finish if change else self._finish)(claim)

    def _sources(self, claim: Claim, *, must_exist: bool) -> list[LocalSource]:
        place, exclude = self._storage.mounts.place, claim.options.exclude
        return [place(root, must_exist=must_exist, exclude=exclude) for root in claim.roots]

    def _scan(self, claim: Claim) -> None:
        """List folders, note what has vanished or is back, and have the rest read: new files before changed ones."""
        catalog, report = self._storage.catalog, IngestReport()
        start = perf_counter()
        with self._storage.backend.adding():
            todo = Scan(self._storage, report, _AGAIN).to_do(self._sources(claim, must_exist=True))
        settings = self._library.settings
        catalog.start_run(claim.roots, settings.detector, settings.embedder, "workers", claim.work_id)
        report.seconds = perf_counter() - start
        waves = [[file for _, file in some] for some in (todo.new, todo.changed)]
        self._batches.listed(claim, waves, BATCH_FILES, report.document())

    def _read(self, claim: Claim) -> None:
        """Find the faces of some files. Nothing is read again that was done before, by whomever."""
        catalog, report = self._storage.catalog, IngestReport()
        start = perf_counter()
        with self._storage.backend.adding(), self._storage.models.shared() as models:
            check_versions(models.settings)
            states = catalog.states_of(claim.files)
            files = [one for one in claim.files if not is_same(one, states.get((one.source, one.path)), _AGAIN)]
            report.unchanged = len(claim.files) - len(files)
            if not files:
                with catalog.transaction() as connection:
                    self._batches.done(connection, claim, report.document())
                return
            detector = self._detector(models, claim.options.detail)
            report.models = what_ran_where(detector, models.embedder)
            pipeline = Pipeline(detector, models.embedder, Limits(), known_in(catalog, _AGAIN), self._pool)
            report.stages = pipeline.seconds
            store = Store(self._storage, detector, models.embedder, models.name, claim.work_id)

            def also(connection: sa.Connection, stored: Stored) -> None:
                pipeline.seconds["store"] += perf_counter() - began  # but for the commit, which the report is part of
                report.names_lost += stored.names_lost
                report.count(stored.items, stored.twice)
                if not stored.lost:
                    report.seconds = perf_counter() - start
                    self._batches.done(connection, claim, report.document())

            readers = {name: self._storage.reader(name) for name in {file.source for file in files}}
            while files:
                todo = [(readers[file.source], file) for file in files]
                items = [item for batch in pipeline.run(todo) for item in batch]
                began = perf_counter()
                stored = store.write(items, also)
                pipeline.forget(item.photo_id for item in stored.lost)
                files = [item.file for item in stored.lost]

    @staticmethod
    def _detector(models: ModelSet, detail: Detail) -> Detector:
        if detail == "normal":
            return models.detector
        return load_detector(models.settings.detector, **models.where, detail=detail)

    def _finish(self, claim: Claim) -> None:
        """All files are read: what can be said only then, once."""
        storage = self._storage
        with storage.changing("The end of an ingest"):
            report = IngestReport(stopped=claim.cancelled)
            sources = self._sources(claim, must_exist=False)

            def seen(name: str, path: bytes) -> bool:
                return any(one.name == name and one.holds(path) and not one.gone(path) for one in sources)

            if not claim.cancelled:
                report.missing = mark_moved(storage, sources, seen)
            if storage.catalog.people.assign_due and storage.catalog.people.person_ids():
                report.assigned = self._library.people.assign().assigned

            def summed(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
                for document in documents:
                    part = IngestReport.from_document(document)
                    report.add(part)
                    report.models = report.models or part.models
                report.seconds = (datetime.now(UTC) - claim.queued_at).total_seconds()
                return report.document()

            storage.catalog.work.finish(self._batches, claim, summed)
            storage.catalog.finish_run(claim.work_id, report_of_run(report))
            storage.tidy_up()
        logger.info("Work {}: {}", claim.work_id, "; ".join(report._numbers()))  # noqa: SLF001 - our own report
