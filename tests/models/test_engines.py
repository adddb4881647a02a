"""Engines and devices: the same numbers from each, and an error instead of a silent fallback."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from loguru import logger

import facekit as fk
from facekit.errors import DeviceError, FacekitError, LibraryError, WeightsError
from facekit.images.decode import read_image
from facekit.models import deepface, registry, sface, yunet
from facekit.models.cache import cache_folder
from facekit.models.engines import open_graph, ort, race
from facekit.models.engines.keras import prepare_tensorflow
from facekit.models.engines.vino import OpenVinoNetwork, core
from facekit.models.fold import folded
from facekit.models.registry import default_models, load_detector, load_embedder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.demo.photos import DemoPhotos
    from facekit.models.packaged import PackagedNetwork

HAS_CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
HAS_BFLOAT16 = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_onnx_runtime_and_openvino_see_the_same_faces_and_give_the_same_vectors(demo_photos: DemoPhotos) -> None:
    photos = [read_image(path) for path in sorted(Path(demo_photos.folder).rglob("*.jpg"))[:12]]
    found, vectors = {}, {}
    for engine in ("onnxruntime", "openvino"):
        detector = load_detector("yunet", device="cpu", engine=engine)
        embedder = load_embedder("sface", device="cpu", engine=engine)
        assert (detector.engine, embedder.engine) == (engine, engine)
        found[engine] = detector.detect(photos)
        crops = [embedder.align(photo, faces) for photo, faces in zip(photos, found[engine], strict=True)]
        vectors[engine] = embedder.embed(np.concatenate(crops))
    for one, other in zip(found["onnxruntime"], found["openvino"], strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.05)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.05)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-3)
    assert len(vectors["onnxruntime"]) >= 10
    assert ((vectors["onnxruntime"] * vectors["openvino"]).sum(axis=1) > 0.9999).all()


def test_bfloat16_is_computed_where_the_processor_can_and_refused_where_it_cannot(astronaut: Path) -> None:
    graph = folded(sface.WEIGHTS)
    if not HAS_BFLOAT16:
        with pytest.raises(DeviceError, match="does not compute in bfloat16"):
            OpenVinoNetwork(graph, bfloat16=True)
        return
    image = read_image(astronaut)
    exact, rough = (load_embedder("sface", device="cpu", engine=name) for name in ("openvino", "openvino-bf16"))
    crops = exact.align(image, load_detector("yunet", device="cpu").detect([image])[0])
    assert (exact.embed(crops) * rough.embed(crops)).sum() > 0.999


def test_networks_may_be_run_from_many_threads(astronaut: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    image = read_image(astronaut)
    for engine in ("onnxruntime", "openvino"):
        embedder = load_embedder("sface", device="cpu", engine=engine)
        crop = embedder.align(image, load_detector("yunet", device="cpu").detect([image])[0])
        crops = [np.roll(crop, shift, axis=2) for shift in range(16)]
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(embedder.embed, crops))
        for vector, crop in zip(together, crops, strict=True):
            np.testing.assert_allclose(vector, embedder.embed(crop), atol=1e-5)


def test_auto_takes_the_engine_that_was_measured_to_be_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
    graph = folded(yunet.WEIGHTS, any_size=True)
    chosen = open_graph(graph, (1, 3, 64, 64), device="cpu").engine
    known = json.loads((cache_folder() / "engines.json").read_text())
    assert list(known.values()) == [chosen]
    # Only what is written down decides the next time.
    other = "openvino" if chosen == "onnxruntime" else "onnxruntime"
    (cache_folder() / "engines.json").write_text(json.dumps(dict.fromkeys(known, other)))
    assert open_graph(graph, (1, 3, 64, 64), device="cpu").engine == other
    (cache_folder() / "engines.json").write_text("{ damaged")
    assert open_graph(graph, (1, 3, 64, 64), device="cpu").engine in {"onnxruntime", "openvino"}


def test_a_graph_that_openvino_cannot_run_goes_to_onnx_runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    determinant = helper.make_graph([helper.make_node("Det", ["x"], ["y"])], "g", [value], [result])
    model = helper.make_model(determinant, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path))
    graph = model.SerializeToString()
    with pytest.raises(RuntimeError):
        OpenVinoNetwork(graph)
    assert race.faster(graph, (3, 3)) == "onnxruntime"


def test_a_good_file_that_openvino_cannot_run_is_not_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [])
    determinant = helper.make_graph([helper.make_node("Det", ["x"], ["y"])], "g", [value], [result])
    model = helper.make_model(determinant, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "facenet512_weights.onnx").write_bytes(model.SerializeToString())
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACEKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(DeviceError, match=r"OpenVINO can't run facenet512_weights\.onnx"):
        deepface.FACENET512.open("cpu", "openvino")
    assert (tmp_path / "cache" / "weights" / "hashes.json").read_text().count("facenet512_weights.onnx") == 1


def test_engines_and_devices_that_do_not_fit_are_errors_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = folded(yunet.WEIGHTS, any_size=True)
    with pytest.raises(DeviceError, match="auto, onnxruntime, openvino"):
        open_graph(graph, (1, 3, 64, 64), engine="steam")
    with pytest.raises(DeviceError, match="TensorFlow does not run"):
        load_detector("yunet", engine="tensorflow")
    with pytest.raises(DeviceError, match="CPU only"):
        open_graph(graph, (1, 3, 64, 64), engine="openvino", device="coreml")
    with pytest.raises(DeviceError, match="Apple"):
        load_detector("yunet", device="coreml")
    monkeypatch.setattr("facekit.models.engines.find_spec", lambda _: None)
    with pytest.raises(DeviceError, match=r"pip install 'facekit\[openvino\]'"):
        open_graph(graph, (1, 3, 64, 64), engine="openvino")


def test_auto_leaves_yunet_on_the_cpu_and_a_device_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def note(graph: bytes, sample: tuple[int, ...], *, device: str, engine: str) -> Any:
        asked.append((device, engine))
        return SimpleNamespace(engine="onnxruntime", device=device, provider=device)

    monkeypatch.setattr(yunet, "open_graph", note)
    for device in ("auto", "cpu", "cuda", "coreml"):
        yunet.load(device=device)
    assert asked == [("cpu", "auto"), ("cpu", "auto"), ("cuda", "auto"), ("coreml", "auto")]


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"onnxruntime": "1.32.0"}, "onnxruntime 1.31.1,"),  # its files are another package's, or edited
        ({"onnxruntime-gpu": "1.31.1"}, "onnxruntime-gpu 1.31.1,"),
        (
            {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"},
            "onnxruntime 1.31.1 (onnxruntime and onnxruntime-gpu are both here: uninstall both, install one),",
        ),
        ({}, "onnxruntime 1.31.1,"),
    ],
)
def test_doctor_names_the_onnx_runtime_that_runs(
    installed: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facekit.storage import doctor

    def version(package: str) -> str:
        if package not in installed:
            raise PackageNotFoundError
        return installed[package]

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(onnxruntime, "__version__", "1.31.1")
    versions = doctor.examine_machine("yunet", "sface", "cpu")[0].detail
    assert said in versions


@pytest.mark.parametrize("names", [{"detector": "yunet", "embedder": "sface"}, {"engine": "onnxruntime"}])
def test_cuda_is_refused_where_there_is_none(names: dict[str, str], tmp_path: Path, astronaut: Path) -> None:
    if HAS_CUDA:
        assert load_detector("yunet", device="cuda").device == "cuda"
        return
    with pytest.raises(DeviceError, match="onnxruntime-gpu"):
        fk.open(tmp_path / "faces", device="cuda", **names)
    assert not (tmp_path / "faces").exists()


@pytest.fixture
def broken_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ONNX Runtime that was built for CUDA, where CUDA does not start: seen with onnxruntime-gpu 1.31 on a CPU."""
    if HAS_CUDA:
        pytest.skip("CUDA may start here")
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    said = "Failed to load libcublas.so.13: not there\n"
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: sys.stdout.write(said), raising=False)
    ort._preload.cache_clear()
    yield
    ort._preload.cache_clear()


@pytest.mark.usefixtures("broken_cuda")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_what_onnx_runtime_prints_does_not_reach_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    try:
        for _ in range(2):
            assert ort.OrtNetwork(folded(yunet.WEIGHTS, any_size=True), "auto").device == "cpu"
    finally:
        logger.remove(sink)
    assert capsys.readouterr().out == ""
    assert sum("libcublas.so.13" in line for line in lines) == 1


@pytest.mark.usefixtures("broken_cuda")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_where_cuda_does_not_start_the_faster_engine_of_the_cpu_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ("openvino", "onnxruntime"):
        monkeypatch.setattr(race, "faster", lambda *_args, engine=engine: engine)
        network = open_graph(folded(yunet.WEIGHTS, any_size=True), (1, 3, 64, 64), device="auto")
        assert (network.device, network.engine) == ("cpu", engine)


@pytest.mark.usefixtures("broken_cuda")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_whether_the_driver_or_a_library_is_missing_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ort.ctypes, "CDLL", nothing)
    with pytest.raises(DeviceError, match="NVIDIA's driver is not on this machine"):
        ort.OrtNetwork(folded(yunet.WEIGHTS, any_size=True), "cuda")
    monkeypatch.setattr(ort.ctypes, "CDLL", lambda _name: None)
    with pytest.raises(DeviceError, match=r"onnxruntime-gpu\[cuda,cudnn\]"):
        ort.OrtNetwork(folded(yunet.WEIGHTS, any_size=True), "cuda")


def test_cuda_is_refused_by_tensorflow_too(all_weights: Path) -> None:
    prepare_tensorflow()
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        assert load_embedder("facenet512", device="cuda", engine="tensorflow").device == "cuda"
        return
    with pytest.raises(DeviceError, match=r"TensorFlow .* sees no such device"):
        load_embedder("facenet512", device="cuda", engine="tensorflow")


def test_what_ran_where_is_said(tmp_path: Path, astronaut: Path) -> None:
    with fk.open(tmp_path / "faces", detector="yunet", embedder="sface", device="cpu", engine="openvino") as library:
        report = library.ingest(astronaut, progress=False)
        models = next(check for check in library.doctor().checks if check.name == "models")
    assert "yunet + sface on cpu (openvino)" in report.models
    assert "sface on cpu (OpenVINO, float32 on " in models.detail


def test_the_default_models_are_those_whose_weights_are_here(all_weights: Path, tmp_path: Path) -> None:
    said: list[str] = []
    logger.add(said.append, filter=lambda record: "notice" in record["extra"])
    assert default_models()[:2] == ("retinaface", "facenet512")
    with fk.open(tmp_path / "both") as library:
        stats = library.stats()
        assert (stats["detector"], stats["embedder"]) == ("retinaface", "facenet512")
    (all_weights / "facenet512_weights.onnx").unlink()
    (all_weights / "facenet512_weights.h5").unlink()
    detector, embedder, reason = default_models()
    assert (detector, embedder) == ("yunet", "sface")
    assert "facekit models fetch facenet512" in reason
    with fk.open(tmp_path / "one") as library:
        assert library.stats()["detector"] == "yunet"
    assert "yunet + sface: the weights of facenet512 are not on this machine" in "".join(said)
    assert "facenet512 are not on this machine" in (tmp_path / "one" / "library.toml").read_text()
    with fk.open(tmp_path / "both") as library:  # what was chosen once stays
        assert library.stats()["detector"] == "retinaface"


def test_missing_weights_are_an_error_that_names_the_file_and_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("FACEKIT_OFFLINE", "1")
    monkeypatch.delenv("FACEKIT_WEIGHTS", raising=False)
    for name, file in (("retinaface", "retinaface.onnx"), ("facenet512", "facenet512_weights.onnx")):
        with pytest.raises(WeightsError) as caught:
            registry.MODELS[name].load()
        assert file in str(caught.value)
        assert str(tmp_path / "cache" / "weights") in str(caught.value)
        assert "https://github.com/serengil/deepface_models" in str(caught.value)


def test_weights_that_deepface_has_fetched_are_used(
    generated_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACEKIT_OFFLINE", "1")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    folder = tmp_path / ".deepface" / "weights"
    folder.mkdir(parents=True)
    (folder / "facenet512_weights.onnx").symlink_to(generated_weights / "facenet512_weights.onnx")
    assert registry.MODELS["facenet512"].load(device="cpu").engine in {"onnxruntime", "openvino"}
    # Of TensorFlow's file alone, TensorFlow is the engine.
    (folder / "facenet512_weights.onnx").unlink()
    (folder / "facenet512_weights.h5").symlink_to(generated_weights / "facenet512_weights.h5")
    assert registry.MODELS["facenet512"].load(device="cpu").engine == "tensorflow"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "tensorflow"])
def test_a_damaged_file_is_an_error_that_names_it(
    engine: str, generated_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACEKIT_WEIGHTS", str(tmp_path))
    for ending in (".onnx", ".h5"):
        (tmp_path / f"facenet512_weights{ending}").write_bytes(b"<html>not found</html>")
    network: PackagedNetwork = deepface.FACENET512
    with pytest.raises(WeightsError, match="facenet512_weights"):
        network.open("cpu", engine)
    # What was no model is not what later files are compared with.
    (generated,) = generated_weights.glob(network.file(engine).name)
    (tmp_path / generated.name).write_bytes(generated.read_bytes())
    assert network.open("cpu", engine).engine == engine


def test_the_table_of_models_is_a_data_frame() -> None:
    table = fk.models()
    assert list(table.index) == list(registry.MODELS)
    assert table.loc["facenet512", "dimension"] == 512
    assert "0.54" in table.loc["facenet512", "threshold_source"]
    assert table.loc["retinaface", "licence"].endswith("non-commercial research only")
    assert {"megabytes", "accuracy", "accuracy_source", "present", "cluster_distance"} <= set(table.columns)


def test_a_library_of_one_set_refuses_another(tmp_path: Path) -> None:
    fk.open(tmp_path / "faces", detector="yunet", embedder="sface").close()
    with pytest.raises(FacekitError, match="facenet512"):
        fk.open(tmp_path / "faces", embedder="facenet512")


def test_an_open_library_does_not_change_its_device_silently(tmp_path: Path) -> None:
    with fk.open(tmp_path / "faces", detector="yunet", embedder="sface", device="cpu") as library:
        assert fk.open(tmp_path / "faces") is library
        assert fk.open(tmp_path / "faces", device="cpu") is library
        with pytest.raises(LibraryError, match="Close it first"):
            fk.open(tmp_path / "faces", device="cuda")
        with pytest.raises(LibraryError, match="openvino"):
            fk.open(tmp_path / "faces", engine="openvino")


def test_openvino_tells_nobody_that_it_is_used() -> None:
    program = """
import sys, time
seen = []
asked = {"socket.connect", "socket.getaddrinfo", "os.fork"}
sys.addaudithook(lambda event, _: seen.append(event) if event in asked else None)
from facekit.models.registry import load_embedder
import numpy as np
load_embedder("sface", device="cpu", engine="openvino").embed(np.zeros((1, 112, 112, 3), np.uint8))
time.sleep(1)  # OpenVINO would report from a thread
assert not seen, seen
assert not [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


# Eight threads' first inference at once, in a process that has run nothing yet: as OpenVINO is, or with the first
# calls made long and written down.
_FIRST_INFERENCE = """
import sys, threading, time
import numpy as np
from facekit.models.sface import load
sys.setswitchinterval(1e-6)
embedder, faces = load(device="cpu", engine="openvino"), np.zeros((4, 112, 112, 3), np.uint8)
if sys.argv[1] == "watched":
    import openvino
    infer, inside = openvino.InferRequest.infer, []
    def watched(*args):
        inside.append(1)
        first = len(inside) == 1
        time.sleep(0.3)
        if first:
            print("at once:", len(inside))
        return infer(*args)
    openvino.InferRequest.infer = watched
start, runs = threading.Barrier(8), []
def run():
    start.wait()
    runs.append(embedder._run(faces))
threads = [threading.Thread(target=run, daemon=True) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(runs) == 8 and all((one == runs[0]).all() for one in runs)
print("done")
"""


def test_first_inference_in_openvino_is_one_threads_alone() -> None:
    watched = _in_a_new_process(_FIRST_INFERENCE, "watched")
    assert watched == ["at once: 1", "done"]


@pytest.mark.parametrize("_again", range(4))
def test_threads_that_begin_with_openvino_at_once_all_get_through(_again: int) -> None:
    assert _in_a_new_process(_FIRST_INFERENCE, "as it is") == ["done"]


def _in_a_new_process(code: str, *arguments: str) -> list[str]:
    """Lines of its output. A process that stands still is killed, and has failed."""
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return ran.stdout.splitlines()
