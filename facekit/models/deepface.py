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
from facekit.models.embedding import BatchEmbedder
from facekit.models.packaged import PackagedNetwork

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.types.arrays import Detections, FloatArray, Image

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


class DeepFaceEmbedder(BatchEmbedder):
    """Turns faces into vectors as ``DeepFace.represent`` does; the network takes float32 (N, H, W, 3), BGR, 0..1."""

    def align(self, image: Image, faces: Detections) -> npt.NDArray[np.uint8]:
        """Cut faces out of an image, uint8 (N, input_size, input_size, 3), see `align_box`."""
        return align_box(image, faces, size=self.input_size)

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
