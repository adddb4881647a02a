"""The one place that decides which processor a network runs on, and how the cores of a CPU are shared."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from facekit.errors import DeviceError
from facekit.system.threads import Threads
from facekit.system.waiting import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 2
"""Runs side by side on a CPU, each with its share of the cores: one run over all of them waits for its slowest core,
and decoding keeps cores busy. More runs at once need more memory."""

# RetinaFace takes some 220 bytes a pixel: 16 megapixels at once are 3.7 GB. On a GPU the
# time goes into changes of shape (README, Devices), whatever this is.
_GPU_BATCH = 16

DEVICES = ("auto", "cpu", "cuda", "coreml")

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider"}
"""What ONNX Runtime calls the devices; CoreML is Apple's way to its graphics and neural processors."""

_REMEDIES = {
    "cuda": "Run `pip uninstall onnxruntime && pip install \"onnxruntime-gpu[cuda,cudnn]\"`, or use device='cpu'.",
    "coreml": "It comes with ONNX Runtime on Apple's computers only; use device='cpu'.",
}


def check_device(device: str) -> None:
    """Refuse a device that facekit does not know. Raises DeviceError."""
    if device not in DEVICES:
        message = f"There is no device {device!r}."
        raise DeviceError(message, f"Choose one of {', '.join(DEVICES)}.")


def choose_providers(device: str = "auto") -> list[str]:
    """Name the ONNX Runtime execution providers for a device, the preferred one first.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "coreml"}
        "auto" takes CUDA where the installed ONNX Runtime offers it, otherwise the CPU. CoreML is taken only when
        asked for: it compiles a network anew for each size of image.

    Returns
    -------
    list of str

    Raises
    ------
    DeviceError
        If the device is unknown, or the installed ONNX Runtime was built without it.
    """
    import onnxruntime

    check_device(device)
    offered = onnxruntime.get_available_providers()
    if device == "auto":
        device = "cuda" if PROVIDERS["cuda"] in offered else "cpu"
    elif device != "cpu" and PROVIDERS[device] not in offered:
        here = f"ONNX Runtime {onnxruntime.__version__} here"
        message = f"The device {device!r} was asked for, but {here} has no {PROVIDERS[device]}."
        raise DeviceError(message, _REMEDIES[device])
    return list(dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]]))


def choose_tensorflow_device(device: str = "auto") -> str:
    """Name the device that TensorFlow uses.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU where TensorFlow sees one.

    Returns
    -------
    {"cpu", "cuda"}

    Raises
    ------
    DeviceError
        If TensorFlow sees no such device.
    """
    import tensorflow as tf

    check_device(device)
    gpus = tf.config.list_physical_devices("GPU") if device != "cpu" else []
    if device in {"cuda", "coreml"} and not (gpus and device == "cuda"):
        message = f"The device {device!r} was asked for, but TensorFlow {tf.__version__} sees no such device."
        raise DeviceError(message, "Run `pip install 'tensorflow[and-cuda]'` and check `nvidia-smi`, or use 'cpu'.")
    return "cuda" if gpus else "cpu"


def threads_each() -> int:
    """How many threads each of the `AT_ONCE` runs gets: the physical cores are shared, none is asked for twice."""
    from loky import cpu_count

    # In a container the engines would count the cores of the host.
    return max(1, int(cpu_count(only_physical_cores=True)) // AT_ONCE)


def batch_size(on_cpu: int, device: str) -> int:
    """How much a run takes: a GPU is filled by many times what a CPU is fastest with."""
    return on_cpu if device == "cpu" else _GPU_BATCH * on_cpu


def side_by_side(function: Callable[[T], R], items: Iterable[T], device: str, what: str) -> Iterator[R]:
    """Apply a function that runs a network to items, some at once on a CPU; results come in the items' order.

    Parameters
    ----------
    function : callable
        Called in other threads: a network that never answers holds up none that can be stopped.
    items : iterable
        Taken as they are needed, so that memory stays bounded.
    device : str
        What the network runs on; anything but a CPU gets one item at a time.
    what : str
        The model and its engine, for the words about what is waited for.

    Raises
    ------
    StalledError
        If a run takes longer than `facekit.system.waiting.give_up_after` says. The threads are given up with it.
    """
    threads = _pools.setdefault(os.getpid(), Threads(AT_ONCE, "facekit-model"))
    at_once = AT_ONCE if device == "cpu" else 1
    ahead: deque[Future[R]] = deque()

    def first() -> R:
        result = result_of(ahead[0], what, "Start Python anew; another engine may help, such as engine='onnxruntime'.")
        ahead.popleft()
        return result

    try:
        for item in items:
            ahead.append(threads.submit(function, item))
            if len(ahead) >= at_once:
                yield first()
        while ahead:
            yield first()
    finally:
        threads.leave(ahead)


_pools: dict[int, Threads] = {}
"""By process: a fork has no threads but the one that made it. In a process they are always the same: the C library
gives new threads memory of their own, and does not take it back."""
