"""A library in one folder on disk."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from loguru import logger
from typing_extensions import override

from facekit.arguments import checked_roots
from facekit.errors import FacekitError
from facekit.index.protocol import MAX_LIMIT
from facekit.ingest.new_models import NewModels
from facekit.ingest.progress import Progress, check_progress
from facekit.ingest.reembed import Reembed
from facekit.library.base import Library
from facekit.library.ingesting import run_ingest
from facekit.library.local_gallery import LocalGallery
from facekit.library.local_sources import LocalSources
from facekit.library.local_tables import LocalTables
from facekit.people.local import LocalPeople
from facekit.search.filters import index_filter
from facekit.search.find import (
    check_search,
    find,
    find_faces,
    given_probes,
    people_pointed_at,
    probe_faces,
    read_probes,
    template,
)
from facekit.search.hits import Hits
from facekit.search.known_faces import known_probe
from facekit.sources.left_out import checked
from facekit.storage.doctor import Doctor, examine
from facekit.storage.place import backend_at
from facekit.storage.relocation import Relocation, relocate
from facekit.storage.removal import AllKnownFiles, named_photos, remove
from facekit.storage.settings import check_versions
from facekit.storage.storage import Storage
from facekit.system.files import user_path
from facekit.system.waiting import watching

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from datetime import date
    from threading import Event

    from facekit.images.files import Limits
    from facekit.images.inputs import ImageSource
    from facekit.ingest.reembed_report import ReembedReport
    from facekit.ingest.report import IngestReport
    from facekit.models.protocols import Detector, Embedder
    from facekit.people.base import People
    from facekit.people.who import Who
    from facekit.search.find import ProbeSource
    from facekit.search.known_faces import Known
    from facekit.sources import LocalSource, Source
    from facekit.sources.connected import ConnectedSource
    from facekit.storage.place import Place
    from facekit.storage.removal import Removable
    from facekit.storage.servers import Servers
    from facekit.storage.settings import Settings
    from facekit.types.arrays import FloatArray
    from facekit.types.photos import (
        Detail,
        Probe,
        ProbeFace,
    )


class LocalLibrary(LocalGallery, LocalTables, Library):
    """A library that this process has open itself: in a folder, which it owns then, or on servers.

    Parameters
    ----------
    place : Path or str
        The library's folder, or the address of its catalog.
    servers : Servers, optional
        Those of a new library on servers.
    moves : bool
        Whether one that is there is to have them from now on.
    detector, embedder, device, engine
        See `facekit.open`.
    """

    def __init__(
        self,
        place: Place,
        *,
        servers: Servers | None = None,
        moves: bool = False,
        detector: str | None = None,
        embedder: str | None = None,
        device: str = "auto",
        engine: str = "auto",
    ) -> None:
        backend = backend_at(place, servers, moves=moves)
        self._storage = Storage(backend, detector=detector, embedder=embedder, device=device, engine=engine)
        self.folder = backend.folder
        self.current: IngestReport | None = None
        """What the ingest that is going on has done so far."""
        self.syncing: dict[str, ConnectedSource | None] = {}
        """Connected places that are being synced."""
        self._backing_up = Lock()

    # -- opening and closing -------------------------------------------------------------------------------------

    @property
    @override
    def closed(self) -> bool:
        """Whether the library was closed."""
        return self._storage.closed

    @override
    def close(self) -> None:
        """Write what is pending and let other processes open the library."""
        self._storage.close()

    def check_where(self, device: str, engine: str) -> None:
        """Refuse another device or engine than those that the library was opened with. Raises LibraryError."""
        self._storage.check_where(device, engine)

    @property
    def storage(self) -> Storage:
        """What is open of it."""
        return self._storage

    @property
    def settings(self) -> Settings:
        """The models that made the library."""
        return self._storage.settings

    @property
    def detector(self) -> Detector:
        """The detector, loaded at first use."""
        return self._storage.models.now.detector

    @property
    def embedder(self) -> Embedder:
        """The embedder, loaded at first use."""
        return self._storage.models.now.embedder

    # -- photos in -----------------------------------------------------------------------------------------------

    @override
    def ingest(
        self,
        *roots: str | bytes | os.PathLike[str],
        progress: Progress = True,
        detail: Detail = "normal",
        limits: Limits | None = None,
        stop: Event | None = None,
        exclude: Iterable[str] | None = None,
    ) -> IngestReport:
        self._storage.alive()
        check_progress(progress)
        patterns = self.settings.exclude if exclude is None else checked(exclude)
        checked_roots(roots)
        names = [self.sources.at(root) for root in roots]
        folders = [root for root, name in zip(roots, names, strict=True) if name is None]
        local = [source for root in folders for source in self._sources(root, patterns)]
        self._storage.may_be_known(local)
        with self._storage.changing("An ingest"), watching(self.folder, stop) as watch, ExitStack() as opened:
            places = [opened.enter_context(self.sources.opened(name, stop)) for name in names if name is not None]
            sources: list[Source] = [*local, *places]
            if patterns != self.settings.exclude:
                self._storage.save_settings(replace(self.settings, exclude=patterns))
            how: dict[str, Any] = {"detail": detail, "limits": limits, "stop": stop}
            return run_ingest(self, sources, progress, notes=watch.notes, **how)

    def _sources(self, root: str | bytes | os.PathLike[str], patterns: Sequence[str]) -> list[LocalSource]:
        try:
            return self._storage.mounts.sources(root, patterns)
        except FacekitError as error:
            gone = self._storage.mounts.place(root, must_exist=False)
            if gone.gone(gone.path) and AllKnownFiles(self._storage.catalog).at([gone]):
                remedy = "If its photos lie elsewhere now: lib.relocate(old, new) or facekit relocate OLD NEW."
                raise type(error)(error.message, f"{error.remedy} {remedy}") from error
            raise

    @override
    def reembed(
        self,
        detector: str | None = None,
        embedder: str | None = None,
        *,
        progress: Progress = True,
        detail: Detail = "normal",
        stop: Event | None = None,
        skip_unreadable: bool = False,
    ) -> ReembedReport:
        self._storage.alive()
        check_progress(progress)
        with self._storage.changing("A change of models"), watching(self.folder, stop):
            models = NewModels(self._storage, detector, embedder, detail)
            return Reembed(self._storage, models, stop=stop, skip=skip_unreadable).run(progress)

    @property
    @override
    def sources(self) -> LocalSources:
        self._storage.alive()
        return LocalSources(self)

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Whether the library has a photo at a path or below it."""
        self._storage.alive()
        places = self._storage.mounts.all_at(path)
        catalog = self._storage.catalog
        return any(catalog.has_file(one.name, one.path) for one in places) or bool(AllKnownFiles(catalog).at(places))

    def on_this_machine(self, path: str) -> str:
        """A path that somebody named, ``family:/2019``, as one of this machine. Raises FacekitError."""
        return self._storage.mounts.path(path)

    @override
    def remove(self, path: Removable | Iterable[Removable]) -> int:
        self._storage.alive()
        paths, ids = named_photos(path)
        if not paths and not ids:
            return 0
        with self._storage.changing("Removing photos"):
            return remove(self._storage, paths, ids)

    @override
    def relocate(self, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> Relocation:
        self._storage.alive()
        with self._storage.changing("Moving photos"):
            return relocate(self._storage, old, new)

    @override
    def backup(self, folder: str | os.PathLike[str]) -> int:
        self._storage.alive()
        with self._backing_up:
            return self._storage.backend.backup(user_path(folder).absolute())

    # -- search --------------------------------------------------------------------------------------------------

    @override
    def search(
        self,
        probe: ProbeSource | Sequence[ProbeSource],
        *,
        top_k: int = 50,
        min_similarity: float | None = None,
        face: int | Sequence[int] | None = None,
        source: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        album: str | None = None,
        after: date | str | None = None,
        before: date | str | None = None,
        include_poor: bool = False,
        person: Who | None = None,
    ) -> Hits:
        self._storage.alive()
        top_k = check_search(top_k, min_similarity, after, before)
        photo_ids = None if person is None else self._photo_ids(person)
        within = self._within(source=source, folder=folder, album=album)
        given = [(self._storage.mounts.picture(one), which) for one, which in given_probes(probe, face)]
        with people_pointed_at(given, lambda: self.people), self._storage.models.shared() as models:
            check_versions(models.settings)
            probes = read_probes(given, models.detector, models.embedder, self._kept_probe)
            threshold = models.search_similarity if min_similarity is None else min_similarity
            hits = find(
                template([vector for _, vector in probes]),
                self._storage.catalog,
                models.index,
                top_k=min(top_k, MAX_LIMIT),
                min_similarity=threshold,
                where=index_filter(self._storage.catalog, within, after, before, usable_only=not include_poor),
                photo_ids=photo_ids,
            )
            searched = models.index.count(exact=False)
            return Hits(tuple(hits), tuple(one for one, _ in probes), top_k, threshold, searched, self)

    def _kept_probe(self, whom: Known) -> tuple[Probe, FloatArray]:
        return known_probe(whom, self._storage.catalog, self._storage.pictures.thumbnail)

    @override
    def faces_in(self, picture: ImageSource) -> tuple[ProbeFace, ...]:
        self._storage.alive()
        picture = self._storage.mounts.picture(picture)
        return probe_faces(find_faces(picture, self._storage.models.now.detector, name="the picture"))

    # -- people --------------------------------------------------------------------------------------------------

    @property
    @override
    def people(self) -> People:
        return self.people_as("")

    def people_as(self, user: str) -> LocalPeople:
        """The people, for somebody whom the journal names."""
        self._storage.alive()
        return LocalPeople(self, self._storage, user)

    # -- looking -------------------------------------------------------------------------------------------------

    @override
    def stats(self) -> dict[str, Any]:
        self._storage.alive()
        with self._storage.models.shared() as now:
            counts = self._storage.catalog.counts()
        counts.pop("indexable_faces")
        counts |= self._storage.catalog.people.counts()
        run = self._storage.catalog.last_run()
        moments = {} if run is None else {"started_at": run.started_at, "finished_at": run.finished_at}
        last = {name: str(moment and moment.astimezone()) for name, moment in moments.items()} or None
        models = {"detector": now.settings.detector, "embedder": now.settings.embedder}
        return {"library": self.place, **counts, **models, "last_run": last}

    def roots(self) -> list[str]:
        """The folders and files that were ever ingested."""
        self._storage.alive()
        return self._storage.catalog.roots()

    def connected(self) -> list[str]:
        """The connected places that photos come from, by name."""
        self._storage.alive()
        return list(self._storage.catalog.sources.kinds())

    def index_lag(self) -> int:
        """Faces that the catalog has changed and the vector index does not know yet."""
        self._storage.alive()
        return self._storage.catalog.outbox.balance().due

    @override
    def doctor(self) -> Doctor:
        self._storage.alive()
        return examine(self._storage)

    # -- the similarity that counts ------------------------------------------------------------------------------

    @property
    @override
    def search_similarity(self) -> float:
        return self.settings.search_similarity

    @property
    @override
    def embedder_in_use(self) -> str:
        return self.settings.embedder_words

    @override
    def set_search_similarity(self, value: float | None, *, embedder: str | None = None) -> None:
        self._storage.alive()
        # Nobody else changes settings meanwhile: the later of two changes would overwrite the other.
        with self._storage.changing("Setting the similarity"):
            settings = self.settings.with_search_similarity(value, embedder)
            self._storage.save_settings(settings)
        logger.info("Searches take {} for the least similarity", self.search_similarity)

    @property
    @override
    def place(self) -> str:
        """The library's folder, or the address of its catalog."""
        return self._storage.backend.place
