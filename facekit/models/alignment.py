"""Aligned faces: turned upright, scaled and cut out so that eyes, nose and mouth are always in the same place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.types.arrays import Detections, Image

# Where the five landmarks (eye, eye, nose, mouth, mouth; left before right) stand in an aligned face of 112 pixels.
# The ArcFace template: `arcface_dst` in insightface, python-package/insightface/utils/face_align.py; OpenCV's
# FaceRecognizerSF::alignCrop has the same numbers.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
TEMPLATE_SIZE = 112

# Down to this scale crops are those of FaceRecognizerSF::alignCrop. On 34 ordinary photos, nearly half of them with
# faces more than four times too large, the mean similarity of the 51 pairs of one person is 0.736 without shrinking,
# 0.744 with it below a quarter and 0.746 below a half; all 51 are recalled at 0.363 each time.
_SHRINK_BELOW = 0.25

# Square pixels: below it landmarks are one point, or have nothing in common with the template.
_ONE_POINT = 1e-6


def similarity_transform(landmarks: npt.ArrayLike, size: int = TEMPLATE_SIZE) -> npt.NDArray[np.float64]:
    """Compute the turn, scale and shift that bring landmarks closest to the template, in the least squares sense.

    Parameters
    ----------
    landmarks : array_like, float (N, 5, 2) or (5, 2)
        Points ``x, y`` in pixels, in the order of `facekit.types.arrays.Detections`.
    size : int
        Side of the aligned face in pixels.

    Returns
    -------
    ndarray, float64 (N, 2, 3) or (2, 3)
        Matrices that take a point ``x, y, 1`` of the image into the aligned face. Never a mirror image. Landmarks
        that are all one point, or have no likeness to the template, are shifted to its middle, neither turned nor
        scaled.

    Raises
    ------
    ValueError
        If the shape is wrong or a number is not finite.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape[-2:] != (5, 2) or points.ndim not in (2, 3) or not np.isfinite(points).all():
        message = f"landmarks are finite numbers of the shape (N, 5, 2) or (5, 2), not {points.shape}"
        raise ValueError(message)
    # With points as complex numbers a similarity is z -> turn * z + shift, so this is a one-dimensional regression.
    # In two dimensions it is the same as Umeyama, "Least-squares estimation of transformation parameters between two
    # point patterns", IEEE PAMI 13, 1991, without reflection.
    source = points[..., 0] + 1j * points[..., 1]
    target = (TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]) * (size / TEMPLATE_SIZE)
    middle, goal = source.mean(axis=-1, keepdims=True), target.mean()
    spread = (np.abs(source - middle) ** 2).sum(axis=-1)
    match = (np.conj(source - middle) * (target - goal)).sum(axis=-1)
    degenerate = (spread < _ONE_POINT) | (np.abs(match) < _ONE_POINT)
    turn = np.where(degenerate, 1, match / np.maximum(spread, _ONE_POINT))
    shift = goal - turn * middle[..., 0]
    rows = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def align(image: Image, landmarks: npt.ArrayLike, *, size: int = TEMPLATE_SIZE) -> npt.NDArray[np.uint8]:
    """Cut aligned faces out of an image.

    Parameters
    ----------
    image : ndarray, uint8 (H, W, 3)
        Upright RGB picture.
    landmarks : array_like, float (N, 5, 2)
        Points ``x, y`` in pixels of the image, as in `facekit.types.arrays.Detections`; N may be 0.
    size : int
        Side of the aligned faces in pixels.

    Returns
    -------
    ndarray, uint8 (N, size, size, 3)
        RGB; black where a face reaches beyond the image.

    Raises
    ------
    ValueError
        If the landmarks' shape is wrong or a number is not finite.

    Examples
    --------
    >>> picture = fk.read_image(demo.probe)
    >>> faces = fk.detect(picture)
    >>> fk.align(picture, faces.landmarks).shape
    (1, 112, 112, 3)
    """
    if np.ndim(image) != 3 or np.ndim(landmarks) != 3:  # noqa: PLR2004 - (H, W, 3) and (N, 5, 2)
        message = (
            f"align takes an image (H, W, 3) and landmarks (N, 5, 2), not {np.shape(image)}, {np.shape(landmarks)}"
        )
        raise ValueError(message)
    faces = np.zeros((np.shape(landmarks)[0], size, size, 3), np.uint8)
    for face, matrix in zip(faces, similarity_transform(landmarks, size), strict=True):
        cut(image, matrix, face)
    return faces


def align_box(image: Image, faces: Detections, *, size: int) -> npt.NDArray[np.uint8]:
    """Cut faces out of an image by their bounding boxes, turned so that the eyes stand level, as deepface does it.

    Parameters
    ----------
    image : ndarray, uint8 (H, W, 3)
        Upright RGB picture.
    faces : Detections
        N faces, in pixels of the image.
    size : int
        Side of the crops in pixels.

    Returns
    -------
    ndarray, uint8 (N, size, size, 3)
        RGB; the longer side of the box fills the crop, what is beside the box and beyond the image is black.
    """
    crops = np.zeros((len(faces), size, size, 3), np.uint8)
    for crop, (x, y, width, height), points in zip(crops, faces.boxes, faces.landmarks, strict=True):
        scale = size / max(width, height, 1.0)
        tilt = np.angle(complex(*(points[1] - points[0])))
        turn = scale * np.exp(-1j * tilt)
        middle = complex(x + width / 2 - 0.5, y + height / 2 - 0.5)  # it is centres of pixels that count
        shift = complex(size / 2 - 0.5, size / 2 - 0.5) - turn * middle
        cut(image, np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]), crop)
        beside = [(size - round(float(side) * scale)) // 2 for side in (width, height)]
        if abs(math.sin(tilt)) > abs(math.cos(tilt)):  # the face lies on its side
            beside.reverse()
        for edge, axis in zip(beside, (crop.swapaxes(0, 1), crop), strict=True):
            axis[:edge] = axis[size - edge :] = 0
    return crops


def cut(image: Image, matrix: npt.NDArray[np.float64], face: npt.NDArray[np.uint8]) -> None:
    """Draw the part of an image that a matrix (2, 3) takes into a square picture into `face`, uint8 (S, S, 3)."""
    import cv2

    part, place = _part(image, matrix, len(face))
    if part.size:
        # Linear with a black border, as in FaceRecognizerSF::alignCrop.
        cv2.warpAffine(part, (np.vstack([matrix, [0, 0, 1]]) @ place)[:2], (len(face), len(face)), dst=face)


def _part(image: Image, matrix: npt.NDArray[np.float64], size: int) -> tuple[Image, npt.NDArray[np.float64]]:
    """Cut out the part of the image that an aligned face shows, and the 3 x 3 matrix from its pixels to the image's.

    A face more than four times as large as wanted is first shrunk to twice the size: linear interpolation looks at
    2 x 2 pixels, and would leave out all those between.
    """
    import cv2

    scale = math.hypot(*matrix[:, 0])
    corners = np.array([[-1, -1], [-1, size], [size, -1], [size, size]]) - matrix[:, 2]
    seen = np.linalg.solve(matrix[:, :2], corners.T).T
    limits = np.array([image.shape[1], image.shape[0]])
    left, top = np.clip(np.floor(seen.min(axis=0)) - 1, 0, limits).astype(int)
    right, bottom = np.clip(np.ceil(seen.max(axis=0)) + 2, 0, limits).astype(int)
    part: Image = np.ascontiguousarray(image[top:bottom, left:right])
    place = np.array([[1.0, 0, left], [0, 1, top], [0, 0, 1]])
    if scale < _SHRINK_BELOW and part.size:
        shrink = 2 * scale
        height, width = part.shape[:2]
        smaller = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        part = cv2.resize(part, smaller, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        x, y = width / part.shape[1], height / part.shape[0]
        place = place @ [[x, 0, x / 2 - 0.5], [0, y, y / 2 - 0.5], [0, 0, 1]]  # it is centres of pixels that count
    return part, place
