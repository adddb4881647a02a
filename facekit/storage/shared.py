"""A library on servers: PostgreSQL and an index that any number of processes and machines use at once."""

from __future__ import annotations

import re
import socket
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.catalog import Catalog
from facekit.catalog.bindings import read_bindings
from facekit.catalog.locks import hold_service
from facekit.catalog.server import has_catalog
from facekit.catalog.staging import Bound
from facekit.errors import FacekitError, LibraryError, StalledError, VectorIndexError
from facekit.index.opening import drop_index, index_names, index_server, open_index
from facekit.sources.mounts import VARIABLE
from facekit.storage.backend import VECTORS, Look, Opened, Use, new_vectors
from facekit.storage.broker import look_at_broker
from facekit.storage.clocks import look_at_clocks
from facekit.storage.job_rows import forget_rows
from facekit.storage.logs import log_into, remove_sink
from facekit.storage.servers import (
    INDEX_IN_CATALOG,
    Servers,
    broker_address,
    catalog_address,
    index_token,
    is_store,
    leave_nothing,
    write_servers,
)
from facekit.storage.settings import (
    FILE,
    REEMBEDDED,
    Settings,
    document_settings,
    read_mounts,
    settings_document,
    settings_for_new,
)
from facekit.storage.shared_blobs import blobs_at, check_thumbnails
from facekit.system.disk_space import remedy_for
from facekit.system.permissions import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack

    from facekit.catalog.work import WorkTables
    from facekit.images.blobs import Blobs
    from facekit.index import VectorIndex


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
    moves : Servers, optional
        The addresses that the library is to have from now on.
    """

    away: tuple[type[FacekitError], ...] = (VectorIndexError, StalledError)

    def __init__(
        self, folder: Path, servers: Servers, *, named: bool, new: bool = True, moves: Servers | None = None
    ) -> None:
        self._address = self.service = catalog_address(servers.catalog)
        self._named = named
        self._may_begin = new and moves is None and bool(servers.index)
        self._said, self._moves = servers, moves
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
        fresh = self._named and not (self.folder / FILE).exists()
        if fresh:
            opened.push(partial(leave_nothing, self.folder, self.folder.exists()))
        if self._may_begin and (detector or embedder):
            settings_for_new(detector, embedder)  # refuses what is no model before anything is made
        self._make_folder()
        opened.callback(remove_sink, log_into(self.folder))
        if not (self._may_begin or has_catalog(self._address.url, self._address.schema)):
            raise self._not_there()
        self._catalog = catalog = Catalog(self._address.url, schema=self._address.schema)
        opened.callback(catalog.close)
        use = self.use_now()
        if use is None:
            self._begin(detector, embedder)
            use = self._use_now()
        elif self._moves is not None:
            use = self._move(self._moves)
        elif fresh:
            self._join(use)
        if (self._servers.index == INDEX_IN_CATALOG) != (self._bound.index == INDEX_IN_CATALOG):
            message = f"The library {self.place} has its vectors at {self._bound.index}, not at {self._servers.index}."
            raise LibraryError(message, "Leave the index out: the catalog knows it.")
        self.blobs = blobs_at(self._servers.blobs)
        if fresh or self._moves is not None:
            write_servers(self.folder, self._said, self._mounts)
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
        servers = replace(self._said, blobs=self._said.blobs or str(self.folder))
        if not is_store(servers.blobs):
            make_private_folder(Path(servers.blobs))
        if self._catalog.bindings.begin(settings_document(settings) | {"servers": asdict(servers)}):
            logger.bind(notice=True).info(
                "New library with {} + {}: {}.", settings.detector, settings.embedder, settings.reason
            )

    # -- addresses -----------------------------------------------------------------------------------------------

    @property
    def _bound(self) -> Servers:
        """What the catalog says, for all machines."""
        return Servers(**self._document["servers"])

    @property
    def _servers(self) -> Servers:
        """The same, as this machine reaches them."""
        return replace(self._bound, **self._said.known)

    @property
    def broker(self) -> str:
        """See `Backend.broker`."""
        return broker_address(self._servers.broker)

    def _join(self, use: Use) -> None:
        """See that addresses of this machine lead to what a library has; the first broker is for all.

        Raises
        ------
        LibraryError
            If they lead to something else.
        VectorIndexError
            If an index can't be reached of which others don't know.
        """
        said, bound = self._servers, self._bound
        if said.index != bound.index:
            self.index(use.vectors, use.settings.dimension).close()
        if said.blobs != bound.blobs:
            check_thumbnails(self._catalog, said.blobs, bound.blobs)
        if said.broker and not bound.broker:
            self._catalog.bindings.move(asdict(replace(bound, broker=said.broker)), None)

    def _move(self, asked: Servers) -> Use:
        """Change the addresses of a library for all who open it, where they are not those that it has.

        Raises
        ------
        LibraryBusyError
            If somebody is changing the library.
        LibraryError
            If thumbnails are not at their new place.
        VectorIndexError
            If the new index can't be reached.
        """
        had = asdict(self._bound).items() | asdict(self._servers).items()
        if new := dict(asked.known.items() - had):
            with self._catalog.server.alone("A change of addresses"):
                self._change(new, self._use_now())
        self._said = replace(self._said, **asked.known)
        return self._use_now()

    def _change(self, new: dict[str, str], use: Use) -> None:
        if blobs := new.get("blobs"):
            check_thumbnails(self._catalog, blobs, self._servers.blobs)
            if not is_store(blobs):
                make_private_folder(Path(blobs))
        servers = asdict(replace(self._bound, **new))
        if index := new.get("index"):
            vectors = new_vectors()  # whoever has the library open sees by it that the index is another one
            at, options = self._address_of(index), self._index_options
            open_index(at, self._collection(vectors), use.settings.dimension, **options).close()
            old = self._address_of(), self._collection(use.vectors)
            with self._catalog.server.replacing_models():
                self._catalog.bindings.move(servers, Bound(use.settings.models, vectors))
            try:
                drop_index(*old, **options)
            except self.away as error:
                logger.info("The vectors that were there before could not be deleted: {}", error)
        else:
            self._catalog.bindings.move(servers, None)
        for name, value in new.items():
            logger.bind(notice=True).info("The library's {} is {} from now on, for all machines.", name, value)

    # -- what is in use ------------------------------------------------------------------------------------------

    def _use(self, document: dict[str, Any], bound: Bound | None) -> Use:
        self._document = document
        settings = replace(document_settings(document), mounts=self._mounts)
        if bound and bound.models != settings.models:
            settings = settings.with_models(bound.models, REEMBEDDED)
        return Use(settings, bound.vectors if bound else VECTORS)

    def _use_now(self) -> Use:
        if (use := self.use_now()) is None:
            message = f"The library {self.place} was taken away while it was opened."
            raise LibraryError(message, "Open it again.")
        return use

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
        if self._named and settings.mounts != self._mounts:
            self._mounts = settings.mounts
            write_servers(self.folder, self._said, self._mounts)
        self._catalog.bindings.write(settings_document(settings))
        self.use_now()

    def index(self, name: str, dimension: int) -> VectorIndex:
        """See `Backend.index`."""
        index = open_index(self._address_of(), self._collection(name), dimension, **self._index_options)
        here, said = self._servers.index, self._bound.index
        if here != said and not index.count() and self._catalog.counts()["indexable_faces"]:
            index.close()
            message = f"The index at {here} holds no face of this library; others keep them at {said}."
            remedy = f"Correct index in {self.folder / FILE}, or take it out."
            if self._named and not (self.folder / FILE).exists():
                remedy = "Leave the index out; to change it for all machines, do this again then, with the new index."
            raise LibraryError(message, remedy)
        return index

    def _address_of(self, index: str = "") -> str:
        """What opens an index, by default the library's: it may lie in the catalog's database."""
        index = index or self._servers.index
        return self._address.url if index == INDEX_IN_CATALOG else index

    @property
    def _index_options(self) -> dict[str, str]:
        return {"token": index_token(), "schema": self._address.schema}

    def _collection(self, name: str) -> str:
        """The name of vectors on a server that other libraries share: letters, digits and _."""
        return f"{self._address.schema}_{re.sub('[^a-z0-9]', '_', name.removesuffix('.db'))}"

    def drop_index(self, name: str) -> None:
        """See `Backend.drop_index`."""
        try:
            drop_index(self._address_of(), self._collection(name), **self._index_options)
        except self.away as error:
            logger.warning("The vectors {} are not needed any more, and could not be deleted: {}", name, error)

    def forget_other_indexes(self, name: str) -> None:
        """See `Backend.forget_other_indexes`."""
        use = self.use_now()  # another process may have changed the models
        kept = {self._collection(one) for one in (name, use.vectors if use else name)}
        mine = re.compile(rf"{self._address.schema}_vectors(_[0-9a-f]{{8}})?")  # and of no other library
        try:
            for found in index_names(self._address_of(), **self._index_options):
                if mine.fullmatch(found) and found not in kept:
                    logger.info("{} is of other models, and is deleted.", found)
                    drop_index(self._address_of(), found, **self._index_options)
        except self.away as error:
            logger.warning("Vectors of other models could not be looked for: {}", error)

    def where_index(self, _name: str) -> str:
        """See `Backend.where_index`."""
        return f"have it made anew from the catalog: facekit --library {self.place} doctor --repair"

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
        return {
            "catalog's server": self._look_at_catalog,
            "index's server": self._look_at_index,
            "clocks": partial(look_at_clocks, self._catalog.server),
            "broker": self._look_at_broker,
        }

    def _look_at_catalog(self) -> Look:
        about = self._catalog.server.about()
        return Look(f"{self._address.shown}, schema {self._address.schema}: {about}")

    def _look_at_index(self) -> Look:
        about = index_server(self._address_of(), **self._index_options)
        return Look(f"{self._servers.index}: {about}")

    def _look_at_broker(self) -> Look:
        return look_at_broker(self.broker) if self.broker else Look("none: workers look for work every second")
