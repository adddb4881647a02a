"""What is open of a library in a folder: catalog, vectors and models, pictures, and the right to change it."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from loguru import logger

from facekit.catalog import open_catalog
from facekit.catalog.people_copy import COPY
from facekit.errors import FacekitError, LibraryBusyError, LibraryError
from facekit.images.blobs import THUMBNAILS, open_blobs
from facekit.index.sync import reconcile
from facekit.models.engines import check_where
from facekit.storage.face_arrays import FacesInMemory
from facekit.storage.job_rows import forget_in_jobs
from facekit.storage.lock import OwnerLock
from facekit.storage.logs import forget_in_logs, log_into, quiet_console
from facekit.storage.models_in_use import VECTORS, InUse, ModelSet, forget_other_vectors
from facekit.storage.pictures import Pictures
from facekit.storage.repair import refuse_lost_catalog
from facekit.storage.settings import FILE, REEMBEDDED, check_models, new_settings, read_settings, write_settings
from facekit.system.disk_space import check_room
from facekit.system.files import user_path
from facekit.system.forks import in_forks, never_destroy, refuse_fork
from facekit.system.open_files import allow_files
from facekit.system.permissions import protect
from facekit.system.workers import default_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from facekit.catalog import Catalog
    from facekit.index import MilvusIndex
    from facekit.storage.settings import Settings


class Storage:
    """A library's folder, which this process owns while it is open. The library, its people and its runs share it.

    Parameters
    ----------
    folder : Path
        The library's folder; a new library is made where there is none.
    detector, embedder : str, optional
        Models for a new library; an older one must have been made with them.
    device, engine : str
        What the models run on and in, see `facekit.models.engines.open_graph`.

    Attributes
    ----------
    folder : Path
    catalog : Catalog
    faces : FacesInMemory
        All faces as arrays.
    models : InUse
        The models in use, with their vectors.
    blobs : Blobs
        The thumbnails.
    pictures : Pictures
    on_removal : list of callable
        Called with the paths of photos that are removed, and of their folders.

    Raises
    ------
    LibraryLockedError
        If another process has it open.
    LibraryError
        If it can't be opened.
    ModelMismatchError
        If it was made with other models.
    """

    def __init__(
        self,
        folder: Path,
        *,
        detector: str | None = None,
        embedder: str | None = None,
        device: str = "auto",
        engine: str = "auto",
    ) -> None:
        quiet_console()
        check_where(device, engine)
        allow_files(default_workers())
        self.folder, self.blobs = folder, open_blobs(folder)
        self._busy = Lock()
        self.on_removal: list[Callable[[Sequence[str]], None]] = []
        settings = read_settings(folder)
        if settings is None:
            settings = new_settings(folder, detector, embedder)
            named = detector is not None or embedder is not None
            say = logger if named else logger.bind(notice=True)
            say.info("New library with {} + {}: {}.", settings.detector, settings.embedder, settings.reason)
        with ExitStack() as opened:
            lock = OwnerLock(folder)
            opened.callback(lock.release)
            opened.callback(protect, folder, THUMBNAILS)  # what databases wrote, when they are closed
            if hindrance := protect(folder, THUMBNAILS):
                logger.warning("Other users of this machine may read the library {}: {}.", folder, hindrance)
            if not (folder / FILE).exists():
                write_settings(folder, settings)
            opened.callback(_remove_sink, log_into(folder))
            refuse_lost_catalog(folder, settings)
            self.catalog = open_catalog(folder)
            opened.callback(self.catalog.close)
            opened.callback(_keep_people, self.catalog, folder)
            self.faces = FacesInMemory(self.catalog.people)
            self.pictures = Pictures(self.catalog, self.blobs)
            opened.callback(self.pictures.close)
            bound = self.catalog.staging.bound  # by a change of models: it may have been cut off right after this
            self.catalog.staging.clear_used()
            if bound and bound.models != settings.models:
                settings = settings.with_models(bound.models, REEMBEDDED)
                write_settings(folder, settings)
            if not settings.catalog:
                settings = replace(settings, catalog=True)
                write_settings(folder, settings)
            check_models(settings, folder, detector, embedder)
            vectors = bound.vectors if bound else VECTORS
            forget_other_vectors(folder, vectors)
            self.models = InUse(ModelSet(settings, folder / vectors, device, engine))
            opened.callback(self.models.close)
            # Everything is open: from here on it is closed by close(), or when nobody has it any more.
            self._finalizer = weakref.finalize(self, opened.pop_all().close)
        self._process = os.getpid()
        _open.add(self)
        if not self.catalog.index_is_current or self.index.count() != self.catalog.counts()["indexable_faces"]:
            reconcile(self.catalog, self.index)
        if self.catalog.erase_due:
            self.erase()
        protect(folder, THUMBNAILS)
        logger.info("Opened {} ({} + {})", folder, settings.detector, settings.embedder)

    @property
    def closed(self) -> bool:
        """Whether the library was closed."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Write what is pending and let other processes open the library."""
        self._finalizer()

    def check_where(self, device: str, engine: str) -> None:
        """Refuse another device or engine than those that the library was opened with. Raises LibraryError."""
        now = self.models.now.where
        for asked, used in ((device, now["device"]), (engine, now["engine"])):
            if asked not in {"auto", used}:
                message = f"The library {self.folder} is open in this process with {used!r}, not with {asked!r}."
                raise LibraryError(message, "Close it first: lib.close().")

    def alive(self) -> None:
        """Refuse to go on with a library that was closed, or in a fork. Raises LibraryError."""
        refuse_fork(self._process, f"The library {self.folder}")
        if self.closed:
            message = f"The library {self.folder} is closed."
            raise LibraryError(message, "Open it again with facekit.open.")

    @property
    def settings(self) -> Settings:
        """The models that made the library."""
        return self.models.now.settings

    @property
    def index(self) -> MilvusIndex:
        """The vectors of the models in use."""
        return self.models.now.index

    def save_settings(self, settings: Settings) -> None:
        """Write other settings down."""
        write_settings(self.folder, settings)
        self.models.now.settings = settings

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Only one thing at a time may change the library. Raises LibraryBusyError."""
        if not self._busy.acquire(blocking=False):
            message = f"{what} can't start: another change of the library is going on."
            raise LibraryBusyError(message, "Wait until it is done, or stop it.")
        try:
            check_room(self.folder)
            yield
        finally:
            protect(self.folder, THUMBNAILS)  # what databases wrote
            self._busy.release()

    def outside(self, path: str | os.PathLike[str]) -> None:
        """Refuse to write into the library's own folder. Raises FacekitError."""
        if user_path(path).resolve().is_relative_to(self.folder.resolve()):
            message = f"{path} lies in the library's own folder."
            raise FacekitError(message, "Choose another folder: what lies here is the library's.")

    def forget(self, names: Sequence[str]) -> None:
        """Take what names removed photos, or their folders, out of all that was written about them."""
        for tell in self.on_removal:  # first: what is written from now on names none of them
            tell(names)
        forget_in_logs(self.folder, names)
        forget_in_jobs(self.folder, names)

    def erase(self) -> None:
        """See that no file of the library holds what was removed; where there is no room for it now, later."""
        self.index.compact()
        try:
            if (self.folder / COPY).exists():
                self.catalog.copy_people_beside(self.folder)
            if not self.catalog.erase():
                logger.warning("What was removed is erased from the catalog's file at the next opening.")
        except LibraryError as error:
            logger.warning("What was removed is erased from the catalog's file at the next opening: {}", error)


_open: weakref.WeakSet[Storage] = weakref.WeakSet()


@in_forks
def _leave_libraries_alone() -> None:
    """In a fork they count as closed, and nothing of them is closed: the lock and the database are the parent's."""
    for storage in list(_open):
        never_destroy(storage._finalizer.detach())  # noqa: SLF001 - a part of it


def _keep_people(catalog: Catalog, folder: Path) -> None:
    try:
        catalog.keep_people(folder)
    except Exception as error:  # noqa: BLE001 - the library is being closed, and the copy before is there
        logger.warning("No copy was made of people and names: {}", error)


def _remove_sink(sink: int) -> None:
    with suppress(ValueError):  # somebody removed all of loguru's sinks
        logger.remove(sink)
