"""In which ways this machine can run a detector and an embedder, and how fast each is for batches of some sizes."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from facekit.errors import DeviceError
from facekit.models.device import DEVICES
from facekit.models.engines import ENGINES
from facekit.models.registry import load_detector, load_embedder, model_info
from facekit.models.weights import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_ENOUGH_S = 0.2  # of one batch size: a few runs of a fast model, one of a slow model
_TOO_LONG_S = 4.0


@dataclass(frozen=True, slots=True)
class Way:
    """A device and an engine that run both models, and what they call themselves."""

    device: str
    engine: str
    detector: str
    embedder: str

    def __str__(self) -> str:
        return f"{self.device}, {self.engine}"


def ways_here(detector: str, embedder: str) -> list[Way]:
    """Find out in which ways this machine can run a detector and an embedder.

    Parameters
    ----------
    detector, embedder : str
        Names of the models. Weights are fetched for ONNX Runtime alone; an engine whose file is not here is left out.

    Returns
    -------
    list of Way
        GPUs first; `Way.detector` and `Way.embedder` say what really runs there.

    Raises
    ------
    WeightsError
        If the weights are not to be had.
    """
    ways = []
    # TensorFlow keeps to the memory that it needs only where its first model is opened for the GPU.
    for device in reversed([device for device in DEVICES if device != "auto"]):
        for engine in ENGINES:
            needed = [model_info(name).file(engine) for name in (detector, embedder)]
            here = engine == "onnxruntime" or all(verify(file) == "ok" for file in needed)
            if engine == "auto" or not here:
                continue
            try:
                first = load_detector(detector, device=device, engine=engine)
                second = load_embedder(embedder, device=device, engine=engine)
            except DeviceError:
                continue
            ways.append(Way(device, engine, first.provider, second.provider))
    return ways


def batch_rates(run: Callable[[Sequence[T]], object], items: Sequence[T], sizes: Sequence[int]) -> dict[int, float]:
    """Measure how many items a second a function does when it gets so many at once.

    Parameters
    ----------
    run : callable
        Takes a part of the items.
    items : sequence
        As many as the largest size.
    sizes : sequence of int
        From small to large. Sizes after one that took longer than 4 s are left out.

    Returns
    -------
    dict of int to float
        Items a second, by size. The first run of each size does not count: engines prepare themselves for it.
    """
    rates = {}
    for size in sizes:
        part = items[:size]
        start = perf_counter()
        run(part)
        if (first := perf_counter() - start) > _TOO_LONG_S:
            rates[size] = size / first
            break
        start, runs = perf_counter(), 0
        while (seconds := perf_counter() - start) < _ENOUGH_S:
            run(part)
            runs += 1
        rates[size] = runs * size / seconds
    return rates
