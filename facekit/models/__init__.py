"""Detectors and embedders, and the plain functions that use them on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np

from facekit.models.alignment import align
from facekit.models.registry import load_detector, load_embedder
from facekit.models.vectors import similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.types import Detections, FloatArray, Image

__all__ = ["align", "detect", "embed", "load_detector", "load_embedder", "similarity"]


@overload
def detect(images: Image, *, detector: str = "yunet", device: str = "auto", **options: object) -> Detections: ...


@overload
def detect(
    images: Sequence[Image], *, detector: str = "yunet", device: str = "auto", **options: object
) -> list[Detections]: ...


def detect(
    images: Image | Sequence[Image], *, detector: str = "yunet", device: str = "auto", **options: object
) -> Detections | list[Detections]:
    """Find the faces in one image or in several.

    Parameters
    ----------
    images : ndarray, uint8 (H, W, 3), or a sequence of them
        Upright RGB pictures of any sizes.
    detector : str
        Name of the model.
    device : {"auto", "cpu", "cuda"}
        What to run on.
    **options
        The model's own, see `facekit.models.registry.load_detector`.

    Returns
    -------
    Detections or list of Detections
        In pixels of the image, best first; one for a single image, a list for a sequence.

    Raises
    ------
    ValueError
        If an image has another shape or type.
    FacekitError
        If the model, its weights or the device are not to be had.
    """
    model = load_detector(detector, device=device, **options)
    if isinstance(images, np.ndarray) and images.ndim != 4:  # noqa: PLR2004 - (N, H, W, 3) is a sequence
        return model.detect([images])[0]
    return model.detect(list(images))


def embed(
    image: Image,
    detections: Detections | None = None,
    *,
    embedder: str = "sface",
    detector: str = "yunet",
    device: str = "auto",
) -> FloatArray:
    """Embed the faces of an image.

    Parameters
    ----------
    image : ndarray, uint8 (H, W, 3)
        Upright RGB picture.
    detections : Detections, optional
        The faces, in pixels of the image; by default all that the detector finds.
    embedder, detector : str
        Names of the models.
    device : {"auto", "cpu", "cuda"}
        What to run on.

    Returns
    -------
    ndarray, float32 (N, D)
        One L2-normalised vector for each face, in the order of the detections.

    Raises
    ------
    ValueError
        If the image has another shape or type.
    FacekitError
        If a model, its weights or the device are not to be had.
    """
    found = detect(image, detector=detector, device=device) if detections is None else detections
    model = load_embedder(embedder, device=device)
    return model.embed(align(image, found.landmarks, size=model.input_size))
