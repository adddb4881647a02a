"""Which face of one set is which face of another: by how much their boxes cover each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

MIN_OVERLAP = 0.3
"""Intersection over union from which two boxes are taken for one face. The IOU_min of SORT (Bewley, Ge, Ott, Ramos,
Upcroft: "Simple Online and Realtime Tracking", 2016), which assigns boxes in the same way. It also lies where it should
on YuNet's faces in 12 megapixel pictures of 100 faces each, seen at full size and reduced to 1600 and 2000 pixels: the
boxes of a face of 24 pixels overlap by 0.74 in the median and 0.42 at least, those of larger faces by 0.33 at least
(one in a hundred by less than 0.48), and no two different faces by more than 0.27."""


def overlaps(old: npt.ArrayLike, new: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Intersection over union of each old box with each new one.

    Parameters
    ----------
    old, new : array_like, (N, 4) and (M, 4)
        Boxes as ``x, y, width, height``, all in the same units.

    Returns
    -------
    ndarray, float64 (N, M)
        0 (apart) to 1 (the same). A box without an area overlaps nothing.
    """
    ours = np.asarray(old, np.float64).reshape(-1, 1, 4)
    theirs = np.asarray(new, np.float64).reshape(1, -1, 4)
    low = np.maximum(ours[..., :2], theirs[..., :2])
    high = np.minimum(ours[..., :2] + ours[..., 2:], theirs[..., :2] + theirs[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = ours[..., 2:].prod(axis=2) + theirs[..., 2:].prod(axis=2) - shared
    ratio: npt.NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return np.minimum(ratio, 1)


def match_faces(old: npt.ArrayLike, new: npt.ArrayLike, *, min_overlap: float = MIN_OVERLAP) -> list[tuple[int, int]]:
    """Pair the faces that two detectors found in one photo.

    Parameters
    ----------
    old, new : array_like, (N, 4) and (M, 4)
        Boxes as ``x, y, width, height``, all in the same units.
    min_overlap : float, optional
        Pairs whose intersection over union is smaller are no pairs.

    Returns
    -------
    list of (int, int)
        Positions in `old` and `new`, in the order of `old`. No face is in two pairs, and no other choice of pairs has
        a larger sum of overlaps.
    """
    from scipy.optimize import linear_sum_assignment

    ratio = overlaps(old, new)
    ratio[ratio < min_overlap] = 0
    pairs = zip(*linear_sum_assignment(ratio, maximize=True), strict=True)
    return [(int(a), int(b)) for a, b in pairs if ratio[a, b] > 0]
