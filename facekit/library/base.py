"""A library, and the verbs on it, wherever it is kept: in a folder, or behind a facekit service."""

from __future__ import annotations

from abc import abstractmethod
from html import escape
from typing import TYPE_CHECKING, Any

from facekit.library.gallery_source import GallerySource
from facekit.library.intake import Intake
from facekit.system.closing import Closing
from facekit.views import view

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    import pandas as pd

    from facekit.images.inputs import ImageSource
    from facekit.people.base import People
    from facekit.people.who import Who
    from facekit.search.find import ProbeSource
    from facekit.search.hits import Hits
    from facekit.storage.doctor import Doctor
    from facekit.types.arrays import FloatArray
    from facekit.types.photos import ProbeFace, Status, TableName


class Library(Intake, GallerySource, Closing):
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
        album: str | None = None,
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
            Only photos from this source: "local", a mount's name, a connected place's ("vk-anna"), or a kind of such
            places ("vk"), which means all that are connected.
        folder : path, optional
            Only photos in this folder or below it.
        album : str, optional
            Only photos of this album of a connected place, or of those in it ("2019/Summer"); where several places
            have it, of all of these.
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
        RefusedError
            If there is no such source or album.
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
        album: str | None = None,
    ) -> pd.DataFrame:
        """One row a photo, ordered by path.

        Columns: photo_id, path, status, reason, faces (how many), width and height (pixels of the upright photo),
        bytes, format, taken_at (the camera's clock), camera, latitude and longitude (degrees), source, paths (all that
        hold the photo), album and link (of the first of these, where it is from a connected place).

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
        source, album : str, optional
            Only photos from this source, or of this album, as for `search`.

        Raises
        ------
        UnknownIdError
            If there is no such person.
        RefusedError
            If there is no such source or album.
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
    def export(
        self,
        table: TableName,
        path: str | os.PathLike[str],
        *,
        include_poor: bool = False,
        source: str | None = None,
        album: str | None = None,
    ) -> Path:
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
        source, album : str, optional
            Of the photos only those from this source, or of this album, as for `search`.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        FacekitError
            If there is no such table, source or album, the ending is none of these, the path lies in the library's
            own folder, or the file can't be written.
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
