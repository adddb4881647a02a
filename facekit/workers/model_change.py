"""A change of models by many processes: photos are listed, their faces made by whoever is there, and the switch."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.catalog.batches import CancelledError
from facekit.catalog.rows import PhotoRow
from facekit.errors import FacekitError, LibraryBusyError
from facekit.ingest.new_faces import GOOD, NewFaces, found
from facekit.ingest.new_models import NewModels
from facekit.ingest.reembed import Reembed
from facekit.ingest.reembed_report import ReembedReport
from facekit.ingest.report import Failure
from facekit.sources import LocalSource
from facekit.sources.mounts import display_of
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import sqlalchemy as sa

    from facekit.catalog.batches import Batches
    from facekit.catalog.records import PhotoRecord
    from facekit.catalog.rows import FileRow
    from facekit.storage.storage import Storage
    from facekit.system.workers import WorkerPool
    from facekit.types.photos import FoundFile
    from facekit.types.work import Claim

_MOST_AT_THE_END = 64
"""Photos that the last batch makes itself, ours: where others add photos all the time, it comes to an end so."""


class ModelChange:
    """Does the batches of a change of models, for a library that is open.

    Parameters
    ----------
    storage : Storage
        What is open of it.
    batches : Batches
        Where batches are written off.
    pool : WorkerPool
        The processes that decode.
    size : int
        Photos in a batch.
    """

    def __init__(self, storage: Storage, batches: Batches, pool: WorkerPool, size: int) -> None:
        self._storage, self._catalog, self._batches = storage, storage.catalog, batches
        self._pool, self._size = pool, size

    def unseen(self, claim: Claim) -> str:
        """What a batch needs and this machine has not: models of these versions, a folder; empty where it has all."""
        try:
            models = self._models(claim)
            if models.settings.models != claim.options.models:
                return claim.options.words
            if claim.files:
                models.detector, models.embedder  # noqa: B018 - their weights may not be here, nor what reads them
        except FacekitError as error:
            logger.warning("{}", error)
            return claim.options.words
        return next(filter(None, map(self._unseen_folder, self._there(claim.files))), "")

    def _models(self, claim: Claim) -> NewModels:
        named, detail = claim.options.models, claim.options.detail
        return NewModels(self._storage, named["detector"], named["embedder"], detail)

    def _there(self, files: Sequence[FoundFile]) -> list[FoundFile]:
        """Those of some files that the library has, and does not take for vanished."""
        states = self._catalog.states_of(files)
        return [one for one in files if (state := states.get((one.source, one.path))) and not state.missing]

    def _unseen_folder(self, file: FoundFile) -> str:
        """The folder of a file that is not there for this machine; empty where it is, though the file may be gone."""
        mounts = self._storage.mounts
        if file.facts is not None:  # of a connected place, which every machine reaches
            return ""
        if file.source != LocalSource.name:
            return "" if mounts.has(file.source) else display_of(file.source, b"")
        if os.path.lexists(file.path):
            return ""
        for root in self._roots():
            if root.name == file.source and root.holds(file.path):
                folder = Path(os.fsdecode(root.path))
                folder = folder.parent if root.path == file.path else folder
                try:
                    return "" if any(folder.iterdir()) else root.root
                except OSError:
                    return root.root
        return ""

    def _roots(self) -> list[LocalSource]:
        return [self._storage.mounts.place(root, must_exist=False) for root in self._catalog.roots()]

    # -- listing -------------------------------------------------------------------------------------------------

    def scan(self, claim: Claim) -> None:
        """List the photos whose faces are not made yet."""
        with self._storage.backend.adding():
            run = Reembed(self._storage, models := self._models(claim))
            left = [] if models.in_use else run.left()[0]
            groups = self._groups(self._catalog.places({row.photo_id for row in left}))
            self._batches.read_first(claim, groups, self._size, {"discarded": run.report.discarded})

    def _groups(self, places: Mapping[str, Sequence[FileRow]]) -> list[list[FoundFile]]:
        """A file of each photo, by the folder that was ingested: a machine sees all of it, or nothing."""
        roots = self._roots()

        def root_of(file: FoundFile) -> tuple[str, str]:
            held = (one.root for one in roots if one.name == file.source and one.holds(file.path))
            return file.source, next(held, "")

        files = [self._one_of(rows) for rows in places.values()]
        files.sort(key=lambda file: (root_of(file), file.display))
        return [list(some) for _, some in groupby(files, root_of)]

    def _one_of(self, rows: Sequence[FileRow]) -> FoundFile:
        """The first of a photo's files that is there for this machine, or else the first."""
        files = [found(row) for row in rows]
        if len(files) == 1:
            return files[0]
        here = (self._storage.mounts.file(file.source, file.path) for file in files)
        seen = (file for file, path in zip(files, here, strict=True) if path is not None and os.path.lexists(path))
        return next(seen, files[0])

    # -- making faces --------------------------------------------------------------------------------------------

    def read(self, claim: Claim) -> None:
        """Make the faces of some photos, beside those that the library has. None is made twice."""
        start = perf_counter()
        with self._storage.backend.adding():
            models, staging = self._models(claim), self._catalog.staging
            files = {} if models.in_use else self._photos_in(claim.files)
            if files and not staging.join(models.made_for):
                staging.begin(models.made_for)  # what was made was thrown away after the work had been given up
            todo = files.keys() - staging.done(list(files))
            made: list[PhotoRecord] = []
            faces = NewFaces(self._storage, models, self._catalog.rows(PhotoRow, todo), made.extend, pool=self._pool)
            faces.make(self._catalog.places(todo))
            lost = [(files[key], why.status.value, why.reason) for key, why in sorted(faces.lost.items())]

            def also(connection: sa.Connection) -> None:
                self._batches.done(connection, claim, {"photos": len(made), "seconds": perf_counter() - start})
                self._batches.give_up(connection, claim, lost)

            if not todo:
                with self._catalog.transaction() as connection:
                    also(connection)
                return
            staging.save(made, detector=models.detector.name, embedder=models.embedder.name, also=also)

    def _photos_in(self, files: Sequence[FoundFile]) -> dict[str, FoundFile]:
        """The photos that files hold, by id, but for those that could not be read when they were met."""
        states = self._catalog.states_of(files)
        there = [(states.get((one.source, one.path)), one) for one in files]
        return {state.photo_id: file for state, file in there if state and state.status in GOOD}

    # -- the end -------------------------------------------------------------------------------------------------

    def finish(self, claim: Claim) -> None:
        """Have what was added meanwhile made, too; then switch, unless photos could not be read."""
        storage = self._storage
        with storage.changing("A change of models"):
            run = Reembed(storage, models := self._models(claim), skip=claim.options.skip_unreadable)
            try:
                if claim.cancelled:
                    run.report.stopped = True
                elif run.begin() and not self._switched(run, claim):
                    return
            except CancelledError:
                run.report.stopped = True
            except storage.backend.away as error:
                self._batches.put_back(claim, error.message)
                raise LibraryBusyError(error.message, error.remedy) from error
            problem = ""
            if not run.report.switched and not run.report.stopped:
                lost = f"{len(run.lost)} photo{'' if len(run.lost) == 1 else 's'}"
                problem = f"{lost} could not be read; the library uses {models.before} as before"
            report = run.report
            if report.switched_before and (kept := self._batches.kept(claim)):  # by a process that died after it
                report = ReembedReport.from_dict(kept)
            self._catalog.work.finish(self._batches, claim, lambda said: _summed(report, said, claim), problem)
        logger.info("Work {}: {}", claim.work_id, "; ".join(report._lines()))  # noqa: SLF001 - our own report

    def _switched(self, run: Reembed, claim: Claim) -> bool:
        """Switch, if that can be; False where photos are to be made first, by whomever."""
        left = {row.photo_id: row for row in run.left()[0]}
        run.lost = {key: why for key, why in self._given_up(claim).items() if key in left}
        rest = [row for key, row in left.items() if key not in run.lost]
        places = self._catalog.places({row.photo_id for row in rest})
        files = [self._one_of(rows) for rows in places.values()]
        if len(rest) > _MOST_AT_THE_END or any(map(self._unseen_folder, self._there(files))):
            self._batches.read_first(claim, self._groups(places), self._size, {})
            return False
        if rest:
            run.make(rest, places, pool=self._pool)
        new = [(found(places[key][0]), why.status.value, why.reason) for key, why in run.lost.items() if key in places]
        with self._catalog.transaction() as connection:
            self._batches.keep(connection, claim, {})
            self._batches.give_up(connection, claim, new)

        def also(connection: sa.Connection, report: ReembedReport) -> None:
            self._batches.keep(connection, claim, report.to_dict())

        run.switch(also)
        return True

    def _given_up(self, claim: Claim) -> dict[str, Failure]:
        """The photos of the work that can't be read, by id, and why; not those whose files hold others by now."""
        dead = self._batches.given_up(claim.work_id)
        states = self._catalog.states_of([file for file, _, _ in dead])
        return {
            state.photo_id: Failure(file.display, Status(status or Status.IO_ERROR), why)
            for file, status, why in dead
            if (state := states.get((file.source, file.path))) and state.is_of(file)
        }


def _summed(report: ReembedReport, said: Sequence[dict[str, Any]], claim: Claim) -> dict[str, Any]:
    """The report of the whole, from that of the end, and what the batches said, and the end before if there was one."""
    before = next((one for one in said if one.get("switched")), None)
    if before is not None:
        return before
    report.photos += sum(one.get("photos", 0) for one in said)
    report.discarded += sum(one.get("discarded", 0) for one in said)
    report.seconds = (datetime.now(UTC) - claim.queued_at).total_seconds()
    return report.to_dict()
