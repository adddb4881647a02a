"""YuNet: against OpenCV's own detector on the unchanged zoo file; on large, crowded, close and odd pictures."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime
import pytest
from conftest import need
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pictures
from sklearn.datasets import load_sample_image

from facekit.errors import DeviceError, FacekitError, WeightsError
from facekit.models import detect, device, yunet
from facekit.models.engines.ort import OrtNetwork
from facekit.models.facts import MODELS
from facekit.models.fold import folded
from facekit.models.passes import plan_levels
from facekit.models.registry import load_detector, model_info, models_table
from facekit.models.weights import fetch
from facekit.models.yunet import SCALES

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from facekit.models.protocols import Detector
    from facekit.types.arrays import Detections, Image


@pytest.fixture(scope="module")
def detector() -> Detector:
    try:
        return load_detector("yunet", device="cpu")
    except WeightsError as error:
        need(condition=False, reason=str(error))
        raise


def read(path: Path) -> Image:
    return np.asarray(Pictures.open(path).convert("RGB"))


def within(image: Image, side: int) -> Image:
    """The image, reduced so that it fits into a square, on a black one."""
    scale = min(1, side / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((side, side, 3), np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return canvas


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box with others."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    return common / (box[2:].prod() + boxes[:, 2:].prod(axis=1) - common)


def assert_same_as_opencv(image: Image, found: Detections) -> int:
    reference = cv2.FaceDetectorYN.create(str(fetch(yunet.WEIGHTS)), "", image.shape[1::-1], 0.6, 0.3, 5000)
    _, faces = reference.detect(np.ascontiguousarray(image[:, :, ::-1]))
    expected = np.zeros((0, 15), np.float32) if faces is None else faces
    assert len(found) == len(expected)
    order = np.argsort(-expected[:, 14], kind="stable")
    np.testing.assert_allclose(found.scores, expected[order, 14], atol=1e-3)
    np.testing.assert_allclose(found.boxes, expected[order, :4], atol=0.5)
    np.testing.assert_allclose(found.landmarks.reshape(-1, 10), expected[order, 4:14], atol=0.5)
    return len(expected)


def test_the_same_faces_as_opencv_finds_with_the_unfolded_file(
    detector: Detector, astronaut: Path, grace_hopper: Path
) -> None:
    images = [within(read(path), 640) for path in (astronaut, grace_hopper)]
    assert [assert_same_as_opencv(image, detector.upright([image])[0]) for image in images] == [1, 1]


def test_the_same_faces_as_opencv_finds_on_ordinary_photos(detector: Detector, ordinary_photos: Path) -> None:
    images = [within(read(path), 640) for path in sorted(ordinary_photos.glob("*.jpg"))]
    assert sum(itertools.starmap(assert_same_as_opencv, zip(images, detector.upright(images), strict=True))) >= 34


def test_the_folded_graph_gives_what_onnx_defines(detector: Detector, astronaut: Path) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    face = cv2.resize(read(astronaut)[0:256, 96:352], (64, 64), interpolation=cv2.INTER_AREA)
    blob = cv2.dnn.blobFromImage(face, swapRB=True)
    original = ReferenceEvaluator(onnx.load(fetch(yunet.WEIGHTS)))
    session = onnxruntime.InferenceSession(folded(yunet.WEIGHTS, any_size=True), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for name, expected, value in zip(
        names, original.run(names, {"input": blob}), session.run(names, {"input": blob}), strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4, err_msg=name)


def test_images_of_many_sizes_at_once_give_what_each_gives_alone(
    detector: Detector, astronaut: Path, grace_hopper: Path
) -> None:
    first, second = read(astronaut), read(grace_hopper)
    images = [first, second, second[:300], first[:333, :411], np.zeros((1, 1, 3), np.uint8), first[:, ::-1], first]
    together = detector.detect(images)
    assert [len(faces) for faces in together][:2] == [1, 1]
    for image, faces in zip(images, together, strict=True):
        alone = detector.detect([image])[0]
        np.testing.assert_allclose(faces.boxes, alone.boxes, atol=0.05)
        np.testing.assert_allclose(faces.scores, alone.scores, atol=1e-4)
    assert detector.detect([]) == []


def test_colour_order_matters_and_is_rgb(detector: Detector, astronaut: Path) -> None:
    image = read(astronaut)
    assert detector.detect([image])[0].scores[0] > detector.detect([image[:, :, ::-1]])[0].scores[0]


def test_landmarks_come_left_before_right_and_top_before_bottom(detector: Detector, astronaut: Path) -> None:
    (eye, other_eye, nose, mouth, other_mouth) = detector.detect([read(astronaut)])[0].landmarks[0]
    assert eye[0] < other_eye[0]
    assert mouth[0] < other_mouth[0]
    assert max(eye[1], other_eye[1]) < nose[1] < min(mouth[1], other_mouth[1])


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_no_face_where_there_is_none(detector: Detector, name: str) -> None:
    image = load_sample_image(name)
    large = cv2.resize(image, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    assert [len(faces) for faces in detector.detect([image, large])] == [0, 0]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_what_is_no_image_is_refused(detector: Detector, image: Image) -> None:
    with pytest.raises(ValueError, match="RGB"):
        detector.detect([image])


def test_every_face_of_labeled_faces_in_the_wild_is_found_at_its_own_size(detector: Detector, lfw: Path) -> None:
    images = [read(path) for path in sorted(lfw.glob("*/*_0001.jpg"))[::20]]
    assert len(images) > 100
    for image, faces in zip(images, detector.detect(images), strict=True):
        centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
        assert np.hypot(*(centres - np.array(image.shape[1::-1]) / 2).T).min() < 60


@pytest.mark.parametrize("detail", ["normal", "fine"])
@pytest.mark.parametrize("size", [700, 1200, 2400])
def test_a_close_up_is_one_face_however_many_pixels_it_has(astronaut: Path, detail: str, size: int) -> None:
    image = read(astronaut)
    seen = load_detector("yunet", device="cpu").detect([image])[0].boxes[0]
    x, y, w, h = seen
    margin = 0.4 * h
    left, top = int(max(0, x - margin)), int(max(0, y - margin))
    close = image[top : int(y + h + margin), left : int(x + w + margin)]
    factor = size / h
    large = cv2.resize(close, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    faces = load_detector("yunet", device="cpu", detail=detail).detect([large])[0]
    assert len(faces) == 1
    expected = (seen - [left, top, 0, 0]) * factor
    assert overlap(expected, faces.boxes)[0] > 0.7


def group_photo(people: list[Image], detector: Detector, size: float) -> tuple[Image, np.ndarray]:
    """Twelve megapixels of a landscape with faces of a size on it, and their boxes."""
    picture = cv2.resize(load_sample_image("china.jpg"), (4000, 3000), interpolation=cv2.INTER_CUBIC)
    boxes = []
    for number, person in enumerate(people):
        box = detector.detect([person])[0].boxes[0]
        factor = size / max(box[2:])
        small = cv2.resize(person, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        left, top = 60 + 380 * (number % 10), 60 + 290 * (number // 10)
        picture[top : top + small.shape[0], left : left + small.shape[1]] = small
        boxes.append(box * factor + [left, top, 0, 0])
    return picture, np.array(boxes)


@pytest.mark.parametrize("detail", ["normal", "fine"])
def test_faces_of_40_pixels_are_found_in_a_group_photo_of_12_megapixels(
    detector: Detector, lfw: Path, detail: str
) -> None:
    people = [read(path) for path in sorted(lfw.glob("*/*_0001.jpg"))[::31][:80]]
    picture, boxes = group_photo(people, detector, 40)
    faces = load_detector("yunet", device="cpu", detail=detail).detect([picture])[0]
    hits = np.array([(overlap(box, faces.boxes) > 0.4).sum() for box in boxes])
    assert (hits > 0).mean() >= 0.98  # measured: all of 150
    assert hits.max() == 1  # where tiles overlap, too
    assert (np.diff(faces.scores) <= 0).all()


def test_a_photo_read_at_the_working_size_shows_that_a_closer_look_is_worth_while(
    detector: Detector, lfw: Path
) -> None:
    people = [read(path) for path in sorted(lfw.glob("*/*_0001.jpg"))[::31][:20]]
    picture, _ = group_photo(people, detector, 40)
    assert detector.max_side is not None
    reduced = cv2.resize(picture, (detector.max_side, detector.max_side * 3 // 4), interpolation=cv2.INTER_AREA)
    faces = detector.detect([reduced])[0]
    assert (faces.boxes[:, 2:].max(axis=1) < detector.small_face).any()


def test_fine_wants_the_full_size() -> None:
    fine = load_detector("yunet", device="cpu", detail="fine")
    assert (fine.max_side, fine.closer_sides) == (None, ())


@given(st.integers(1, 30_000), st.integers(1, 30_000), st.sampled_from([1280, 2000, 4096, math.inf]), st.randoms())
def test_tiles_cover_every_level_and_hold_every_believable_face_whole(
    width: int, height: int, side: float, random: Random
) -> None:
    levels = plan_levels(width, height, side, SCALES)
    own = max(width, height)
    assert max(levels[0].width, levels[0].height) == max(min(own, side), min(480, 2 * own))
    assert levels[-1].largest == math.inf
    assert max(levels[-1].width, levels[-1].height) <= 1000
    for level, following in itertools.pairwise(levels):
        # What is too large to be believed has at least 32 pixels in the next look.
        assert SCALES.largest * following.width / level.width > 31 or following.width == 1
    for level in levels:
        for length, spans in ((level.width, level.columns), (level.height, level.rows)):
            assert all(0 < span.length <= SCALES.tile and 0 <= span.start <= length - span.length for span in spans)
            point = random.uniform(0, length)
            (span,) = [span for span in spans if span.low <= point < span.high]
            if len(spans) > 1:
                reach = SCALES.largest / 2 - 1  # starts are whole pixels
                assert max(0, point - reach) >= span.start
                assert min(length, point + reach) <= span.start + span.length


def test_plain_function_takes_one_image_or_several(detector: Detector, astronaut: Path) -> None:
    image = read(astronaut)
    one = detect(image, device="cpu")
    assert len(one) == 1
    assert [len(faces) for faces in detect([image, image[:64]], device="cpu")] == [1, 0]
    assert [len(faces) for faces in detect(np.stack([image, image]), device="cpu")] == [1, 1]


def test_the_same_call_gives_the_same_open_model(detector: Detector) -> None:
    assert load_detector("yunet", device="cpu") is detector
    assert load_detector("yunet", device="cpu", detail="fine") is not detector
    assert (detector.name, detector.device) == ("yunet", "cpu")


def test_unknown_names_and_options_are_errors_that_say_what_there_is() -> None:
    with pytest.raises(FacekitError, match="yunet, sface"):
        load_detector("nobody")
    with pytest.raises(FacekitError, match="Models for detection: yunet"):
        load_detector("sface")
    with pytest.raises(TypeError, match="colour"):
        load_detector("yunet", device="cpu", colour="blue")
    with pytest.raises(FacekitError, match="'fine'"):
        load_detector("yunet", device="cpu", detail="coarse")


def test_the_table_of_models_is_plain_values() -> None:
    rows = {row.name: row for row in models_table()}
    assert set(rows) == set(MODELS)
    assert (rows["sface"].dimension, rows["yunet"].dimension) == (128, None)
    assert rows["sface"].search_similarity == model_info("sface").search_similarity
    assert all(isinstance(row.present, bool) for row in rows.values())


def test_the_device_is_the_cpu_where_there_is_no_other() -> None:
    assert device.choose_providers("cpu") == ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert device.choose_providers("auto") == ["CPUExecutionProvider"]
        with pytest.raises(DeviceError, match="onnxruntime-gpu"):
            device.choose_providers("cuda")
    with pytest.raises(DeviceError, match="auto, cpu, cuda, coreml"):
        device.choose_providers("toaster")


def test_cuda_that_does_not_start_is_an_error_only_where_it_was_asked_for(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA may start here")
    # This ONNX Runtime, told that it has CUDA, does what one with a broken CUDA does: it takes the CPU, silently.
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    graph = folded(yunet.WEIGHTS, any_size=True)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(DeviceError, match="does not start"):
        OrtNetwork(graph, "cuda")
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        network = OrtNetwork(graph, "auto")
    assert (network.device, network.provider) == ("cpu", "ONNX Runtime, CPUExecutionProvider")
