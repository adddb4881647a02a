"""Faces that other models find in photos of a library, made anew from the files."""

from __future__ import annotations

from contextlib import closing
from itertools import count
from threading import Event
from typing import TYPE_CHECKING

from facekit.images.decode import turned_thumbnail
from facekit.images.files import Limits
from facekit.ingest.pipeline import Pipeline, known_in
from facekit.ingest.report import Failure
from facekit.ingest.run import store_batches
from facekit.ingest.store import FREE_BYTES
from facekit.types.photos import FoundFile, PlaceFacts, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from facekit.catalog.records import PhotoRecord
    from facekit.catalog.rows import FileRow, PhotoRow
    from facekit.ingest.new_models import NewModels
    from facekit.ingest.pipeline import Item
    from facekit.storage.storage import Storage
    from facekit.system.workers import WorkerPool

GOOD = frozenset({Status.OK, Status.NO_FACE})
"""Photos whose faces other models are to make, too; the others could not be read when they were met."""


class NewFaces:
    """Makes the faces of some photos, and has them kept beside those that the library has.

    Parameters
    ----------
    storage : Storage
        The library.
    models : NewModels
        The models.
    photos : sequence of PhotoRow
        The photos.
    save : callable
        Keeps photos with their new faces.
    stop : threading.Event, optional
        Set, it stops the making by `KeyboardInterrupt`; what is made is kept.
    pool : WorkerPool, optional
        The processes that decode; by default some of its own.

    Attributes
    ----------
    left : set of str
        Ids of the photos whose faces are not made.
    lost : dict of str to Failure
        Those of them that could not be read, and why.
    """

    def __init__(
        self,
        storage: Storage,
        models: NewModels,
        photos: Sequence[PhotoRow],
        save: Callable[[list[PhotoRecord]], None],
        *,
        stop: Event | None = None,
        pool: WorkerPool | None = None,
    ) -> None:
        self._catalog, self._blobs, self._backend = storage.catalog, storage.blobs, storage.backend
        self._reader, self._save, self._stop = storage.reader, save, stop or Event()
        self.left = {row.photo_id for row in photos}
        self.lost: dict[str, Failure] = {}
        # What the library took once is not too large now.
        limits = Limits(
            max([Limits().max_bytes, *(row.bytes for row in photos)]),
            max([Limits().max_pixels, *((row.width or 0) * (row.height or 0) for row in photos)]),
        )
        wanted, known = frozenset(self.left), known_in(storage.catalog, ())
        self._pipeline = Pipeline(
            models.detector, models.embedder, limits, lambda key: None if key in wanted else known(key), pool
        )

    def make(
        self, places: Mapping[str, Sequence[FileRow]], advance: Callable[[int], None] = lambda _photos: None
    ) -> None:
        """Make the faces of the photos; those that can't be read are in `lost` afterwards.

        Parameters
        ----------
        places : mapping of str to sequence of FileRow
            Where the photos lie, by id. One that can't be read at one place is looked for at the next.
        advance : callable
            Told how many more photos are made.
        """
        for number in count():
            todo = [places[key][number] for key in self.left if number < len(places.get(key, ()))]
            if not todo:
                break
            self._read(sorted(todo, key=lambda row: row.display), advance)
        for key in self.left - self.lost.keys():  # a photo is made or lost, whatever happened
            name = next((row.display for row in places.get(key, ())), key)
            self.lost[key] = Failure(name, Status.IO_ERROR, f"{name} could not be read")

    def _read(self, rows: Sequence[FileRow], advance: Callable[[int], None]) -> None:
        sources = {name: self._reader(name) for name in {row.source for row in rows}}
        files = [found(row) for row in rows]
        expected = {(file.source, file.path): row.photo_id for file, row in zip(files, rows, strict=True)}

        def store(items: Sequence[Item]) -> None:
            advance(self._store(items, expected))

        with closing(self._pipeline.run([(sources[file.source], file) for file in files])) as batches:
            store_batches(batches, store, self._stop)

    def _store(self, items: Sequence[Item], expected: Mapping[tuple[str, bytes], str]) -> int:
        """Keep what was made beside what the library has; returns how many photos that were."""
        self._backend.check_room(FREE_BYTES)
        records: dict[str, PhotoRecord] = {}
        lost: dict[str, Failure] = {}
        for item in items:
            file, wanted = item.file, expected[item.file.source, item.file.path]
            if item.error is None and item.record is not None and item.photo_id in self.left:
                records[item.photo_id] = item.record
                if item.prepared and not self._blobs.has(item.photo_id):
                    turn = self._catalog.turns([item.photo_id]).get(item.photo_id, 0)
                    self._blobs.put({item.photo_id: turned_thumbnail(item.prepared.thumbnail, turn)})
            if item.error is not None:  # of the photo that was looked for here, or of the one that was found here
                failed = Failure(file.display, item.error.status, item.error.reason)
                lost |= dict.fromkeys((wanted, item.photo_id), failed)
            elif item.photo_id != wanted:
                reason = f"{file.display} was changed since it was ingested"
                lost[wanted] = Failure(file.display, Status.MISSING, reason)
        self._save(list(records.values()))
        self.left -= records.keys()
        # A photo may be found at several places: it is lost only while it was made at none of them.
        self.lost = {key: why for key, why in (self.lost | lost).items() if key in self.left}
        return len(records)


def found(row: FileRow) -> FoundFile:
    """A file as a source lists it, from its row."""
    facts = None if row.version is None else PlaceFacts(row.version)
    return FoundFile(row.source, row.path, row.display, row.bytes, row.mtime_ns, facts)
