"""What all embedders share: aligned faces in, in batches, side by side, and L2-normalised vectors out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from facekit.models.device import batch_size, side_by_side

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.models.engines.network import Network
    from facekit.types.arrays import Detections, FloatArray, Image

# Measured on 2 cores with SFace: two runs of 4 faces side by side take 20 ms a face where one run of 16 takes 21 ms,
# and 28 ms against 38 ms while decoding or another program keeps one of the cores busy.
_BATCH = 4


class BatchEmbedder(ABC):
    """Turns aligned faces into vectors. A subclass says how it cuts faces out, and what its network is given.

    Parameters
    ----------
    network : Network
        Open, with a free batch dimension.
    name : str
        What users call it.
    dimension : int
        Length of a vector.
    input_size : int
        Side of an aligned face in pixels.
    """

    def __init__(self, network: Network, name: str, dimension: int, input_size: int) -> None:
        self._network = network
        self.name, self.dimension, self.input_size = name, dimension, input_size
        self.engine, self.device, self.provider = network.engine, network.device, network.provider

    @abstractmethod
    def align(self, image: Image, faces: Detections) -> npt.NDArray[np.uint8]:
        """Cut faces out of an image as the network wants them, RGB uint8 (N, input_size, input_size, 3)."""

    @abstractmethod
    def _run(self, faces: npt.NDArray[np.uint8]) -> FloatArray:
        """Give a batch of aligned faces to the network."""

    def embed(self, faces: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed aligned faces.

        Parameters
        ----------
        faces : ndarray, uint8 (N, input_size, input_size, 3)
            RGB faces as `align` makes them; N may be 0.

        Returns
        -------
        ndarray, float32 (N, dimension)
            L2-normalised; `facekit.models.vectors.good_embeddings` says which of them may be kept.

        Raises
        ------
        ValueError
            If the array has another shape or type.
        """
        faces, side = np.asarray(faces), self.input_size
        if faces.dtype != np.uint8 or faces.shape[1:] != (side, side, 3):
            found = f"{faces.dtype} {faces.shape}"
            message = f"aligned faces are an array uint8 (N, {side}, {side}, 3), RGB; this one is {found}"
            raise ValueError(message)
        size = batch_size(_BATCH, self.device)
        # ONNX Runtime plans a network anew for CUDA whenever the number of faces changes: measured on an H200, 0.5 s
        # with SFace, where a full batch takes 5 ms.
        least = size if self.device == "cuda" else 0
        batches = (_at_least(least, faces[start : start + size]) for start in range(0, len(faces), size))
        vectors = np.zeros((len(faces), self.dimension), np.float32)
        what = f"the embedder {self.name} ({self.engine})"
        for number, part in enumerate(side_by_side(self._run, batches, self.device, what)):
            own = vectors[number * size : (number + 1) * size]
            own[:] = part[: len(own)]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors


def _at_least(count: int, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Add black faces up to a count."""
    missing = max(0, count - len(faces))
    return np.concatenate([faces, np.zeros((missing, *faces.shape[1:]), np.uint8)]) if missing else faces
