"""The embedders of the package deepface: FaceNet with 512 and 128 numbers, and ArcFace.

Schroff, Kalenichenko, Philbin: "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015, as David
Sandberg trained it; Deng, Guo, Xue, Zafeiriou: "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR
2019, as leondgarse's Keras_insightface has it. Crops, colours and their range are those of ``DeepFace.represent``, for
which the published accuracies and thresholds were measured; the tests compare the vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.models.alignment import align_box
from facekit.models.device import batch_size, side_by_side
from facekit.models.packaged import PackagedNetwork

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.models.engines import Network
    from facekit.types import Detections, FloatArray, Image

_TF = "deepface.models.facial_recognition.tf"
_FACENET = "MIT; trained on VGGFace2, a data set for research"
FACENET512 = PackagedNetwork(
    "facenet512_weights", _FACENET, "deepface", (f"{_TF}.Facenet", "load_facenet512d_model"), (4, 160, 160, 3)
)
FACENET = PackagedNetwork(
    "facenet_weights", _FACENET, "deepface", (f"{_TF}.Facenet", "load_facenet128d_model"), (4, 160, 160, 3)
)
ARCFACE = PackagedNetwork(
    "arcface_weights",
    "MIT; trained on data for non-commercial use, says its author",
    "deepface",
    (f"{_TF}.ArcFace", "load_model"),
    (4, 112, 112, 3),
)

_BATCH = 4  # as for SFace: more faces in one run only wait for the slower core


class DeepFaceEmbedder:
    """Turns faces into vectors as ``DeepFace.represent`` does.

    Parameters
    ----------
    network : Network
        Open; takes float32 (N, input_size, input_size, 3), BGR, 0..1.
    name : str
        What users call it.
    dimension : int
        Length of a vector.
    input_size : int
        Side of a face in pixels.
    """

    def __init__(self, network: Network, name: str, dimension: int, input_size: int) -> None:
        self._network = network
        self.name, self.dimension, self.input_size = name, dimension, input_size
        self.engine, self.device, self.provider = network.engine, network.device, network.provider

    def align(self, image: Image, faces: Detections) -> npt.NDArray[np.uint8]:
        """Cut faces out of an image, uint8 (N, input_size, input_size, 3), see `align_box`."""
        return align_box(image, faces, size=self.input_size)

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
        faces = np.asarray(faces)
        if faces.dtype != np.uint8 or faces.shape[1:] != (self.input_size, self.input_size, 3):
            side = self.input_size
            message = (
                f"aligned faces are an array uint8 (N, {side}, {side}, 3), RGB; this one is {faces.dtype} {faces.shape}"
            )
            raise ValueError(message)
        size = batch_size(_BATCH, self.device)
        batches = (faces[start : start + size] for start in range(0, len(faces), size))
        parts = list(side_by_side(self._run, batches, self.device))
        vectors = np.concatenate(parts) if parts else np.zeros((0, self.dimension), np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))

    def _run(self, faces: npt.NDArray[np.uint8]) -> FloatArray:
        return self._network.run(np.asarray(faces[..., ::-1] / np.float32(255), np.float32))[0]


def load_facenet512(*, device: str = "auto", engine: str = "auto") -> DeepFaceEmbedder:
    """Open FaceNet512, see `facekit.models.registry.load_embedder`."""
    return DeepFaceEmbedder(FACENET512.open(device, engine), "facenet512", 512, 160)


def load_facenet(*, device: str = "auto", engine: str = "auto") -> DeepFaceEmbedder:
    """Open FaceNet, see `facekit.models.registry.load_embedder`."""
    return DeepFaceEmbedder(FACENET.open(device, engine), "facenet", 128, 160)


def load_arcface(*, device: str = "auto", engine: str = "auto") -> DeepFaceEmbedder:
    """Open ArcFace, see `facekit.models.registry.load_embedder`."""
    return DeepFaceEmbedder(ARCFACE.open(device, engine), "arcface", 512, 112)
