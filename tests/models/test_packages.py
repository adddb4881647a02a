"""RetinaFace, FaceNet and ArcFace beside the packages retina-face and deepface, on the same weights and real photos.

The weights are made up (`generated_weights.py`): the faces that these networks see are none. What is compared is
everything around the weights, in both engines of the packages: TensorFlow and ONNX Runtime.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from facekit.images.decode import read_image
from facekit.models import deepface, retinaface
from facekit.models.alignment import align_box
from facekit.models.registry import load_detector, load_embedder
from facekit.models.retinaface import distinct_boxes

if TYPE_CHECKING:
    from facekit.types.arrays import Detections, Image

ENGINES = {"onnx": "onnxruntime", "tensorflow": "tensorflow"}
EMBEDDERS = {"facenet512": "Facenet512", "facenet": "Facenet", "arcface": "ArcFace"}
CROP = 160


@pytest.fixture(scope="module")
def photos(astronaut: Path, grace_hopper: Path, ordinary_photos: Path) -> dict[str, Image]:
    """Real photos: two small ones, and one whose shorter side has the 1024 px that the package scales to."""
    large = read_image(ordinary_photos / "img20.jpg")
    scale = 1024 / min(large.shape[:2])
    size = [round(side * scale) for side in large.shape[1::-1]]
    return {
        "astronaut": read_image(astronaut),
        "grace hopper": read_image(grace_hopper),
        "large": np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), np.uint8),
    }


@pytest.fixture(scope="module")
def faces(photos: dict[str, Image]) -> dict[str, Detections]:
    """Their real faces, as YuNet finds them."""
    detector = load_detector("yunet", device="cpu")
    return {name: detector.detect([photo])[0][0] for name, photo in photos.items()}


@pytest.fixture(scope="module")
def crops(photos: dict[str, Image], faces: dict[str, Detections]) -> dict[int, np.ndarray]:
    """Aligned faces by their size."""
    return {
        size: np.concatenate([align_box(photos[name], faces[name], size=size) for name in photos])
        for size in (160, 112)
    }


@pytest.fixture(scope="module", params=ENGINES)
def reference(
    request: pytest.FixtureRequest,
    generated_weights: Path,
    photos: dict[str, Image],
    faces: dict[str, Detections],
    crops: dict[int, np.ndarray],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, dict[str, Any]]:
    """The packages' answers with one of their engines, and facekit's name of it."""
    folder = tmp_path_factory.mktemp(request.param)
    weights = folder / ".deepface" / "weights"
    weights.mkdir(parents=True)
    for file in generated_weights.iterdir():
        (weights / file.name).symlink_to(file)
    questions = {}
    for name, photo in photos.items():
        bgr = photo[..., ::-1]
        questions[f"{'detect' if name == 'large' else 'detect-as-is'}/{name}"] = bgr
        questions[f"crop/{CROP}/{name}"] = bgr
        # The person's left eye is the one on the right of the picture.
        questions[f"face/{name}"] = np.concatenate([faces[name].boxes[0], faces[name].landmarks[0, [1, 0]].ravel()])
    for number in range(len(photos)):
        for name, package_name in EMBEDDERS.items():
            size = 112 if name == "arcface" else 160
            questions[f"represent/{package_name}/{number}"] = crops[size][number, ..., ::-1]
    np.savez(folder / "in.npz", **questions)
    environment = os.environ | {"DEEPFACE_BACKEND_ENGINE": request.param, "DEEPFACE_HOME": str(folder)}
    environment |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    program = Path(__file__).parents[1].joinpath("package_reference.py")
    subprocess.run([sys.executable, program, folder / "in.npz", folder / "out.npz"], check=True, env=environment)
    with np.load(folder / "out.npz") as answers:
        return ENGINES[request.param], dict(answers)


def test_retinaface_sees_what_the_package_sees(
    reference: tuple[str, dict[str, Any]], photos: dict[str, Image], weights_of_all: Path
) -> None:
    engine, answers = reference
    compared = 0
    for name, photo in photos.items():
        task = "detect" if name == "large" else "detect-as-is"
        boxes, landmarks, scores = (answers[f"{task}/{name}/{key}"] for key in ("boxes", "landmarks", "scores"))
        found = load_detector("retinaface", device="cpu", engine=engine, detail=2000).upright([photo])[0]
        assert len(found) == len(scores) > 0
        compared += len(scores)
        np.testing.assert_allclose(found.scores, scores, atol=1e-3)
        np.testing.assert_allclose(found.landmarks, landmarks, atol=1)
        corners = np.concatenate([found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:]], axis=1)
        np.testing.assert_allclose(corners, boxes, atol=1)  # the package cuts the fraction off
    assert compared > 15


@pytest.mark.parametrize(("name", "package_name"), EMBEDDERS.items())
def test_embedders_give_the_vectors_of_the_package(
    name: str,
    package_name: str,
    reference: tuple[str, dict[str, Any]],
    crops: dict[int, np.ndarray],
    weights_of_all: Path,
) -> None:
    engine, answers = reference
    embedder = load_embedder(name, device="cpu", engine=engine)
    assert embedder.engine == engine
    vectors = embedder.embed(crops[embedder.input_size])
    assert vectors.shape == (3, embedder.dimension)
    for number, vector in enumerate(vectors):
        expected = answers[f"represent/{package_name}/{number}"]
        assert float(vector @ expected / np.linalg.norm(expected)) > 0.9999


def test_faces_are_cut_out_as_deepface_does_it(
    reference: tuple[str, dict[str, Any]], crops: dict[int, np.ndarray], photos: dict[str, Image]
) -> None:
    _, answers = reference
    for number, name in enumerate(photos):
        expected = 255 * answers[f"crop/{CROP}/{name}"][..., ::-1]
        ours = crops[CROP][number].astype(float)
        # deepface cuts whole pixels and turns the picture first, so that pixels differ by a fraction of one.
        assert np.abs(ours - expected).mean() < 12
        assert np.corrcoef(ours.ravel(), expected.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_engines_agree(
    engine: str, photos: dict[str, Image], crops: dict[int, np.ndarray], weights_of_all: Path
) -> None:
    small = [photos["astronaut"], photos["grace hopper"]]
    one, other = (load_detector("retinaface", device="cpu", engine=name) for name in ("onnxruntime", engine))
    for first, second in zip(one.upright(small), other.upright(small), strict=True):
        assert len(first) == len(second) > 3
        np.testing.assert_allclose(first.boxes, second.boxes, atol=0.05)
        np.testing.assert_allclose(first.landmarks, second.landmarks, atol=0.05)
        np.testing.assert_allclose(first.scores, second.scores, atol=1e-4)
    for name in EMBEDDERS:
        first, second = (load_embedder(name, device="cpu", engine=which) for which in ("onnxruntime", engine))
        faces = crops[first.input_size]
        assert ((first.embed(faces) * second.embed(faces)).sum(axis=1) > 0.9999).all()


def test_a_batch_gives_what_each_photo_alone_gives(photos: dict[str, Image], weights_of_all: Path) -> None:
    detector = load_detector("retinaface", device="cpu", engine="onnxruntime", detail=512)
    pictures = [photos["astronaut"], photos["large"], photos["astronaut"][::-1].copy(), photos["grace hopper"]]
    for together, picture in zip(detector.detect(pictures), pictures, strict=True):
        (alone,) = detector.detect([picture])
        assert len(together) == len(alone)
        np.testing.assert_allclose(together.boxes, alone.boxes, atol=0.05)


@given(
    arrays(np.float32, st.tuples(st.integers(0, 60), st.just(4)), elements=st.floats(0, 100, width=32)),
    st.randoms(use_true_random=False),
)
def test_distinct_boxes_are_those_of_the_package(boxes: np.ndarray, random: Any) -> None:
    from retinaface.commons.postprocess import cpu_nms

    boxes = boxes.round()  # corners of whole numbers are exact in both
    scores = np.array(random.sample(range(1, 1000), len(boxes)), np.float32) / 1000
    boxes = boxes[np.argsort(-scores)]
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    table = np.concatenate([corners, np.sort(scores)[::-1, None]], axis=1)
    assert distinct_boxes(boxes, 0.4, 100).tolist() == [int(kept) for kept in cpu_nms(table, 0.4)]


def test_the_addresses_are_those_of_the_packages() -> None:
    from deepface.models.facial_recognition.onnx import ArcFace, Facenet
    from retinaface.model import retinaface_onnx_model

    for network, addresses in (
        (retinaface.NETWORK, retinaface_onnx_model.WEIGHTS_URLS),
        (deepface.FACENET512, Facenet.FACENET512_WEIGHTS),
        (deepface.FACENET, Facenet.FACENET128_WEIGHTS),
        (deepface.ARCFACE, ArcFace.WEIGHTS_URL),
    ):
        assert [str(source) for source in network.file("onnxruntime").sources] == addresses
        keras = [address.removesuffix("onnx") + "h5" for address in addresses]
        assert [str(source) for source in network.file("tensorflow").sources] == keras
