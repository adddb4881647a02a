"""ONNX graphs in ONNX Runtime, on the device that was asked for."""

from __future__ import annotations

import ctypes
import sys
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING

from facekit.errors import DeviceError
from facekit.models.device import PROVIDERS, choose_providers, threads_each
from facekit.system.forks import keep_in_forks

if TYPE_CHECKING:
    import onnxruntime

    from facekit.types.arrays import FloatArray

# ONNX Runtime's severities are 0 verbose, 1 info, 2 warning, 3 error, 4 fatal
# (https://onnxruntime.ai/docs/api/python/api_summary.html): its warnings speak to authors of graphs.
_ERRORS_ONLY = 3

_OPTIONS = {
    PROVIDERS["cuda"]: {
        # Photos come in many sizes; the default tries every algorithm of cuDNN anew for each of them.
        "cudnn_conv_algo_search": "HEURISTIC",
        # By default memory is taken in powers of two, and not given back.
        "arena_extend_strategy": "kSameAsRequested",
    }
}


_NO_DRIVER = "NVIDIA's driver is not on this machine: install it, or use device='cpu'."
_NO_LIBRARIES = (
    "Check with `nvidia-smi` that the driver sees the GPU, and install the CUDA and cuDNN libraries: "
    '`pip install "onnxruntime-gpu[cuda,cudnn]"`.'
)


class OrtNetwork:
    """A graph in ONNX Runtime.

    Parameters
    ----------
    graph : bytes
        A serialised ONNX model with one input.
    device : {"auto", "cpu", "cuda", "coreml"}
        See `facekit.models.device.choose_providers`.

    Raises
    ------
    DeviceError
        If the device was asked for by name and the graph would run on the CPU: ONNX Runtime falls back silently when
        a CUDA library does not load.
    """

    engine = "onnxruntime"

    def __init__(self, graph: bytes, device: str = "auto") -> None:
        self._session = _open(graph, device)
        keep_in_forks(self)
        self._input = self._session.get_inputs()[0].name
        taken = self._session.get_providers()[0]
        self.device = next((name for name, provider in PROVIDERS.items() if provider == taken), "cpu")
        self.provider = f"ONNX Runtime, {taken}"

    def run(self, batch: FloatArray) -> list[FloatArray]:
        """Give a batch to the network; return the outputs in their order."""
        values: list[FloatArray] = self._session.run(None, {self._input: batch})
        return values


def _open(graph: bytes, device: str) -> onnxruntime.InferenceSession:
    import onnxruntime
    from loguru import logger

    providers = choose_providers(device)
    if providers[0] == PROVIDERS["cuda"]:
        _preload()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads_each()
    chosen = [(provider, _OPTIONS.get(provider, {})) for provider in providers]
    try:
        # Its own fallback goes on with the CPU when a run fails, and tells standard output only.
        session = onnxruntime.InferenceSession(graph, options, providers=chosen, enable_fallback=0)
    except Exception:
        if providers[0] == PROVIDERS["cpu"]:
            raise
        # A provider that does not start may raise; whether it is to blame, the CPU tells.
        session = onnxruntime.InferenceSession(graph, options, providers=[PROVIDERS["cpu"]])
    taken = session.get_providers()[0]
    if taken != providers[0]:
        message = f"{providers[0]} is installed but does not start, so ONNX Runtime took {taken}."
        if device != "auto":
            raise DeviceError(message, _remedy(providers[0]))
        logger.warning(message)
    return session


@cache
def _preload() -> None:
    """Load the CUDA and cuDNN libraries that pip installed: ONNX Runtime looks for them elsewhere."""
    import onnxruntime
    from loguru import logger

    if not hasattr(onnxruntime, "preload_dlls"):  # before 1.21
        return
    said = StringIO()
    with redirect_stdout(said):  # it prints what it misses, and standard output belongs to the program
        onnxruntime.preload_dlls()
    for line in said.getvalue().splitlines():
        logger.warning("ONNX Runtime: {}", line)


def _remedy(provider: str) -> str:
    if provider != PROVIDERS["cuda"]:
        return "Use device='cpu'."
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return _NO_DRIVER
    return _NO_LIBRARIES
