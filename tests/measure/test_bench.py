"""The bench on real photos, with the deepface side, whose weights must be ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from facekit.errors import FacekitError
from facekit.measure import bench as bench_module
from facekit.measure.bench import BenchResult, RanModel, bench
from facekit.models import registry, sface, yunet
from facekit.models.alignment import align

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [
    *("photos", "faces", "photos_per_s", "stages", "peak_mb", "search_p50_ms", "search_p95_ms"),
    *("deepface_photos_per_s", "ratio_to_deepface", "faces_per_s", "detector", "embedder", "deepface", "note"),
]

YUNET = RanModel("yunet", "onnxruntime", "cpu", "ONNX Runtime, CPUExecutionProvider")
SFACE = RanModel("sface", "onnxruntime", "cpu", "ONNX Runtime, CPUExecutionProvider")

EMBED_WITH_DEEPFACE = """
import json, sys
import numpy as np
from deepface import DeepFace
faces = np.load(sys.argv[1])
embed = lambda face: DeepFace.represent(face[:, :, ::-1], model_name="SFace", detector_backend="skip")[0]["embedding"]
print(json.dumps([embed(face) for face in faces]))
"""


@pytest.fixture(scope="module")
def photos(lfw: Path, ordinary_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven photos with faces, one without, and a file that is no photo; some under names that are not ASCII."""
    folder = tmp_path_factory.mktemp("bench") / "Фото"
    folder.mkdir()
    for number, photo in enumerate(sorted(lfw.glob("A*/*.jpg"))[:8]):
        shutil.copy(photo, folder / (f"снимок {number}.jpg" if number % 2 else photo.name))
    for name in ("couple.jpg", "img26.jpg", "img29.jpg"):
        shutil.copy(ordinary_photos / name, folder / name)
    Image.new("RGB", (640, 480), "seagreen").save(folder / "nobody.png")
    (folder / "notes.txt").write_text("not a photo", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def measured(photos: Path) -> BenchResult:
    before = {path: path.read_bytes() for path in photos.iterdir()}
    result = bench(photos)
    assert {path: path.read_bytes() for path in photos.iterdir()} == before, "the photos are only read"
    return result


def test_both_sides_are_measured_on_the_same_photos(measured: BenchResult) -> None:
    result = measured
    document = result.to_dict()
    assert list(document) == KEYS
    assert json.loads(json.dumps(document)) == document
    assert document["photos"] == 12
    assert document["faces"] >= 12
    assert list(document["stages"]) == ["read", "decode", "detect", "embed", "store"]
    for stage in document["stages"].values():
        assert stage["photos_per_s"] == pytest.approx(12 / stage["seconds"])
        assert stage["faces_per_s"] == pytest.approx(document["faces"] / stage["seconds"])
    assert document["peak_mb"] > 50  # less than that is not even ONNX Runtime loaded
    assert 0 < document["search_p50_ms"] <= document["search_p95_ms"]
    assert document["deepface_photos_per_s"] > 0
    assert document["ratio_to_deepface"] == pytest.approx(document["photos_per_s"] / document["deepface_photos_per_s"])
    assert document["faces_per_s"] == pytest.approx(document["photos_per_s"] * document["faces"] / 12)
    for task, name in (("detector", "yunet"), ("embedder", "sface")):
        assert document[task]["name"] == name
        assert document[task]["engine"] in {"onnxruntime", "openvino"}  # whichever is faster here
        assert document[task]["device"] in {"cpu", "cuda"}
        assert document[task]["provider"]
    assert result.deepface is not None
    assert (result.deepface.photos, result.deepface.faces >= 11) == (12, True)
    assert result.deepface.peak_mb > 50
    assert result.deepface.search_p50_ms is not None
    assert result.deepface.providers["detector"] == "OpenCV, CPU"
    assert result.deepface.providers["embedder"].startswith("ONNX Runtime, ")
    assert "times as many photos a second. facekit's yunet looks at" in repr(result)


def test_deepface_embeds_with_our_weights(lfw: Path, tmp_path: Path) -> None:
    """The same aligned faces give the same vectors, so that what is compared is the work around the models."""
    detector, embedder = yunet.load(device="cpu"), sface.load(device="cpu")
    images = [np.asarray(Image.open(photo)) for photo in sorted(lfw.glob("B*/*.jpg"))[:5]]
    detections = detector.detect(images)
    faces = np.concatenate([align(image, found[0].landmarks) for image, found in zip(images, detections, strict=True)])
    np.save(tmp_path / "faces.npy", faces)
    bench_module._place_weights(tmp_path, ["sface"], "onnx")
    run = subprocess.run(
        [sys.executable, "-c", EMBED_WITH_DEEPFACE, str(tmp_path / "faces.npy")],
        env=os.environ | {"DEEPFACE_HOME": str(tmp_path), "DEEPFACE_BACKEND_ENGINE": "onnx"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    theirs = np.array(json.loads(run.stdout.splitlines()[-1]))
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(np.sum(theirs * embedder.embed(faces), axis=1), 1, atol=1e-4)


def test_deepface_finds_faces_with_our_weights(measured: BenchResult) -> None:
    result = measured.deepface
    assert result is not None
    assert result.photos == 12
    assert result.faces >= 11


@pytest.mark.parametrize(("engine", "ending"), [("onnx", ".onnx"), ("tensorflow", ".h5")])
def test_deepface_gets_the_very_files_of_every_pair(
    generated_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, ending: str
) -> None:
    monkeypatch.setenv("FACEKIT_WEIGHTS", str(generated_weights))
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    names = [info.name for info in registry.MODELS.values() if info.name not in registry.EMBEDDED]
    bench_module._place_weights(tmp_path / "home", names, engine)
    placed = {path.name: path.resolve().parent for path in (tmp_path / "home/.deepface/weights").iterdir()}
    stems = ("retinaface", "facenet512_weights", "facenet_weights", "arcface_weights")
    assert placed == dict.fromkeys((stem + ending for stem in stems), generated_weights.resolve())
    assert set(bench_module.DEEPFACE_NAMES) == set(registry.MODELS)


def test_retinaface_and_facenet512_are_measured_in_tensorflow_on_both_sides(
    all_weights: Path, lfw: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for photo in sorted(lfw.glob("A*/*.jpg"))[:2]:
        shutil.copy(photo, tmp_path / "photos")
    result = bench(tmp_path / "photos", detector="retinaface", embedder="facenet512", engine="tensorflow", device="cpu")
    assert (result.detector.engine, result.embedder.engine) == ("tensorflow", "tensorflow")
    assert (result.detector.device, result.embedder.device) == ("cpu", "cpu")
    assert result.deepface is not None
    assert result.deepface.photos == 2
    assert {provider.split(" ")[0] for provider in result.deepface.providers.values()} == {"TensorFlow"}
    assert all(provider.endswith(", CPU") for provider in result.deepface.providers.values())
    assert result.to_dict()["deepface"]["faces_per_s"] == result.deepface.faces_per_s
    assert "small photos too" in str(result.note)


def test_deepface_never_fetches_a_file(
    generated_weights: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "retinaface.h5").symlink_to(generated_weights / "retinaface.h5")
    monkeypatch.setenv("FACEKIT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    retinaface = RanModel("retinaface", "tensorflow", "cpu", "TensorFlow")
    facenet512 = RanModel("facenet512", "onnxruntime", "cpu", "ONNX Runtime")
    assert bench_module._deepface(photos, retinaface, facenet512) is None
    assert "facenet512_weights.h5 is not on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("detector", "says"), [("yunet", 'pip install "facekit[deepface]"'), ("another", "It has no another.")]
)
def test_the_missing_side_is_said_on_stderr(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], detector: str, says: str
) -> None:
    monkeypatch.setattr(bench_module.importlib.util, "find_spec", lambda name: None)
    assert bench_module._deepface(photos, RanModel(detector, "onnxruntime", "cpu", ""), SFACE) is None
    assert says in capsys.readouterr().err


def test_a_deepface_that_fails_is_said_on_stderr(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_module, "_place_weights", lambda home, *rest: home.mkdir())
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # deepface must not fetch weights of its own
    assert bench_module._deepface(photos, YUNET, SFACE) is None
    assert "facekit.measure._deepface_loop stopped with exit status 1" in capsys.readouterr().err


def test_a_sample_is_spread_over_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "DEEPFACE_PHOTOS", 5)
    originals = [tmp_path / f"фото {i:03d}.JPG" for i in range(101)]
    for i, photo in enumerate(originals):
        photo.write_bytes(bytes([i]))
    bench_module._copy_sample(originals, tmp_path / "sample")
    copies = sorted((tmp_path / "sample").iterdir())
    assert [copy.read_bytes()[0] for copy in copies] == [0, 25, 50, 75, 100]
    assert all(copy.name.isascii() for copy in copies)


def test_there_must_be_something_to_measure(tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="nowhere is not a folder"):
        bench(tmp_path / "nowhere")
    Image.new("RGB", (640, 480), "seagreen").save(tmp_path / "nobody.png")
    with pytest.raises(FacekitError, match="shows a face"):
        bench(tmp_path)
