"""Photos, faces, probes and hits, as small frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - the service reads the annotations
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from facekit.types.arrays import Image, Quality  # noqa: TC001 - the same

Box: TypeAlias = tuple[float, float, float, float]
"""``x, y, width, height`` in 0..1 of an upright picture, from the upper left corner."""

Detail: TypeAlias = Literal["normal", "fine"] | int
"""How closely a detector looks at large photos; a number is the longest side in pixels that it looks at."""

SMALLEST_LOOK = 32
"""Pixels: smaller pictures hold no face."""

TableName: TypeAlias = Literal["faces", "photos", "people", "constraints", "embeddings"]
"""What can be exported."""


class Status(StrEnum):
    """What became of a photo. Everything but ``ok`` and ``no_face`` comes with a reason.

    Examples
    --------
    >>> len(lib.photos(fk.Status.NO_FACE)), len(lib.photos("corrupt"))
    (5, 0)
    """

    OK = "ok"
    NO_FACE = "no_face"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    IO_ERROR = "io_error"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """What a connected place, such as a cloud disk, says of a file there.

    ``version`` changes when the bytes do, ``content`` is a hash of them (``sha256:...``), ``link`` the page that shows
    it. Where the file itself does not say when and where it was taken, this does: ``taken_at`` without a zone, degrees.
    """

    version: str
    album: str = ""
    link: str | None = None
    content: str | None = None
    taken_at: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that a source lists; nothing of it has been read yet.

    ``path`` holds the name as the file system has it (bytes, because a name need not be valid UTF-8), or the key of a
    connected place, which says ``facts``; ``display`` is the same for people, with undecodable bytes replaced.
    """

    source: str
    path: bytes
    display: str
    size: int
    mtime_ns: int
    facts: PlaceFacts | None = None


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What a photo's header says: upright size in pixels, and when, with what and where it was taken."""

    width: int
    height: int
    format: str
    taken_at: datetime | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPhoto:
    """Upright pixels, perhaps at a reduced scale, with the facts of the full-size photo."""

    image: Image
    facts: PhotoFacts

    @property
    def scale(self) -> float:
        """Pixels of `image` per pixel of the original photo, at most 1."""
        return float(max(self.image.shape[:2]) / max(self.facts.width, self.facts.height))


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a photo of a library. ``box`` is ``x, y, width, height`` in 0..1 of the upright photo.

    ``person_id`` is whose face it is, ``person`` that person's name; None where nobody's, or where there is no name.

    Examples
    --------
    >>> face = lib.photo(hits[0].photo_id).faces[0]
    >>> face.quality.usable
    True
    >>> x, y, width, height = face.box
    >>> jpeg = lib.face_thumbnail(face.face_id)
    """

    face_id: str
    photo_id: str
    box: Box
    quality: Quality
    person: str | None = None
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a photo lies: a file in a folder, or at a connected place such as a cloud disk.

    ``source`` is the place's name ("local", a mount's, "vk-anna"), ``kind`` what kind of connected place it is ("vk");
    ``album`` is the album or folder there, ``link`` the page that shows the photo. None for files in folders.
    """

    path: str
    source: str
    kind: str | None = None
    album: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a library with its faces, the largest first.

    ``photo_id`` names the content: 32 hexadecimal digits. ``path`` is the first of ``paths``, where the photo lies:
    files that are there come first, then those in the folder that was asked for, then shorter and older ones;
    ``source`` is the name of the place ("local", "vk-anna"), ``copies`` counts the ``paths`` that are there, ``bytes``
    is the size of the file. ``album`` and ``link`` are those of the first place, None in folders; ``places`` says the
    same of each of the ``paths``. ``width`` and ``height`` are pixels of the upright photo, None where it could not be
    decoded; then ``status`` and ``reason`` say why. ``taken_at`` (as the camera's clock had it, without a zone),
    ``camera``, ``latitude`` and ``longitude`` (degrees, WGS 84; north and east are positive) are EXIF's, None where it
    has none. ``turn`` is by how many degrees clockwise (0, 90, 180, 270) the photo must be turned, after its EXIF
    orientation is applied, for the people in it to stand upright: thumbnails and pictures are turned so, boxes and
    sizes are not, see `facekit.images.orientation.turned_box`.

    Examples
    --------
    >>> photo = lib.photo(hits[0].photo_id)
    >>> photo.width, photo.height, photo.format, len(photo.faces)
    (1024, 1024, 'JPEG', 1)
    """

    photo_id: str
    path: str
    paths: tuple[str, ...]
    source: str
    status: Status
    reason: str | None
    bytes: int
    width: int | None
    height: int | None
    format: str | None
    taken_at: datetime | None
    camera: str | None
    latitude: float | None
    longitude: float | None
    faces: tuple[Face, ...]
    copies: int = 1
    turn: int = 0
    album: str | None = None
    link: str | None = None
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoPage:
    """Some photos of a list of ``total``, from position ``offset`` on."""

    total: int
    offset: int
    photos: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class FacePage:
    """Some faces of a list of ``total``, from position ``offset`` on, with the photos that they are in."""

    total: int
    offset: int
    faces: tuple[Face, ...]
    photos: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class ProbeFace:
    """A face found in a picture of somebody; ``box`` is ``x, y, width, height`` in 0..1 of the upright picture."""

    box: Box
    quality: Quality


@dataclass(frozen=True, slots=True)
class ChosenFace:
    """The face of a picture of somebody that a search is for.

    ``path`` is what the picture is called: its path, or words for one that is no file, or a person's name.
    ``faces`` is the number of faces found, largest first; ``used`` the position of the one that was used, ``box`` its
    bounding box ``x, y, w, h`` in 0..1 of the upright picture.
    """

    path: str
    faces: int
    used: int
    box: Box
    quality: Quality


@dataclass(frozen=True, slots=True)
class Probe(ChosenFace):
    """A picture of the person searched for, and the face in it that was used; see `ChosenFace`.

    ``picture`` is an image file of it, for showing.

    Examples
    --------
    >>> probe = hits.probes[0]
    >>> probe.faces, probe.used, probe.quality.usable
    (1, 0, True)
    """

    picture: bytes


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds photos, with a slash at its end, and how many lie in it or below.

    ``kind`` is that of the connected place whose album it is ("vk"); None for folders.
    """

    source: str
    folder: str
    photos: int
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One photo that a search found, with the face in it that is most like the probe.

    ``rank`` counts from 1; ``photo`` is the photo's path and ``photo_id`` its id, ``face_id`` the face's; ``source`` is
    the name of the place that the photo lies in ("local", "vk-anna"), ``source_kind`` what kind of connected place that
    is ("vk"), ``album`` the album there and ``link`` the page that shows the photo: None for files in folders.
    ``taken_at`` is when it was taken, as the camera's clock had it.
    ``box`` is ``x, y, width, height`` in 0..1 of the upright photo; ``similarity`` is the cosine, higher is better;
    ``person_id`` is whose face it is, ``person`` that person's name; None where nobody's, or where there is no name.
    ``copies`` counts the files that hold the photo, of which ``photo`` names one.
    ``turn`` is the photo's, see `Photo`.

    Examples
    --------
    >>> hit = hits[0]
    >>> hit.rank, hit.similarity > 0.9
    (1, True)
    >>> more = lib.search(hit)  # the face that was found is the next probe
    """

    rank: int
    photo: str
    photo_id: str
    face_id: str
    similarity: float
    box: Box
    quality: Quality
    source: str
    taken_at: datetime | None = None
    person: str | None = None
    person_id: str | None = None
    copies: int = 1
    turn: int = 0
    source_kind: str | None = None
    album: str | None = None
    link: str | None = None


class PictureSource(Protocol):
    """What shows the photos of a result, such as a `facekit.Library`."""

    def photo(self, photo_id: str) -> Photo:
        """One photo with its faces."""

    def picture(self, photo_id: str) -> bytes:
        """A photo as a JPEG for the screen, upright."""

    def thumbnail(self, photo_id: str) -> bytes | None:
        """A photo as a small JPEG, upright; None where none is kept."""

    def face_thumbnail(self, face_id: str) -> bytes | None:
        """A face as a small square JPEG; None where no picture is kept."""
