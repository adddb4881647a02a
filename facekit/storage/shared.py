"""A library on servers: PostgreSQL and an index that any number of processes and machines use at once."""

from __future__ import annotations

import re
import socket
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger
from typing_extensions import override

from facekit.catalog import Catalog
from facekit.catalog.bindings import read_bindings
from facekit.catalog.locks import hold_service
from facekit.catalog.server import has_catalog
from facekit.errors import FacekitError, LibraryError, StalledError, VectorIndexError
from facekit.images.blobs import FolderBlobs, open_blobs
from facekit.index.opening import drop_index, index_names, open_index
from facekit.sources.mounts import VARIABLE
from facekit.storage.backend import VECTORS, Look, Opened, Use
from facekit.storage.broker import look_at_broker
from facekit.storage.job_rows import forget_rows
from facekit.storage.logs import log_into, remove_sink
from facekit.storage.servers import (
    INDEX_IN_CATALOG,
    Servers,
    catalog_address,
    index_token,
    is_store,
    write_servers,
)
from facekit.storage.settings import FILE, REEMBEDDED, Settings, Threshold, read_mounts, settings_for_new
from facekit.system.disk_space import remedy_for
from facekit.system.permissions import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import ExitStack

    from facekit.catalog.staging import Bound
    from facekit.catalog.work import WorkTables
    from facekit.images.blobs import Blobs
    from facekit.index import VectorIndex

_CLOCK_SECONDS = 5.0  # between this machine's clock and the server's: leases of work last some 20 s


class Shared:
    """See `Backend`. Who opens the library finds in its catalog what it is made of.

    Parameters
    ----------
    folder : Path
        What this machine keeps of it: logs, and ``library.toml`` where it was made a library's folder.
    servers : Servers
        The catalog's address, and the others where they are named: those of a new library, or how this machine
        reaches what the library has.
    named : bool
        Whether the folder is the library's own, so that ``library.toml`` is written into it.
    new : bool
        Whether a library may be made where there is none: not where a folder leads to one that was made before.
    """

    away: tuple[type[FacekitError], ...] = (VectorIndexError, StalledError)
    broker = ""

    def __init__(self, folder: Path, servers: Servers, *, named: bool, new: bool = True) -> None:
        self._address = self.service = catalog_address(servers.catalog)
        self._named = named
        self._may_begin = new and bool(servers.index)
        self._servers = servers
        self._document: dict[str, Any] = {}
        self._mounts = read_mounts(folder) if named else {}
        self._catalog: Catalog
        self.blobs: Blobs
        self.folder = folder
        self.place = str(folder) if named else self._address.shown

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self, opened: ExitStack, detector: str | None, embedder: str | None) -> Opened:
        """See `Backend.open`.

        Raises
        ------
        LibraryError
            If the catalog's server can't be reached, or there is no library and no address of an index for a new one.
        """
        if self._may_begin and (detector or embedder):
            settings_for_new(detector, embedder)  # refuses what is no model before anything is made
        self._make_folder()
        opened.callback(remove_sink, log_into(self.folder))
        if not (self._may_begin or has_catalog(self._address.url, self._address.schema)):
            raise self._not_there()
        self._catalog = catalog = Catalog(self._address.url, schema=self._address.schema)
        opened.callback(catalog.close)
        found = catalog.bindings.read()
        if found is None:
            self._begin(detector, embedder)
            found = catalog.bindings.read()
        if found is None:
            message = f"The library {self.place} was taken away while it was opened."
            raise LibraryError(message, "Open it again.")
        if self._named and not (self.folder / FILE).exists():
            write_servers(self.folder, self._servers)
        use = self._use(*found)
        said = Servers(**self._document["servers"])
        self._servers = replace(said, **self._servers.known)
        self.blobs, self.broker = _blobs_at(self._servers.blobs), self._servers.broker
        if (self._servers.index == INDEX_IN_CATALOG) != (said.index == INDEX_IN_CATALOG):
            message = f"The library {self.place} has its vectors at {said.index}, not at {self._servers.index}."
            raise LibraryError(message, "Leave the index out: the catalog knows it.")
        return Opened(catalog, use.settings, use.vectors)

    def _make_folder(self) -> None:
        try:
            make_private_folder(self.folder)
            others = sorted({path.name for path in self.folder.iterdir()} - {FILE + ".part", "logs"})
        except OSError as error:
            message = f"No library can be made in {self.folder}: {error.strerror}."
            raise LibraryError(message, remedy_for(error)) from error
        if self._named and others and not (self.folder / FILE).exists():
            message = f"{self.folder} is not a facekit library, and not empty (it holds {others[0]!r})."
            raise LibraryError(message, "Choose a new folder for the library; photos stay where they are.")

    def _not_there(self) -> LibraryError:
        leads = f", to which {self.folder} leads" if self._named else ""
        message = f"There is no library at {self._address.shown}{leads}."
        return LibraryError(message, "Make one: facekit init DIR --catalog ADDRESS --index ADDRESS")

    def _begin(self, detector: str | None, embedder: str | None) -> None:
        """Make a new library; another process may be doing the same, and one of them is first."""
        if not self._may_begin:
            raise self._not_there()
        settings = settings_for_new(detector, embedder)
        servers = replace(self._servers, blobs=self._servers.blobs or str(self.folder))
        if not is_store(servers.blobs):
            make_private_folder(Path(servers.blobs))
        if self._catalog.bindings.begin(_document(settings) | {"servers": asdict(servers)}):
            logger.bind(notice=True).info(
                "New library with {} + {}: {}.", settings.detector, settings.embedder, settings.reason
            )

    def _use(self, document: dict[str, Any], bound: Bound | None) -> Use:
        self._document = document
        settings = replace(_settings(document), mounts=self._mounts)
        if bound and bound.models != settings.models:
            settings = settings.with_models(bound.models, REEMBEDDED)
        return Use(settings, bound.vectors if bound else VECTORS)

    # -- what is in use ------------------------------------------------------------------------------------------

    @contextmanager
    def using(self) -> Iterator[Use | None]:
        """See `Backend.using`."""
        with self._catalog.server.using_models() as connection:
            found = read_bindings(connection)
            yield None if found is None else self._use(*found)

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """See `Backend.replacing`."""
        with self._catalog.server.replacing_models():
            yield

    def use_now(self) -> Use | None:
        """See `Backend.use_now`."""
        found = self._catalog.bindings.read()
        return None if found is None else self._use(*found)

    def write_settings(self, settings: Settings) -> None:
        """See `Backend.write_settings`."""
        self._document = self._document | _document(settings)
        self._catalog.bindings.write(self._document)

    def index(self, name: str, dimension: int) -> VectorIndex:
        """See `Backend.index`."""
        index = open_index(self._index_address, self._collection(name), dimension, **self._index_options)
        said = self._document["servers"]["index"]
        if self._servers.index != said and not index.count() and self._catalog.counts()["indexable_faces"]:
            index.close()
            message = f"The index at {self._servers.index} holds no face of this library; others keep them at {said}."
            raise LibraryError(message, f"Correct index in {self.folder / FILE}, or take it out.")
        return index

    @property
    def _index_address(self) -> str:
        """What opens the index: it may lie in the catalog's database."""
        return self._address.url if self._servers.index == INDEX_IN_CATALOG else self._servers.index

    @property
    def _index_options(self) -> dict[str, str]:
        return {"token": index_token(), "schema": self._address.schema}

    def _collection(self, name: str) -> str:
        """The name of vectors on a server that other libraries share: letters, digits and _."""
        return f"{self._address.schema}_{re.sub('[^a-z0-9]', '_', name.removesuffix('.db'))}"

    def drop_index(self, name: str) -> None:
        """See `Backend.drop_index`."""
        try:
            drop_index(self._index_address, self._collection(name), **self._index_options)
        except self.away as error:
            logger.warning("The vectors {} are not needed any more, and could not be deleted: {}", name, error)

    def forget_other_indexes(self, name: str) -> None:
        """See `Backend.forget_other_indexes`."""
        use = self.use_now()  # another process may have changed the models
        kept = {self._collection(one) for one in (name, use.vectors if use else name)}
        mine = re.compile(rf"{self._address.schema}_vectors(_[0-9a-f]{{8}})?")  # and of no other library
        try:
            for found in index_names(self._index_address, **self._index_options):
                if mine.fullmatch(found) and found not in kept:
                    logger.info("{} is of other models, and is deleted.", found)
                    drop_index(self._index_address, found, **self._index_options)
        except self.away as error:
            logger.warning("Vectors of other models could not be looked for: {}", error)

    def where_index(self, _name: str) -> str:
        """See `Backend.where_index`."""
        return "they are put right when the library is opened"

    # -- changing ------------------------------------------------------------------------------------------------

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """See `Backend.alone`."""
        with self._catalog.server.alone(what):
            yield

    @contextmanager
    def adding(self) -> Iterator[None]:
        """See `Backend.adding`."""
        with self._catalog.server.adding():
            yield

    def own_paths(self) -> None:
        """See `Backend.own_paths`."""
        here = socket.gethostname()
        whose = self._catalog.bindings.paths_of(here)
        if whose != here:
            message = (
                f"Folders that lie on no mount are those of the machine {whose} in this library; this one is {here}."
            )
            remedy = f'Name the folder in [mounts] of {FILE}, or for this machine: {VARIABLE}="family=/mnt/photos".'
            raise LibraryError(message, remedy)

    def check_room(self, _need: int) -> None:
        """See `Backend.check_room`: the servers see to their own disks."""

    def erase(self) -> None:
        """See `Backend.erase`: PostgreSQL gives the room of what was deleted to what comes next."""
        self._catalog.erase()

    def forget(self, names: Sequence[str]) -> None:
        """See `Backend.forget`."""
        self._catalog.work.forget(names)
        try:
            with self._catalog.transaction() as connection:
                hold_service(connection, self._address.schema)
                forget_rows(connection, names)
        except LibraryError as error:  # the photos are removed all the same
            logger.warning("What the service's jobs say of removed photos could not be erased: {}", error)

    def backup(self, target: Path) -> int:
        """See `Backend.backup`."""
        message = f"The catalog of {self.place} is on a server, which has backups of its own; {target} was not written."
        raise LibraryError(message, f"Use pg_dump --schema {self._address.schema}, and copy the thumbnails.")

    @property
    def work(self) -> WorkTables:
        """See `Backend.work`."""
        return self._catalog.work

    # -- looking after it ----------------------------------------------------------------------------------------

    def looks(self) -> dict[str, Callable[[], Look]]:
        """See `Backend.looks`."""
        broker = {"broker": partial(look_at_broker, self.broker)} if self.broker else {}
        return {"catalog's server": self._look_at_catalog, "clocks": self._look_at_clocks, **broker}

    def _look_at_catalog(self) -> Look:
        about = self._catalog.server.about()
        return Look(f"{self._address.shown}, schema {self._address.schema}: {about}")

    def _look_at_clocks(self) -> Look:
        before = time.time()
        theirs = self._catalog.server.clock()
        apart = theirs.timestamp() - (before + time.time()) / 2
        detail = f"the server's is {abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
        ok = abs(apart) <= _CLOCK_SECONDS
        return Look(detail if ok else f"{detail}: set one of them right (NTP)", ok=ok)


class _SharedFolder(FolderBlobs):
    """Thumbnails in a folder that all machines see: where it is away, none is written into its place."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._shared = folder

    @override
    def is_there(self) -> bool:
        return self._shared.is_dir()

    @override
    def put(self, blobs: Mapping[str, bytes]) -> None:
        if not self.is_there():
            message = f"The thumbnails' folder {self._shared} is not on this machine."
            remedy = f"Mount it; where it is called otherwise here, say so: blobs in [storage] of {FILE}."
            raise LibraryError(message, remedy)
        super().put(blobs)


def _blobs_at(where: str) -> Blobs:
    return open_blobs(where) if is_store(where) else _SharedFolder(Path(where))


def _document(settings: Settings) -> dict[str, Any]:
    """Settings as JSON; what changes of models bind the library to stands beside it."""
    return {
        "models": settings.models,
        "reason": settings.reason,
        "threshold": asdict(settings.threshold) if settings.threshold else None,
        "created": (settings.created or datetime.now(UTC)).isoformat(),
        "exclude": list(settings.exclude),
    }


def _settings(document: dict[str, Any]) -> Settings:
    try:
        return Settings(
            **document["models"],
            reason=document["reason"],
            threshold=Threshold(**said) if (said := document["threshold"]) else None,
            created=datetime.fromisoformat(document["created"]),
            exclude=tuple(document["exclude"]),
            catalog=True,
        )
    except (KeyError, TypeError, ValueError, FacekitError) as error:
        message = "What the catalog says of the library can't be understood."
        raise LibraryError(message, "Upgrade facekit, or restore the catalog from a backup.") from error
