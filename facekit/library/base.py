"""A library, and the verbs on it, wherever it is kept: in a folder, or behind a facekit service."""

from __future__ import annotations

from abc import abstractmethod
from html import escape
from typing import TYPE_CHECKING, Any

from facekit.library.gallery_source import GallerySource
from facekit.system.closing import Closing
from facekit.views import view

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path
    from threading import Event

    import pandas as pd

    from facekit.images.files import Limits
    from facekit.images.inputs import ImageSource
    from facekit.ingest.progress import Progress
    from facekit.ingest.reembed_report import ReembedReport
    from facekit.ingest.report import IngestReport
    from facekit.people.base import People, Who
    from facekit.search.find import ProbeSource
    from facekit.search.hits import Hits
    from facekit.storage.doctor import Doctor
    from facekit.storage.relocation import Relocation
    from facekit.storage.removal import Removable
    from facekit.types.arrays import FloatArray
    from facekit.types.photos import Detail, ProbeFace, Status, TableName


class Library(GallerySource, Closing):
    """Photos, faces and their vectors. Made by `facekit.open`; a context manager.

    Examples
    --------
    >>> lib.stats()["photos"]
    {'no_face': 5, 'ok': 20}
    >>> hits = lib.search(demo.probe, min_similarity=0.5)
    >>> page = lib.photo_page(folder=demo.folder, limit=10)
    >>> page.total, len(page.photos)
    (25, 10)
    """

    # -- opening and closing -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether the library was closed."""

    @abstractmethod
    def close(self) -> None:
        """Write what is pending and let go of the library; what a service owns stays open there."""

    # -- photos in -----------------------------------------------------------------------------------------------

    @abstractmethod
    def ingest(
        self,
        *roots: str | bytes | os.PathLike[str],
        progress: Progress = True,
        detail: Detail = "normal",
        limits: Limits | None = None,
        stop: Event | None = None,
        exclude: Iterable[str] | None = None,
    ) -> IngestReport:
        """Bring folders (or single files) into the library.

        Unchanged files are not read again, a changed file replaces its faces, a moved or copied file shares them, a
        vanished file is marked missing, and so is a file that is not there any more when its photo is met elsewhere.
        Left out are facekit libraries, other programs' previews, folders with ``.nomedia`` in them and what is
        excluded; the report says how many. Ctrl-C stops the run and keeps what is done; run it again to go on. The
        photos themselves are never changed.

        Parameters
        ----------
        *roots : path
            Folders, searched with everything below them, or files.
        progress : bool or callable
            A progress bar (default), none, or a function called with (files done, files to do).
        detail : {"normal", "fine"} or int
            "normal" looks closely at the photos that show small faces, "fine" at every photo, which takes several
            times as long and finds the odd face more. A number is the longest side in pixels that is looked at: less
            is faster. It applies to the photos that this run reads.
        limits : Limits, optional
            The largest file and picture to accept; photos once refused as too large are tried again. A service has
            limits of its own.
        stop : threading.Event, optional
            Set it from another thread to stop the run as Ctrl-C does.
        exclude : iterable of str, optional
            Globs of files and folders to leave out, kept in the library for the runs that follow; ``[]`` excludes
            nothing again. Without a slash a pattern stands for a name anywhere below a root (``Screenshots``), with
            one for a path from the root on, whose ``*`` also stands for slashes (``*/Exports/*.png``); case does not
            matter. Photos that are in the library already stay there, until they are removed.

        Returns
        -------
        IngestReport
            What was found, ingested and left out, and which files could not be used.

        Raises
        ------
        FacekitError
            If a root does not exist (nothing is changed then) or is a facekit library, or the disk is full (what is
            done is kept).
        StalledError
            If a model, the decoding of a photo or the disk does not answer for ten minutes, or the seconds that the
            environment's ``FACEKIT_GIVE_UP_AFTER`` says (0: never). What is done is kept, and the stacks of all threads
            are in the library's log; where no thread could run, in its ``logs/stalled.txt``.
        """

    @abstractmethod
    def remove(self, path: Removable | Iterable[Removable]) -> int:
        """Forget photos with their faces. The files stay as they are.

        What held them is written anew, so that nothing is left of them. That takes about as long for a thousand photos
        as for one, in proportion to the faces of the library: 4.5 seconds of CPU with 20,480 faces of 128
        numbers. So name all in one call. A later ingest of the folder brings them back.

        Parameters
        ----------
        path : path, str, Photo, Hit, or an iterable of these
            The path of a photo, or of a folder with all below it; or the id of a photo, a `Photo` or a `Hit`, which
            mean all files that hold this photo. ``lib.remove(lib.search("probe.jpg"))`` forgets all that was found.

        Returns
        -------
        int
            The number of paths that were forgotten.

        Raises
        ------
        FacekitError
            If the library has no photo at one of the paths. Nothing is removed then.
        UnknownIdError
            If it has no photo of one of the ids. Nothing is removed then.
        LibraryBusyError
            If another change of the library is going on.
        """

    @abstractmethod
    def relocate(self, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> Relocation:
        """Say that photos lie elsewhere now: all that the library has at or below a path. Files stay as they are.

        Nothing is read but names and sizes, and people, faces and ids stay. Call it the other way round to undo it.

        Parameters
        ----------
        old : path
            The folder (or photo) as the library knows it.
        new : path
            Where it is now. What is not found there is marked missing.

        Raises
        ------
        FacekitError
            If the library has no photo at ``old``, none of them is found at ``new``, or both are the same place;
            nothing is changed then.
        LibraryBusyError
            If another change of the library is going on.
        """

    @abstractmethod
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
        """Change the models: make all faces again from the photos, then switch to them in one step.

        Until the switch the library is searched with the models that it has; it can't be changed in other ways. Ctrl-C
        stops the run and keeps what is done; run it again with the same models to go on, with others it is lost. Faces
        that both sets have are found by the overlap of their boxes, so that what was done with them is carried over;
        the report lists the rest.

        Parameters
        ----------
        detector, embedder : str, optional
            Names of models (`facekit models list`); by default those that the library has, in the version that this
            facekit has.
        progress, stop
            See `ingest`; a function is called with (photos done, photos to do).
        detail : {"normal", "fine"} or int
            How closely to look at all photos, see `ingest`. A library that has the models already is left as it is.
        skip_unreadable : bool
            Switch although some photos can't be read, or hold something else by now. They stay in the library without
            faces, with the status "io_error", and a later ingest finds their faces. Without it the switch is not made
            then: bring the photos back and run it again, and only they are done.

        Raises
        ------
        LibraryBusyError
            If photos are being ingested or removed.
        FacekitError
            If a model or its weights are not to be had, or the disk is full (what is done is kept).
        """

    # -- search --------------------------------------------------------------------------------------------------

    @abstractmethod
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
        """Find the photos of a person.

        Parameters
        ----------
        probe : picture, face or person, or a list of these
            Pictures of the person: a path or a ``data:`` URI, the bytes of an image file, an open file, a value of
            ipywidgets' FileUpload, a PIL image, an array uint8 (H, W, 3) RGB. Or whom the library has: a face (its id,
            a `Face`, a `Hit`), or a `Person`, who is the average of their good faces. Several are averaged.
        top_k : int
            The most photos to return.
        min_similarity : float, optional
            Cosine similarity from which a face counts, -1..1; by default `search_similarity`.
        face : int or sequence of int, optional
            Which face of the probe, counted from 0 in order of size; by default the largest. Several: one a probe.
        source : str, optional
            Only photos from this source ("local").
        folder : path, optional
            Only photos in this folder or below it.
        after, before : date, datetime or ISO string, optional
            Only photos taken from ``after`` on, and before ``before``. Photos without a date are left out then.
        include_poor : bool
            Also faces marked as too small, blurred or turned away.
        person : Person or str, optional
            Only photos that show this person, as the one who is found or beside them.

        Returns
        -------
        Hits
            Each photo once, with the face in it that is most like the probe; the most alike first.

        Raises
        ------
        UnknownIdError
            If there is no such person.
        NoFaceError
            If a probe shows no face.
        PhotoError
            If a probe can't be read.
        """

    @abstractmethod
    def faces_in(self, picture: ImageSource) -> tuple[ProbeFace, ...]:
        """The faces in a picture that is no part of the library, largest first: ``face=`` of `search` counts so.

        Raises
        ------
        PhotoError
            If the picture can't be read.
        """

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def people(self) -> People:
        """The people in the photos: clusters, names and corrections."""

    @abstractmethod
    def photos(
        self,
        status: Status | str | None = None,
        *,
        person: Who | None = None,
        together_with: Who | Sequence[Who] | None = None,
        year: int | None = None,
        source: str | None = None,
    ) -> pd.DataFrame:
        """One row a photo, ordered by path.

        Columns: photo_id, path, status, reason, faces (how many), width and height (pixels of the upright photo),
        bytes, format, taken_at (the camera's clock), camera, latitude and longitude (degrees), source, paths (all that
        hold the photo).

        Parameters
        ----------
        status : Status or str, optional
            Only photos of this category.
        person : Person or str, optional
            Only photos that show this person: a name, or an id.
        together_with : Person, str, or a list of these, optional
            Only photos that show these people, too.
        year : int, optional
            Only photos taken in this year.
        source : str, optional
            Only photos from this source ("local").

        Raises
        ------
        UnknownIdError
            If there is no such person.
        """

    @abstractmethod
    def faces(self) -> pd.DataFrame:
        """One row a face, ordered by photo and within it from left to right.

        Columns: face_id, photo (its path), x, y, w, h (the box in 0..1 of the upright photo), detection_score (0..1),
        quality, reason (why it is poor), detector, embedder, source; and what `Quality` says: size, sharpness, yaw,
        pitch, roll; landmarks and photo_id.
        """

    @abstractmethod
    def embeddings(self, *, include_poor: bool = False) -> tuple[list[str], FloatArray]:
        """Face ids and their embeddings, float32 (N, D), L2-normalised; poor faces only on request."""

    @abstractmethod
    def export(self, table: TableName, path: str | os.PathLike[str], *, include_poor: bool = False) -> Path:
        """Write "faces", "photos", "people" or "constraints" as .csv, .json or .parquet, or "embeddings" as .npz.

        "people" has a row a face that is somebody's: face_id, photo, person_id, person, run, similarity_to_centre.
        "constraints" is what the user said, see `People.constraints`. "embeddings" are face_id and embedding.

        Parameters
        ----------
        table : {"faces", "photos", "people", "constraints", "embeddings"}
            What.
        path : path
            Where; its ending says how. A file that is there is replaced.
        include_poor : bool
            Also the embeddings of poor faces.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        FacekitError
            If there is no such table, the ending is none of these, the path lies in the library's own folder, or the
            file can't be written.
        """

    @abstractmethod
    def stats(self) -> dict[str, Any]:
        """Numbers: photos by status, files, missing files, faces, usable faces, bytes; models; the last run."""

    @abstractmethod
    def doctor(self) -> Doctor:
        """Check models, catalog, vector index, thumbnails, files and disk; what is wrong comes with its remedy."""

    @abstractmethod
    def backup(self, folder: str | os.PathLike[str]) -> int:
        """Bring a backup of the library up to date, while it is used. Returns the thumbnails that were copied.

        It holds the catalog, people and names, settings, accounts and small pictures, and no photos; the vectors are
        made again from the catalog. Treat it as you treat the photos: it shows faces, and what was removed from the
        library stands in it until the next backup into the same folder. ``facekit restore`` makes a library of it.

        Parameters
        ----------
        folder : path
            A new or empty folder, or one that holds a backup. Through a service it is a folder of its machine.

        Raises
        ------
        LibraryError
            If the folder holds something else, can't be written, or has no room; the backup before is kept.
        """

    # -- the similarity that counts ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def search_similarity(self) -> float:
        """What `search` takes for ``min_similarity`` by default: the embedder's threshold, or what was set here."""

    @property
    @abstractmethod
    def embedder_in_use(self) -> str:
        """The embedder in use, by name and version: ``sface 1``."""

    @abstractmethod
    def set_search_similarity(self, value: float | None, *, embedder: str | None = None) -> None:
        """Set what `search` takes for ``min_similarity`` by default, for everybody who uses the library.

        It is kept in the library and counts for its embedder only. `facekit.calibrate` suggests values.

        Parameters
        ----------
        value : float or None
            Cosine similarity, -1..1; None takes the embedder's documented threshold again.
        embedder : str, optional
            What it was measured with: `Calibration.embedder`. By default the library's embedder is trusted to be it.

        Raises
        ------
        FacekitError
            If it is not from -1 to 1.
        OtherVectorsError
            If the library has another embedder by now.
        LibraryBusyError
            If another change of the library is going on.
        """

    def show(self) -> Any:  # noqa: ANN401 - a widget; ipywidgets has no types
        """All photos, search and ingest as a widget for a notebook."""
        return view("LibraryPanel", self)

    # -- in words ------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the library is: its folder, or the service's address."""

    def __repr__(self) -> str:
        if self.closed:
            return f"{type(self).__name__}({self.place!r}, closed)"
        numbers = self.stats()
        return (
            f"{type(self).__name__}({self.place!r}, {sum(numbers['photos'].values())} photos, {numbers['faces']} faces)"
        )

    def _repr_html_(self) -> str:
        return _html_table({"closed library": self.place} if self.closed else self.stats())


def _html_table(values: Mapping[str, Any]) -> str:
    """Names and values as a small table."""
    rows = (f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in values.items())
    return f"<table>{''.join(rows)}</table>"
