"""Another detector or embedder for a library: its faces made again from the photos, beside those that it has."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, current_thread, main_thread
from time import perf_counter
from typing import TYPE_CHECKING

from loguru import logger

from facekit.catalog.rows import PhotoRow
from facekit.catalog.staging import Bound
from facekit.catalog.tables import faces, staged_faces
from facekit.images.boxes import match_faces
from facekit.images.thumbnails import turn_thumbnails
from facekit.ingest.new_faces import GOOD, NewFaces
from facekit.ingest.progress import show_progress
from facekit.ingest.reembed_report import Alone, ReembedReport
from facekit.ingest.store import FREE_BYTES
from facekit.storage.backend import new_vectors
from facekit.storage.models_in_use import ModelSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from facekit.catalog import IndexRow
    from facekit.catalog.records import PhotoRecord
    from facekit.catalog.rows import FileRow
    from facekit.ingest.new_models import NewModels
    from facekit.ingest.progress import Progress
    from facekit.ingest.report import Failure
    from facekit.storage.storage import Storage
    from facekit.system.workers import WorkerPool
    from facekit.types.photos import Box


class Reembed:
    """One run. Nothing that searches see changes until all is made; then all of it changes in one step.

    Parameters
    ----------
    storage : Storage
        The library: its photos, its new faces beside the old ones, and the models in use, which the switch replaces.
    models : NewModels
        The models to change to.
    stop : threading.Event, optional
        Set, it stops the run as Ctrl-C does.
    skip : bool, optional
        Switch although some photos could not be read.

    Attributes
    ----------
    report : ReembedReport
        What it has done so far.
    lost : dict of str to Failure
        The photos that can't be read, by id.
    """

    def __init__(self, storage: Storage, models: NewModels, *, stop: Event | None = None, skip: bool = False) -> None:
        self._storage, self._models = storage, models
        self._catalog, self._in_use, self._backend = storage.catalog, storage.models, storage.backend
        self._stop = stop or Event()
        self._skip = skip
        self.lost: dict[str, Failure] = {}
        self.report = ReembedReport(models.before, models.settings.words, again=models.again)
        self.report.faces_before = self.report.faces_after = int(self._catalog.counts()["faces"])

    def run(self, progress: Progress) -> ReembedReport:
        """Make the faces that are not made yet, and switch. Ctrl-C stops it; what is done is kept.

        Raises
        ------
        LibraryBusyError
            If workers are at such a run.
        FacekitError
            If a model's weights are not to be had.
        """
        start = perf_counter()
        self._catalog.refuse_while_models_change()
        self._models.detector, self._models.embedder  # noqa: B018 - opened before anything is changed
        try:
            if self.begin():
                self._make(progress)
                self.switch()
        except KeyboardInterrupt:
            self.report.stopped = not self.report.switched
        finally:
            self.report.seconds = perf_counter() - start
            logger.info("Re-embedding: {}", "; ".join(self.report._lines()))  # noqa: SLF001 - our own report
        return self.report

    def begin(self) -> bool:
        """Whether there is anything to do: not where the library has the models. What is of no use any more goes."""
        self._backend.forget_other_indexes(self._in_use.now.name)
        if not self._models.in_use:
            return True
        self.report.switched_before = self._catalog.staging.bound is not None
        self._discarded(self._catalog.staging.clear())
        self.report.switched = True
        return False

    def left(self) -> tuple[list[PhotoRow], int]:
        """The photos whose faces are not made, and how many others there are."""
        good = [row for row in self._catalog.rows(PhotoRow) if row.status in GOOD]
        done, discarded = self._catalog.staging.begin(self._models.made_for)
        self._discarded(discarded)
        left = [row for row in good if row.photo_id not in done]
        return left, len(good) - len(left)

    def _discarded(self, count: int) -> None:
        self.report.discarded = count
        if count:
            logger.warning("What a stopped run made of {} photos with other models is thrown away", count)

    def _make(self, progress: Progress) -> None:
        left, done = self.left()
        with show_progress(len(left) + done, progress, "reembed") as advance:
            advance(done)
            self.make(left, self._catalog.places({row.photo_id for row in left}), advance)

    def make(
        self,
        photos: Sequence[PhotoRow],
        places: Mapping[str, Sequence[FileRow]],
        advance: Callable[[int], None] = lambda _photos: None,
        pool: WorkerPool | None = None,
    ) -> None:
        """Make the faces of photos; those that can't be read are in `lost` afterwards. See `NewFaces`."""
        detector, embedder = self._models.detector.name, self._models.embedder.name

        def save(records: list[PhotoRecord]) -> None:
            self._catalog.staging.save(records, detector=detector, embedder=embedder)
            self.report.photos += len(records)

        faces = NewFaces(self._storage, self._models, photos, save, stop=self._stop, pool=pool)
        faces.make(places, advance)
        self.lost |= faces.lost

    # -- the switch ----------------------------------------------------------------------------------------------

    def switch(self, also: Callable[[sa.Connection, ReembedReport], None] = lambda _connection, _report: None) -> None:
        """Switch, if all photos could be read, or those that could not are to be left without faces.

        ``also`` is what else is part of the transaction; it gets the report as it is afterwards.
        """
        self.report.unreadable = sorted(self.lost.values(), key=lambda one: one.path)
        if self._skip or not self.lost:
            with _interrupts_set(self._stop):  # Ctrl-C, however often, can't cut a switch in two
                self._switch(also)

    def _switch(self, also: Callable[[sa.Connection, ReembedReport], None]) -> None:
        """Make the index and match the faces, then change everything at once."""
        self._backend.check_room(FREE_BYTES)
        catalog, settings = self._catalog, self._models.settings
        name, turns = new_vectors(), catalog.turns()
        models = ModelSet(settings, self._backend, name, **self._models.where)
        try:
            models.index.upsert(self._rows())
            pairs, alone = self._matched()
            catalog.staging.carry(pairs)
            self._go_on()
            report = self._report_of(len(pairs), alone)
            with self._in_use.alone():
                unread = {key: f"{one.reason} (when the models were changed)" for key, one in self.lost.items()}
                catalog.staging.switch(Bound(settings.models, name), unread, lambda now: also(now, report))
                # It is done: whatever happens from here on, opening the library finishes it.
                old, self._in_use.now = self._in_use.now, models
        except BaseException:
            if self._in_use.now is not models:
                models.discard()
            raise
        self.report = report
        turn_thumbnails(self._storage.blobs, turns, catalog.turns())
        self._backend.write_settings(settings)
        catalog.staging.clear()
        old.discard()

    def _report_of(self, matched: int, alone: list[Alone]) -> ReembedReport:
        """What is said when the switch is made."""
        new = sum(one.which == "new" for one in alone)
        old = self._in_use.now.settings
        return replace(
            self.report,
            switched=True,
            matched=matched,
            alone=alone,
            unmatched_old=len(alone) - new,
            unmatched_new=new,
            faces_after=matched + new,
            threshold=old.own_similarity if self._models.settings.own_similarity is None else None,
        )

    def _rows(self) -> Iterator[IndexRow]:
        for row in self._catalog.index_rows(faces=staged_faces):
            self._go_on()
            yield row

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

    def _matched(self) -> tuple[list[tuple[str, str]], list[Alone]]:
        """Which old face is which new one, and the faces without a partner."""
        staging = self._catalog.staging
        old, new = staging.boxes(faces), staging.boxes(staged_faces)
        pairs: list[tuple[str, str]] = []
        left: list[Alone] = []  # with the photo's id instead of its path
        for photo_id in sorted(old.keys() | new.keys()):
            before, after = old.get(photo_id, {}), new.get(photo_id, {})
            both = same_faces(before, after)
            pairs += both.items()
            left += [Alone(photo_id, key, box, "old") for key, box in before.items() if key not in both]
            partners = set(both.values())
            left += [Alone(photo_id, key, box, "new") for key, box in after.items() if key not in partners]
        places = self._catalog.places({one.photo for one in left})
        return pairs, [replace(one, photo=places[one.photo][0].display) for one in left]


def same_faces(old: Mapping[str, Box], new: Mapping[str, Box]) -> dict[str, str]:
    """Old face ids and the new ids of the same faces, from the boxes in one photo; an id in both is one face."""
    found = {key: key for key in old.keys() & new.keys()}
    ours, theirs = ([key for key in boxes if key not in found] for boxes in (old, new))
    for a, b in match_faces([old[key] for key in ours], [new[key] for key in theirs]):
        found[ours[a]] = theirs[b]
    return found


@contextmanager
def _interrupts_set(stop: Event) -> Iterator[None]:
    """Ctrl-C sets ``stop`` and does nothing else. It reaches the main thread only."""
    before = signal.getsignal(signal.SIGINT) if current_thread() is main_thread() else None
    if before is None:  # another thread, or a handler that can't be put back
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
