"""The models that facekit knows: facts, thresholds, and how each is opened. To add one is to add an entry here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

from facekit.errors import FacekitError
from facekit.models import sface, yunet
from facekit.models.weights import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.models.protocols import Detector, Embedder
    from facekit.models.weights import WeightFile


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about one model.

    Parameters
    ----------
    name : str
        What users call it.
    task : {"detection", "embedding"}
        What it does.
    version : str
        Changes whenever the same image would give other numbers: other weights, another preprocessing.
    licence : str
        SPDX identifier of the weights' licence.
    weights : tuple of WeightFile
        The files that it needs.
    accuracy, accuracy_source : str
        As published, and where.
    load : callable
        Opens it: takes ``device`` and the model's own options as keywords.
    dimension, input_size : int
        Embedders: the length of a vector, and the side of an aligned face in pixels; otherwise 0.
    search_similarity, cluster_distance : float
        Embedders: the cosine similarity from which two faces count as the same person, and the cosine distance at
        which average linkage stops merging; otherwise NaN.
    threshold_source : str
        Where those two numbers come from.
    """

    name: str
    task: Literal["detection", "embedding"]
    version: str
    licence: str
    weights: tuple[WeightFile, ...]
    accuracy: str
    accuracy_source: str
    load: Callable[..., Detector | Embedder] = field(repr=False, compare=False)
    dimension: int = 0
    input_size: int = 0
    search_similarity: float = float("nan")
    cluster_distance: float = float("nan")
    threshold_source: str = ""


_ALL = (
    ModelInfo(
        name="yunet",
        task="detection",
        version="1",
        licence="MIT",
        weights=(yunet.WEIGHTS,),
        accuracy="WIDER Face validation AP 0.885 easy, 0.865 medium, 0.750 hard",
        accuracy_source="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
        load=yunet.load,
    ),
    ModelInfo(
        name="sface",
        task="embedding",
        version="1",
        licence="Apache-2.0",
        weights=(sface.WEIGHTS,),
        accuracy="LFW 99.40 %",
        accuracy_source="https://github.com/opencv/opencv_zoo/tree/main/models/face_recognition_sface",
        load=sface.load,
        dimension=sface.SFace.dimension,
        input_size=sface.SFace.input_size,
        search_similarity=0.42,
        cluster_distance=0.55,
        threshold_source=(
            "Similarity: each of the 4,992 photos of LFW's development set searched for among the others. At 0.42 a "
            "search finds 98.3 % of the person's other photos and 0.6 of strangers; at 0.363, which OpenCV gives for "
            "comparing two photos, 98.9 % and 5.8; at 0.45 97.3 % and 0.15. Distance: the best BCubed F (0.991) of "
            "average linkage on the 1,680 people of LFW with two photos or more."
        ),
    ),
)

MODELS: dict[str, ModelInfo] = {info.name: info for info in _ALL}


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
        raise FacekitError(message, f"Known models: {', '.join(MODELS)}.")
    return MODELS[name]


def models_table() -> list[dict[str, Any]]:
    """List the models with their facts, and whether all their weights are on this machine.

    Returns
    -------
    list of dict
        One row a model, of plain values, fit for a `pandas.DataFrame` or JSON; None where a fact does not apply.
    """
    return [_row(info) for info in MODELS.values()]


def load_detector(name: str = "yunet", *, device: str = "auto", **options: object) -> Detector:
    """Open a detector, fetching its weights first where needed. The same call gives the same open model.

    Parameters
    ----------
    name : str
        One of `MODELS` with the task "detection".
    device : {"auto", "cpu", "cuda"}
        What to run on; "auto" takes CUDA where there is one.
    **options
        The model's own: "yunet" takes ``detail="normal"`` or ``detail="fine"``.

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
        If the device is not on this machine.
    TypeError
        If the model has no such option.
    """
    return cast("Detector", _load(_named(name, "detection"), device, tuple(sorted(options.items()))))


def load_embedder(name: str = "sface", *, device: str = "auto") -> Embedder:
    """Open an embedder, fetching its weights first where needed. The same call gives the same open model.

    Parameters
    ----------
    name : str
        One of `MODELS` with the task "embedding".
    device : {"auto", "cpu", "cuda"}
        What to run on; "auto" takes CUDA where there is one.

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
        If the device is not on this machine.
    """
    return cast("Embedder", _load(_named(name, "embedding"), device, ()))


@cache
def _load(name: str, device: str, options: tuple[tuple[str, Any], ...]) -> Detector | Embedder:
    return MODELS[name].load(device=device, **dict(options))


def _named(name: str, task: str) -> str:
    info = model_info(name)
    if info.task != task:
        message = f"{name!r} is a model for {info.task}, not for {task}."
        fitting = ", ".join(other.name for other in MODELS.values() if other.task == task)
        raise FacekitError(message, f"Models for {task}: {fitting}.")
    return name


def _row(info: ModelInfo) -> dict[str, Any]:
    embeds = info.task == "embedding"
    return {
        "name": info.name,
        "task": info.task,
        "version": info.version,
        "dimension": info.dimension if embeds else None,
        "input_size": info.input_size if embeds else None,
        "licence": info.licence,
        "accuracy": info.accuracy,
        "search_similarity": info.search_similarity if embeds else None,
        "cluster_distance": info.cluster_distance if embeds else None,
        "bytes": sum(file.size for file in info.weights),
        "present": all(verify(file) == "ok" for file in info.weights),
    }
