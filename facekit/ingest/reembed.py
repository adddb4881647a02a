"""Another detector or embedder for a library: its faces made again from the photos, beside those that it has."""

from __future__ import annotations

import signal
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from threading import Event, current_thread, main_thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.catalog.rows import FileRow, PhotoRow
from facekit.catalog.staging import Bound
from facekit.catalog.tables import faces, staged_faces
from facekit.images.boxes import match_faces
from facekit.images.decode import turned_thumbnail
from facekit.images.files import Limits
from facekit.images.thumbnails import turn_thumbnails
from facekit.ingest.pipeline import Pipeline, known_in
from facekit.ingest.progress import show_progress
from facekit.ingest.reembed_report import Alone, ReembedReport
from facekit.ingest.report import Failure
from facekit.ingest.run import store_batches
from facekit.ingest.store import FREE_BYTES
from facekit.models.registry import load_detector, load_embedder
from facekit.storage.backend import new_vectors
from facekit.storage.models_in_use import ModelSet
from facekit.storage.settings import REEMBEDDED, settings_of
from facekit.types.photos import Box, FoundFile, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from facekit.catalog import IndexRow
    from facekit.catalog.records import PhotoRecord
    from facekit.ingest.pipeline import Item
    from facekit.ingest.progress import Progress
    from facekit.storage.settings import Settings
    from facekit.storage.storage import Storage
    from facekit.types.photos import Detail


class Reembed:
    """One run. Nothing that searches see changes until all is made; then all of it changes in one step.

    Parameters
    ----------
    storage : Storage
        The library: its photos, its new faces beside the old ones, and the models in use, which the switch replaces.
    detector, embedder : str, optional
        The models to change to; by default those that it has, in the version that this facekit has.
    detail : {"normal", "fine"} or int
        How closely the detector looks.
    stop : threading.Event, optional
        Set, it stops the run as Ctrl-C does.
    skip : bool, optional
        Switch although some photos could not be read.

    Raises
    ------
    FacekitError
        If there is no such model, or its weights are not to be had.
    """

    def __init__(
        self,
        storage: Storage,
        detector: str | None,
        embedder: str | None,
        *,
        detail: Detail = "normal",
        stop: Event | None = None,
        skip: bool = False,
    ) -> None:
        self._catalog, self._folder, self._in_use = storage.catalog, storage.folder, storage.models
        self._blobs, self._mounts, self._backend = storage.blobs, storage.mounts, storage.backend
        now = storage.models.now
        old, self._where = now.settings, now.where
        wanted = settings_of(detector or old.detector, embedder or old.embedder)
        self._settings = old.with_models(wanted.models, REEMBEDDED)
        look: dict[str, Any] = {} if detail == "normal" else {"detail": detail}
        self._models = (
            load_detector(wanted.detector, **self._where, **look),
            load_embedder(wanted.embedder, **self._where),
        )
        self._made_for = wanted.models | look  # with the same faces as its outcome
        self._stop = stop or Event()
        self._skip = skip
        self._left: set[str] = set()
        self._turns = storage.catalog.turns()
        self._lost: dict[str, Failure] = {}
        self.report = ReembedReport(old.words, self._settings.words, again=_again(wanted, detail))

    def run(self, progress: Progress) -> ReembedReport:
        """Make the faces that are not made yet, and switch. Ctrl-C stops it; what is done is kept."""
        start = perf_counter()
        report = self.report
        report.faces_before = report.faces_after = int(self._catalog.counts()["faces"])
        try:
            self._backend.forget_other_indexes(self._in_use.now.name)
            if self._settings.models == self._in_use.now.settings.models and self._catalog.looked_all_ways:
                report.switched_before = self._catalog.staging.bound is not None
                self._discarded(self._catalog.staging.clear())
                report.switched = True
                return report
            self._make(progress)
            report.unreadable = sorted(self._lost.values(), key=lambda one: one.path)
            if self._skip or not report.unreadable:
                with _interrupts_set(self._stop):  # Ctrl-C, however often, can't cut a switch in two
                    self._switch()
        except KeyboardInterrupt:
            report.stopped = not report.switched
        finally:
            report.seconds = perf_counter() - start
            logger.info("Re-embedding: {}", "; ".join(report._lines()))  # noqa: SLF001 - our own report
        return report

    def _discarded(self, count: int) -> None:
        self.report.discarded = count
        if count:
            logger.warning("What a stopped run made of {} photos with other models is thrown away", count)

    # -- making the faces ----------------------------------------------------------------------------------------

    def _make(self, progress: Progress) -> None:
        """Make the faces of all photos that are not done; those that can't be read are in `_lost` afterwards."""
        rows = self._catalog.rows(PhotoRow)
        good = [row for row in rows if row.status in {Status.OK, Status.NO_FACE}]
        done, discarded = self._catalog.staging.begin(self._made_for)
        self._discarded(discarded)
        self._left = {row.photo_id for row in good} - done
        places = self._catalog.places(self._left)
        # What the library took once is not too large now.
        limits = Limits(
            max([Limits().max_bytes, *(row.bytes for row in good)]),
            max([Limits().max_pixels, *((row.width or 0) * (row.height or 0) for row in good)]),
        )
        left, known = frozenset(self._left), known_in(self._catalog, ())
        pipeline = Pipeline(*self._models, limits, lambda key: None if key in left else known(key))
        with show_progress(len(good), progress, "reembed") as advance:
            advance(len(done))
            for number in count():  # a photo that can't be read at one place is looked for at the next
                todo = [places[key][number] for key in self._left if number < len(places.get(key, ()))]
                if not todo:
                    break
                self._read(sorted(todo, key=lambda row: row.display), pipeline, advance)
        for key in self._left - self._lost.keys():  # a photo is made or lost, whatever happened
            name = next((row.display for row in places.get(key, ())), key)
            self._lost[key] = Failure(name, Status.IO_ERROR, f"{name} could not be read")

    def _read(self, rows: Sequence[FileRow], pipeline: Pipeline, advance: Callable[[int], None]) -> None:
        sources = {name: self._mounts.reader(name) for name in {row.source for row in rows}}
        files = [FoundFile(row.source, row.path, row.display, row.bytes, row.mtime_ns) for row in rows]
        expected = {(file.source, file.path): row.photo_id for file, row in zip(files, rows, strict=True)}

        def store(items: Sequence[Item]) -> None:
            advance(self._store(items, expected))

        with closing(pipeline.run([(sources[file.source], file) for file in files])) as batches:
            store_batches(batches, store, self._stop)

    def _store(self, items: Sequence[Item], expected: Mapping[tuple[str, bytes], str]) -> int:
        """Keep what was made beside what the library has; returns how many photos that were."""
        self._backend.check_room(FREE_BYTES)
        records: dict[str, PhotoRecord] = {}
        lost: dict[str, Failure] = {}
        for item in items:
            file, wanted = item.file, expected[item.file.source, item.file.path]
            if item.error is None and item.record is not None and item.photo_id in self._left:
                records[item.photo_id] = item.record
                if item.prepared and not self._blobs.has(item.photo_id):
                    kept = turned_thumbnail(item.prepared.thumbnail, self._turns.get(item.photo_id, 0))
                    self._blobs.put({item.photo_id: kept})
            if item.error is not None:  # of the photo that was looked for here, or of the one that was found here
                failed = Failure(file.display, item.error.status, item.error.reason)
                lost |= dict.fromkeys((wanted, item.photo_id), failed)
            elif item.photo_id != wanted:
                reason = f"{file.display} was changed since it was ingested"
                lost[wanted] = Failure(file.display, Status.MISSING, reason)
        detector, embedder = self._models
        self._catalog.staging.save(list(records.values()), detector=detector.name, embedder=embedder.name)
        self._left -= records.keys()
        # A photo may be found at several places: it is lost only while it was made at none of them.
        self._lost = {key: why for key, why in (self._lost | lost).items() if key in self._left}
        self.report.photos += len(records)
        return len(records)

    # -- the switch ----------------------------------------------------------------------------------------------

    def _switch(self) -> None:
        """Make the index and match the faces, then change everything at once."""
        self._backend.check_room(FREE_BYTES)
        catalog, report = self._catalog, self.report
        name = new_vectors()
        models = ModelSet(self._settings, self._backend, name, **self._where)
        try:
            models.index.upsert(self._rows())
            pairs, alone = self._matched()
            catalog.staging.carry(pairs)
            self._go_on()
            with self._in_use.alone():
                unread = {key: f"{one.reason} (when the models were changed)" for key, one in self._lost.items()}
                catalog.staging.switch(Bound(self._settings.models, name), unread)
                # It is done: whatever happens from here on, opening the library finishes it.
                old, self._in_use.now = self._in_use.now, models
        except BaseException:
            if self._in_use.now is not models:
                models.discard()
            raise
        report.switched, report.matched, report.alone = True, len(pairs), alone
        report.unmatched_old = sum(one.which == "old" for one in alone)
        report.unmatched_new = len(alone) - report.unmatched_old
        if self._settings.own_similarity is None:
            report.threshold = old.settings.own_similarity
        report.faces_after = int(catalog.counts()["faces"])
        turn_thumbnails(self._blobs, self._turns, catalog.turns())
        self._backend.write_settings(self._settings)
        catalog.staging.clear()
        old.discard()

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


def _again(wanted: Settings, detail: Detail) -> str:
    """The call of a run, in Python and from a shell."""
    named: dict[str, Any] = {"detector": wanted.detector, "embedder": wanted.embedder}
    named |= {} if detail == "normal" else {"detail": detail}
    call = ", ".join(f"{name}={value!r}" for name, value in named.items()).replace("'", '"')
    return f"lib.reembed({call}) or facekit reembed {' '.join(f'--{name} {value}' for name, value in named.items())}"


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
