"""Models by name: looked up, chosen, and opened once."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from facekit.errors import RefusedError
from facekit.models.engines import check_where
from facekit.models.facts import EMBEDDED, MODELS, PREFERRED, ModelInfo
from facekit.models.weights import verify
from facekit.system.forks import in_forks
from facekit.system.waiting import waiting_for

if TYPE_CHECKING:
    from facekit.models.protocols import Detector, Embedder


_opening = RLock()


def model_info(name: str) -> ModelInfo:
    """Look a model up.

    Parameters
    ----------
    name : str
        One of `MODELS`.

    Returns
    -------
    ModelInfo

    Raises
    ------
    FacekitError
        If there is no such model; the message lists those that there are.
    """
    if name not in MODELS:
        message = f"There is no model {name!r}."
        raise RefusedError(message, f"Known models: {', '.join(MODELS)}.")
    return MODELS[name]


def model_for(name: str, task: Literal["detection", "embedding"]) -> ModelInfo:
    """Look up a model for a task.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    task : {"detection", "embedding"}
        What it is to do.

    Returns
    -------
    ModelInfo

    Raises
    ------
    FacekitError
        If there is no such model, or it does something else; the message lists those that there are.
    """
    info = model_info(name)
    if info.task != task:
        message = f"{name!r} is a model for {info.task}, not for {task}."
        fitting = ", ".join(other.name for other in MODELS.values() if other.task == task)
        raise RefusedError(message, f"Models for {task}: {fitting}.")
    return info


class ModelRow(NamedTuple):
    """A model's facts as plain values, None where one does not apply; see `ModelInfo`."""

    name: str
    task: str
    version: str
    dimension: int | None
    input_size: int | None
    licence: str
    megabytes: float
    present: bool
    search_similarity: float | None
    cluster_distance: float | None
    threshold_source: str | None
    accuracy: str
    accuracy_source: str


def models_table() -> list[ModelRow]:
    """List the models with their facts, and whether their weights are on this machine.

    Returns
    -------
    list of ModelRow
        One row a model, fit for a `pandas.DataFrame`.
    """
    return [_row(info) for info in MODELS.values()]


def default_models() -> tuple[str, str, str]:
    """Choose the models of a new library.

    Returns
    -------
    detector, embedder : str
        `PREFERRED` where the weights of both are on this machine, otherwise `EMBEDDED`.
    reason : str
        Why, in one line.
    """
    missing = [name for name in PREFERRED if not _usable(MODELS[name])]
    if not missing:
        return *PREFERRED, "their weights are on this machine"
    fetch = f"facekit models fetch {' '.join(missing)}"
    return *EMBEDDED, f"the weights of {' and '.join(missing)} are not on this machine (`{fetch}` brings them)"


def _usable(info: ModelInfo) -> bool:
    """Whether the weights are here, and what reads them."""
    file = info.file("auto")
    readers = () if file.name.endswith(".onnx") else ("tensorflow", "tf_keras", "deepface", "retinaface")
    return verify(file) == "ok" and all(find_spec(package) for package in readers)


def load_detector(name: str = "yunet", *, device: str = "auto", engine: str = "auto", **options: object) -> Detector:
    """Open a detector, fetching its weights first where needed.

    The same call gives the same open model, unless its detail is a number.

    Parameters
    ----------
    name : str
        One of `MODELS` with the task "detection".
    device : {"auto", "cpu", "cuda", "coreml"}
        What to run on; "auto" takes CUDA where there is one, otherwise the CPU.
    engine : {"auto", "onnxruntime", "openvino", "openvino-bf16", "tensorflow"}
        What to run in, see `facekit.models.engines`; "tensorflow" knows the models of retina-face and deepface only.
    **options
        The model's own: all take ``detail``, which is "normal", "fine" or the longest side in pixels that is looked at.

    Returns
    -------
    Detector

    Raises
    ------
    FacekitError
        If there is no such detector.
    WeightsError
        If its weights are not to be had.
    DeviceError
        If the device or the engine is not on this machine, or unfit for the model.
    TypeError
        If the model has no such option.
    """
    return cast("Detector", _load(model_for(name, "detection").name, device, engine, options))


def load_embedder(name: str = "sface", *, device: str = "auto", engine: str = "auto") -> Embedder:
    """Open an embedder, fetching its weights first where needed. The same call gives the same open model.

    Parameters
    ----------
    name : str
        One of `MODELS` with the task "embedding".
    device, engine : str
        See `load_detector`.

    Returns
    -------
    Embedder

    Raises
    ------
    FacekitError
        If there is no such embedder.
    WeightsError
        If its weights are not to be had.
    DeviceError
        If the device or the engine is not on this machine, or unfit for the model.
    """
    return cast("Embedder", _load(model_for(name, "embedding").name, device, engine, {}))


def _load(name: str, device: str, engine: str, options: dict[str, Any]) -> Detector | Embedder:
    check_where(device, engine)
    with waiting_for(f"the model {name} to be opened"), _opening:  # threads that ask at once get the same model
        if isinstance(options.get("detail"), int):  # there are as many of them as numbers: these are not kept open
            return MODELS[name].load(device=device, engine=engine, **options)
        # A fork opens its own, and destroys none of its parent's.
        return _cached_model(name, device, engine, tuple(sorted(options.items())), os.getpid())


@in_forks
def _open_anew() -> None:
    global _opening  # noqa: PLW0603 - the parent's may be held by a thread that is not here
    _opening = RLock()


@cache
def _cached_model(
    name: str, device: str, engine: str, options: tuple[tuple[str, Any], ...], _process: int
) -> Detector | Embedder:
    return MODELS[name].load(device=device, engine=engine, **dict(options))


def _row(info: ModelInfo) -> ModelRow:
    embeds = info.task == "embedding"
    return ModelRow(
        name=info.name,
        task=info.task,
        version=info.version,
        dimension=info.dimension if embeds else None,
        input_size=info.input_size if embeds else None,
        licence=info.licence,
        megabytes=info.megabytes,
        present=verify(info.file("auto")) == "ok",
        search_similarity=info.search_similarity if embeds else None,
        cluster_distance=info.cluster_distance if embeds else None,
        threshold_source=info.threshold_source or None,
        accuracy=info.accuracy,
        accuracy_source=info.accuracy_source,
    )
