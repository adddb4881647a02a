"""SFace: against OpenCV's recogniser and ONNX's reference implementation; vectors that are refused; similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnx
import pytest
from conftest import need
from onnx.reference import ReferenceEvaluator
from PIL import Image as Pictures
from sklearn.metrics.pairwise import cosine_similarity

from facekit.errors import EmbeddingError, FacekitError, WeightsError
from facekit.models import align, detect, embed, sface, similarity
from facekit.models.fold import folded
from facekit.models.registry import load_embedder, model_info
from facekit.models.vectors import embedding_faults, good_embeddings
from facekit.models.weights import fetch

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.models.protocols import Embedder
    from facekit.types.arrays import Image


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    try:
        return load_embedder("sface", device="cpu")
    except WeightsError as error:
        need(condition=False, reason=str(error))
        raise


@pytest.fixture(scope="module")
def faces(astronaut: Path, grace_hopper: Path) -> np.ndarray:
    """The aligned faces of two people."""
    return np.concatenate([aligned(read(path)) for path in (astronaut, grace_hopper)])


def read(path: Path) -> Image:
    return np.asarray(Pictures.open(path).convert("RGB"))


def aligned(image: Image) -> np.ndarray:
    """The face nearest to the middle of the image."""
    found = detect(image, device="cpu")
    centres = found.boxes[:, :2] + found.boxes[:, 2:] / 2 - np.array(image.shape[1::-1]) / 2
    return align(image, found[int(np.hypot(*centres.T).argmin())].landmarks)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_same_vectors_as_onnx_defines_for_the_unfolded_file(embedder: Embedder, faces: np.ndarray) -> None:
    model = onnx.load(fetch(sface.WEIGHTS))
    computed = {tensor.name for tensor in model.graph.initializer} | {
        o for node in model.graph.node for o in node.output
    }
    inputs = [value for value in model.graph.input if value.name not in computed]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    reference = ReferenceEvaluator(model)
    blobs = [face.transpose(2, 0, 1)[None].astype(np.float32) for face in faces]
    expected = np.concatenate([reference.run(["fc1"], {"data": blob})[0] for blob in blobs])
    assert (embedder.embed(faces) * unit(expected)).sum(axis=1).min() > 0.9999


def test_the_same_vectors_as_opencv_from_photo_to_vector(
    embedder: Embedder, astronaut: Path, grace_hopper: Path, tmp_path: Path
) -> None:
    (tmp_path / "sface.onnx").write_bytes(folded(sface.WEIGHTS))  # OpenCV 5 refuses the file of the zoo
    recogniser = cv2.FaceRecognizerSF.create(str(tmp_path / "sface.onnx"), "")
    for path in (astronaut, grace_hopper):
        image = read(path)
        found = detect(image, device="cpu")[0]
        row = np.concatenate([found.boxes[0], found.landmarks[0].ravel(), found.scores]).astype(np.float32)
        crop = recogniser.alignCrop(np.ascontiguousarray(image[:, :, ::-1]), row)
        expected = unit(recogniser.feature(crop))
        assert float((embed(image, found, device="cpu") * expected).sum()) > 0.999


def test_shape_type_and_length_of_vectors(embedder: Embedder, faces: np.ndarray) -> None:
    vectors = embedder.embed(faces)
    assert (vectors.shape, vectors.dtype) == ((2, embedder.dimension), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert good_embeddings(vectors, embedder.dimension).all()
    assert embedder.embed(faces[:0]).shape == (0, 128)
    assert (embedder.name, embedder.device, embedder.input_size) == ("sface", "cpu", 112)


def test_many_faces_at_once_give_what_each_gives_alone(embedder: Embedder, faces: np.ndarray) -> None:
    many = np.concatenate([faces] * 17)[:33]
    np.testing.assert_allclose(embedder.embed(many), embedder.embed(faces)[np.arange(33) % 2], atol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((112, 112, 3), np.uint8), np.zeros((1, 96, 112, 3), np.uint8), np.zeros((1, 112, 112, 3), np.float32)],
)
def test_what_is_no_aligned_face_is_refused(embedder: Embedder, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="aligned faces"):
        embedder.embed(wrong)


def test_embed_finds_the_faces_itself(embedder: Embedder, astronaut: Path) -> None:
    image = read(astronaut)
    np.testing.assert_array_equal(embed(image, device="cpu"), embed(image, detect(image, device="cpu"), device="cpu"))
    assert embed(np.zeros((64, 64, 3), np.uint8), device="cpu").shape == (0, 128)


def test_the_same_person_is_told_from_others_at_the_default_threshold(embedder: Embedder, lfw: Path) -> None:
    lines = [line.split("\t") for line in (lfw / "pairsDevTest.txt").read_text().splitlines()[1:]]
    same = [(row[0], row[1], row[0], row[2]) for row in lines if len(row) == 3][::10]
    different = [(row[0], row[1], row[2], row[3]) for row in lines if len(row) == 4][::10]

    def vector(name: str, number: str) -> np.ndarray:
        return embedder.embed(aligned(read(lfw / name / f"{name}_{int(number):04d}.jpg")))[0]

    threshold = model_info("sface").search_similarity
    cosines = [similarity(vector(a, i), vector(b, j)) for a, i, b, j in [*same, *different]]
    accepted = np.array(cosines) > threshold
    assert accepted[: len(same)].mean() >= 0.94  # measured: 0.984 of all 500
    assert accepted[len(same) :].mean() <= 0.02  # measured: none of all 500


def test_an_embedder_that_is_none_is_an_error() -> None:
    with pytest.raises(FacekitError, match="Models for embedding: sface"):
        load_embedder("yunet")


VECTORS = {
    "zero": (np.zeros(4), "zero"),
    "constant": (np.full(4, 0.5), "equal"),
    "not a number": (np.array([1, 0, 0, np.nan]), "not finite"),
    "infinite": (np.array([1, 0, 0, np.inf]), "not finite"),
    "too long": (np.array([2.0, 0, 0, 0]), "length is 2"),
}
GOOD = np.array([0.6, 0.8, 0, 0])


@pytest.mark.parametrize("name", VECTORS)
def test_a_bad_vector_is_named_and_does_not_hide_the_good_ones(name: str) -> None:
    bad, reason = VECTORS[name]
    vectors = np.stack([GOOD, bad, GOOD])
    assert good_embeddings(vectors, 4).tolist() == [True, False, True]
    assert reason in str(embedding_faults(vectors, 4)[1])


def test_good_vectors_have_no_fault() -> None:
    assert embedding_faults([GOOD, -GOOD], 4) == [None, None]
    assert embedding_faults(np.zeros((0, 4)), 4) == []
    assert good_embeddings(np.zeros((0, 4)), 4).shape == (0,)


@pytest.mark.parametrize("shape", [(2, 3), (4,), (1, 2, 4)])
def test_vectors_of_another_model_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(EmbeddingError, match="expected"):
        good_embeddings(np.ones(shape), 4)


def test_similarity_is_the_cosine() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 128)), rng.normal(size=(5, 128)) * 7
    np.testing.assert_allclose(similarity(a, b), cosine_similarity(a, b), atol=1e-6)
    np.testing.assert_allclose(similarity(a[0], b), cosine_similarity(a[:1], b)[0], atol=1e-6)
    np.testing.assert_allclose(similarity(a, b[0]), cosine_similarity(a, b[:1])[:, 0], atol=1e-6)
    one = similarity(a[0], a[0])
    assert isinstance(one, float)
    assert one == pytest.approx(1)
    assert np.shape(similarity(a[:0], b)) == (0, 5)


@pytest.mark.parametrize("bad", [np.zeros(3), np.array([1, np.nan, 0]), np.ones((1, 1, 3)), np.ones(2)])
def test_what_has_no_similarity_is_an_error(bad: np.ndarray) -> None:
    with pytest.raises(EmbeddingError):
        similarity(np.array([1.0, 2, 3]), bad)
