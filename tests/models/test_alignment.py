"""Alignment: against scikit-image and OpenCV; faces that are cut off, huge, degenerate, or in a very wide picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures
from skimage.transform import SimilarityTransform

from facekit.models import align, detect, sface
from facekit.models.alignment import TEMPLATE, similarity_transform
from facekit.models.fold import folded

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.types.arrays import Image

numbers = st.floats(-1e4, 1e4)


def read(path: Path) -> Image:
    return np.asarray(Pictures.open(path).convert("RGB"))


def placed(turn: float, scale: float, x: float, y: float, size: int = 112) -> np.ndarray:
    """The template's points, turned by radians, scaled and moved."""
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return TEMPLATE * size / 112 @ matrix.T + [x, y]


@given(st.lists(st.tuples(numbers, numbers), min_size=5, max_size=5))
def test_the_same_matrix_as_scikit_image(points: list[tuple[float, float]]) -> None:
    landmarks = np.round(points)
    reference = SimilarityTransform.from_estimate(landmarks, TEMPLATE)
    if not reference or reference.scale < 1e-3:
        return  # scikit-image gives up where the points are one, or unlike the template
    ours = similarity_transform(landmarks)
    moved = [landmarks @ matrix[:2, :2].T + matrix[:2, 2] for matrix in (ours, reference.params)]
    np.testing.assert_allclose(*moved, atol=1e-5)


@given(st.floats(-3.1, 3.1), st.floats(0.01, 100), numbers, numbers)
def test_a_known_turn_scale_and_shift_is_undone(turn: float, scale: float, x: float, y: float) -> None:
    points = placed(turn, scale, x, y)
    matrix = similarity_transform(points)
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-4)


def test_many_matrices_at_once_and_another_size() -> None:
    points = np.stack([placed(0.1, 2, 30, 40), placed(-1, 0.5, 3, 4)])
    both = similarity_transform(points, 224)
    assert both.shape == (2, 2, 3)
    np.testing.assert_allclose(both[1], similarity_transform(points[1], 224))
    np.testing.assert_allclose(similarity_transform(points[1]) * 2, both[1], atol=1e-9)
    assert similarity_transform(np.zeros((0, 5, 2))).shape == (0, 2, 3)


def test_the_same_crop_as_opencv(astronaut: Path, tmp_path: Path) -> None:
    (tmp_path / "sface.onnx").write_bytes(folded(sface.WEIGHTS))
    recogniser = cv2.FaceRecognizerSF.create(str(tmp_path / "sface.onnx"), "")
    image = read(astronaut)
    for part in (image, image[20:, 40:]):
        found = detect(part, device="cpu")[0]
        row = np.concatenate([found.boxes[0], found.landmarks[0].ravel(), found.scores]).astype(np.float32)
        expected = recogniser.alignCrop(np.ascontiguousarray(part[:, :, ::-1]), row)[:, :, ::-1]
        crop = align(part, found.landmarks)[0]
        # Both interpolate with steps of 1/32 pixel, which begin elsewhere.
        assert np.abs(crop.astype(int) - expected).max() <= 6
        assert np.abs(crop.astype(int) - expected).mean() < 0.3


def test_every_face_gets_its_crop(astronaut: Path) -> None:
    image = read(astronaut)
    found = detect(image, device="cpu")[0]
    points = np.concatenate([found.landmarks, found.landmarks + 5])
    crops = align(image, points)
    assert (crops.shape, crops.dtype) == ((2, 112, 112, 3), np.uint8)
    np.testing.assert_array_equal(crops[1], align(image, points[1:])[0])
    assert not np.array_equal(crops[0], crops[1])
    assert align(image, points[:0]).shape == (0, 112, 112, 3)
    assert align(image, points, size=160).shape == (2, 160, 160, 3)


def test_a_face_beyond_the_edge_is_black_there() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    half = align(white, placed(0, 1, -56, 0)[None])[0]  # the left half of the face lies outside
    assert half[20:80, 60:].min() == 255
    assert half[:, :50].max() == 0
    assert align(white, placed(0, 1, 5000, 0)[None]).max() == 0


@pytest.mark.parametrize("scale", [0.05, 1.0, 3.0, 12.0, 400.0])
def test_degenerate_landmarks_do_not_crash_and_always_give_the_same(astronaut: Path, scale: float) -> None:
    image = read(astronaut)
    one_point = np.full((1, 5, 2), 200.0)
    in_line = np.array([[[10, 10], [20, 10], [30, 10], [40, 10], [50, 10]]]) * scale
    upside_down = TEMPLATE[None, ::-1] * scale
    unlike = np.zeros((1, 5, 2))
    unlike[0, :4] = [[0, 1], [0, -1], [0, 1], [0, -1]]
    for points in (one_point, in_line, upside_down, unlike, one_point * 1e7):
        assert np.isfinite(similarity_transform(points)).all()
        np.testing.assert_array_equal(align(image, points), align(image, points))
    matrix = similarity_transform(one_point[0])
    np.testing.assert_allclose(matrix[:, :2], np.eye(2))
    np.testing.assert_allclose(matrix @ [200, 200, 1], TEMPLATE.mean(axis=0))


@pytest.mark.parametrize("bad", [np.zeros((2, 4, 2)), np.zeros(10), np.full((1, 5, 2), np.nan)])
def test_what_are_no_landmarks_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        similarity_transform(bad)


def test_a_large_face_is_averaged_not_sampled() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1120, 1120, 3), dtype=np.uint8)
    crop = align(noise, placed(0, 10, 0, 0)[None])[0].astype(float)
    area = cv2.resize(noise, (112, 112), interpolation=cv2.INTER_AREA).astype(float)
    # One pixel stands for 100: linear interpolation alone would keep nearly all of the noise.
    assert noise.std() > 70
    assert crop[8:-8, 8:-8].std() < 2 * area.std() < 20


def test_a_large_face_is_where_it_would_be_in_a_small_picture(astronaut: Path) -> None:
    image = read(astronaut)
    points = detect(image, device="cpu")[0].landmarks
    large = cv2.resize(image, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
    small, shrunk = align(image, points)[0], align(large, (points + 0.5) * 6 - 0.5)[0]
    assert np.abs(small.astype(int) - shrunk).mean() < 2
    shifted = [np.abs(np.roll(small, step, axis=1).astype(int) - shrunk).mean() for step in (-1, 0, 1)]
    assert int(np.argmin(shifted)) == 1


def test_a_picture_wider_than_opencv_can_warp() -> None:
    wide = np.zeros((60, 40_000, 3), np.uint8)
    wide[:, 39_000:] = 200
    assert align(wide, placed(0, 0.5, 39_500, 2)[None])[0][20:80, 20:80].min() == 200
