"""A second look at faces that are tilted, or that a detector is not sure of: cut out, turned upright and enlarged.

A detector that was trained on upright faces draws the landmarks of a tilted one too upright. In a cut-out that is
turned by the tilt it draws them where they are, and what is no face it mostly does not see again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from facekit.models.alignment import cut
from facekit.models.quality import MINIMUM, pose
from facekit.orientation import TURNS, turn_upright
from facekit.types import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from facekit.types import FloatArray, Image

# Degrees of roll from which on a face is looked at again.
TILTED = 12.0

CUT_SIDE = 224
"""Pixels of a cut-out."""

# The share of a cut-out that the longer side of the face takes, 146 pixels. In larger cut-outs landmarks are read
# more exactly: of 200 faces of LFW tilted by 45 degrees 195 were known again with 160 pixels of 320, 192 with 146 of
# 224, 187 with 80 of 160.
_SHARE = 0.65

# What is seen in a cut-out is the face where its centre is so near, and its size so like, in sides of the face.
_NEAR = 0.4
_SIZES = (0.5, 2.0)

# Two faces are one where the middles of their landmarks are nearer than this share of the larger one's side.
_ONE = 0.2

# A tilt is seen too small: where the second look shows so many degrees more, there is a third one.
_STILL_TILTED = 6.0


@dataclass(slots=True)
class _Face:
    image: int
    place: int
    box: FloatArray
    landmarks: FloatArray
    score: float
    doubted: bool = True


class _Seen(NamedTuple):
    """A face in a cut-out: its score, and in pixels of the photo its centre, landmarks and longer and shorter side."""

    score: float
    middle: npt.NDArray[np.float64]
    sides: npt.NDArray[np.floating[Any]]
    landmarks: npt.NDArray[np.float64]


def looked_again(
    images: Sequence[Image],
    found: Sequence[Detections],
    read: Callable[[Sequence[Image]], list[Detections]],
    *,
    good: float,
    sure: float,
) -> list[Detections]:
    """Look again at the faces that are tilted, or whose score is not good, unless they are too small to be of use.

    Parameters
    ----------
    images : sequence of ndarray, uint8 (H, W, 3)
        The photos.
    found : sequence of Detections
        The faces in them.
    read : callable
        From square pictures of `CUT_SIDE` pixels to the faces in them.
    good : float
        Faces of a lower score are looked at again.
    sure : float
        Faces of a lower score that are not seen again are `doubted`.

    Returns
    -------
    list of Detections
        The same faces, best first, with the landmarks and the score of the last look. A box changes only where the
        face lies in another orientation than was thought.
    """
    faces = [
        _Face(i, k, box, points, float(score))
        for i, one in enumerate(found)
        for k, (box, points, score) in enumerate(zip(one.boxes, one.landmarks, one.scores, strict=True))
        if min(box[2:]) >= MINIMUM.size and (score < good or abs((_roll(points) + 45) % 90 - 45) >= TILTED)
    ]
    best: dict[int, tuple[_Seen, float]] = {}

    def look(jobs: Sequence[tuple[_Face, float]]) -> None:
        for (face, angle), seen in zip(jobs, _looks(images, jobs, read), strict=True):
            here = not _apart(_roll(face.landmarks), angle)  # elsewhere it must be seen better than it was
            if (
                seen
                and (here or seen.score > face.score)
                and (id(face) not in best or seen.score > best[id(face)][0].score)
            ):
                best[id(face)] = seen, angle

    look([(face, _roll(face.landmarks)) for face in faces])
    lost = [face for face in faces if id(face) not in best]
    look([(face, _roll(face.landmarks) + turn) for face in lost for turn in TURNS[1:]])
    for face in faces:
        face.doubted = face.score < sure
        if id(face) in best:
            _take(face, best[id(face)][0])
    tilted = [face for face in faces if id(face) in best and _apart(_roll(face.landmarks), best[id(face)][1])]
    jobs = [(face, _roll(face.landmarks)) for face in tilted]
    for (face, _), seen in zip(jobs, _looks(images, jobs, read), strict=True):
        if seen:
            _take(face, seen)
    return [_with(one, [face for face in faces if face.image == i]) for i, one in enumerate(found)]


def _roll(landmarks: npt.ArrayLike) -> float:
    return pose(landmarks)[2]


def _apart(roll: float, angle: float) -> bool:
    return abs((roll - angle + 180) % 360 - 180) >= _STILL_TILTED


def _looks(
    images: Sequence[Image],
    jobs: Sequence[tuple[_Face, float]],
    read: Callable[[Sequence[Image]], list[Detections]],
) -> list[_Seen | None]:
    """What is seen of each face in a cut-out that is turned back by an angle; degrees, clockwise."""
    cuts = np.zeros((len(jobs), CUT_SIDE, CUT_SIDE, 3), np.uint8)
    matrices = [_matrix(face.box, angle) for face, angle in jobs]
    for (face, _), matrix, picture in zip(jobs, matrices, cuts, strict=True):
        cut(images[face.image], matrix, picture)
    return [_same(faces, matrix) for faces, matrix in zip(read(list(cuts)), matrices, strict=True)]


def _matrix(box: FloatArray, angle: float) -> npt.NDArray[np.float64]:
    """The matrix (2, 3) from the photo to a cut-out around a box."""
    x, y, width, height = (float(value) for value in box)
    turn = _SHARE * CUT_SIDE / max(width, height, 1.0) * np.exp(-1j * np.radians(angle))
    shift = complex(CUT_SIDE / 2, CUT_SIDE / 2) - turn * complex(x + width / 2, y + height / 2)
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _same(faces: Detections, matrix: npt.NDArray[np.float64]) -> _Seen | None:
    """The best of the faces in a cut-out that can be the one that was cut out, in pixels of the photo."""
    side = _SHARE * CUT_SIDE
    middles = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    size = faces.boxes[:, 2:].max(axis=1, initial=0) / side
    near = np.hypot(*(middles - CUT_SIDE / 2).T) < _NEAR * side
    fitting = np.flatnonzero(near & (size > _SIZES[0]) & (size < _SIZES[1]))
    if not len(fitting):
        return None
    best = fitting[np.argmax(faces.scores[fitting])]
    back = np.linalg.inv(matrix[:, :2]).T
    middle, landmarks = ((points - matrix[:, 2]) @ back for points in (middles[best], faces.landmarks[best]))
    scale = float(np.hypot(*matrix[:, 0]))
    return _Seen(float(faces.scores[best]), middle, faces.boxes[best, 2:] / scale, landmarks)


def _take(face: _Face, seen: _Seen) -> None:
    turn = turn_upright(_roll(seen.landmarks))
    if turn != turn_upright(_roll(face.landmarks)):
        sides = seen.sides if turn % 180 == 0 else seen.sides[::-1]
        face.box = np.concatenate([seen.middle - sides / 2, sides]).astype(np.float32)
    face.landmarks, face.score, face.doubted = seen.landmarks.astype(np.float32), seen.score, False


def _with(found: Detections, changed: Sequence[_Face]) -> Detections:
    if not changed:
        return found
    boxes, landmarks, scores, doubted = (
        found.boxes.copy(),
        found.landmarks.copy(),
        found.scores.copy(),
        found.doubted.copy(),
    )
    for face in changed:
        boxes[face.place], landmarks[face.place] = face.box, face.landmarks
        scores[face.place], doubted[face.place] = face.score, face.doubted
    faces = Detections(boxes, landmarks, scores, doubted)[np.argsort(-scores, kind="stable")]
    # A doubtful face beside a good one may have turned out to be that one.
    middles, sides = faces.landmarks.mean(axis=1), faces.boxes[:, 2:].max(axis=1)
    apart = np.hypot(*np.moveaxis(middles[:, None] - middles[None], -1, 0))
    again = np.triu(apart < _ONE * np.maximum(sides[:, None], sides[None]), 1).any(axis=0)
    return faces[~again]
