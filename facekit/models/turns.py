"""Faces in photos that lie on their side or stand on their head: a glance at each other orientation, then a look.

A detector that was trained on upright faces sees faces that are turned by 180 degrees with scores that are a little
lower, and with landmarks that are wrong; those turned by 90 degrees it often does not see. In the photo turned upright
it sees both as well as any other. Boxes and landmarks are always given in the photo as it came: the landmarks carry
the turn, and whoever aligns by them gets an upright face.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from facekit.images.orientation import TURNS, turn_upright, turned
from facekit.models.quality import pose
from facekit.types.arrays import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.types.arrays import FloatArray, Image

    See: TypeAlias = Callable[[Sequence[Image]], list[Detections]]

# Longest side in pixels of a glance.
GLANCE_SIDE = 384

# Two faces that differ in orientation are one where their centres are closer than this share of the better one's
# longer side.
_SAME = 0.5


def seen_in_turns(
    images: Sequence[Image], found: Sequence[Detections], see: See, glance: See, *, good: float, sure: float
) -> list[Detections]:
    """Look again in the other orientations at the photos that show no good face, or one that does not stand upright.

    Parameters
    ----------
    images : sequence of ndarray, uint8 (H, W, 3)
        The photos.
    found : sequence of Detections
        What was seen in them as they are.
    see, glance : callable
        From pictures to the upright faces in them: seen with all care, and at a glance, at the pictures' own size.
    good : float
        A photo in which all faces of this score stand upright, and there is one, is not looked at again.
    sure : float
        The score from which on a face in another orientation is believed.

    Returns
    -------
    list of Detections
        In pixels of the photos as they came, best first.
    """
    result = list(found)
    doubtful = [i for i, faces in enumerate(found) if not _stands(faces[faces.scores >= good])]
    small = [_small(images[i]) for i in doubtful]
    for turn in TURNS[1:]:
        glances = glance([turned(image, turn) for image in small])
        promising = [
            i
            for i, image, faces in zip(doubtful, small, glances, strict=True)
            if _better(_from_glance(faces, turn, image, images[i]), found[i], sure)
        ]
        looks = see([turned(images[i], turn) for i in promising])
        for i, faces in zip(promising, looks, strict=True):
            height, width = images[i].shape[:2]
            seen = turned_back(faces[faces.scores >= sure], turn, width, height)
            result[i] = _distinct(joined([result[i], seen]))
    return result


def turned_back(faces: Detections, turn: int, width: int, height: int) -> Detections:
    """Faces of a picture that was turned, in pixels of the picture before.

    Parameters
    ----------
    faces : Detections
        In pixels of the picture after it was turned.
    turn : int
        0, 90, 180 or 270 degrees clockwise.
    width, height : int
        Of the picture before it was turned.
    """
    if not turn:
        return faces
    first = _point_back(faces.boxes[:, :2], turn, width, height)
    last = _point_back(faces.boxes[:, :2] + faces.boxes[:, 2:], turn, width, height)
    corner = np.minimum(first, last)
    boxes = np.concatenate([corner, np.maximum(first, last) - corner], axis=1)
    return Detections(boxes, _point_back(faces.landmarks, turn, width, height), faces.scores)


def joined(parts: Sequence[Detections]) -> Detections:
    """All faces of several lists."""
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.doubted for part in parts]),
    )


def _point_back(points: FloatArray, turn: int, width: int, height: int) -> FloatArray:
    x, y = points[..., 0], points[..., 1]
    before = {90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}[turn]
    return np.stack(before, axis=-1).astype(np.float32, copy=False)


def _stands(good: Detections) -> bool:
    """Whether a photo stands upright for sure: it shows good faces, and all of them do."""
    return len(good) > 0 and all(turn_upright(pose(points)[2]) == 0 for points in good.landmarks)


def _small(image: Image) -> Image:
    import cv2

    height, width = image.shape[:2]
    scale = GLANCE_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _from_glance(faces: Detections, turn: int, small: Image, image: Image) -> Detections:
    back = turned_back(faces, turn, small.shape[1], small.shape[0])
    return back.scaled(image.shape[1] / small.shape[1], image.shape[0] / small.shape[0])


def _better(faces: Detections, before: Detections, sure: float) -> bool:
    """Whether a glance shows a face that was not seen before, or not as well."""
    for face in faces:
        rivals = before.scores[_covers(face, before)]
        if face.scores[0] >= sure and face.scores[0] > rivals.max(initial=0):
            return True
    return False


def _covers(face: Detections, others: Detections) -> FloatArray:
    """Which of the others are the same face."""
    middle = face.boxes[0, :2] + face.boxes[0, 2:] / 2
    apart = np.hypot(*(others.boxes[:, :2] + others.boxes[:, 2:] / 2 - middle).T)
    return np.asarray(apart < _SAME * face.boxes[0, 2:].max())


def _distinct(faces: Detections) -> Detections:
    """Of each face the best, best first."""
    faces = faces[np.argsort(-faces.scores, kind="stable")]
    kept: list[int] = []
    for i, face in enumerate(faces):
        if not any(_covers(faces[k], face)[0] for k in kept):
            kept.append(i)
    return faces[kept]
