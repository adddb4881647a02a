"""A library: one folder on disk, and the verbs on it."""

from __future__ import annotations

import weakref
from contextlib import ExitStack, suppress
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit import tables
from facekit.catalog import Catalog
from facekit.derived import apply_change, reconcile
from facekit.doctor import Doctor, examine
from facekit.errors import FacekitError, LibraryError, ModelMismatchError, NoFaceError, VectorIndexError
from facekit.hits import Hits
from facekit.index import IndexFilter, MilvusIndex
from facekit.index.protocol import MAX_LIMIT
from facekit.ingest import Ingest, IngestReport, Progress
from facekit.lock import OwnerLock
from facekit.logs import log_into, quiet_console
from facekit.models.registry import load_detector, load_embedder, model_info
from facekit.report import html_table
from facekit.search import ImageSource, find, read_probe, template
from facekit.settings import FILE, Settings, read_settings, write_settings
from facekit.sources import LocalSource

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    import pandas as pd

    from facekit.images import Limits
    from facekit.models.protocols import Detector, Embedder
    from facekit.types import Detail, FloatArray, Status, TableName

DETECTOR = "yunet"
EMBEDDER = "sface"

_open: weakref.WeakValueDictionary[Path, Library] = weakref.WeakValueDictionary()


def open_library(
    path: str | os.PathLike[str],
    *,
    detector: str | None = None,
    embedder: str | None = None,
    device: str = "auto",
) -> Library:
    """Open a library, or make one where there is none.

    Opening the same folder again in the same process gives the same library, so that a notebook's cell can be run
    twice.

    Parameters
    ----------
    path : path
        The library's folder. Photos are never put into it; it holds the catalog, the vectors, thumbnails and logs.
    detector, embedder : str, optional
        Names of models (`facekit models list`). A new library is bound to them; by default "yunet" and "sface".
    device : {"auto", "cpu", "cuda"}
        Where the models run.

    Raises
    ------
    LibraryLockedError
        If another process has it open; the error names that process.
    ModelMismatchError
        If it was made by other models than those named.
    LibraryError
        If the folder holds something else, or can't be used.
    """
    folder = Path(path).expanduser().resolve()
    library = _open.get(folder)
    if library is None or library.closed:
        library = Library(folder, detector=detector, embedder=embedder, device=device)
        _open[folder] = library
    else:
        library._check_models(detector, embedder)  # noqa: SLF001 - our own class
    return library


class Library:
    """Photos, faces and their vectors in one folder. Made by `facekit.open`; a context manager."""

    def __init__(self, folder: Path, *, detector: str | None, embedder: str | None, device: str) -> None:
        quiet_console()
        self.folder = folder
        self._device = device
        settings = read_settings(folder)
        if settings is None:
            settings = _new_settings(folder, detector, embedder)
        with ExitStack() as opened:
            lock = OwnerLock(folder)
            opened.callback(lock.release)
            if not (folder / FILE).exists():
                write_settings(folder, settings)
            self.settings = settings
            self._check_models(detector, embedder)
            opened.callback(_remove_sink, log_into(folder))
            self._catalog = _open_catalog(folder)
            opened.callback(self._catalog.close)
            self._index = self._open_index()
            opened.callback(_close_index, self._index)
            # Everything is open: from here on it is closed by close(), or when the library is collected.
            self._finalizer = weakref.finalize(self, opened.pop_all().close)
        if not self._catalog.index_is_current or self._index.count() != self._catalog.counts()["indexable_faces"]:
            reconcile(self._catalog, self._index)
        logger.info("Opened {} ({} + {})", folder, settings.detector, settings.embedder)

    def _check_models(self, detector: str | None, embedder: str | None) -> None:
        ours = self.settings
        for asked, made, version in (
            (detector, ours.detector, ours.detector_version),
            (embedder, ours.embedder, ours.embedder_version),
        ):
            if asked not in {None, made}:
                message = f"The library {self.folder} was made with {made}, not with {asked}; vectors don't mix."
                remedy = f"Open it without naming models, or make a library of its own for {asked}."
                raise ModelMismatchError(message, remedy)
            now = model_info(made).version
            if version != now:
                message = f"The library {self.folder} was made with {made} version {version}; this facekit has {now}."
                remedy = "Use the facekit that made it, or make a new library from the photos."
                raise ModelMismatchError(message, remedy)

    def _open_index(self) -> MilvusIndex:
        path = self.folder / "vectors.db"
        try:
            return MilvusIndex(str(path), self.settings.dimension)
        except VectorIndexError as error:
            if not path.exists():
                raise
            broken = MilvusIndex.set_aside(path)
            logger.warning("{} It was moved to {} and is rebuilt from the catalog.", error, broken.name)
            return MilvusIndex(str(path), self.settings.dimension)

    # -- opening and closing -------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the library was closed."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Write what is pending and let other processes open the library."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _alive(self) -> None:
        if self.closed:
            message = f"The library {self.folder} is closed."
            raise LibraryError(message, "Open it again with facekit.open.")

    @cached_property
    def detector(self) -> Detector:
        """The detector, loaded at first use."""
        return load_detector(self.settings.detector, device=self._device)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder, loaded at first use."""
        return load_embedder(self.settings.embedder, device=self._device)

    # -- photos in -----------------------------------------------------------------------------------------------

    def ingest(
        self,
        *roots: str | bytes | os.PathLike[str],
        progress: Progress = True,
        detail: Detail = "normal",
        limits: Limits | None = None,
    ) -> IngestReport:
        """Bring folders (or single files) into the library.

        Unchanged files are not read again, a changed file replaces its faces, a moved or copied file shares them, a
        vanished file is marked missing. Ctrl-C stops the run and keeps what is done; run it again to go on. The
        photos themselves are never changed.

        Parameters
        ----------
        *roots : path
            Folders, searched with everything below them, or files.
        progress : bool or callable
            A progress bar (default), none, or a function called with (files done, files to do).
        detail : {"normal", "fine"}
            "normal" looks closely at the photos that show small faces, "fine" at every photo, which takes several
            times as long and finds the odd face more. It applies to the photos that this run reads.
        limits : Limits, optional
            The largest file and picture to accept; photos once refused as too large are tried again.

        Raises
        ------
        FacekitError
            If a root does not exist (nothing is changed then), or the disk is full (what is done is kept).
        """
        self._alive()
        sources = [LocalSource(root) for root in roots]
        if not sources:
            message = "No folder was named."
            raise FacekitError(message, "Call ingest with the folders that hold the photos.")
        detector = self.detector
        if detail != "normal":
            detector = load_detector(self.settings.detector, device=self._device, detail=detail)
        run = Ingest(self._catalog, self._index, self.folder, detector, self.embedder, limits)
        return run.run(sources, [source.root for source in sources], progress)

    def remove(self, path: str | os.PathLike[str]) -> int:
        """Forget a photo, or all photos below a folder, with their faces. The files stay as they are.

        Returns the number of paths that were forgotten. A later ingest of the folder brings them back.
        """
        self._alive()
        source = LocalSource(path, must_exist=False)
        paths = [known for known in self._catalog.file_states(source.name) if source.holds(known)]
        if not paths:
            message = f"The library has no photo at {source.root}."
            raise FacekitError(message, "lib.photos() lists what it has.")
        apply_change(self._catalog.remove_files(source.name, paths), self._catalog, self._index, self.folder)
        self._catalog.index_caught_up()
        logger.info("Removed {} ({} paths)", source.root, len(paths))
        return len(paths)

    # -- search --------------------------------------------------------------------------------------------------

    def search(  # noqa: PLR0913 - all but the probe are named, and each narrows the search
        self,
        probe: ImageSource | Sequence[ImageSource],
        *,
        top_k: int = 50,
        min_similarity: float | None = None,
        face: int | None = None,
        source: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        after: date | str | None = None,
        before: date | str | None = None,
        include_poor: bool = False,
    ) -> Hits:
        """Find the photos of a person.

        Parameters
        ----------
        probe : path, bytes, PIL image, array uint8 (H, W, 3) RGB, or a list of these
            One or several pictures of the person; several are averaged into one template.
        top_k : int
            The most photos to return.
        min_similarity : float, optional
            Cosine similarity from which a face counts, -1..1; by default the embedder's documented threshold.
        face : int, optional
            Which face of the probe, counted from 0 in order of size; by default the largest.
        source : str, optional
            Only photos from this source ("local").
        folder : path, optional
            Only photos in this folder or below it.
        after, before : date, datetime or ISO string, optional
            Only photos taken from ``after`` on, and before ``before``. Photos without a date are left out then.
        include_poor : bool
            Also faces marked as too small, blurred or turned away.

        Raises
        ------
        NoFaceError
            If a probe shows no face.
        PhotoError
            If a probe can't be read.
        """
        self._alive()
        if top_k < 1:
            message = f"top_k is {top_k}."
            raise FacekitError(message, "It must be at least 1.")
        given: list[ImageSource] = list(probe) if isinstance(probe, list | tuple) else [probe]  # type: ignore[list-item]
        if not given:
            message = "No probe image was given."
            raise NoFaceError(message, "Give a picture of the person.")
        probes = [
            read_probe(one, self.detector, self.embedder, face=face, name=f"probe {number}")
            for number, one in enumerate(given, 1)
        ]
        threshold = model_info(self.settings.embedder).search_similarity if min_similarity is None else min_similarity
        where = self._filter(source, folder, after, before, usable_only=not include_poor)
        hits = find(
            template([one.embedding for one in probes]),
            self._catalog,
            self._index,
            top_k=min(top_k, MAX_LIMIT),
            min_similarity=threshold,
            where=where,
        )
        return Hits(tuple(hits), tuple(probes), top_k, threshold, self._index.count(), self.folder)

    def _filter(
        self,
        source: str | None,
        folder: str | os.PathLike[str] | None,
        after: date | str | None,
        before: date | str | None,
        *,
        usable_only: bool,
    ) -> IndexFilter:
        prefix = None if folder is None else LocalSource(folder, must_exist=False).prefix
        also = () if source is None and prefix is None else self._catalog.faces_at_second_places(source, prefix)
        return IndexFilter(usable_only, source, prefix, _moment(after), _moment(before), also)

    # -- looking -------------------------------------------------------------------------------------------------

    def photos(self, status: Status | str | None = None) -> pd.DataFrame:
        """One row a photo: path, status, reason, faces, size, date, camera, place. ``status`` selects a category."""
        self._alive()
        return tables.photos_frame(self._catalog, status)

    def faces(self) -> pd.DataFrame:
        """One row a face: photo, box in 0..1 of the upright photo, landmarks, quality, models."""
        self._alive()
        return tables.faces_frame(self._catalog)

    def embeddings(self, *, include_poor: bool = False) -> tuple[list[str], FloatArray]:
        """Face ids and their embeddings, float32 (N, D), L2-normalised; poor faces only on request."""
        self._alive()
        return self._catalog.embeddings(include_poor=include_poor)

    def export(self, table: TableName, path: str | os.PathLike[str], *, include_poor: bool = False) -> Path:
        """Write "faces" or "photos" as .csv, .json or .parquet, or "embeddings" as .npz (face_id, embedding)."""
        self._alive()
        return tables.export(self._catalog, table, Path(path), include_poor=include_poor)

    def stats(self) -> dict[str, Any]:
        """Numbers: photos by status, files, missing files, faces, usable faces, bytes; models; the last run."""
        self._alive()
        counts = self._catalog.counts()
        counts.pop("indexable_faces")
        run = self._catalog.last_run()
        last = None if run is None else {name: str(run[name]) for name in ("started_at", "finished_at")}
        models = {"detector": self.settings.detector, "embedder": self.settings.embedder}
        return {"library": str(self.folder), **counts, **models, "last_run": last}

    def doctor(self) -> Doctor:
        """Check models, catalog, vector index, thumbnails, files and disk; what is wrong comes with its remedy."""
        self._alive()
        return examine(self.folder, self.settings, self._catalog, self._index, self._device)

    def __repr__(self) -> str:
        if self.closed:
            return f"Library({str(self.folder)!r}, closed)"
        counts = self._catalog.counts()
        photos = sum(counts["photos"].values())
        return f"Library({str(self.folder)!r}, {photos} photos, {counts['faces']} faces)"

    def _repr_html_(self) -> str:
        return html_table({"closed library": str(self.folder)} if self.closed else self.stats())


def _close_index(index: MilvusIndex) -> None:
    with suppress(Exception):  # what could not be written is written again from the catalog
        index.close()


def _remove_sink(sink: int) -> None:
    with suppress(ValueError):  # somebody removed all of loguru's sinks
        logger.remove(sink)


def _new_settings(folder: Path, detector: str | None, embedder: str | None) -> Settings:
    found, embeds = model_info(detector or DETECTOR), model_info(embedder or EMBEDDER)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted({path.name for path in folder.iterdir()} - {"lock", "owner.json", FILE + ".part"})
    except OSError as error:
        message = f"No library can be made in {folder}: {error.strerror}."
        raise LibraryError(message, "Choose a folder that can be written.") from error
    if others:
        message = f"{folder} is not a facekit library, and not empty (it holds {others[0]!r})."
        raise LibraryError(message, "Choose a new folder for the library; photos stay where they are.")
    return Settings(found.name, found.version, embeds.name, embeds.version, embeds.dimension)


def _open_catalog(folder: Path) -> Catalog:
    path = folder / "catalog.duckdb"
    try:
        return Catalog(f"duckdb:///{path}")
    except FacekitError:
        raise
    except Exception as error:
        message = f"The catalog {path} can't be opened: {str(error).splitlines()[0]}."
        raise LibraryError(message, "Restore it from a backup, or make a new library from the photos.") from error


def _moment(value: date | str | None) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            message = f"{value!r} is not a date."
            raise FacekitError(message, "Write it as 2019-12-31 or 2019-12-31T18:30.") from error
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - photos' dates have no time zone
    return value.replace(tzinfo=None)
