"""The engines that run networks: ONNX Runtime, OpenVINO, TensorFlow. Models know one seam, `Network`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from facekit.errors import DeviceError
from facekit.models.device import PROVIDERS, check_device, choose_providers

if TYPE_CHECKING:
    from facekit.models.engines.network import Network

ENGINES = ("auto", "onnxruntime", "openvino", "openvino-bf16", "tensorflow")
"""What can be asked for. "openvino-bf16" computes in bfloat16, on processors that can."""


def check_engine(engine: str) -> None:
    """Refuse an engine that facekit does not know, or that is not installed. Raises DeviceError."""
    if engine not in ENGINES:
        message = f"There is no engine {engine!r}."
        raise DeviceError(message, f"Choose one of {', '.join(ENGINES)}.")
    package, extra = {
        "openvino": ("openvino", "openvino"),
        "openvino-bf16": ("openvino", "openvino"),
        "tensorflow": ("tensorflow", "tensorflow"),
    }.get(engine, ("onnxruntime", ""))
    if find_spec(package) is None:
        message = f"The engine {engine!r} was asked for, but the package {package} is not installed."
        raise DeviceError(message, f"Run `pip install 'facekit[{extra}]'`, or use engine='auto'.")


def check_where(device: str, engine: str) -> None:
    """Refuse a device or an engine that is unknown or not there, before anything is fetched. Raises DeviceError."""
    check_device(device)
    check_engine(engine)
    if device != "auto" and engine != "tensorflow":  # TensorFlow takes seconds to say what it has
        choose_providers(device)


def open_graph(graph: bytes, sample: tuple[int, ...], *, device: str = "auto", engine: str = "auto") -> Network:
    """Open an ONNX graph.

    Parameters
    ----------
    graph : bytes
        A serialised ONNX model with one input, float32.
    sample : tuple of int
        Shape of an ordinary batch, with which engines are compared.
    device : {"auto", "cpu", "cuda", "coreml"}
        See `facekit.models.device.choose_providers`.
    engine : {"auto", "onnxruntime", "openvino", "openvino-bf16"}
        "auto" takes ONNX Runtime, and on a CPU OpenVINO where that is installed and turned out to be faster with
        this graph on this machine (`facekit.models.engines.race`).

    Returns
    -------
    Network

    Raises
    ------
    DeviceError
        If the device or the engine is unknown, not there, or unfit for the other.
    """
    check_device(device)
    check_engine(engine)
    if engine == "tensorflow":
        message = "This network is an ONNX graph, which TensorFlow does not run."
        raise DeviceError(message, "Use engine='auto', or a model that comes as a TensorFlow network too.")
    from facekit.models.engines.ort import OrtNetwork

    if engine == "auto":
        if choose_providers(device)[0] != PROVIDERS["cpu"]:
            network = OrtNetwork(graph, device)
            if network.device != "cpu":
                return network
            device = "cpu"  # the GPU does not start, which was said: the rest is as where there is none
        engine = "onnxruntime"
        if find_spec("openvino") is not None:
            from facekit.models.engines.race import faster

            engine = faster(graph, sample)
    if engine == "onnxruntime":
        return OrtNetwork(graph, device)
    if device not in {"auto", "cpu"}:
        message = f"The engine {engine!r} runs on the CPU only, not on {device!r}."
        raise DeviceError(message, "Use engine='onnxruntime', or device='cpu'.")
    from facekit.models.engines.vino import OpenVinoNetwork

    return OpenVinoNetwork(graph, bfloat16=engine == "openvino-bf16")
