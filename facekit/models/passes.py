"""At which scales, and in which tiles, a detector looks at an image of a given size: plain geometry.

YuNet finds faces of some 20 to 600 pixels. Within a larger face it sees several false ones, all of 450 pixels and
more. So a large image is looked at more than once: at its working size, where only faces up to `LARGEST` are believed,
and again much reduced, where the large faces are found. What is too large to be held at once is cut into tiles that
overlap by that same `LARGEST`, so that every believable face lies whole in the tile that its centre belongs to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

# Measured with YuNet on 33 close-ups, each scaled so that the face fills so many pixels: all faces are found from 24
# to 800 px, 32 % at 1000 px; false faces within a true one begin where that has 1000 px.
ONE_LOOK = 1000
"""Longest side in pixels up to which one look at an image is enough, whatever the faces in it."""
OVERVIEW = 640
"""Longest side in pixels of the most reduced look; YuNet was trained at this size."""
ENLARGED = 480
"""Longest side in pixels that a smaller image is enlarged to, at most twice: landmarks are read more exactly. On LFW's
development set (250 x 250) the equal error rate fell from 1.2 to 0.8 %, mean average precision rose from 98.1 to 98.4.
"""
LARGEST = 256
"""Longest side in pixels of a face that is believed where a smaller look follows; YuNet's authors name 300."""
STEP = 8
"""How many times smaller the next look is at most: the faces just beyond `LARGEST` have 32 px there."""
TILE = 2176
"""Longest side in pixels of a tile; the network takes about 80 bytes a pixel. Two of them cover 4096 pixels."""
STRIDE = 32
"""Height and width of the network's input are multiples of this."""


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


def plan_levels(width: int, height: int, side: float) -> list[Level]:
    """Plan the looks at one image.

    Parameters
    ----------
    width, height : int
        Size of the image in pixels.
    side : float
        Longest side in pixels of the closest look; infinity stands for the image's own size.

    Returns
    -------
    list of Level
        From the closest look to the most reduced one, at which faces of any size are believed.
    """
    own = max(width, height)
    length = max(min(own, side), min(ENLARGED, 2 * own))
    levels = []
    while length > ONE_LOOK:
        levels.append(_level(width, height, length / own, LARGEST))
        length = max(length / STEP, OVERVIEW)
    return [*levels, _level(width, height, length / own, math.inf)]


def _level(width: int, height: int, scale: float, largest: float) -> Level:
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    return Level(width, height, _spans(width), _spans(height), largest)


def _spans(length: int) -> tuple[Span, ...]:
    """Cut one axis into the fewest equal, overlapping tiles."""
    if length <= TILE:
        return (Span(0, length, -math.inf, math.inf),)
    count = math.ceil((length - LARGEST) / (TILE - LARGEST))
    size = padded(math.ceil((length + (count - 1) * LARGEST) / count))
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    borders = [(start + size + following) / 2 for start, following in pairwise(starts)]
    lows, highs = [-math.inf, *borders], [*borders, math.inf]
    return tuple(Span(start, size, low, high) for start, low, high in zip(starts, lows, highs, strict=True))


def padded(length: int) -> int:
    """Round a length in pixels up to a multiple of the network's stride."""
    return -(-length // STRIDE) * STRIDE
