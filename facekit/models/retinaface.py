"""RetinaFace, the face detector of the package retina-face: ResNet-50, float32, many scales in one look.

Deng, Guo, Ververas, Kotsia, Zafeiriou: "RetinaFace: Single-shot Multi-level Face Localisation in the Wild", CVPR 2020.
The network is the package's; its outputs are decoded as ``RetinaFace.detect_faces`` does it, all at once instead of
one candidate after the other. The tests compare the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.models.packaged import PackagedNetwork
from facekit.models.passes import Scales
from facekit.models.tiled import TiledDetector
from facekit.types.arrays import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from facekit.types.arrays import FloatArray, Image
    from facekit.types.photos import Detail

NETWORK = PackagedNetwork(
    stem="retinaface",
    # "the structure of the reference model and its pre-trained weights are same", says retina-face's README of
    # insightface, whose models "are available for non-commercial research purposes only".
    licence="MIT; weights by InsightFace, for non-commercial research only",
    package="retinaface",
    builder=("retinaface.model.retinaface_model", "build_model"),
    sample=(1, 320, 320, 3),
)

# All as in `retinaface.RetinaFace.detect_faces`. The anchors are squares, two at each cell, around its centre.
SCORE_THRESHOLD = 0.9
NMS_THRESHOLD = 0.4
STRIDES = (32, 16, 8)
ANCHORS = {32: (512, 256), 16: (128, 64), 8: (32, 16)}
_CENTRE = 7.5

# More than any photo shows: what is beyond is noise, and would only take time.
_MOST_FACES = 5000
# exp(8) times the largest anchor is more than any image; beyond, float32 overflows.
_LARGEST_EXPONENT = 8.0

SCALES = Scales(
    one_look=2176,
    overview=1024,
    enlarged=480,  # as for YuNet, and not to 1024 as the package does: four times the work for a portrait of LFW
    largest=512,  # the largest anchor
    step=8,
    tile=2176,  # the network takes about 220 bytes a pixel: a gigabyte for a whole tile
    stride=1,  # the network takes any size, and padding would change what it sees at the edge
)


class RetinaFace(TiledDetector):
    """Finds faces and their five landmarks.

    The package scales every photo so that its shorter side has 1024 pixels and its longer one no more than 1980, small
    ones too. Here a photo is reduced to a long side of 1280 pixels, a photo smaller than that stays as it is, and
    only one with a long side below 480 pixels is enlarged, at most twice.

    Parameters
    ----------
    network : Network
        Open; takes float32 (N, H, W, 3), RGB, 0..255.
    detail : {"normal", "fine"} or int
        "normal" looks at up to 1280 pixels on the long side, "fine" at all pixels, in tiles of up to 2176, a number at
        that many pixels on the long side; 1365 is what the package takes for a photo of 4 : 3.
    """

    name = "retinaface"
    scales = SCALES
    working_side = 1280
    good_score = 0.99  # neither is measured: what the detector sees starts at 0.9
    sure_score = 0.95
    batch_pixels = 1 << 20

    def _read(self, pictures: Sequence[Image]) -> list[Detections]:
        outputs = self._network.run(np.stack(pictures).astype(np.float32))
        image, boxes, landmarks, scores = _decode(outputs, *pictures[0].shape[:2])
        found = (image == i for i in range(len(pictures)))
        return [Detections(boxes[own], landmarks[own], scores[own]) for own in found]

    def _distinct(self, faces: Detections) -> Detections:
        best = np.argsort(-faces.scores, kind="stable")
        return faces[best[distinct_boxes(faces.boxes[best], NMS_THRESHOLD, _MOST_FACES)]]


def load(*, device: str = "auto", engine: str = "auto", detail: Detail = "normal") -> RetinaFace:
    """Open RetinaFace, fetching its file first where needed.

    Parameters
    ----------
    device, engine : str
        What to run on and in, see `facekit.models.engines.open_graph`; "tensorflow" is an engine too.
    detail : {"normal", "fine"} or int
        See `RetinaFace`.

    Returns
    -------
    RetinaFace

    Raises
    ------
    WeightsError
        If the file is not to be had.
    DeviceError
        If the device or the engine is not on this machine.
    """
    return RetinaFace(NETWORK.open(device, engine), detail=detail)


def distinct_boxes(boxes: FloatArray, threshold: float, at_most: int) -> npt.NDArray[np.intp]:
    """Leave out boxes that overlap a better one: non-maximum suppression, as the package's ``cpu_nms`` does it.

    Parameters
    ----------
    boxes : ndarray, float32 (N, 4)
        ``x, y, width, height`` in whole pixels' places: a box from 0 to 9 is ten pixels wide. The best comes first.
    threshold : float
        Intersection over union from which on two boxes are the same face.
    at_most : int
        How many boxes are kept; the time grows with it.

    Returns
    -------
    ndarray, int (M,)
        Which boxes are kept, in their order.
    """
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom = left + boxes[:, 2], top + boxes[:, 3]
    areas = (boxes[:, 2] + 1) * (boxes[:, 3] + 1)
    kept: list[np.intp] = []
    rest = np.arange(len(boxes))
    while len(rest) and len(kept) < at_most:
        best, rest = rest[0], rest[1:]
        kept.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1
        common = np.maximum(width, 0) * np.maximum(height, 0)
        rest = rest[common / (areas[best] + areas[rest] - common) < threshold]
    return np.asarray(kept, dtype=np.intp)


def _decode(
    outputs: Sequence[FloatArray], height: int, width: int
) -> tuple[npt.NDArray[np.intp], FloatArray, FloatArray, FloatArray]:
    """Read the faces of a batch off the network's outputs: number of the image, box, landmarks, score of each."""
    images, boxes, landmarks, scores = [], [], [], []
    for number, stride in enumerate(STRIDES):
        certainty, shifts, points = outputs[3 * number : 3 * number + 3]
        score = certainty[..., 2:]  # of background, background, face, face: one of each for each anchor
        image, row, column, anchor = np.nonzero(score >= SCORE_THRESHOLD)
        size = np.asarray(ANCHORS[stride], np.float32)[anchor]
        centre = np.stack([column, row], axis=1) * stride + np.float32(_CENTRE)
        shift = shifts.reshape(*shifts.shape[:3], 2, 4)[image, row, column, anchor]
        middle = centre + shift[:, :2] * size[:, None]
        reach = (np.exp(np.minimum(shift[:, 2:], _LARGEST_EXPONENT)) * size[:, None] - 1) / 2
        limit = np.array([width - 1, height - 1], np.float32)
        first, last = np.clip(middle - reach, 0, limit), np.clip(middle + reach, 0, limit)
        point = points.reshape(*points.shape[:3], 2, 5, 2)[image, row, column, anchor]
        images.append(image)
        boxes.append(np.concatenate([first, last - first], axis=1))
        landmarks.append(point * size[:, None, None] + centre[:, None])
        scores.append(score[image, row, column, anchor])
    every = np.concatenate(images), np.concatenate(boxes), np.concatenate(landmarks), np.concatenate(scores)
    image, box, points, score = every
    sound = np.isfinite(box).all(axis=1) & np.isfinite(points).all(axis=(1, 2))
    return image[sound], box[sound], points[sound], score[sound]
