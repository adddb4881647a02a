"""From files to records: read ahead in threads, decode in processes, detect and embed here, in order and in batches."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from facekit.catalog.records import FaceRecord, PhotoRecord, face_id, unread_photo_id
from facekit.errors import PhotoError, SourceError
from facekit.images.decode import turned_thumbnail
from facekit.images.files import Limits, content_id
from facekit.images.orientation import common_turn
from facekit.images.preparation import Prepared, prepare
from facekit.models.alignment import align
from facekit.models.quality import assess, quality_score
from facekit.models.vectors import good_embeddings
from facekit.system.threads import Threads
from facekit.system.waiting import finished, result_of
from facekit.system.workers import Failed, Task, WorkerPool
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    from facekit.catalog import Catalog
    from facekit.models.protocols import Detector, Embedder
    from facekit.sources import Source
    from facekit.types.arrays import Detections, FloatArray, Quality
    from facekit.types.photos import DecodedPhoto, FoundFile, PhotoFacts, PlaceFacts

STAGES = ("read", "decode", "detect", "embed", "store")

_BATCH_PHOTOS = 16
_BATCH_PIXELS = 24_000_000  # 72 MB of pixels: eight photos at the detector's usual working size
_READERS = 2  # threads that read and hash files: enough to hide a slow disk, few enough to bound memory


T = TypeVar("T")

Outcome: TypeAlias = tuple[Status, str | None]
"""What became of a content: its status, and the reason where it could not be used."""


def known_in(catalog: Catalog, again: Collection[Status]) -> Callable[[str], Outcome | None]:
    """What a `Pipeline` asks for contents that a catalog knows; those with one of some statuses are made again."""

    def known(photo_id: str) -> Outcome | None:
        found = catalog.statuses([photo_id]).get(photo_id)
        return None if found is None or found[0] in again else found

    return known


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """The faces of a photo, in pixels of a picture of it of some size, with what the embedder wants to see of them."""

    faces: Detections
    crops: npt.NDArray[np.uint8]
    qualities: list[Quality]
    width: int
    height: int
    scale: float

    def shows_small(self, size: float) -> bool:
        """Whether the photo was reduced and shows a face of fewer pixels than this on its longer side."""
        return self.scale < 1 and bool((self.faces.boxes[:, 2:].max(axis=1) < size).any())


@dataclass(slots=True, eq=False)
class Item:
    """A file on its way through the pipeline. When it leaves, it has a `record` or its content was known."""

    source: Source
    file: FoundFile
    photo_id: str
    data: bytes | None = None  # what is to be decoded; an empty file is decoded too, to be refused
    error: PhotoError | None = None
    prepared: Prepared | None = None
    record: PhotoRecord | None = None
    status: Status = Status.OK  # of its content, when it leaves
    reason: str | None = None

    @property
    def thumbnail(self) -> bytes | None:
        """JPEG, the people in it upright, or None for a photo that could not be decoded."""
        if self.prepared is None:
            return None
        return turned_thumbnail(self.prepared.thumbnail, self.record.turn if self.record else 0)


class Pipeline:
    """Turns files into records.

    Parameters
    ----------
    detector, embedder : Detector, Embedder
        The models.
    limits : Limits
        The largest file and picture that are accepted.
    known : callable
        Status and reason of a content that needs no work, by its id; None for one that does.
    pool : WorkerPool, optional
        The processes that decode; by default some for each run.
    photo_with : callable, optional
        The photo that bytes with a hash are, see `PlaceFacts`: they are not fetched once more.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        limits: Limits,
        known: Callable[[str], Outcome | None],
        pool: WorkerPool | None = None,
        photo_with: Callable[[str], str | None] = lambda _content: None,
    ) -> None:
        self._detector = detector
        self._embedder = embedder
        self._limits = limits
        self._known = known
        self._pool = pool
        self._photo_with = photo_with
        self._contents_lock, self._content_locks = Lock(), dict[str, Lock]()
        self._contents: dict[str, str] = {}  # photos by the hashes that places said of them, in this run
        self._met: dict[str, Outcome] = {}
        self.seconds = dict.fromkeys(STAGES, 0.0)

    def run(self, files: Iterable[tuple[Source, FoundFile]]) -> Generator[list[Item]]:
        """Yield finished files in batches, in the order they came in."""
        with nullcontext(self._pool) if self._pool else WorkerPool() as pool:
            for batch in _batches(self._decoded(files, pool)):
                self._recognise([item for item in batch if item.prepared], pool)
                for item in batch:
                    if item.error:
                        item.record = PhotoRecord(item.photo_id, item.error.status, item.error.reason, item.file.size)
                    if item.record:
                        self._met[item.photo_id] = (item.record.status, item.record.reason)
                    item.status, item.reason = self._met[item.photo_id]
                    item.data = None
                finished()
                yield batch

    def forget(self, photo_ids: Iterable[str]) -> None:
        """Of some contents it is not known any more what became of them: they are asked for again, or made again."""
        for photo_id in photo_ids:
            self._met.pop(photo_id, None)

    def _is_known(self, photo_id: str) -> bool:
        if photo_id not in self._met and (found := self._known(photo_id)):
            self._met[photo_id] = found
        return photo_id in self._met

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds spent inside to a stage."""
        start = perf_counter()
        yield
        self.seconds[stage] += perf_counter() - start

    def _read(self, source: Source, file: FoundFile) -> tuple[Item, float]:
        start = perf_counter()
        content = file.facts.content if file.facts else None
        if content is None:
            return self._fetched(source, file), perf_counter() - start
        with self._contents_lock:
            alone = self._content_locks.setdefault(content, Lock())
        with alone:  # of equal files, the second one waits, and need not be fetched
            known = self._contents.get(content) or self._photo_with(content)
            if known and (content in self._contents or self._is_known(known)):
                return Item(source, file, known), perf_counter() - start
            item = self._fetched(source, file)
            if item.error is None:
                self._contents[content] = item.photo_id
        return item, perf_counter() - start

    def _fetched(self, source: Source, file: FoundFile) -> Item:
        try:
            data = source.read(file, self._limits)
        except PhotoError as error:
            return Item(source, file, unread_photo_id(file.source, file.path), error=error)
        if file.facts:  # a place may not say how large its files are
            file = replace(file, size=len(data))
        return Item(source, file, content_id(data), data)

    def _decoded(self, files: Iterable[tuple[Source, FoundFile]], pool: WorkerPool) -> Iterator[Item]:
        waiting: deque[Item] = deque()  # all files in their order; those with `data` are with the workers

        def tasks() -> Iterator[tuple[bytes, str, int | None, Limits]]:
            for item, seconds in self._read_ahead(files):
                self.seconds["read"] += seconds
                if item.data is None and item.error is None and not self._is_known(item.photo_id):
                    item = self._fetched(item.source, item.file)  # noqa: PLW2901 - its equal comes later, or was lost
                if item.data is not None and self._is_known(item.photo_id):
                    item.data = None
                waiting.append(item)
                if item.data is not None:
                    # Known from now on: a second file with this content comes later in the same order.
                    self._met[item.photo_id] = (Status.OK, None)
                    yield item.data, item.file.display, self._detector.max_side, self._limits

        ended: list[SourceError] = []
        for result in pool.imap(prepare, _until_ended(tasks(), ended), window=2 * pool.workers + 1, what=_decoding):
            while waiting[0].data is None:
                yield waiting.popleft()
            item = waiting.popleft()
            if isinstance(result, Failed):
                item.error = _photo_error(result.error, item.file)
            else:
                item.prepared = result.value
                self.seconds["decode"] += result.value.seconds
            yield item
        yield from waiting
        _end(ended)

    def _read_ahead(self, files: Iterable[tuple[Source, FoundFile]]) -> Iterator[tuple[Item, float]]:
        ahead: deque[tuple[FoundFile, Future[tuple[Item, float]]]] = deque()

        def first() -> tuple[Item, float]:
            file, future = ahead.popleft()
            return result_of(future, f"the disk: reading {file.display}", "Check that the disk is well and connected.")

        with Threads(_READERS, "facekit-reader") as readers:
            for source, file in files:
                ahead.append((file, readers.submit(self._read, source, file)))
                if len(ahead) > _READERS:
                    yield first()
            while ahead:
                yield first()

    def _recognise(self, items: Sequence[Item], pool: WorkerPool) -> None:
        """Detect and embed the faces of a batch and write the records."""
        if not items:
            return
        photos = [_prepared(item).photo for item in items]
        with self.timed("detect"):
            found = self._detector.detect([photo.image for photo in photos])
        with self.timed("embed"):
            looks = [self._look(photo, faces) for photo, faces in zip(photos, found, strict=True)]
        self._look_closer(items, looks, pool)
        with self.timed("embed"):
            vectors = self._embedder.embed(np.concatenate([look.crops for look in looks]))
            start = 0
            for item, look in zip(items, looks, strict=True):
                item.record = self._record(item, look, vectors[start : start + len(look.faces)])
                start += len(look.faces)

    def _look(self, photo: DecodedPhoto, faces: Detections) -> _Look:
        height, width = photo.image.shape[:2]
        crops = self._embedder.align(photo.image, faces)
        # Always measured on the same crops, whatever the embedder looks at: so the minima mean the same.
        qualities = assess(align(photo.image, faces.landmarks), faces, scale=photo.scale)
        return _Look(faces, crops, qualities, width, height, photo.scale)

    def _look_closer(self, items: Sequence[Item], looks: list[_Look], pool: WorkerPool) -> None:
        """Look again, larger, at reduced photos that show small faces, as group photos do."""
        for side in self._detector.closer_sides:
            again = [position for position, look in enumerate(looks) if look.shows_small(self._detector.small_face)]
            tasks = [(items[position].data, items[position].file.display, side, self._limits) for position in again]
            for position, result in zip(again, pool.imap(prepare, tasks, window=2, what=_decoding), strict=True):
                if isinstance(result, Failed):  # what the reduced photo showed is still good
                    continue
                photo = result.value.photo
                self.seconds["decode"] += result.value.seconds
                with self.timed("detect"):
                    faces = self._detector.detect([photo.image], closely=True)[0]
                with self.timed("embed"):
                    looks[position] = self._look(photo, faces)

    def _record(self, item: Item, look: _Look, vectors: FloatArray) -> PhotoRecord:
        relative = look.faces.scaled(1 / look.width, 1 / look.height)
        good = good_embeddings(vectors, self._embedder.dimension)
        records = {}
        for index, measured in enumerate(look.qualities):
            x, y, w, h = (float(value) for value in relative.boxes[index])
            unusable = not good[index] and measured.usable
            quality = replace(measured, reason="the embedder gave no usable vector") if unusable else measured
            key = face_id(item.photo_id, self._detector.name, (x, y, w, h))
            records[key] = FaceRecord(
                key,
                (x, y, w, h),
                relative.landmarks[index],
                quality,
                quality_score(quality),
                vectors[index] if good[index] else None,
            )
        status = Status.OK if records else Status.NO_FACE
        facts = completed(_prepared(item).photo.facts, item.file.facts)
        # Good faces decide; without any, poor ones.
        turn = common_turn((face.quality_score + face.quality.usable, face.quality.roll) for face in records.values())
        return PhotoRecord(item.photo_id, status, None, item.file.size, facts, tuple(records.values()), turn)


def completed(facts: PhotoFacts, said: PlaceFacts | None) -> PhotoFacts:
    """What a photo's header says, and where it is silent, what the place says that it comes from."""
    if said is None:
        return facts
    here = facts if facts.latitude is not None else said
    taken_at = facts.taken_at or said.taken_at
    return replace(facts, taken_at=taken_at, latitude=here.latitude, longitude=here.longitude)


def _decoding(task: Task) -> str:
    return f"the decoding of {task[1]}"


def _prepared(item: Item) -> Prepared:
    if item.prepared is None:
        message = f"{item.file.display} was not decoded"
        raise AssertionError(message)
    return item.prepared


def _photo_error(error: BaseException, file: FoundFile) -> PhotoError:
    if isinstance(error, PhotoError):
        return error
    return PhotoError(Status.CORRUPT, f"{file.display}: {error}")


def _until_ended(items: Iterable[T], ended: list[SourceError]) -> Iterator[T]:
    """What comes before a place can't be read any further is finished; then `_end` says so."""
    try:
        yield from items
    except SourceError as error:
        ended.append(error)


def _end(ended: Sequence[SourceError]) -> None:
    for error in ended:
        raise error


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    pixels = 0
    ended: list[SourceError] = []
    for item in _until_ended(items, ended):
        batch.append(item)
        if item.prepared:
            pixels += item.prepared.photo.image.size // 3
        if len(batch) >= _BATCH_PHOTOS or pixels >= _BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch
    _end(ended)
