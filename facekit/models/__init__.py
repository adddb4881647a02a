"""Detectors and embedders, and the plain functions that use them on arrays.

The module itself can be called: ``facekit.models()`` is the table of models, a `pandas.DataFrame`.

Examples
--------
>>> table = fk.models()
>>> int(table.loc["sface", "dimension"])
128
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from facekit.images.decode import read_image
from facekit.models.alignment import align
from facekit.models.registry import load_detector, load_embedder, models_table
from facekit.models.vectors import similarity

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from facekit.images.inputs import ImageSource
    from facekit.types.arrays import Detections, FloatArray, Image

__all__ = ["align", "detect", "embed", "load_detector", "load_embedder", "similarity"]


@overload
def detect(
    images: list[ImageSource] | tuple[ImageSource, ...],
    *,
    detector: str = "yunet",
    device: str = "auto",
    engine: str = "auto",
    **options: object,
) -> list[Detections]: ...


@overload
def detect(
    images: ImageSource, *, detector: str = "yunet", device: str = "auto", engine: str = "auto", **options: object
) -> Detections: ...


def detect(
    images: ImageSource | Sequence[ImageSource],
    *,
    detector: str = "yunet",
    device: str = "auto",
    engine: str = "auto",
    **options: object,
) -> Detections | list[Detections]:
    """Find the faces in one image or in several.

    Parameters
    ----------
    images : ndarray, uint8 (H, W, 3), or whatever `facekit.read_image` takes, or a list of these
        Upright RGB pictures of any sizes, or their paths.
    detector : str
        Name of the model.
    device, engine : str
        What to run on and in, see `facekit.models.registry.load_detector`.
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

    Examples
    --------
    >>> from skimage.data import astronaut, coffee
    >>> [len(faces) for faces in fk.detect([astronaut(), coffee()])]
    [1, 0]
    >>> faces = fk.detect(demo.probe)
    >>> x, y, width, height = faces.boxes[0]
    """
    several = isinstance(images, list | tuple) or (isinstance(images, np.ndarray) and images.ndim == 4)  # noqa: PLR2004
    given: Any = images if several else [images]
    pictures = [_read(one) for one in given]
    model = load_detector(detector, device=device, engine=engine, **options)
    found = model.detect(pictures)
    return found if several else found[0]


def _read(picture: ImageSource) -> Image:
    """An array as it is, anything else read. The model looks at an array's shape itself."""
    return picture if isinstance(picture, np.ndarray) else read_image(picture)


def embed(
    image: ImageSource,
    detections: Detections | None = None,
    *,
    embedder: str = "sface",
    detector: str = "yunet",
    device: str = "auto",
    engine: str = "auto",
) -> FloatArray:
    """Embed the faces of an image.

    Parameters
    ----------
    image : ndarray, uint8 (H, W, 3), or whatever `facekit.read_image` takes
        Upright RGB picture, or its path.
    detections : Detections, optional
        The faces, in pixels of the image; by default all that the detector finds.
    embedder, detector : str
        Names of the models.
    device, engine : str
        What to run on and in, see `facekit.models.registry.load_detector`.

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

    Examples
    --------
    >>> vectors = fk.embed(demo.probe, embedder="sface")
    >>> vectors.shape
    (1, 128)
    >>> several = fk.embed(demo.folder / "both.jpg")
    >>> len(several)
    2
    """
    image = _read(image)
    found = detect(image, detector=detector, device=device, engine=engine) if detections is None else detections
    model = load_embedder(embedder, device=device, engine=engine)
    return model.embed(model.align(image, found))


def table() -> pd.DataFrame:
    """The models that facekit knows.

    Returns
    -------
    DataFrame
        One row a model: name, task, dimension, input size in pixels, licence and size of the weights, whether they
        are on this machine, default thresholds with the source of each, published accuracy with its source.
    """
    import pandas as pd

    return pd.DataFrame(models_table()).set_index("name")


class _Models(ModuleType):
    def __call__(self) -> pd.DataFrame:
        """See `table`."""
        return table()


sys.modules[__name__].__class__ = _Models
