"""What is open of a library: catalog, vectors and models, pictures, and the right to change it."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from loguru import logger

from facekit.errors import FacekitError, LibraryError
from facekit.images.blobs import THUMBNAILS
from facekit.index.sync import apply_due, catch_up
from facekit.models.engines import check_where
from facekit.sources import LocalSource
from facekit.sources.connections import Connections
from facekit.sources.mounts import Mounts
from facekit.sources.originals import FOLDER as ORIGINALS
from facekit.sources.originals import Originals
from facekit.sources.signing_in.tokens import Tokens
from facekit.storage.face_arrays import FacesInMemory
from facekit.storage.logs import forget_in_logs, quiet_console
from facekit.storage.models_in_use import InUse, ModelSet
from facekit.storage.pictures import Pictures
from facekit.storage.settings import check_models, read_mounts
from facekit.system.files import user_path
from facekit.system.forks import in_forks, never_destroy, refuse_fork
from facekit.system.open_files import allow_files
from facekit.system.permissions import protect
from facekit.system.workers import default_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from facekit.catalog import Change
    from facekit.index import VectorIndex
    from facekit.sources import Source
    from facekit.storage.backend import Backend
    from facekit.storage.settings import Settings

_WITHOUT_TIMES, _MOST_WITHOUT_SECONDS = 9, 60.0  # of an index that is away, after it was waited for: ours


class Storage:
    """What this process has open of a library. The library, its people and its runs share it.

    Parameters
    ----------
    backend : Backend
        Where the library is; a new one is made where there is none.
    detector, embedder : str, optional
        Models for a new library; an older one must have been made with them.
    device, engine : str
        What the models run on and in, see `facekit.models.engines.open_graph`.
    filling : bool
        Open it although it is being filled from another one, see `facekit.storage.migration`.

    Attributes
    ----------
    backend : Backend
    folder : Path
        What this machine keeps of the library.
    catalog : Catalog
    faces : FacesInMemory
        All faces as arrays.
    models : InUse
        The models in use, with their vectors.
    blobs : Blobs
        The thumbnails.
    mounts : Mounts
        Where this machine has the photos.
    tokens : Tokens
        What lets facekit into connected places.
    connections : Connections
        The connected places that photos come from.
    pictures : Pictures

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
        backend: Backend,
        *,
        detector: str | None = None,
        embedder: str | None = None,
        device: str = "auto",
        engine: str = "auto",
        filling: bool = False,
    ) -> None:
        quiet_console()
        check_where(device, engine)
        allow_files(default_workers())
        self.backend = backend
        self.folder = backend.folder
        with ExitStack() as opened:
            self.catalog, settings, vectors = backend.open(opened, detector, embedder)
            if not filling and (origin := self.catalog.filled_from):
                message = f"The library {backend.place} is being filled from {origin}, and is not whole yet."
                raise LibraryError(message, f"Go on: facekit --library {origin} migrate --to {backend.place}")
            self.faces = FacesInMemory(self.catalog.people)
            self.blobs, self.mounts = backend.blobs, Mounts.here(read_mounts(self.folder))
            self.tokens = Tokens(self.folder)
            originals = Originals(self.folder / ORIGINALS)
            self.connections = Connections(self.catalog.sources, originals, self.tokens.access)
            opened.callback(self.connections.close)
            self.pictures = Pictures(self.catalog, self.blobs, self.mounts, self.connections)
            opened.callback(self.pictures.close)
            self.catalog.staging.clear_used()
            check_models(settings, backend.place, detector, embedder)
            self.models = InUse(ModelSet(settings, backend, vectors, device, engine), backend)
            opened.callback(self.models.close)
            # Everything is open: from here on it is closed by close(), or when nobody has it any more.
            self._finalizer = weakref.finalize(self, opened.pop_all().close)
        self._process = os.getpid()
        self._index_away, self._ask_index_at = False, 0.0
        _open.add(self)
        if not filling:
            self._catch_up()
        protect(self.folder, THUMBNAILS)
        logger.info("Opened {} ({} + {})", backend.place, settings.detector, settings.embedder)

    def _catch_up(self) -> None:
        """Do what was cut off when the library was open before."""
        self._unless_away(lambda: catch_up(self.catalog, self.index), "There is no search until it is back.")
        if self.catalog.erase_due:
            self.erase()

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
                message = f"The library {self.backend.place} is open in this process with {used!r}, not with {asked!r}."
                raise LibraryError(message, "Close it first: lib.close().")

    def alive(self) -> None:
        """Refuse to go on with a library that was closed, or in a fork. Raises LibraryError."""
        refuse_fork(self._process, f"The library {self.backend.place}")
        if self.closed:
            message = f"The library {self.backend.place} is closed."
            raise LibraryError(message, "Open it again with facekit.open.")

    def may_be_known(self, places: Iterable[Source]) -> None:
        """Refuse places of this machine where photos are known by those of another one. Raises LibraryError."""
        places = list(places)
        for place in places:
            if place.name != LocalSource.name and self.connections.is_connected(place.name):
                message = f"{place.name} is the name of a connected place and of a mount: photos would be mixed up."
                raise LibraryError(message, "Give the mount another name.")
        if any(place.name == LocalSource.name for place in places):
            self.backend.own_paths()

    def reader(self, source: str) -> Source:
        """What reads the photos of a source: of this machine, of a mount, or of a connected place."""
        return self.connections.reader(source) if self.connections.is_connected(source) else self.mounts.reader(source)

    @property
    def settings(self) -> Settings:
        """The models that made the library, and what was set for it."""
        return self.models.now.settings if self.closed else self.models.refreshed().settings

    @property
    def index(self) -> VectorIndex:
        """The vectors of the models in use."""
        return self.models.now.index

    def save_settings(self, settings: Settings) -> None:
        """Write other settings down."""
        self.backend.write_settings(settings)
        self.models.now.settings = settings

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Only one thing at a time may change the library. Raises LibraryBusyError."""
        with self.backend.alone(what):
            self.models.refreshed()
            # What was left when it was away; one that could not even be opened is not waited for at once again.
            so = "Searches find what was there before."
            self._unless_away(lambda: apply_due(self.catalog, self.index), so, anyway=self.models.now.is_open)
            yield

    def follow(self, change: Change) -> None:
        """Bring thumbnails and vectors up to a change of the catalog; an index that is away follows when it is back."""
        self.blobs.delete(change.photos)
        self._unless_away(lambda: apply_due(self.catalog, self.index), "It follows the catalog when it is back.")

    def outside(self, path: str | os.PathLike[str]) -> None:
        """Refuse to write into the library's own folder. Raises FacekitError."""
        if user_path(path).resolve().is_relative_to(self.folder.resolve()):
            message = f"{path} lies in the library's own folder."
            raise FacekitError(message, "Choose another folder: what lies here is the library's.")

    def forget(self, names: Sequence[str]) -> None:
        """Take what names removed photos, or their folders, out of all that was written about them."""
        forget_in_logs(self.folder, names)
        self.backend.forget(names)

    def erase(self) -> None:
        """See that no file of the library holds what was removed; where there is no room for it now, later."""

        def erase() -> None:
            self.index.compact()
            self.backend.erase()

        self._unless_away(erase, "What was removed is erased at the next opening.")

    def tidy_up(self) -> None:
        """Take away what an ingest replaced, and what a change of models that was killed left; inside `changing`."""
        self.backend.forget_other_indexes(self.models.now.name)
        if self.catalog.erase_due:  # files hold other photos now
            self.erase()

    def _unless_away(self, act: Callable[[], None], so: str, *, anyway: bool = False) -> None:
        """Ask the index for something; go on without it where it can't be reached for now, which is said once.

        While it is away, it is asked again now and then: at most a tenth of the time goes by with waiting for it. Or
        ``anyway``, where it may be back by now.
        """
        began = monotonic()
        if began < self._ask_index_at and not anyway:
            return
        try:
            act()
        except self.backend.away as error:
            now = monotonic()
            self._ask_index_at = now + min(_WITHOUT_TIMES * (now - began), _MOST_WITHOUT_SECONDS)
            if not self._index_away:
                logger.warning("{} {}", error, so)
            self._index_away = True
        else:
            self._index_away = False


_open: weakref.WeakSet[Storage] = weakref.WeakSet()


@in_forks
def _leave_libraries_alone() -> None:
    """In a fork they count as closed, and nothing of them is closed: the lock and the database are the parent's."""
    for storage in list(_open):
        never_destroy(storage._finalizer.detach())  # noqa: SLF001 - a part of it
