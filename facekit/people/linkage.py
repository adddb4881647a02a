"""Average linkage on a sparse graph, under constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.people.neighbours import stop_if

if TYPE_CHECKING:
    from threading import Event

    import numpy.typing as npt

    from facekit.people.constraints import Apart
    from facekit.types import FloatArray, IntArray

PAIRS_AT_ONCE = 32_768
"""Pairs of groups whose similarity is computed together: 67 MB of sums of 128 numbers."""


def link(
    vectors: FloatArray,
    groups: IntArray,
    apart: Apart,
    pairs: tuple[IntArray, IntArray],
    cut: float,
    stop: Event | None = None,
) -> IntArray:
    """Merge groups of faces while the average distance between the faces of two groups is at most `cut`.

    The average similarity of all pairs of two groups of unit vectors is the product of the groups' means, so that no
    distances need be kept. Two groups whose average is within `cut` hold a pair of faces that is; so only groups that
    are neighbours in the graph need be looked at. In each round, every two groups that are each other's nearest merge.
    That gives the same result as merging the nearest two of all first, because a merger is never nearer to a third
    group than the nearer of its parts was ("reducibility"; Murtagh, *Multidimensional Clustering Algorithms*, 1985).
    This remains true where mergers are forbidden, for a merger is forbidden whatever its parts are.

    Parameters
    ----------
    vectors : ndarray, float32 (N, D)
        Faces, of unit length.
    groups : ndarray, int64 (N,)
        The group that each face starts in, 0..G-1.
    apart : Apart
        Groups that must not merge.
    pairs : tuple of ndarray, int64 (E,)
        Neighbours among the faces.
    cut : float
        Cosine distance.
    stop : threading.Event, optional
        Set, it ends the work with an error.

    Returns
    -------
    ndarray, int64 (G,)
        The group that each group became part of.
    """
    count = int(groups.max()) + 1
    sums = _sums(vectors, groups, count)
    sizes = np.bincount(groups, minlength=count).astype(np.float64)
    became = np.arange(count)
    first, second = groups[pairs[0]], groups[pairs[1]]
    similar = np.empty(len(first))
    changed = np.ones(count, np.bool_)
    while True:
        stop_if(stop)
        first, second, similar = _unlike(first, second, similar, count)
        fresh = changed[first] | changed[second]
        similar[fresh] = _averages(sums, sizes, first[fresh], second[fresh])
        kept = similar >= 1 - cut
        fresh &= kept
        kept[fresh] = ~apart.forbids(first[fresh], second[fresh], count)
        first, second, similar = first[kept], second[kept], similar[kept]
        if not len(first):
            return became
        nearest = _nearest_to_each_other(first, second, similar, count)
        into, gone = first[nearest], second[nearest]
        sums[into] += sums[gone]
        sizes[into] += sizes[gone]
        step = np.arange(count)
        step[gone] = into
        became, apart = step[became], apart.merged(step)
        first, second = step[first], step[second]
        changed[:] = False
        changed[into] = True


def _sums(vectors: FloatArray, groups: IntArray, count: int) -> npt.NDArray[np.float64]:
    from scipy import sparse

    members = sparse.csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))), shape=(count, len(groups)))
    sums: npt.NDArray[np.float64] = members @ vectors
    return sums


def _unlike(
    first: IntArray, second: IntArray, similar: npt.NDArray[np.float64], count: int
) -> tuple[IntArray, IntArray, npt.NDArray[np.float64]]:
    """Each pair of different groups once, the smaller number first."""
    between = np.flatnonzero(first != second)
    low, high = np.minimum(first, second)[between], np.maximum(first, second)[between]
    kept = np.unique(low * count + high, return_index=True)[1]
    return low[kept], high[kept], similar[between[kept]]


def _averages(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], first: IntArray, second: IntArray
) -> npt.NDArray[np.float64]:
    """The average cosine similarity of each pair of groups."""
    result = np.empty(len(first))
    for start in range(0, len(first), PAIRS_AT_ONCE):
        rows = slice(start, start + PAIRS_AT_ONCE)
        a, b = first[rows], second[rows]
        result[rows] = np.einsum("ij,ij->i", sums[a], sums[b]) / (sizes[a] * sizes[b])
    return result


def _nearest_to_each_other(
    first: IntArray, second: IntArray, similar: npt.NDArray[np.float64], count: int
) -> npt.NDArray[np.bool_]:
    """Pairs that are the best for both. Of equally similar ones the first is better, so that there is always one."""
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(-similar, kind="stable")] = np.arange(len(first))
    best = np.full(count, len(first))
    np.minimum.at(best, first, rank)
    np.minimum.at(best, second, rank)
    mutual: npt.NDArray[np.bool_] = (best[first] == rank) & (best[second] == rank)
    return mutual
