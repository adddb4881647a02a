"""Arrays with a known layout: pictures, vectors, and what a detector finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator


Image: TypeAlias = npt.NDArray[np.uint8]
"""An upright picture: ``uint8 (H, W, 3)``, RGB, 0..255."""


FloatArray: TypeAlias = npt.NDArray[np.float32]


IntArray: TypeAlias = npt.NDArray[np.int64]


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

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> faces = fk.detect(astronaut())
    >>> faces.boxes.shape, faces.landmarks.shape
    ((1, 4), (1, 5, 2))
    >>> faces[faces.scores > 0.9].scaled(1 / 512).boxes.round(1)  # in 0..1 of the picture
    array([[0.3, 0.1, 0.2, 0.2]], dtype=float32)
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

    Examples
    --------
    >>> quality = hits[0].quality
    >>> quality.usable, quality.size > 100, abs(quality.yaw) < 20
    (True, True, True)
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
