"""Quality: pose of a head turned in space, sharpness, sizes, reasons; and that few real faces are left out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures

from facekit.models import align, detect
from facekit.models.alignment import TEMPLATE
from facekit.models.quality import QualityMinimum, assess, pose, quality_score, sharpness
from facekit.types.arrays import Detections, Quality

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.types.arrays import Image

# The head of the source that `facekit.models.quality` names: x to the right, y up, z towards the camera.
HEAD = np.array([[-157.5, 170, -135], [157.5, 170, -135], [0, 0, 0], [-150, -150, -125], [150, -150, -125]])


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Landmarks of the head, seen from far away after OpenCV turned it; x to the right, y down."""
    turns = [(0, yaw, 0), (-pitch, 0, 0), (0, 0, -roll)]
    matrix = np.eye(3)
    for turn in turns:
        matrix = cv2.Rodrigues(np.radians(np.array(turn, dtype=float)))[0] @ matrix
    x, y, _ = matrix @ HEAD.T
    return np.stack([x, -y], axis=1)


def read(path: Path) -> Image:
    return np.asarray(Pictures.open(path).convert("RGB"))


def one_face(score: float = 0.9, size: float = 100, landmarks: np.ndarray = TEMPLATE) -> Detections:
    middle = np.array([size / 2, size * 0.65])
    landmarks = (landmarks - landmarks.mean(axis=0)) * (
        0.5 * size / np.ptp(landmarks[:, 1])
    ) + middle  # a face in its box
    return Detections(np.array([[0, 0, size, size * 1.3]]), landmarks[None], np.array([score]))


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), dtype=np.uint8)


@pytest.mark.parametrize("angle", [-60, -30, -10, 0, 10, 30, 60])
def test_the_pose_of_a_head_that_is_turned_one_way(angle: float) -> None:
    assert pose(turned(angle, 0, 0))[0] == pytest.approx(angle, abs=4)
    assert pose(turned(0, 0, angle))[2] == pytest.approx(angle, abs=0.1)
    if abs(angle) <= 30:
        assert pose(turned(0, angle, 0))[1] == pytest.approx(angle, abs=6)


@given(st.floats(-40, 40), st.floats(-20, 20), st.floats(-90, 90))
def test_roll_does_not_change_yaw_and_pitch(yaw: float, pitch: float, roll: float) -> None:
    points = turned(yaw, pitch, 0)
    angle = math.radians(roll)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    expected, found = pose(points), pose(points @ matrix.T * 0.3 + 50)
    np.testing.assert_allclose(found[:2], expected[:2], atol=1e-6)
    assert found[2] == pytest.approx(expected[2] + roll, abs=1e-6)


@given(st.lists(st.floats(-1e6, 1e6), min_size=10, max_size=10))
def test_any_landmarks_have_a_finite_pose(values: list[float]) -> None:
    angles = pose(np.reshape(values, (5, 2)))
    assert all(-180 <= angle <= 180 for angle in angles)


def test_a_mirrored_face_turns_the_other_way(astronaut: Path) -> None:
    points = detect(read(astronaut), device="cpu")[0].landmarks[0]
    yaw, pitch, roll = pose(points)
    mirrored = (points * [-1, 1])[[1, 0, 2, 4, 3]]  # what was left is now right
    np.testing.assert_allclose(pose(mirrored), (-yaw, pitch, -roll), atol=1e-4)


def test_sharpness_is_the_variance_of_the_laplacian_and_falls_with_blur(astronaut: Path) -> None:
    image = read(astronaut)
    crop = align(image, detect(image, device="cpu")[0].landmarks)[0]
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(float)
    inner = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    assert sharpness(crop) == pytest.approx(inner.var(), rel=0.05)  # without the border
    blurred = [sharpness(cv2.GaussianBlur(crop, (0, 0), sigma)) for sigma in (1, 2, 3, 4)]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[-1] < QualityMinimum().sharpness < sharpness(crop)
    assert sharpness(np.full((112, 112, 3), 77, np.uint8)) == 0


def test_a_good_face_has_no_reason_and_its_size_is_in_pixels_of_the_photo() -> None:
    (quality,) = assess(noise(), one_face(size=100), scale=0.25)
    assert quality.usable
    assert quality.size == pytest.approx(400)
    assert quality.detection_score == pytest.approx(0.9)
    assert quality.sharpness == pytest.approx(sharpness(noise()[0]))


@pytest.mark.parametrize(
    ("face", "crops", "reason"),
    [
        (one_face(size=18), noise(), "too small: 18 px (minimum 20)"),
        (one_face(score=0.65), noise(), "perhaps not a face: score 0.65 (minimum 0.70)"),
        (one_face(), np.zeros((1, 112, 112, 3), np.uint8), "too blurred: sharpness 0.0 (minimum 6.0)"),
        (one_face(landmarks=turned(85, 0, 0)), noise(), "turned away: "),
    ],
)
def test_each_minimum_has_its_reason(face: Detections, crops: np.ndarray, reason: str) -> None:
    (quality,) = assess(crops, face)
    assert not quality.usable
    assert str(quality.reason).startswith(reason)


def test_several_reasons_are_all_given_and_the_minima_can_be_chosen() -> None:
    (quality,) = assess(noise(), one_face(score=0.6, size=10))
    assert str(quality.reason).count(";") == 1
    (quality,) = assess(noise(), one_face(score=0.6, size=10), minimum=QualityMinimum(0.5, 8))
    assert quality.usable


def test_no_faces_no_qualities_and_a_crop_for_each_face() -> None:
    assert assess(noise()[:0], Detections.empty()) == []
    with pytest.raises(ValueError, match="1 crops"):
        assess(noise(), Detections.empty())


def test_the_score_goes_from_0_to_1_and_falls_with_each_flaw() -> None:
    best = Quality(1.0, 200, 500, 0, 0, 0)
    assert quality_score(best) == 1
    worse = [
        Quality(0.8, 200, 500, 0, 0, 0),
        Quality(1.0, 16, 500, 0, 0, 0),
        Quality(1.0, 200, 13, 0, 0, 0),
        Quality(1.0, 200, 500, 60, 0, 0),
    ]
    assert [quality_score(quality) for quality in worse] == pytest.approx([0.8, 0.5, 0.5, 0.5])
    assert quality_score(Quality(1.0, 200, 500, 120, 0, 0)) == 0


def test_fewer_than_one_in_a_hundred_real_faces_is_left_out(lfw: Path) -> None:
    images = [read(path) for path in sorted(lfw.glob("*/*_0001.jpg"))[::15]]
    reasons = []
    for image, found in zip(images, detect(images, device="cpu"), strict=True):
        centres = found.boxes[:, :2] + found.boxes[:, 2:] / 2 - np.array(image.shape[1::-1]) / 2
        face = found[int(np.hypot(*centres.T).argmin())]
        reasons += [quality.reason for quality in assess(align(image, face.landmarks), face)]
    assert len(reasons) > 150
    assert sum(reason is not None for reason in reasons) / len(reasons) < 0.01


def test_a_face_too_small_or_too_blurred_to_be_recognised_is_left_out(astronaut: Path) -> None:
    image = read(astronaut)
    height = float(detect(image, device="cpu")[0].boxes[0, 3])
    tiny = cv2.resize(image, None, fx=20 / height, fy=20 / height, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(image, (0, 0), 6 * height / 120)
    for picture, reason in ((tiny, "too small"), (blurred, "too blurred")):
        found = detect(picture, device="cpu")[0]
        (quality,) = assess(align(picture, found.landmarks), found)
        assert reason in str(quality.reason)
