"""ONNX graphs in OpenVINO, on the CPU."""

from __future__ import annotations

import os
import sys
from functools import cache
from threading import Event, RLock, local
from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import DeviceError
from facekit.models.device import AT_ONCE, threads_each
from facekit.system.forks import in_forks, keep_in_forks, refuse_fork

if TYPE_CHECKING:
    import openvino

    from facekit.types.arrays import FloatArray


_alone = RLock()
_has_run = Event()
"""One thread at a time until OpenVINO has once run a network in this process. On first use ``_pyopenvino`` fills static
variables, inside which it may let go of the GIL and want it back; a thread that meets them half filled waits for them
with the GIL in its hands, and the whole process stands still for ever (seen with 2026.4.1 in
``__cxa_guard_acquire``). Opening a network always is one thread's work."""


class OpenVinoNetwork:
    """A graph in OpenVINO.

    Parameters
    ----------
    graph : bytes
        A serialised ONNX model with one input.
    bfloat16 : bool
        Compute in bfloat16 instead of float32.

    Raises
    ------
    DeviceError
        If bfloat16 was asked for and the processor can't: OpenVINO would silently compute in float32.
    """

    device = "cpu"

    def __init__(self, graph: bytes, *, bfloat16: bool = False) -> None:
        with _alone:
            self._open(graph, bfloat16=bfloat16)
        self._own = local()
        self._process = os.getpid()
        keep_in_forks(self)

    def _open(self, graph: bytes, *, bfloat16: bool) -> None:
        vino = core()
        name = vino.get_property("CPU", "FULL_DEVICE_NAME").strip()
        if bfloat16 and "BF16" not in vino.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            message = f"This processor ({name}) does not compute in bfloat16."
            raise DeviceError(message, "Use engine='openvino', which computes in float32.")
        self.engine = "openvino-bf16" if bfloat16 else "openvino"
        self.provider = f"OpenVINO, {'bfloat16' if bfloat16 else 'float32'} on {name}"
        # Left alone, it takes bfloat16 where the processor has it.
        how = {"INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32"}
        share = {"NUM_STREAMS": AT_ONCE, "INFERENCE_NUM_THREADS": AT_ONCE * threads_each()}
        self._network = vino.compile_model(vino.read_model(graph), "CPU", how | share)

    def run(self, batch: FloatArray) -> list[FloatArray]:
        """Give a batch to the network; return the outputs in their order."""
        refuse_fork(self._process, "This network of OpenVINO")
        if _has_run.is_set():
            return self._run(batch)
        with _alone:
            outputs = self._run(batch)
            _has_run.set()
            return outputs

    def _run(self, batch: FloatArray) -> list[FloatArray]:
        request = self._request()
        request.infer({0: batch})
        # The request's own memory is written over by the next run.
        return [np.array(request.get_output_tensor(number).data) for number in range(len(self._network.outputs))]

    def _request(self) -> openvino.InferRequest:
        """Each thread has a request of its own: one request runs one batch at a time."""
        if not hasattr(self._own, "request"):
            self._own.request = self._network.create_infer_request()
        request: openvino.InferRequest = self._own.request
        return request


@in_forks
def _open_anew() -> None:
    global _alone  # noqa: PLW0603 - the parent's may be held by a thread that is not here
    _alone = RLock()


def core() -> openvino.Core:
    """OpenVINO, without its telemetry; the same for all.

    Left alone, ``import openvino`` starts a process that reports to Google Analytics that it was imported. Without that
    package OpenVINO takes a stand-in of its own, which sends nothing. Nothing leaves the machine unasked.
    """
    with _alone:
        return _core()


@cache
def _core() -> openvino.Core:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: it can't be imported
    import openvino

    return openvino.Core()
