"""Every error that facekit raises on purpose: what happened, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from facekit.text.names import one_line, shortened

if TYPE_CHECKING:
    from datetime import datetime

    from facekit.types.photos import Status


LONGEST_MESSAGE = 500
"""Characters of an error with its remedy: what somebody reads, also where a path or a value is long."""
_REMEDY_SHARE = 0.6


class FacekitError(Exception):
    """An expected failure. It has one line of at most 500 characters; of longer values the middle is left out.

    A service tells whoever asked the words of errors that are `safe_to_show`. Of all others it tells the kind at most,
    in words of its own: they may name a file or an address of its machine.

    Parameters
    ----------
    message : str
        One sentence that says what happened, and to which file.
    remedy : str, optional
        What to do next.

    Examples
    --------
    >>> try:
    ...     lib.search(demo.probe, min_similarity=7)
    ... except fk.FacekitError as error:
    ...     print(error.message, "|", error.remedy)
    7 is no similarity to search from. | Cosine similarities go from -1 to 1; facekit calibrate suggests some.
    """

    longest = LONGEST_MESSAGE
    safe_to_show: ClassVar[bool] = False
    """Whether the words hold nothing but what whoever asked gave, or may know: no path of this machine, no address."""

    def __init__(self, message: str, remedy: str = "") -> None:
        remedy = shortened(one_line(remedy), int(self.longest * _REMEDY_SHARE))
        message = shortened(one_line(message), self.longest - len(remedy) - 1)
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


class RefusedError(FacekitError):
    """What was asked makes no sense, or does not go with what there is. Its words name no path and no address."""

    safe_to_show = True


class PhotoError(FacekitError):
    """A photo that can't be used: its `status` and a `reason` that names the file.

    Examples
    --------
    >>> try:
    ...     fk.read_image("nowhere.jpg")
    ... except fk.PhotoError as error:
    ...     print(error.status, "|", error.reason)
    io_error | nowhere.jpg can't be read: No such file or directory
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = self.message

    def __reduce__(self) -> tuple[type[PhotoError], tuple[Status, str]]:
        return type(self), (self.status, self.reason)


class WorkerCrashError(FacekitError):
    """The process that worked on a task died, twice: beside other work and alone."""


class WorkerTimeoutError(FacekitError):
    """A task took longer than its pool allows; its process was killed."""


class StalledError(FacekitError):
    """Something that was waited for did not come in the time that it may take.

    Examples
    --------
    >>> try:
    ...     report = lib.ingest(demo.folder, progress=False)
    ... except fk.StalledError as error:  # a network drive that does not answer, say
    ...     print(error)
    """


class ForkError(FacekitError):
    """Something can't be used here: the process that opened it is another one, of which this one is a fork.

    Examples
    --------
    >>> def photos_in_library():
    ...     try:
    ...         return lib.stats()["photos"]
    ...     except fk.ForkError as error:  # in a process that was forked, as multiprocessing's are on Linux
    ...         return error.remedy
    >>> photos_in_library()
    {'no_face': 5, 'ok': 20}
    """


class NoFaceError(FacekitError):
    """A probe image shows no face, or not the face that was asked for.

    Examples
    --------
    >>> lib.search(demo.folder / "cat.png")
    Traceback (most recent call last):
    facekit.errors.NoFaceError: No face was found in demo/photos/cat.png. Take a picture in which ...
    """

    safe_to_show = True


class EmbeddingError(FacekitError):
    """A vector that must not enter a library: wrong dimension, zero, constant, or not finite.

    Examples
    --------
    >>> fk.similarity([0, 0, 0], [1, 0, 0])
    Traceback (most recent call last):
    facekit.errors.EmbeddingError: A zero or non-finite vector has no similarity to anything. ...
    """


class WeightsError(FacekitError):
    """A model file is not at hand, or is not the file it should be. Its addresses and hashes are of use whole only.

    Examples
    --------
    >>> try:
    ...     vectors = fk.embed(demo.probe)
    ... except fk.WeightsError as error:  # they were never fetched, and there is no network
    ...     print(error.remedy)
    """

    longest = 3000


class DeviceError(FacekitError):
    """The device asked for is not on this machine.

    Examples
    --------
    >>> fk.open("http://localhost:8765", device="cuda")
    Traceback (most recent call last):
    facekit.errors.DeviceError: The service at http://localhost:8765 chooses where models run; ...
    """


class LibraryError(FacekitError):
    """A library can't be opened or used.

    Examples
    --------
    >>> fk.open(demo.probe)
    Traceback (most recent call last):
    facekit.errors.LibraryError: ...probe.jpg is a file, and a library is a folder. Name a folder; ...
    """


class DiskFullError(LibraryError):
    """The disk has no room for what is going to be written; what was done before is kept.

    Examples
    --------
    >>> try:
    ...     report = lib.ingest(demo.folder, progress=False)
    ... except fk.DiskFullError as error:  # make room, then run it again: it goes on from there
    ...     print(error)
    """


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where a service on this machine is, and the key that lets its own user in."""

    url: str
    key: str = field(repr=False)


class LibraryLockedError(LibraryError):
    """Another process has the library open.

    ``pid`` is that process, or None where it is not known; ``service`` is its address where it is a facekit service.

    Examples
    --------
    >>> try:
    ...     lib = fk.open("faces")
    ... except fk.LibraryLockedError as error:
    ...     print("first close it in the process", error.pid)
    """

    def __init__(
        self,
        message: str,
        remedy: str = "",
        pid: int | None = None,
        service: ServiceAddress | None = None,
    ) -> None:
        super().__init__(message, remedy)
        self.pid = pid
        self.service = service


class LibraryBusyError(LibraryError):
    """Something that changes the library is going on; only one such thing may.

    Examples
    --------
    >>> try:
    ...     lib.remove(demo.folder / "cat.png")
    ... except fk.LibraryBusyError as error:  # an ingest in another cell's thread, or of another user of the service
    ...     print(error.remedy)
    1
    """

    safe_to_show = True


class UnknownIdError(FacekitError):
    """The library has no photo, face, person or job with this id.

    Examples
    --------
    >>> lib.photo("nobody's")
    Traceback (most recent call last):
    facekit.errors.UnknownIdError: The library has no photo with this id. It may have been removed; ...
    """

    safe_to_show = True


class NoFolderError(FacekitError):
    """The library holds no photo in the folder that was named."""


class NameTakenError(FacekitError):
    """Somebody else has this name: ``person_id``.

    Examples
    --------
    >>> run = lib.people.cluster()
    >>> eileen = lib.people.name(lib.people[0], "Eileen")
    >>> try:
    ...     lib.people.name(lib.people[1], "eileen")
    ... except fk.NameTakenError as error:
    ...     print(error.person_id == eileen.person_id)
    True
    """

    safe_to_show = True

    def __init__(self, message: str, remedy: str = "", person_id: str = "") -> None:
        super().__init__(message, remedy)
        self.person_id = person_id


class ServiceError(FacekitError):
    """A facekit service does not answer, or refuses.

    ``status`` is its HTTP status, 0 where there was no answer; ``kind`` is what it says for programs, or "".

    Examples
    --------
    >>> try:
    ...     fk.open("http://localhost:1").stats()  # nothing listens there
    ... except fk.ServiceError as error:
    ...     print(error.status)
    0
    """

    def __init__(self, message: str, remedy: str = "", status: int = 0, kind: str = "") -> None:
        super().__init__(message, remedy)
        self.status = status
        self.kind = kind


class ModelMismatchError(LibraryError):
    """A library is bound to other models than those asked for.

    Examples
    --------
    >>> fk.open("faces", embedder="facenet512")
    Traceback (most recent call last):
    facekit.errors.ModelMismatchError: The library ...faces was made with sface, not with facenet512; ...
    """


class OtherVectorsError(ModelMismatchError):
    """Similarities don't compare: another model, or another version of it, made the library's vectors."""

    safe_to_show = True


class VectorIndexError(LibraryError):
    """The vector index can't be read or written.

    Examples
    --------
    >>> try:
    ...     hits = lib.search(demo.probe)
    ... except fk.VectorIndexError:
    ...     print(lib.doctor())  # says what is wrong, and what to do
    """


class SourceError(FacekitError):
    """A place that photos come from can't be read any further for now; what was done is kept.

    ``resume_at`` is when it can be, where that is known. Its words name no path and no address of this machine.

    Examples
    --------
    >>> report = lib.sources.sync(progress=False)  # of one that ends before its end, the report says why
    >>> [one.problem for one in report.places if one.problem]
    []
    >>> try:
    ...     report = lib.ingest(demo.folder, progress=False)
    ... except fk.SourceError as error:  # an address was ingested, whose disk is not to be had for now
    ...     print(error.message, error.resume_at)
    """

    safe_to_show = True

    def __init__(self, message: str, remedy: str = "", *, resume_at: datetime | None = None) -> None:
        super().__init__(message, remedy)
        self.resume_at = resume_at


class SignInError(SourceError):
    """A place that photos come from wants somebody to sign in, again or with more rights.

    Examples
    --------
    >>> wants_sign_in = [one.name for one in lib.sources.sync(progress=False).places if one.sign_in]
    >>> for name in wants_sign_in:
    ...     lib.sources.reconnect(name)
    """
