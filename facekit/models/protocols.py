"""What every detector and every embedder of facekit looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from facekit.types.arrays import Detections, FloatArray, Image


class Detector(Protocol):
    """Finds the faces in images.

    Attributes
    ----------
    name : str
        The name in `facekit.models.facts.MODELS`.
    engine, device, provider : str
        What it really runs in and on, see `facekit.models.engines.network.Network`.
    max_side : int or None
        Longest side in pixels that this detector looks at: a photo may be decoded at that scale instead of in full.
        None: only the full size will do.
    closer_sides : tuple of int
        Longest sides in pixels of the closer looks: a reduced photo is worth the next one while a face in it is
        smaller than `small_face` pixels on its longer side.
    """

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def engine(self) -> str:
        """What runs it: "onnxruntime", "openvino", "openvino-bf16" or "tensorflow"."""
        ...

    @property
    def device(self) -> str:
        """What it really runs on: "cpu", "cuda" or "coreml"."""
        ...

    @property
    def provider(self) -> str:
        """The engine's own words for that."""
        ...

    @property
    def max_side(self) -> int | None:
        """Longest side in pixels that it looks at, or None."""
        ...

    @property
    def closer_sides(self) -> tuple[int, ...]:
        """Longest side in pixels of the closer look, or None for the full size."""
        ...

    @property
    def small_face(self) -> float:
        """Longest side in pixels of a face that makes a closer look worth while."""
        ...

    def detect(self, images: Sequence[Image], *, closely: bool = False) -> list[Detections]:
        """Find the faces in images of any sizes.

        Parameters
        ----------
        images : sequence of ndarray, uint8 (H, W, 3)
            Upright RGB pictures.
        closely : bool
            Look at all pixels at once instead of at a reduced image first.

        Returns
        -------
        list of Detections
            One for each image, in pixels of that image, sorted by score, best first.
        """
        ...


class Embedder(Protocol):
    """Turns aligned faces into vectors whose cosine says how alike two faces are.

    Attributes
    ----------
    name : str
        The name in `facekit.models.facts.MODELS`.
    dimension : int
        Length of a vector.
    input_size : int
        Side of the square aligned face in pixels.
    engine, device, provider : str
        What it really runs in and on, see `facekit.models.engines.network.Network`.
    """

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def input_size(self) -> int:
        """Side of an aligned face in pixels."""
        ...

    @property
    def engine(self) -> str:
        """What runs it: "onnxruntime", "openvino", "openvino-bf16" or "tensorflow"."""
        ...

    @property
    def device(self) -> str:
        """What it really runs on: "cpu", "cuda" or "coreml"."""
        ...

    @property
    def provider(self) -> str:
        """The engine's own words for that."""
        ...

    def align(self, image: Image, faces: Detections) -> npt.NDArray[np.uint8]:
        """Cut faces out of an image as this embedder wants them.

        Parameters
        ----------
        image : ndarray, uint8 (H, W, 3)
            Upright RGB picture.
        faces : Detections
            N faces, in pixels of the image.

        Returns
        -------
        ndarray, uint8 (N, input_size, input_size, 3)
            RGB.
        """
        ...

    def embed(self, faces: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed aligned faces.

        Parameters
        ----------
        faces : ndarray, uint8 (N, input_size, input_size, 3)
            Aligned RGB faces, as `align` makes them; N may be 0.

        Returns
        -------
        ndarray, float32 (N, dimension)
            L2-normalised vectors.
        """
        ...
