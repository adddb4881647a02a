"""The nouns that every room of facekit shares: arrays with a known layout, and small frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - the service reads the annotations
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator

Image: TypeAlias = npt.NDArray[np.uint8]
"""An upright picture: ``uint8 (H, W, 3)``, RGB, 0..255."""

FloatArray: TypeAlias = npt.NDArray[np.float32]

IntArray: TypeAlias = npt.NDArray[np.int64]

Detail: TypeAlias = Literal["normal", "fine"] | int
"""How closely a detector looks at large photos; a number is the longest side in pixels that it looks at."""

SMALLEST_LOOK = 32
"""Pixels: smaller pictures hold no face."""

TableName: TypeAlias = Literal["faces", "photos", "people", "constraints", "embeddings"]
"""What can be exported."""


class Status(StrEnum):
    """What became of a photo. Everything but ``ok`` and ``no_face`` comes with a reason."""

    OK = "ok"
    NO_FACE = "no_face"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too_large"
    IO_ERROR = "io_error"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The faces that a detector found in one image, in pixels of that image.

    Parameters
    ----------
    boxes : ndarray, float32 (N, 4)
        Bounding boxes as ``x, y, width, height``; the origin is the upper left corner. A box may reach
        beyond the image where a face is cut off by its edge.
    landmarks : ndarray, float32 (N, 5, 2)
        Five points as ``x, y``: the eye, the eye, the tip of the nose, the mouth's corner, the mouth's corner;
        of each pair the one that stands on the left in an upright frontal picture comes first.
    scores : ndarray, float32 (N,)
        Confidence, 0..1.
    doubted : ndarray, bool (N,), optional
        Whether a second look at the face did not show it again; by default of none.

    Raises
    ------
    ValueError
        If the shapes do not belong together or a number is not finite.
    """

    boxes: FloatArray
    landmarks: FloatArray
    scores: FloatArray
    doubted: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        n = len(self.scores)
        doubted = np.asarray(self.doubted, np.bool_)
        object.__setattr__(self, "doubted", doubted if len(doubted) else np.zeros(n, np.bool_))
        for name, shape in (("boxes", (n, 4)), ("landmarks", (n, 5, 2)), ("scores", (n,))):
            array = np.asarray(getattr(self, name), dtype=np.float32)
            if array.shape != shape:
                message = f"Detections.{name} has shape {array.shape}, expected {shape}"
                raise ValueError(message)
            if not np.isfinite(array).all():
                message = f"Detections.{name} holds numbers that are not finite"
                raise ValueError(message)
            object.__setattr__(self, name, array)

    @classmethod
    def empty(cls) -> Detections:
        """No face at all."""
        return cls(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | npt.ArrayLike) -> Detections:
        """Select faces with an integer, a slice, a mask or a list of positions; always a `Detections`."""
        chosen = np.atleast_1d(np.arange(len(self))[index])  # type: ignore[index]
        return Detections(self.boxes[chosen], self.landmarks[chosen], self.scores[chosen], self.doubted[chosen])

    def __iter__(self) -> Iterator[Detections]:
        return (self[i] for i in range(len(self)))

    def scaled(self, factor_x: float, factor_y: float | None = None) -> Detections:
        """The same faces after the image was resized by these factors (1 / width, 1 / height normalises)."""
        factors = np.array([factor_x, factor_x if factor_y is None else factor_y], np.float32)
        return Detections(self.boxes * np.tile(factors, 2), self.landmarks * factors, self.scores, self.doubted)

    @property
    def areas(self) -> FloatArray:
        """Area of each bounding box in square pixels, float32 (N,)."""
        return self.boxes[:, 2] * self.boxes[:, 3]


@dataclass(frozen=True, slots=True)
class Quality:
    """Facts about one face that say how far its embedding can be trusted.

    Parameters
    ----------
    detection_score : float
        The detector's confidence, 0..1.
    size : float
        Shorter side of the bounding box in pixels of the original photo.
    sharpness : float
        Variance of the Laplacian of the grey aligned face (0 is perfectly flat).
    yaw, pitch, roll : float
        Rough pose in degrees from the five landmarks; 0 is frontal and upright.
    reason : str or None
        Why the face is left out of search and clustering by default; None for a usable face.
    """

    detection_score: float
    size: float
    sharpness: float
    yaw: float
    pitch: float
    roll: float
    reason: str | None = None

    @property
    def usable(self) -> bool:
        """Whether search and clustering use this face by default."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that a source lists; nothing of it has been read yet.

    ``path`` holds the name as the file system has it (bytes, because a name need not be valid UTF-8);
    ``display`` is the same for people, with undecodable bytes replaced.
    """

    source: str
    path: bytes
    display: str
    size: int
    mtime_ns: int


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
    """

    face_id: str
    photo_id: str
    box: tuple[float, float, float, float]
    quality: Quality
    person: str | None = None
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a library with its faces, the largest first.

    ``path`` is the first of ``paths``, where the photo lies: files that are there come first, then those in the folder
    that was asked for, then shorter and older ones; ``width`` and ``height`` are pixels of the upright photo,
    None where it could not be decoded, and then ``reason`` says why; ``copies`` counts the ``paths`` that are there.
    ``turn`` is by how many degrees clockwise (0, 90, 180, 270) the photo must be turned, after its EXIF orientation is
    applied, for the people in it to stand upright: thumbnails and pictures are turned so, boxes and sizes are not, see
    `facekit.images.orientation.turned_box`.
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

    box: tuple[float, float, float, float]
    quality: Quality


@dataclass(frozen=True, slots=True)
class Probe:
    """A picture of the person searched for, and the face in it that was used.

    ``faces`` is the number of faces found, largest first; ``used`` the position of the one that was used, ``box`` its
    bounding box ``x, y, w, h`` in 0..1 of the upright picture; ``picture`` is an image file of it, for showing.
    """

    path: str
    faces: int
    used: int
    box: tuple[float, float, float, float]
    quality: Quality
    picture: bytes


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds photos, with a slash at its end, and how many lie in it or below."""

    source: str
    folder: str
    photos: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One photo that a search found, with the face in it that is most like the probe.

    ``box`` is ``x, y, width, height`` in 0..1 of the upright photo; ``similarity`` is the cosine, higher is better;
    ``person_id`` is whose face it is, ``person`` that person's name; None where nobody's, or where there is no name.
    ``copies`` counts the files that hold the photo, of which ``photo`` names one.
    ``turn`` is the photo's, see `Photo`.
    """

    rank: int
    photo: str
    photo_id: str
    face_id: str
    similarity: float
    box: tuple[float, float, float, float]
    quality: Quality
    source: str
    taken_at: datetime | None = None
    person: str | None = None
    person_id: str | None = None
    copies: int = 1
    turn: int = 0


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
