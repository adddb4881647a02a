"""What brings photos into a library, takes them out again, and makes their faces anew, wherever the library is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from facekit.text.keywords import KeywordsChecked

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from threading import Event

    from facekit.images.files import Limits
    from facekit.ingest.progress import Progress
    from facekit.ingest.reembed_report import ReembedReport
    from facekit.ingest.report import IngestReport
    from facekit.library.sources import Sources
    from facekit.storage.relocation import Relocation
    from facekit.storage.removal import Removable
    from facekit.types.photos import Detail


class Intake(KeywordsChecked, ABC):
    """The verbs of a `Library` that change which photos it holds, and the faces that are found in them."""

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
            Folders, searched with everything below them, or files; or the address of a place that `sources` knows
            (``https://disk.yandex.ru/d/...``), which is connected then, or the name of one that is (``vk:/``).
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

    @property
    @abstractmethod
    def sources(self) -> Sources:
        """Connected places that photos come from besides folders, such as a cloud disk."""

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
