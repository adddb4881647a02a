"""Average linkage on a sparse graph, under constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.clustering.neighbours import stop_if

if TYPE_CHECKING:
    from threading import Event

    import numpy.typing as npt

    from facekit.clustering.constraints import Apart
    from facekit.types.arrays import FloatArray, IntArray

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
    fresh = groups[pairs[0]], groups[pairs[1]]
    first, second, similar = fresh[0][:0], fresh[1][:0], np.empty(0)
    while True:
        stop_if(stop)
        new_first, new_second = _unlike(*fresh, count)
        new_similar = _averages(sums, sizes, new_first, new_second)
        near = np.flatnonzero(new_similar >= 1 - cut)
        near = near[~apart.forbids(new_first[near], new_second[near], count)]
        first, second = np.concatenate([first, new_first[near]]), np.concatenate([second, new_second[near]])
        similar = np.concatenate([similar, new_similar[near]])
        if not len(first):
            return became
        nearest = _nearest_to_each_other(first, second, similar, count)
        into, gone = first[nearest], second[nearest]
        sums[into] += sums[gone]
        sizes[into] += sizes[gone]
        step = np.arange(count)
        step[gone] = into
        became, apart = step[became], apart.merged(step)
        changed = np.zeros(count, np.bool_)
        changed[into] = changed[gone] = True
        again = changed[first] | changed[second]
        fresh = step[first[again]], step[second[again]]
        first, second, similar = first[~again], second[~again], similar[~again]


def _sums(vectors: FloatArray, groups: IntArray, count: int) -> npt.NDArray[np.float64]:
    from scipy import sparse

    members = sparse.csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))), shape=(count, len(groups)))
    sums: npt.NDArray[np.float64] = members @ vectors
    return sums


def _unlike(first: IntArray, second: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """Each pair of different groups once, the smaller number first."""
    keys = np.unique((np.minimum(first, second) * count + np.maximum(first, second))[first != second])
    return keys // count, keys % count


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


def _nearest_to_each_other(first: IntArray, second: IntArray, similar: npt.NDArray[np.float64], count: int) -> IntArray:
    """Places of pairs that are the best for both. Of equally similar ones the first is, so that there always is one."""
    best = np.full(count, -np.inf)
    np.maximum.at(best, first, similar)
    np.maximum.at(best, second, similar)
    mutual = np.flatnonzero((similar == best[first]) & (similar == best[second]))
    earliest = np.full(count, len(mutual))
    rank = np.arange(len(mutual))
    np.minimum.at(earliest, first[mutual], rank)
    np.minimum.at(earliest, second[mutual], rank)
    chosen: IntArray = mutual[(earliest[first[mutual]] == rank) & (earliest[second[mutual]] == rank)]
    return chosen
