"""K-means for faces, in steps short enough that it can be stopped between any two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.clustering.neighbours import FACES_AT_ONCE, ROUNDING, stop_if

if TYPE_CHECKING:
    from threading import Event

    from facekit.types.arrays import FloatArray, IntArray

MOST_ROUNDS = 300
"""As scikit-learn's KMeans has it; on LFW's people with several photos it takes 4."""

LEAST_GAIN = 1e-5
"""How much a round must bring the faces nearer to their centres, as an average cosine similarity, to be followed by
another."""


def kmeans(vectors: FloatArray, people: int, stop: Event | None = None) -> IntArray:
    """Divide faces into a number of groups, each around a centre that is its faces' mean, of unit length.

    scikit-learn's would not do: once it runs, nothing stops it, and with thousands of people it runs for minutes.

    Parameters
    ----------
    vectors : ndarray, float32 (N, D)
        Of unit length.
    people : int
        The number of groups, 1..N. Where fewer vectors differ, there are fewer.
    stop : threading.Event, optional
        Set, it ends the work with an error.

    Returns
    -------
    ndarray, int64 (N,)
        The group of each face. The same input gives the same groups.
    """
    centres = _first_centres(vectors, people, stop)
    before = -np.inf
    for _ in range(MOST_ROUNDS):
        labels, similar = _nearest_centre(vectors, centres, stop)
        now = float(similar.mean(dtype=np.float64))
        empty = np.flatnonzero(np.bincount(labels, minlength=len(centres)) == 0)
        if not len(empty) and now - before < LEAST_GAIN:
            break
        before = now
        centres = _means(vectors, labels, len(centres))
        centres[empty] = vectors[np.argsort(similar, kind="stable")[: len(empty)]]  # where a centre is most missed
    return labels


def _first_centres(vectors: FloatArray, people: int, stop: Event | None) -> FloatArray:
    """Faces far from each other, drawn by chance: greedy k-means++ (Arthur and Vassilvitskii, 2007).

    As in scikit-learn, each is the best of a few that were drawn.
    """
    rng = np.random.default_rng(0)
    tries = 2 + int(np.log(people))
    chosen = [int(rng.integers(len(vectors)))]
    similar = vectors @ vectors[chosen[0]]
    while len(chosen) < people:
        stop_if(stop)
        weight = np.cumsum(np.where(similar < 1 - ROUNDING, 1 - similar, 0), dtype=np.float64)
        if not weight[-1]:  # each face is one of the centres
            break
        drawn = np.searchsorted(weight, rng.random(tries) * weight[-1], side="right")
        nearer = np.maximum(vectors[drawn] @ vectors.T, similar)
        best = int(np.argmax(nearer.sum(axis=1, dtype=np.float64)))
        chosen.append(int(drawn[best]))
        similar = nearer[best]
    return vectors[chosen]


def _nearest_centre(vectors: FloatArray, centres: FloatArray, stop: Event | None) -> tuple[IntArray, FloatArray]:
    """The centre nearest to each face, and how similar it is."""
    import faiss

    index = faiss.IndexFlatIP(centres.shape[1])
    index.add(centres)
    labels, similar = np.empty(len(vectors), np.int64), np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), FACES_AT_ONCE):
        stop_if(stop)
        rows = slice(start, start + FACES_AT_ONCE)
        found, numbers = index.search(vectors[rows], 1)
        labels[rows], similar[rows] = numbers[:, 0], found[:, 0]
    return labels, similar


def _means(vectors: FloatArray, labels: IntArray, count: int) -> FloatArray:
    from scipy import sparse

    faces = np.arange(len(labels))
    sums = sparse.csr_array((np.ones(len(labels), np.float32), (labels, faces)), shape=(count, len(labels))) @ vectors
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    means: FloatArray = (sums / np.maximum(lengths, ROUNDING)).astype(np.float32)
    return means
