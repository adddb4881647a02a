"""A library in one folder: DuckDB and Milvus Lite, which one process owns while it has the library open."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from loguru import logger

from facekit.catalog import open_catalog
from facekit.catalog.people_copy import COPY
from facekit.errors import LibraryBusyError, LibraryError, VectorIndexError
from facekit.images.blobs import THUMBNAILS, FolderBlobs
from facekit.index import MilvusIndex
from facekit.storage.backend import VECTORS, Look, Opened
from facekit.storage.backup import write_backup
from facekit.storage.job_rows import forget_in_jobs
from facekit.storage.lock import OwnerLock
from facekit.storage.logs import log_into, remove_sink
from facekit.storage.repair import refuse_lost_catalog
from facekit.storage.settings import FILE, REEMBEDDED, new_settings, read_settings, write_settings
from facekit.system.disk_space import check_room
from facekit.system.permissions import protect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager, ExitStack
    from pathlib import Path

    from facekit.catalog import Catalog
    from facekit.errors import FacekitError
    from facekit.images.blobs import Blobs
    from facekit.storage.settings import Settings

_LOW_DISK = 2 * 2**30


class Embedded:
    """See `Backend`. Everything lies in the folder.

    Parameters
    ----------
    folder : Path
        The library's folder; it need not be there.
    """

    away: tuple[type[FacekitError], ...] = ()
    broker = ""
    work = None

    def __init__(self, folder: Path) -> None:
        self.folder = self.service = folder
        self.place = str(folder)
        self.blobs: Blobs = FolderBlobs(folder)
        self._busy = Lock()
        self._catalog: Catalog

    def open(self, opened: ExitStack, detector: str | None, embedder: str | None) -> Opened:
        """See `Backend.open`.

        Raises
        ------
        LibraryLockedError
            If another process has it open.
        LibraryError
            If it can't be opened, or its catalog is gone.
        """
        folder = self.folder
        settings = read_settings(folder)
        if settings is None:
            settings = new_settings(folder, detector, embedder)
            named = detector is not None or embedder is not None
            say = logger if named else logger.bind(notice=True)
            say.info("New library with {} + {}: {}.", settings.detector, settings.embedder, settings.reason)
        lock = OwnerLock(folder)
        opened.callback(lock.release)
        opened.callback(protect, folder, THUMBNAILS)  # what databases wrote, when they are closed
        if hindrance := protect(folder, THUMBNAILS):
            logger.warning("Other users of this machine may read the library {}: {}.", folder, hindrance)
        if not (folder / FILE).exists():
            write_settings(folder, settings)
        opened.callback(remove_sink, log_into(folder))
        refuse_lost_catalog(folder, settings)
        self._catalog = catalog = open_catalog(folder)
        opened.callback(catalog.close)
        opened.callback(_keep_people, catalog, folder)
        bound = catalog.staging.bound  # by a change of models: it may have been cut off right after this
        if bound and bound.models != settings.models:
            settings = settings.with_models(bound.models, REEMBEDDED)
            write_settings(folder, settings)
        if not settings.catalog:
            settings = replace(settings, catalog=True)
            write_settings(folder, settings)
        vectors = bound.vectors if bound else VECTORS
        self.forget_other_indexes(vectors)
        return Opened(catalog, settings, vectors)

    @contextmanager
    def using(self) -> Iterator[None]:
        """See `Backend.using`."""
        yield None

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """See `Backend.replacing`."""
        yield

    def use_now(self) -> None:
        """See `Backend.use_now`."""

    def write_settings(self, settings: Settings) -> None:
        """See `Backend.write_settings`."""
        write_settings(self.folder, settings)

    def index(self, name: str, dimension: int) -> MilvusIndex:
        """See `Backend.index`."""
        path = self.folder / name
        try:
            return MilvusIndex(str(path), dimension)
        except VectorIndexError as error:
            if not path.exists():
                raise
            broken = MilvusIndex.set_aside(path)
            logger.warning("{} It was moved to {} and is rebuilt from the catalog.", error, broken.name)
            return MilvusIndex(str(path), dimension)

    def drop_index(self, name: str) -> None:
        """See `Backend.drop_index`."""
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def forget_other_indexes(self, name: str) -> None:
        """See `Backend.forget_other_indexes`."""
        for path in (self.folder / VECTORS, *self.folder.glob("vectors-????????.db")):
            if path.name != name and path.is_dir():
                logger.info("{} is of other models, and is deleted.", path.name)
                shutil.rmtree(path, ignore_errors=True)

    def where_index(self, name: str) -> str:
        """See `Backend.where_index`."""
        return f"delete {name}: it is rebuilt"

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """See `Backend.alone`."""
        if not self._busy.acquire(blocking=False):
            message = f"{what} can't start: another change of the library is going on."
            raise LibraryBusyError(message, "Wait until it is done, or stop it.")
        try:
            check_room(self.folder)
            yield
        finally:
            protect(self.folder, THUMBNAILS)  # what databases wrote
            self._busy.release()

    def own_paths(self) -> None:
        """See `Backend.own_paths`: a folder is one machine's at a time."""

    def adding(self) -> AbstractContextManager[None]:
        """See `Backend.adding`: there is nobody else."""
        return self.alone("Adding photos")

    def check_room(self, need: int) -> None:
        """See `Backend.check_room`."""
        check_room(self.folder, need)

    def erase(self) -> None:
        """See `Backend.erase`."""
        try:
            if (self.folder / COPY).exists():
                self._catalog.copy_people_beside(self.folder)
            if not self._catalog.erase():
                logger.warning("What was removed is erased from the catalog's file at the next opening.")
        except LibraryError as error:
            logger.warning("What was removed is erased from the catalog's file at the next opening: {}", error)

    def forget(self, names: Sequence[str]) -> None:
        """See `Backend.forget`."""
        forget_in_jobs(self.folder, names)

    def backup(self, target: Path) -> int:
        """See `Backend.backup`."""
        return write_backup(self._catalog, self.blobs, self.folder, target)

    def looks(self) -> dict[str, Callable[[], Look]]:
        """See `Backend.looks`."""
        return {"disk": self._look_at_disk}

    def _look_at_disk(self) -> Look:
        free = shutil.disk_usage(self.folder).free
        return Look(f"{free / 2**30:.1f} GB free at {self.folder}", ok=free > _LOW_DISK)


def _keep_people(catalog: Catalog, folder: Path) -> None:
    try:
        catalog.keep_people(folder)
    except Exception as error:  # noqa: BLE001 - the library is being closed, and the copy before is there
        logger.warning("No copy was made of people and names: {}", error)
