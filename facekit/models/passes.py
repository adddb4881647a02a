"""At which scales, and in which tiles, a detector looks at an image of a given size: plain geometry.

A detector finds faces between some smallest and some largest size in pixels. So an image that is larger than one look
can answer for is looked at more than once: at its working size, where only faces up to a certain size are believed,
and again much reduced, where the large faces are found. What is too large to be held at once is cut into tiles that
overlap by that same size, so that every believable face lies whole in the tile that its centre belongs to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Scales:
    """What a detector needs to know of sizes; all in pixels.

    Parameters
    ----------
    one_look : int
        Longest side up to which one look at an image is enough, whatever the faces in it.
    overview : int
        Longest side of the most reduced look.
    enlarged : int
        Longest side that a smaller image is enlarged to, at most twice.
    largest : int
        Longest side of a face that is believed where a smaller look follows.
    step : int
        How many times smaller the next look is at most.
    tile : int
        Longest side of a tile, which bounds memory.
    stride : int
        Height and width of the network's input are made multiples of this.
    """

    one_look: int
    overview: int
    enlarged: int
    largest: int
    step: int
    tile: int
    stride: int

    def padded(self, length: int) -> int:
        """Round a length in pixels up to a multiple of the stride."""
        return -(-length // self.stride) * self.stride


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile: where it begins, its length, and between which points a face's centre belongs to it."""

    start: int
    length: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Level:
    """An image at one scale, and how it is cut.

    Parameters
    ----------
    width, height : int
        Size in pixels that the image is resized to.
    columns, rows : tuple of Span
        The tiles are all pairs of a column and a row.
    largest : float
        Longest side in pixels, at this scale, of a face that is believed.
    """

    width: int
    height: int
    columns: tuple[Span, ...]
    rows: tuple[Span, ...]
    largest: float


def plan_levels(width: int, height: int, side: float, scales: Scales) -> list[Level]:
    """Plan the looks at one image.

    Parameters
    ----------
    width, height : int
        Size of the image in pixels.
    side : float
        Longest side in pixels of the closest look; infinity stands for the image's own size.
    scales : Scales
        The detector's.

    Returns
    -------
    list of Level
        From the closest look to the most reduced one, at which faces of any size are believed.
    """
    own = max(width, height)
    length = max(min(own, side), min(scales.enlarged, 2 * own))
    levels = []
    while length > scales.one_look:
        levels.append(_level(width, height, length / own, scales.largest, scales))
        length = max(length / scales.step, scales.overview)
    return [*levels, _level(width, height, length / own, math.inf, scales)]


def _level(width: int, height: int, scale: float, largest: float, scales: Scales) -> Level:
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    return Level(width, height, _spans(width, scales), _spans(height, scales), largest)


def _spans(length: int, scales: Scales) -> tuple[Span, ...]:
    """Cut one axis into the fewest equal, overlapping tiles."""
    if length <= scales.tile:
        return (Span(0, length, -math.inf, math.inf),)
    count = math.ceil((length - scales.largest) / (scales.tile - scales.largest))
    size = scales.padded(math.ceil((length + (count - 1) * scales.largest) / count))
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    borders = [(start + size + following) / 2 for start, following in pairwise(starts)]
    lows, highs = [-math.inf, *borders], [*borders, math.inf]
    return tuple(Span(start, size, low, high) for start, low, high in zip(starts, lows, highs, strict=True))
