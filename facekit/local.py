"""A library in one folder on disk."""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit import tables
from facekit.backup import write_backup
from facekit.bound import VECTORS, InUse, ModelSet, forget_other_vectors
from facekit.catalog import open_catalog
from facekit.catalog.people_copy import COPY
from facekit.derived import THUMBNAILS, apply_change, reconcile
from facekit.doctor import Doctor, examine
from facekit.errors import FacekitError, LibraryBusyError, LibraryError, NoFolderError
from facekit.files import user_path
from facekit.forks import in_forks, never_destroy, refuse_fork
from facekit.hits import Hits
from facekit.images import display_name
from facekit.index import IndexFilter
from facekit.index.protocol import MAX_LIMIT
from facekit.ingest import Ingest, IngestReport, Progress, check_progress
from facekit.job_rows import forget_in_jobs
from facekit.known import known_probe
from facekit.library import PICTURE_SIDE, Library
from facekit.local_people import LocalPeople
from facekit.lock import OwnerLock
from facekit.logs import forget_in_logs, log_into, quiet_console
from facekit.models.engines import check_where
from facekit.models.registry import load_detector
from facekit.open_files import allow_files
from facekit.pictures import Pictures
from facekit.private import protect
from facekit.reembed import REEMBEDDED, Reembed
from facekit.relocation import Relocation, relocate
from facekit.removal import KnownFiles, named_photos
from facekit.repair import refuse_lost_catalog
from facekit.room import check_room
from facekit.search import (
    check_search,
    find,
    find_faces,
    given_probes,
    moment,
    people_pointed_at,
    probe_faces,
    read_probes,
    template,
)
from facekit.settings import FILE, check_models, check_versions, new_settings, read_settings, write_settings
from facekit.sources import LocalSource
from facekit.sources.left_out import checked
from facekit.waiting import watching
from facekit.workers import default_workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date
    from pathlib import Path
    from threading import Event

    import pandas as pd

    from facekit.catalog import Catalog
    from facekit.given import ImageSource
    from facekit.images import Limits
    from facekit.index import MilvusIndex
    from facekit.known import Known
    from facekit.models.protocols import Detector, Embedder
    from facekit.people.people import People, Who
    from facekit.reembed_report import ReembedReport
    from facekit.removal import Removable
    from facekit.search import ProbeSource
    from facekit.settings import Settings
    from facekit.types import (
        Detail,
        Face,
        FacePage,
        FloatArray,
        Folder,
        Photo,
        PhotoPage,
        Probe,
        ProbeFace,
        Status,
        TableName,
    )


class LocalLibrary(Library):
    """A library in a folder, which this process owns while it is open."""

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
        self.folder = folder
        self.current: IngestReport | None = None
        """What the ingest that is going on has done so far."""
        self._busy, self._backing_up = Lock(), Lock()
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
            self._catalog = open_catalog(folder)
            opened.callback(self._catalog.close)
            opened.callback(_keep_people, self._catalog, folder)
            self._pictures = Pictures(self._catalog, folder)
            opened.callback(self._pictures.close)
            bound = self._catalog.staging.bound  # by a change of models: it may have been cut off right after this
            self._catalog.staging.clear_used()
            if bound and bound.models != settings.models:
                settings = settings.with_models(bound.models, REEMBEDDED)
                write_settings(folder, settings)
            if not settings.catalog:
                settings = replace(settings, catalog=True)
                write_settings(folder, settings)
            check_models(settings, folder, detector, embedder)
            vectors = bound.vectors if bound else VECTORS
            forget_other_vectors(folder, vectors)
            self._models = InUse(ModelSet(settings, folder / vectors, device, engine))
            opened.callback(self._models.close)
            # Everything is open: from here on it is closed by close(), or when the library is collected.
            self._finalizer = weakref.finalize(self, opened.pop_all().close)
        self._process = os.getpid()
        _libraries.add(self)
        if not self._catalog.index_is_current or self._index.count() != self._catalog.counts()["indexable_faces"]:
            reconcile(self._catalog, self._index)
        if self._catalog.erase_due:
            self._erase()
        protect(folder, THUMBNAILS)
        logger.info("Opened {} ({} + {})", folder, settings.detector, settings.embedder)

    # -- opening and closing -------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the library was closed."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Write what is pending and let other processes open the library."""
        self._finalizer()

    def check_where(self, device: str, engine: str) -> None:
        """Refuse another device or engine than those that the library was opened with. Raises LibraryError."""
        now = self._models.now.where
        for asked, used in ((device, now["device"]), (engine, now["engine"])):
            if asked not in {"auto", used}:
                message = f"The library {self.folder} is open in this process with {used!r}, not with {asked!r}."
                raise LibraryError(message, "Close it first: lib.close().")

    def _alive(self) -> None:
        refuse_fork(self._process, f"The library {self.folder}")
        if self.closed:
            message = f"The library {self.folder} is closed."
            raise LibraryError(message, "Open it again with facekit.open.")

    @property
    def settings(self) -> Settings:
        """The models that made the library."""
        return self._models.now.settings

    @property
    def detector(self) -> Detector:
        """The detector, loaded at first use."""
        return self._models.now.detector

    @property
    def embedder(self) -> Embedder:
        """The embedder, loaded at first use."""
        return self._models.now.embedder

    @property
    def _index(self) -> MilvusIndex:
        return self._models.now.index

    # -- photos in -----------------------------------------------------------------------------------------------

    def ingest(
        self,
        *roots: str | bytes | os.PathLike[str],
        progress: Progress = True,
        detail: Detail = "normal",
        limits: Limits | None = None,
        stop: Event | None = None,
        exclude: Iterable[str] | None = None,
    ) -> IngestReport:
        """See `Library.ingest`."""
        self._alive()
        check_progress(progress)
        patterns = self.settings.exclude if exclude is None else checked(exclude)
        sources = [self._source(root, patterns) for root in roots]
        if not sources:
            message = "No folder was named."
            raise FacekitError(message, "Call ingest with the folders that hold the photos.")
        with self._changing("An ingest"), watching(self.folder, stop) as watch:
            if patterns != self.settings.exclude:
                self._keep(replace(self.settings, exclude=patterns))
            models = self._models.now
            check_versions(models.settings)
            detector, embedder = models.detector, models.embedder
            if detail != "normal":
                detector = load_detector(models.settings.detector, **models.where, detail=detail)
            run = Ingest(self._catalog, models.index, self.folder, detector, embedder, limits=limits, stop=stop)
            run.report.warnings = watch.notes
            self.current = run.report
            try:
                report = run.run(sources, [source.root for source in sources], progress)
                if self._catalog.people.assign_due and self._catalog.people.person_ids():
                    report.assigned = self.people.assign().assigned
            finally:
                self.current = None
            if self._catalog.erase_due:  # files hold other photos now
                self._erase()
            return report

    def _source(self, root: str | bytes | os.PathLike[str], patterns: Sequence[str]) -> LocalSource:
        try:
            return LocalSource(root, exclude=patterns)
        except FacekitError as error:
            gone = LocalSource(root, must_exist=False)
            if gone.gone(gone.path) and self._known_files().at(gone):
                remedy = "If its photos lie elsewhere now: lib.relocate(old, new) or facekit relocate OLD NEW."
                raise type(error)(error.message, f"{error.remedy} {remedy}") from error
            raise

    def _keep(self, settings: Settings) -> None:
        write_settings(self.folder, settings)
        self._models.now.settings = settings

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
        """See `Library.reembed`."""
        self._alive()
        check_progress(progress)
        with self._changing("A change of models"), watching(self.folder, stop):
            made = (self._catalog, self.folder, self._models)
            run = Reembed(*made, detector, embedder, detail=detail, stop=stop, skip=skip_unreadable)
            return run.run(progress)

    @contextmanager
    def _changing(self, what: str) -> Iterator[None]:
        """Only one thing at a time may change the library."""
        if not self._busy.acquire(blocking=False):
            message = f"{what} can't start: another change of the library is going on."
            raise LibraryBusyError(message, "Wait until it is done, or stop it.")
        try:
            check_room(self.folder)
            yield
        finally:
            protect(self.folder, THUMBNAILS)  # what databases wrote
            self._busy.release()

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Whether the library has a photo at a path or below it."""
        self._alive()
        source = LocalSource(path, must_exist=False)
        return self._catalog.has_file(source.name, source.path) or bool(self._known_files().at(source))

    def _known_files(self) -> KnownFiles:
        return KnownFiles(self._catalog.file_states(LocalSource.name))

    def remove(self, path: Removable | Iterable[Removable]) -> int:
        """See `Library.remove`."""
        self._alive()
        paths, ids = named_photos(path)
        if not paths and not ids:
            return 0
        with self._changing("Removing photos"):
            return self._remove(paths, ids)

    def _remove(self, paths: Sequence[Path], ids: Sequence[str]) -> int:
        files, roots = self._known_files().to_remove(paths, ids)
        change = self._catalog.remove_files(LocalSource.name, files)
        apply_change(change, self._catalog, self._index, self.folder)
        self._catalog.index_caught_up()
        # What is in a folder that stays is named in full; a folder's own name stands where its photos stood.
        names = [*roots, *map(display_name, files)]
        forget_in_logs(self.folder, names)
        forget_in_jobs(self.folder, names)
        self._erase()
        logger.info("{} paths were removed", len(files))
        return len(files)

    def relocate(self, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> Relocation:
        """See `Library.relocate`."""
        self._alive()
        with self._changing("Moving photos"):
            return relocate(self._catalog, self._index, self.folder, old, new)

    def backup(self, folder: str | os.PathLike[str]) -> int:
        """See `Library.backup`."""
        self._alive()
        with self._backing_up:
            return write_backup(self._catalog, self.folder, user_path(folder).absolute())

    def _erase(self) -> None:
        """See that no file of the library holds what was removed; where there is no room for it now, later."""
        self._index.compact()
        try:
            if (self.folder / COPY).exists():
                self._catalog.copy_people_beside(self.folder)
            if not self._catalog.erase():
                logger.warning("What was removed is erased from the catalog's file at the next opening.")
        except LibraryError as error:
            logger.warning("What was removed is erased from the catalog's file at the next opening: {}", error)

    # -- search --------------------------------------------------------------------------------------------------

    def search(  # noqa: PLR0913 - all but the probe are named, and each narrows the search
        self,
        probe: ProbeSource | Sequence[ProbeSource],
        *,
        top_k: int = 50,
        min_similarity: float | None = None,
        face: int | Sequence[int] | None = None,
        source: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        after: date | str | None = None,
        before: date | str | None = None,
        include_poor: bool = False,
        person: Who | None = None,
    ) -> Hits:
        """See `Library.search`."""
        self._alive()
        check_search(top_k, min_similarity, after, before)
        given = given_probes(probe, face)
        with people_pointed_at(given, lambda: self.people), self._models.shared() as models:
            check_versions(models.settings)
            probes = read_probes(given, models.detector, models.embedder, self._kept_probe)
            threshold = models.search_similarity if min_similarity is None else min_similarity
            where = self._filter(source, folder, after, before, usable_only=not include_poor)
            hits = find(
                template([vector for _, vector in probes]),
                self._catalog,
                models.index,
                top_k=min(top_k, MAX_LIMIT),
                min_similarity=threshold,
                where=where,
                photo_ids=None if person is None else self._photo_ids(person),
            )
            return Hits(tuple(hits), tuple(one for one, _ in probes), top_k, threshold, models.index.count(), self)

    def _kept_probe(self, whom: Known) -> tuple[Probe, FloatArray]:
        return known_probe(whom, self._catalog, self._pictures.thumbnail)

    def faces_in(self, picture: ImageSource) -> tuple[ProbeFace, ...]:
        """See `Library.faces_in`."""
        self._alive()
        return probe_faces(find_faces(picture, self._models.now.detector, name="the picture"))

    def _filter(
        self,
        source: str | None,
        folder: str | os.PathLike[str] | None,
        after: date | str | None,
        before: date | str | None,
        *,
        usable_only: bool,
    ) -> IndexFilter:
        prefix = self._folder(folder)
        if source is not None and not str(source).isprintable():
            message = f"There is no source {source!r}."
            raise FacekitError(message, 'Photos in folders are from "local".')
        source = source if source is None else str(source)
        also = () if source is None and prefix is None else self._catalog.faces_at_second_places(source, prefix)
        return IndexFilter(usable_only, source, prefix, moment(after), moment(before), also)

    def _folder(self, folder: str | os.PathLike[str] | None) -> str | None:
        """A folder as the catalog has it, with its slash. Raises NoFolderError where no photo lies in it or below."""
        if folder is None:
            return None
        prefix = LocalSource(folder, must_exist=False).prefix
        if not self._catalog.has_photos(prefix):
            message = f"The library holds no photo in {folder} or below it."
            raise NoFolderError(message, "lib.folders() lists the folders; lib.ingest(folder) brings photos in.")
        return prefix

    # -- people --------------------------------------------------------------------------------------------------

    @property
    def people(self) -> People:
        """See `Library.people`."""
        return self.people_as("")

    def people_as(self, user: str) -> LocalPeople:
        """The people, for somebody whom the journal names."""
        self._alive()
        return LocalPeople(self, self._catalog, self._models, self._changing, user)

    # -- looking -------------------------------------------------------------------------------------------------

    def photos(
        self,
        status: Status | str | None = None,
        *,
        person: Who | None = None,
        together_with: Who | Sequence[Who] | None = None,
        year: int | None = None,
        source: str | None = None,
    ) -> pd.DataFrame:
        """See `Library.photos`."""
        self._alive()
        others: list[Any] = list(together_with) if isinstance(together_with, list | tuple) else [together_with]
        people = [self._photo_ids(one) for one in (person, *others) if one is not None]
        shown = set.intersection(*people) if people else None
        return tables.photos_frame(self._catalog, status, photo_ids=shown, year=year, source=source)

    def _photo_ids(self, who: Who) -> set[str]:
        return set(self._catalog.people.photo_ids(self.people.get(who).person_id))

    def faces(self) -> pd.DataFrame:
        """See `Library.faces`."""
        self._alive()
        return tables.faces_frame(self._catalog)

    def embeddings(self, *, include_poor: bool = False) -> tuple[list[str], FloatArray]:
        """See `Library.embeddings`."""
        self._alive()
        return self._catalog.embeddings(include_poor=include_poor)

    def export(self, table: TableName, path: str | os.PathLike[str], *, include_poor: bool = False) -> Path:
        """See `Library.export`."""
        self._alive()
        self.outside(path)
        return tables.export(self._catalog, table, path, include_poor=include_poor)

    def outside(self, path: str | os.PathLike[str]) -> None:
        """Refuse to write into the library's own folder. Raises FacekitError."""
        if user_path(path).resolve().is_relative_to(self.folder.resolve()):
            message = f"{path} lies in the library's own folder."
            raise FacekitError(message, "Choose another folder: what lies here is the library's.")

    def export_all(self, table: TableName, path: Path) -> Path:
        """Write a table with every column that there is."""
        self._alive()
        return tables.export(self._catalog, table, path, include_poor=True, all_columns=True)

    def stats(self) -> dict[str, Any]:
        """See `Library.stats`."""
        self._alive()
        with self._models.shared() as now:
            counts = self._catalog.counts()
        counts.pop("indexable_faces")
        counts |= self._catalog.people.counts()
        run = self._catalog.last_run()
        last = None if run is None else {name: str(run[name]) for name in ("started_at", "finished_at")}
        models = {"detector": now.settings.detector, "embedder": now.settings.embedder}
        return {"library": str(self.folder), **counts, **models, "last_run": last}

    def roots(self) -> list[str]:
        """The folders and files that were ever ingested."""
        self._alive()
        return self._catalog.roots()

    def index_lag(self) -> int:
        """Faces that the catalog holds and the vector index does not yet."""
        self._alive()
        with self._models.shared() as models:
            return max(0, int(self._catalog.counts()["indexable_faces"]) - models.index.count())

    def doctor(self) -> Doctor:
        """See `Library.doctor`."""
        self._alive()
        return examine(self.folder, self._catalog, self._models)

    # -- what galleries are made of ------------------------------------------------------------------------------

    def photo_page(
        self,
        status: Status | str | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        person: Who | None = None,
        offset: int = 0,
        limit: int = 60,
    ) -> PhotoPage:
        """See `Library.photo_page`."""
        self._alive()
        prefix = self._folder(folder)
        person_id = None if person is None else self.people.get(person).person_id
        return self._catalog.pages.photos(status, prefix, offset, limit, person_id)

    def face_page(self, *, include_poor: bool = False, offset: int = 0, limit: int = 60) -> FacePage:
        """See `Library.face_page`."""
        self._alive()
        return self._catalog.pages.faces(offset, limit, include_poor=include_poor)

    def photo(self, photo_id: str) -> Photo:
        """See `Library.photo`."""
        self._alive()
        return self._catalog.pages.photo(photo_id)

    def face(self, face_id: str) -> Face:
        """A face; raises `UnknownIdError`."""
        self._alive()
        return self._catalog.pages.face(face_id)

    def folders(self) -> tuple[Folder, ...]:
        """See `Library.folders`."""
        self._alive()
        return self._catalog.pages.folders()

    def thumbnail(self, photo_id: str) -> bytes | None:
        """See `Library.thumbnail`. A closed library's thumbnails can be read too: results outlive it."""
        return self._pictures.thumbnail(photo_id)

    def face_thumbnail(self, face_id: str) -> bytes | None:
        """See `Library.face_thumbnail`."""
        self._alive()
        return self._pictures.face(face_id)

    def picture(self, photo_id: str) -> bytes:
        """See `Library.picture`."""
        self._alive()
        return self._pictures.photo(photo_id, PICTURE_SIDE)

    def file(self, photo_id: str) -> Path:
        """Where a photo lies; see `facekit.pictures.Pictures.file`."""
        self._alive()
        return self._pictures.file(photo_id)

    @property
    def search_similarity(self) -> float:
        """See `Library.search_similarity`."""
        return self.settings.search_similarity

    @property
    def embedder_in_use(self) -> str:
        """See `Library.embedder_in_use`."""
        return self.settings.embedder_words

    def set_search_similarity(self, value: float | None, *, embedder: str | None = None) -> None:
        """See `Library.set_search_similarity`."""
        self._alive()
        with self._changing("Setting the similarity"):  # or two changes of the settings would overwrite each other
            settings = self.settings.with_search_similarity(value, embedder)
            self._keep(settings)
        logger.info("Searches take {} for the least similarity", self.search_similarity)

    @property
    def place(self) -> str:
        """The library's folder."""
        return str(self.folder)


_libraries: weakref.WeakSet[LocalLibrary] = weakref.WeakSet()


@in_forks
def _leave_libraries_alone() -> None:
    """In a fork they count as closed, and nothing of them is closed: the lock and the database are the parent's."""
    for library in list(_libraries):
        never_destroy(library._finalizer.detach())  # noqa: SLF001 - a part of it


def _keep_people(catalog: Catalog, folder: Path) -> None:
    try:
        catalog.keep_people(folder)
    except Exception as error:  # noqa: BLE001 - the library is being closed, and the copy before is there
        logger.warning("No copy was made of people and names: {}", error)


def _remove_sink(sink: int) -> None:
    with suppress(ValueError):  # somebody removed all of loguru's sinks
        logger.remove(sink)
