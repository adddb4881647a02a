"""A detector that looks at images of any size: step by step, in tiles, and in batches of pictures of one size."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from facekit.errors import RefusedError
from facekit.models.device import batch_size, side_by_side
from facekit.models.passes import plan_levels
from facekit.models.tilts import looked_again
from facekit.models.turns import joined, seen_in_turns
from facekit.types.arrays import Detections
from facekit.types.photos import SMALLEST_LOOK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from facekit.models.engines.network import Network
    from facekit.models.passes import Level, Scales, Span
    from facekit.types.arrays import Image
    from facekit.types.photos import Detail


class TiledDetector(ABC):
    """What all detectors share. One of them says how its network reads a batch, and which faces are the same.

    Parameters
    ----------
    network : Network
        Open, with free batch, height and width.
    detail : {"normal", "fine"} or int
        "normal" looks at a photo with a long side of up to `working_side` pixels and, where that shows small faces,
        again with up to each of `usual_closer_sides`. "fine" looks at all pixels of every photo. A number is the
        longest side in pixels of the only look.

    Raises
    ------
    FacekitError
        If the detail is something else.
    """

    name: str
    scales: Scales
    working_side: int
    usual_closer_sides: tuple[int, ...] = ()
    small_face: float = 0
    good_score: float
    """A photo whose faces of this score all stand upright, and that has one, is not looked at in other orientations."""
    sure_score: float
    """The score from which on a face is believed that was seen in another orientation."""
    batch_pixels: int
    """Pixels given to the network in one run on a CPU; this bounds memory."""

    def __init__(self, network: Network, *, detail: Detail = "normal") -> None:
        if detail not in ("normal", "fine") and not (isinstance(detail, int) and detail >= SMALLEST_LOOK):
            message = f"The detail is {detail!r}."
            raise RefusedError(message, f"Take 'normal', 'fine' or a number of pixels from {SMALLEST_LOOK} on.")
        self._network = network
        self.engine, self.device, self.provider = network.engine, network.device, network.provider
        self.max_side = None if detail == "fine" else self.working_side if detail == "normal" else int(detail)
        self.closer_sides = self.usual_closer_sides if detail == "normal" else ()

    @property
    def _what(self) -> str:
        """What is waited for while the network runs, in words."""
        return f"the detector {self.name} ({self.engine})"

    @abstractmethod
    def _read(self, pictures: Sequence[Image]) -> list[Detections]:
        """Give pictures of one size, a multiple of the stride, to the network; the faces of each, in its pixels."""

    @abstractmethod
    def _distinct(self, faces: Detections) -> Detections:
        """Keep the best of the boxes that cover the same face; best first."""

    def detect(self, images: Sequence[Image], *, closely: bool = False) -> list[Detections]:
        """Find the faces in images of any sizes.

        Parameters
        ----------
        images : sequence of ndarray, uint8 (H, W, 3)
            RGB pictures; faces may lie in them in any way, see `facekit.models.turns`.
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
        see = partial(self.upright, closely=closely)
        again = partial(looked_again, read=self._read_all, good=self.good_score, sure=self.sure_score)
        # Tilts come first: between two orientations a face is seen in both, with landmarks that are wrong in one.
        found = again(images, see(images))
        turned = seen_in_turns(images, found, see, self._glance, good=self.good_score, sure=self.sure_score)
        changed = [i for i, faces in enumerate(turned) if faces is not found[i]]
        for i, faces in zip(changed, again([images[i] for i in changed], [turned[i] for i in changed]), strict=True):
            turned[i] = faces
        return turned

    def upright(self, images: Sequence[Image], *, closely: bool = False) -> list[Detections]:
        """Find the faces that stand upright, as the network sees them at the first look; see `detect`."""
        side = math.inf if closely or self.max_side is None else self.max_side
        plans = [plan_levels(image.shape[1], image.shape[0], side, self.scales) for image in images]
        found = self._look(images, plans)
        for closer in () if closely else self.closer_sides:
            crowds = [i for i, image in enumerate(images) if self._has_small_faces(image, plans[i][0], found[i][0])]
            for i in crowds:
                plans[i] = plan_levels(images[i].shape[1], images[i].shape[0], closer, self.scales)
            looks = self._look([images[i] for i in crowds], [plans[i][:-1] for i in crowds])
            for i, more in zip(crowds, looks, strict=True):
                found[i] = [*more, found[i][-1]]
        return [self._distinct(joined(looks)) for looks in found]

    def _glance(self, images: Sequence[Image]) -> list[Detections]:
        """Find the upright faces of small pictures, which are not enlarged."""
        scales = replace(self.scales, enlarged=1)
        plans = [plan_levels(image.shape[1], image.shape[0], math.inf, scales) for image in images]
        return [self._distinct(joined(looks)) for looks in self._look(images, plans)]

    def _look(self, images: Sequence[Image], plans: Sequence[Sequence[Level]]) -> list[list[Detections]]:
        """Run the network over all levels of all images; return the faces of each, in pixels of the image."""
        parts: list[list[list[Detections]]] = [[[] for _ in levels] for levels in plans]
        for batch, found in side_by_side(self._run, self._batches(images, plans), self.device, self._what):
            for (i, k, column, row, _), faces in zip(batch, found, strict=True):
                parts[i][k].append(_believed(faces, plans[i][k], column, row))
        return [
            [joined(tiles).scaled(image.shape[1] / level.width, image.shape[0] / level.height)
             for tiles, level in zip(of_image, levels, strict=True)]
            for image, of_image, levels in zip(images, parts, plans, strict=True)
        ]  # fmt: skip

    def _read_all(self, pictures: Sequence[Image]) -> list[Detections]:
        """The faces in pictures of one size, in their pixels, best first."""
        size = max(1, self.batch_pixels // max(1, pictures[0].size // 3)) if pictures else 1
        batches = (pictures[start : start + size] for start in range(0, len(pictures), size))
        found = side_by_side(self._read, batches, self.device, self._what)
        return [self._distinct(faces) for batch in found for faces in batch]

    def _run(self, batch: list[_Work]) -> tuple[list[_Work], list[Detections]]:
        return batch, self._read([picture for *_, picture in batch])

    def _batches(self, images: Sequence[Image], plans: Sequence[Sequence[Level]]) -> Iterator[list[_Work]]:
        """Group the tiles of all levels of all images by size, a bounded number of pixels at a time."""
        most = batch_size(self.batch_pixels, self.device)
        waiting: dict[tuple[int, ...], list[_Work]] = defaultdict(list)
        for i, (image, levels) in enumerate(zip(images, plans, strict=True)):
            for k, level in enumerate(levels):
                resized = _resized(image, level)
                for row in level.rows:
                    for column in level.columns:
                        part = resized[row.start : row.start + row.length, column.start : column.start + column.length]
                        picture = self._padded(part)
                        group = waiting[picture.shape]
                        group.append((i, k, column, row, picture))
                        if len(group) * picture.shape[0] * picture.shape[1] >= most:
                            yield waiting.pop(picture.shape)
        yield from waiting.values()

    def _padded(self, part: Image) -> Image:
        """Add black on the right and below, as ``FaceDetectorYN`` does, up to a size that the network takes."""
        height, width = part.shape[:2]
        picture = np.zeros((self.scales.padded(height), self.scales.padded(width), 3), np.uint8)
        picture[:height, :width] = part
        return picture

    def _has_small_faces(self, image: Image, level: Level, faces: Detections) -> bool:
        """Whether a reduced look shows faces so small that a closer one would show more."""
        scale = level.width / image.shape[1]
        longest = faces.boxes[:, 2:].max(axis=1, initial=0) * scale
        return scale < 1 and bool((longest < self.small_face).any())


_Work: TypeAlias = "tuple[int, int, Span, Span, Image]"


def _resized(image: Image, level: Level) -> Image:
    import cv2

    if image.shape[:2] == (level.height, level.width):
        return image
    size = (level.width, level.height)
    how = cv2.INTER_AREA if level.width < image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=how), dtype=np.uint8)


def _believed(faces: Detections, level: Level, column: Span, row: Span) -> Detections:
    """Move a tile's faces to their place in the level, and keep those that this level and this tile answer for."""
    start = np.array([column.start, row.start], np.float32)
    boxes = faces.boxes + np.concatenate([start, np.zeros(2, np.float32)])
    x, y = (boxes[:, :2] + boxes[:, 2:] / 2).T
    keep = boxes[:, 2:].max(axis=1, initial=0) <= level.largest
    keep &= (column.low <= x) & (x < column.high) & (row.low <= y) & (y < row.high)
    return Detections(boxes, faces.landmarks + start, faces.scores)[keep]


def _check_image(image: Image) -> None:
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:  # noqa: PLR2004
        message = f"an image is an array uint8 (H, W, 3), RGB; this one is {array.dtype} {array.shape}"
        raise ValueError(message)
