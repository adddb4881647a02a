"""How far a face's embedding can be trusted: size, sharpness and pose, and the minima for search and clustering."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facekit.models.alignment import TEMPLATE, similarity_transform
from facekit.types.arrays import Quality

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.types.arrays import Detections

# A generic head seen from the front, in units of about 0.2 mm: the tip of the nose is the origin, the eyes stand at a
# height of 170 and a depth of -135, the corners of the mouth at (-150, -125). Mallick, "Head Pose Estimation using
# OpenCV and Dlib", https://learnopencv.com/head-pose-estimation-using-opencv-and-dlib/, 2016.
_NOSE_DEPTH = 130.0
_EYES_TO_MOUTH = 320.0
_EYES_TO_NOSE = 170.0
# The pupils are 63 mm apart in the mean: Dodgson, "Variation and extrema of human interpupillary distance", 2004.
_EYE_TO_EYE = 315.0

# What landmarks keep to, with some room beyond the central faces of 999 photos of LFW's development set: at least 4 lie
# in the box, the eyes are up to 0.42 of its longer side apart, and fitted to the template the landmarks are off by up
# to 0.29 of the distance of the template's eyes (root of the mean square).
_INSIDE, _MARGIN = 4, 0.1
_EYES_APART = 0.5
_MISFIT = 0.45

# From here on more changes nothing, measured as said in `QualityMinimum`.
_AMPLE_SIZE = 32.0
_AMPLE_SHARPNESS = 26.0


@dataclass(frozen=True, slots=True)
class QualityMinimum:
    """What a face needs to take part in search and clustering.

    Measured with YuNet and SFace on 200 pairs of the same person of LFW's development test, one face degraded and
    compared with an untouched one at a similarity of 0.363 (recall), or both degraded and strangers compared as well
    (false accepts; 1 in 800 untouched). None of the 4,992 photos of the development set falls below any minimum.

    Parameters
    ----------
    detection_score : float
        The detector's confidence. On 87 megapixels without a face, enlarged or not, YuNet sees 7 faces from 0.6 on, 4
        from 0.7, none from 0.8; faces of 20 pixels and less with scores under 0.7 are recalled by 46 %, above 0.9 by
        95 %. Immich asks for 0.7 as well.
    size : float
        Shorter side of the bounding box in pixels of the picture that was looked at. Recall is 0.98 to 1 from 28
        pixels on, 0.97 at 24, 0.91 at 20, 0.79 at 16; at 16 pixels strangers are accepted three times as often.
    sharpness : float
        Variance of the Laplacian of the grey aligned face. A Gaussian blur of 3, 4 and 5 pixels over a face of 94
        brings it to 8, 5 and 4; recall is 0.95, 0.79 and 0.46, and strangers are accepted 2, 5 and 15 times as often.
    yaw : float
        Largest turn to either side in degrees. Up to 75 degrees, as far as LFW goes, recall stays above 0.94; beyond,
        one eye is hidden and its landmark a guess.
    """

    detection_score: float = 0.7
    size: float = 20.0
    sharpness: float = 6.0
    yaw: float = 75.0


MINIMUM = QualityMinimum()

NO_FACE = "its eyes, nose and mouth do not form a face"
"""The reason of a face that is not believed."""


def assess(
    crops: npt.NDArray[np.uint8],
    detections: Detections,
    *,
    scale: float = 1.0,
    minimum: QualityMinimum = MINIMUM,
) -> list[Quality]:
    """Measure the quality of the faces of one image.

    Parameters
    ----------
    crops : ndarray, uint8 (N, 112, 112, 3)
        The aligned RGB faces.
    detections : Detections
        The same N faces, in pixels of the image.
    scale : float
        Pixels of the image per pixel of the original photo, above 0 and at most 1.
    minimum : QualityMinimum
        Faces below it get a reason; its `size` is compared with pixels of the image, for those are what was embedded.

    Returns
    -------
    list of Quality
        One for each face; `size` is in pixels of the original photo.

    Raises
    ------
    ValueError
        If there is not one crop for each face.
    """
    if len(crops) != len(detections):
        message = f"{len(crops)} crops do not belong to {len(detections)} faces"
        raise ValueError(message)
    qualities = []
    for crop, box, landmarks, score, doubted in zip(
        crops, detections.boxes, detections.landmarks, detections.scores, detections.doubted, strict=True
    ):
        seen, certain, sharp = float(min(box[2:])), float(score), sharpness(crop)
        yaw, pitch, roll = pose(landmarks)
        reason = _reason(minimum, score=certain, size=seen, sharp=sharp, yaw=yaw)
        if not believable(landmarks, box) or doubted:
            reason = "; ".join(filter(None, (NO_FACE, reason)))
        qualities.append(Quality(certain, seen / scale, sharp, yaw, pitch, roll, reason))
    return qualities


def believable(landmarks: npt.ArrayLike, box: npt.ArrayLike) -> bool:
    """Whether five landmarks can be those of a face in its bounding box, however the head is turned.

    Parameters
    ----------
    landmarks : array_like, float (5, 2)
        Points ``x, y`` in the order of `facekit.types.arrays.Detections`.
    box : array_like, float (4,)
        ``x, y, width, height`` in the same pixels.
    """
    points, (x, y, width, height) = np.asarray(landmarks, np.float64), np.asarray(box, np.float64)
    start, sides = np.array([x, y]), np.array([width, height])
    place = (points - start) / np.maximum(sides, 1)
    inside = ((place >= -_MARGIN) & (place <= 1 + _MARGIN)).all(axis=1)
    eyes = math.dist(points[0], points[1])
    aligned = np.append(points, np.ones((5, 1)), axis=1) @ similarity_transform(points).T
    misfit = math.sqrt(((aligned - TEMPLATE) ** 2).sum(axis=1).mean()) / math.dist(TEMPLATE[0], TEMPLATE[1])
    return bool(inside.sum() >= _INSIDE and eyes <= _EYES_APART * max(width, height) and misfit <= _MISFIT)


def sharpness(crop: npt.NDArray[np.uint8]) -> float:
    """Measure the variance of the Laplacian of an aligned RGB face, uint8 (112, 112, 3); 0 is perfectly flat.

    Pech-Pacheco et al.: "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000.
    """
    import cv2

    return float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def pose(landmarks: npt.ArrayLike) -> tuple[float, float, float]:
    """Estimate roughly how a head is turned.

    The nose stands out of the plane of eyes and mouth, so a turn by an angle moves it by depth * sin(angle) while it
    shortens the distance between the eyes, or from eyes to mouth, by cos(angle).

    Parameters
    ----------
    landmarks : array_like, float (5, 2)
        Points ``x, y`` in the order of `facekit.types.arrays.Detections`.

    Returns
    -------
    yaw, pitch, roll : float
        Degrees. Yaw is positive where the nose points to the right of the picture, pitch where it points up, roll
        where the head is tilted clockwise.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    eye, other_eye, nose, mouth, other_mouth = (complex(x, y) for x, y in points)
    eyes, mouths = (eye + other_eye) / 2, (mouth + other_mouth) / 2
    along = other_eye - eye
    roll = math.atan2(along.imag, along.real)
    upright = complex(math.cos(roll), -math.sin(roll))
    sideways = ((nose - (eyes + mouths) / 2) * upright).real
    down, nose_down = ((mouths - eyes) * upright).imag, ((nose - eyes) * upright).imag
    risen = down * _EYES_TO_NOSE / _EYES_TO_MOUTH - nose_down
    yaw = math.atan2(sideways * _EYE_TO_EYE, abs(along) * _NOSE_DEPTH)
    pitch = math.atan2(risen * _EYES_TO_MOUTH, abs(down) * _NOSE_DEPTH)
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)


def quality_score(quality: Quality) -> float:
    """Sum a quality up in one number, to sort by.

    It is ``detection_score * min(1, size / 32) * min(1, sharpness / 26) * max(0, cos(yaw))``: each factor is 1 where
    more changes nothing (see `QualityMinimum`), and the worst one decides most.

    Parameters
    ----------
    quality : Quality
        From `assess`.

    Returns
    -------
    float
        0..1, higher is better.
    """
    size, sharp = min(1.0, quality.size / _AMPLE_SIZE), min(1.0, quality.sharpness / _AMPLE_SHARPNESS)
    return quality.detection_score * max(0.0, size) * sharp * max(0.0, math.cos(math.radians(quality.yaw)))


def _reason(minimum: QualityMinimum, *, score: float, size: float, sharp: float, yaw: float) -> str | None:
    reasons = []
    if score < minimum.detection_score:
        reasons.append(f"perhaps not a face: score {score:.2f} (minimum {minimum.detection_score:.2f})")
    if size < minimum.size:
        reasons.append(f"too small: {size:.0f} px (minimum {minimum.size:.0f})")
    if sharp < minimum.sharpness:
        reasons.append(f"too blurred: sharpness {sharp:.1f} (minimum {minimum.sharpness:.1f})")
    if abs(yaw) > minimum.yaw:
        reasons.append(f"turned away: {abs(yaw):.0f} degrees (maximum {minimum.yaw:.0f})")
    return "; ".join(reasons) or None
