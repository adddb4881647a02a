"""Every error that facekit raises on purpose: what happened, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from facekit.text.names import one_line, shortened

if TYPE_CHECKING:
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
    """A photo that can't be used: its `status` and a `reason` that names the file."""

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
    """Something that was waited for did not come in the time that it may take."""


class ForkError(FacekitError):
    """Something can't be used here: the process that opened it is another one, of which this one is a fork."""


class NoFaceError(FacekitError):
    """A probe image shows no face, or not the face that was asked for."""

    safe_to_show = True


class EmbeddingError(FacekitError):
    """A vector that must not enter a library: wrong dimension, zero, constant, or not finite."""


class WeightsError(FacekitError):
    """A model file is not at hand, or is not the file it should be. Its addresses and hashes are of use whole only."""

    longest = 3000


class DeviceError(FacekitError):
    """The device asked for is not on this machine."""


class LibraryError(FacekitError):
    """A library can't be opened or used."""


class DiskFullError(LibraryError):
    """The disk has no room for what is going to be written; what was done before is kept."""


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where a service on this machine is, and the key that lets its own user in."""

    url: str
    key: str = field(repr=False)


class LibraryLockedError(LibraryError):
    """Another process has the library open.

    ``pid`` is that process, or None where it is not known; ``service`` is its address where it is a facekit service.
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
    """Something that changes the library is going on; only one such thing may."""

    safe_to_show = True


class UnknownIdError(FacekitError):
    """The library has no photo, face, person or job with this id."""

    safe_to_show = True


class NoFolderError(FacekitError):
    """The library holds no photo in the folder that was named."""


class NameTakenError(FacekitError):
    """Somebody else has this name: ``person_id``."""

    safe_to_show = True

    def __init__(self, message: str, remedy: str = "", person_id: str = "") -> None:
        super().__init__(message, remedy)
        self.person_id = person_id


class ServiceError(FacekitError):
    """A facekit service does not answer, or refuses.

    ``status`` is its HTTP status, 0 where there was no answer; ``kind`` is what it says for programs, or "".
    """

    def __init__(self, message: str, remedy: str = "", status: int = 0, kind: str = "") -> None:
        super().__init__(message, remedy)
        self.status = status
        self.kind = kind


class ModelMismatchError(LibraryError):
    """A library is bound to other models than those asked for."""


class OtherVectorsError(ModelMismatchError):
    """Similarities don't compare: another model, or another version of it, made the library's vectors."""

    safe_to_show = True


class VectorIndexError(LibraryError):
    """The vector index can't be read or written."""
