"""Which processor a model runs on, and ONNX Runtime sessions that run where they were asked to."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from facekit.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import onnxruntime

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 2
"""Runs side by side on a CPU, each with its share of the cores: one run over all of them waits for its slowest core,
and decoding keeps cores busy. More runs at once need more memory."""

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
DEVICES = ("auto", "cpu", "cuda")

# ONNX Runtime's severities are 0 verbose, 1 info, 2 warning, 3 error, 4 fatal
# (https://onnxruntime.ai/docs/api/python/api_summary.html): its warnings speak to authors of graphs.
_ERRORS_ONLY = 3


def choose_providers(device: str = "auto") -> list[str]:
    """Name the ONNX Runtime execution providers for a device, the preferred one first.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        "auto" takes CUDA where the installed ONNX Runtime offers it, otherwise the CPU.

    Returns
    -------
    list of str

    Raises
    ------
    DeviceError
        If the device is unknown, or is "cuda" and the installed ONNX Runtime was built without it.
    """
    import onnxruntime

    if device not in DEVICES:
        message = f"There is no device {device!r}."
        raise DeviceError(message, f"Choose one of {', '.join(DEVICES)}.")
    if device == "cpu":
        return [CPU]
    if CUDA in onnxruntime.get_available_providers():
        return [CUDA, CPU]
    if device == "auto":
        return [CPU]
    message = f"The device 'cuda' was asked for, but ONNX Runtime {onnxruntime.__version__} here has no {CUDA}."
    raise DeviceError(message, "Run `pip uninstall onnxruntime && pip install onnxruntime-gpu`, or use device='cpu'.")


def open_session(graph: bytes, device: str = "auto") -> onnxruntime.InferenceSession:
    """Open an ONNX graph on a device.

    Parameters
    ----------
    graph : bytes
        A serialised ONNX model.
    device : {"auto", "cpu", "cuda"}
        See `choose_providers`.

    Returns
    -------
    onnxruntime.InferenceSession
        Each run on a CPU uses a share of the cores, so that `side_by_side` fills them.

    Raises
    ------
    DeviceError
        If CUDA was asked for by name and the session would run on the CPU: ONNX Runtime falls back silently
        when a CUDA library does not load.
    """
    import onnxruntime
    from loguru import logger
    from loky import cpu_count

    providers = choose_providers(device)
    if providers[0] == CUDA and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # finds the CUDA and cuDNN libraries that pip installed
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # Within a container ONNX Runtime would count the cores of the host.
    options.intra_op_num_threads = max(1, cpu_count(only_physical_cores=True) // AT_ONCE)
    session = onnxruntime.InferenceSession(graph, options, providers=providers)
    taken = session.get_providers()[0]
    if taken != providers[0]:
        message = f"{providers[0]} is installed but does not start, so ONNX Runtime took {taken}."
        if device != "auto":
            remedy = "Install the CUDA and cuDNN libraries that it needs: `pip install onnxruntime-gpu[cuda,cudnn]`."
            raise DeviceError(message, remedy)
        logger.warning(message)
    return session


def session_device(session: onnxruntime.InferenceSession) -> tuple[str, str]:
    """Say what a session really runs on: the device (``"cpu"`` or ``"cuda"``) and the provider's name."""
    provider = session.get_providers()[0]
    return ("cuda" if provider == CUDA else "cpu"), provider


def side_by_side(function: Callable[[T], R], items: Iterable[T], device: str) -> Iterator[R]:
    """Apply a function that runs a session to items, some at once on a CPU; results come in the items' order.

    Parameters
    ----------
    function : callable
        Called in other threads.
    items : iterable
        Taken as they are needed, so that memory stays bounded.
    device : str
        What the session runs on, see `session_device`; anything but a CPU gets one item at a time.
    """
    if device != "cpu":
        yield from map(function, items)
        return
    ahead: deque[Future[R]] = deque()
    for item in items:
        ahead.append(_threads().submit(function, item))
        if len(ahead) >= AT_ONCE:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


@cache
def _threads() -> ThreadPoolExecutor:
    # Always the same: the C library gives new threads memory of their own, and does not take it back.
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="facekit-model")
