"""Quarter turns: of pictures, of boxes in them, and which one brings a face upright."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facekit.types.arrays import Image
    from facekit.types.photos import Box

TURNS = (0, 90, 180, 270)
"""Degrees clockwise."""

SIDEWAYS = (90, 270)
"""The turns that exchange width and height."""


def turned(image: Image, turn: int) -> Image:
    """Turn a picture clockwise by 0, 90, 180 or 270 degrees; uint8 (H, W, 3), contiguous."""
    return np.ascontiguousarray(np.rot90(image, -turn // 90)) if turn % 360 else image


def turned_box(box: Box, turn: int) -> Box:
    """A box of a picture as it lies in the picture turned clockwise by 0, 90, 180 or 270 degrees."""
    x, y, w, h = box
    if turn % 360 == 90:  # noqa: PLR2004
        return 1 - y - h, x, h, w
    if turn % 360 == 180:  # noqa: PLR2004
        return 1 - x - w, 1 - y - h, w, h
    if turn % 360 == 270:  # noqa: PLR2004
        return y, 1 - x - w, h, w
    return box


def turn_upright(roll: float) -> int:
    """The turn, in degrees clockwise, that brings a face upright; ``roll`` is its tilt clockwise in degrees."""
    return -90 * round(roll / 90) % 360


def common_turn(faces: Iterable[tuple[float, float]]) -> int:
    """The turn that brings a photo upright, going by its faces.

    Parameters
    ----------
    faces : iterable of (float, float)
        How much each face counts, and its roll in degrees. A photo with none, or with as much for it as it is as for
        another turn, stays as it is.

    Returns
    -------
    int
        0, 90, 180 or 270 degrees clockwise.
    """
    weights = dict.fromkeys(TURNS, 0.0)
    for weight, roll in faces:
        weights[turn_upright(roll)] += weight
    return max(TURNS, key=lambda turn: weights[turn])
