"""The faces most like each face: the one graph that every method of clustering works on, never an N x N matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import EmbeddingError, RefusedError

if TYPE_CHECKING:
    from threading import Event

    import numpy.typing as npt

    from facekit.types.arrays import FloatArray, IntArray

NEIGHBOURS = 32
"""Faces that are looked at from each face. With 64 LFW's people come out the same to four digits; with 16 or 64 so do
those of a made-up crowd of 20,000 faces, in which some people have 2,000."""

MOST_NEIGHBOURS = 256
"""The most that may be asked for: of a million faces they take 3 GB."""

EXACT_UP_TO = 20_000
"""Faces that are all compared with each other; of more, those in nearby cells only."""

CELLS = 4.0
"""Cells beyond that number: so many times the square root of the number of faces, as faiss advises (4 to 16)."""

CELLS_LOOKED_INTO = 24
"""Cells nearest to a face in which its neighbours are looked for: of 50,000 made-up faces, they hold 99.8 % of those
within a distance of 0.5; 12 cells hold 99.2 %, 8 cells 95.9 %."""

FACES_AT_ONCE = 4096
"""Faces searched for between two looks at whether to stop."""

ROUNDING = 1e-6
"""Of a cosine in float32, with room to spare."""

UNIT_LENGTH_WITHIN = 1e-3
"""Far above the rounding of float16, in which some stores keep vectors; far below what a forgotten division leaves."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The nearest faces of each face, nearest first.

    Parameters
    ----------
    indices : ndarray, int64 (N, K)
        Positions of faces, never the face itself; -1 where there are fewer than K others, or fewer were found.
    distances : ndarray, float32 (N, K)
        Cosine distances, 0..2; infinity beside -1.
    """

    indices: IntArray
    distances: FloatArray

    def pairs(self, within: float) -> tuple[IntArray, IntArray, FloatArray]:
        """Pairs of neighbours.

        Parameters
        ----------
        within : float
            The largest cosine distance.

        Returns
        -------
        first, second : ndarray, int64 (E,)
            Each pair once, ``first < second``, in ascending order.
        distances : ndarray, float32 (E,)
            Cosine distances, at least the smallest positive normal number: a sparse matrix may drop zeros.
        """
        here, column = np.nonzero(self.distances <= within)
        there = self.indices[here, column]
        count = len(self.indices)
        keys, kept = np.unique(np.minimum(here, there) * count + np.maximum(here, there), return_index=True)
        distances = np.maximum(self.distances[here[kept], column[kept]], np.finfo(np.float32).tiny)
        return keys // count, keys % count, distances


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourCurve:
    """How far each face's neighbour is, and where people end; of `neighbour_curve`.

    Parameters
    ----------
    distances : ndarray, float32 (N,)
        Cosine distance of each face to its ``min_faces - 1``-th nearest, ascending.
    eps : float
        The distance at which people end: nearer, faces are of the same people; farther, of different ones.
    min_faces : int
        Faces that make a person.
    """

    distances: FloatArray
    eps: float
    min_faces: int

    def __repr__(self) -> str:
        low, middle, high = np.quantile(self.distances, [0.05, 0.5, 0.95])
        return (
            f"Distance to the neighbour no. {self.min_faces - 1}, {len(self.distances):,} faces: {low:.2f} (5 %), "
            f"{middle:.2f} (median), {high:.2f} (95 %); suggested eps: {self.eps:.3f}"
        )


def checked(embeddings: npt.ArrayLike) -> FloatArray:
    """Embeddings as float32 (N, D), or an error that names the first row that can't be compared.

    Raises
    ------
    EmbeddingError
        If it is no table of numbers, or a row is not finite, not of unit length, or the same number throughout: what
        a model gives that failed, and what would make one giant person of unrelated faces.
    """
    vectors = np.ascontiguousarray(embeddings, np.float32)
    if vectors.size == 0 and vectors.ndim <= 2:  # noqa: PLR2004 - a table
        return vectors.reshape(0, vectors.shape[1] if vectors.ndim == 2 else 0)  # noqa: PLR2004
    if vectors.ndim != 2:  # noqa: PLR2004
        message = f"Embeddings have the shape {vectors.shape}, but it takes one row a face: (N, D)."
        raise EmbeddingError(message)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    flat = (vectors == vectors[:, :1]).all(axis=1) & (vectors.shape[1] > 1 or lengths == 0)
    faults = {
        "is not finite": ~np.isfinite(lengths),
        "is the same number throughout": flat,
        "is not of unit length": ~(np.abs(lengths - 1) <= UNIT_LENGTH_WITHIN),
    }
    for fault, where in faults.items():
        if where.any():
            row = int(np.argmax(where))
            message = f"Row {row} of the embeddings {fault} (length {lengths[row]:.3g}); {where.sum()} such rows."
            raise EmbeddingError(message, "Divide each row by its length; embed the faces again that can't be.")
    return vectors


def stop_if(stop: Event | None) -> None:
    """Raise `FacekitError` once somebody has asked to stop."""
    if stop is not None and stop.is_set():
        message = "The clustering was stopped."
        raise RefusedError(message, "Nothing was changed; start it again when you like.")


def nearest(vectors: FloatArray, count: int = NEIGHBOURS, *, stop: Event | None = None) -> Neighbours:
    """Find each face's nearest.

    Up to 20,000 faces each is compared with all others. Of more, the vectors are first sorted into cells around
    centres that k-means found, and each face is compared with those in the cells nearest to it (faiss, IVF).

    Parameters
    ----------
    vectors : ndarray, float32 (N, D)
        Of unit length.
    count : int, optional
        How many to find.
    stop : threading.Event, optional
        Set, it ends the search with an error.

    Returns
    -------
    Neighbours
    """
    faces = len(vectors)
    if faces < 2:  # noqa: PLR2004 - nobody else is there
        return Neighbours(np.empty((faces, 0), np.int64), np.empty((faces, 0), np.float32))
    import faiss

    exact = faiss.IndexFlatIP(vectors.shape[1])
    index: Any = exact
    if faces > EXACT_UP_TO:
        index = faiss.IndexIVFFlat(exact, vectors.shape[1], int(CELLS * faces**0.5), faiss.METRIC_INNER_PRODUCT)
        index.nprobe = CELLS_LOOKED_INTO
        index.train(vectors)
    index.add(vectors)
    count = min(count, faces - 1)
    indices = np.empty((faces, count), np.int64)
    distances = np.empty((faces, count), np.float32)
    for start in range(0, faces, FACES_AT_ONCE):
        stop_if(stop)
        rows = slice(start, start + FACES_AT_ONCE)
        similar, found = index.search(vectors[rows], count + 1)
        _without_itself(similar, found, np.arange(start, start + len(found)))
        indices[rows], distances[rows] = found[:, :count], np.maximum(1 - similar[:, :count], 0)
    distances[indices < 0] = np.inf
    return Neighbours(indices, distances)


def _without_itself(similar: FloatArray, found: IntArray, itself: IntArray) -> None:
    """Move each face's own entry to the end of its row; where there is none, the last entry is left there."""
    own = found == itself[:, None]
    order = np.argsort(own, axis=1, kind="stable")
    similar[:] = np.take_along_axis(similar, order, axis=1)
    found[:] = np.take_along_axis(found, order, axis=1)


def neighbour_curve(embeddings: npt.ArrayLike, *, min_faces: int = 2) -> NeighbourCurve:
    """How far the neighbours are that make a person, and where people end.

    From one face outward, the distances of its neighbours rise in small steps, but for one wide step between the last
    face of the same person and the first stranger. The suggestion is the middle of that step: the median over all
    faces, in which a face weighs as much as its step is wide, so that faces which are alone hardly count. On LFW, and
    on its people with two or more and five or more photos, it gives 0.45, 0.45 and 0.50, where DBSCAN is best at 0.48,
    0.50 and 0.52; a bend of the sorted curve as a whole is where most faces have a person, or where strangers crowd,
    and gave anything from 0.17 to 0.64.

    Parameters
    ----------
    embeddings : array_like, float32 (N, D)
        L2-normalised.
    min_faces : int, optional
        Faces that make a person, 2..256: the curve is that of the neighbour no. ``min_faces - 1``.

    Returns
    -------
    NeighbourCurve

    Raises
    ------
    EmbeddingError
        If a row can't be compared, see `cluster`.
    FacekitError
        If there are too few faces for a curve, or `min_faces` is out of its range.
    """
    vectors = checked(embeddings)
    if min_faces < 2 or len(vectors) < max(min_faces, 2) + 1:  # noqa: PLR2004 - steps are between two neighbours
        message = f"A curve of neighbours takes min_faces of 2 or more, and more faces than that: {len(vectors)} given."
        raise RefusedError(message, "Give eps yourself, or take the default.")
    if min_faces > MOST_NEIGHBOURS:
        message = f"min_faces is {min_faces}, but the curve is of {MOST_NEIGHBOURS} neighbours at most."
        raise RefusedError(message, f"Give {MOST_NEIGHBOURS} or less.")
    distances = nearest(vectors, max(NEIGHBOURS, min_faces)).distances
    curve = np.sort(distances[:, min_faces - 2])
    return NeighbourCurve(curve[np.isfinite(curve)], _where_people_end(distances), min_faces)


def suggest_eps(embeddings: npt.ArrayLike, *, min_faces: int = 2) -> float:
    """Suggest the radius of DBSCAN for these faces: where the faces of one person end and strangers begin.

    Parameters, errors: as `neighbour_curve`, which says how, and gives the curve itself.

    Returns
    -------
    float
        Cosine distance.

    Examples
    --------
    >>> ids, vectors = lib.embeddings()
    >>> eps = fk.suggest_eps(vectors)
    >>> labels = fk.cluster(vectors, method="dbscan", eps=eps)
    >>> int(labels.max()) + 1
    2
    """
    return neighbour_curve(embeddings, min_faces=min_faces).eps


def _where_people_end(distances: FloatArray) -> float:
    """The median of the middles of each row's widest step, weighted by its width."""
    farthest = distances.max(axis=1, where=np.isfinite(distances), initial=0)
    steps = np.diff(np.minimum(distances, farthest[:, None]), axis=1)
    rows, widest = np.arange(len(steps)), np.argmax(steps, axis=1)
    width = steps[rows, widest]
    middle = distances[rows, widest] + width / 2
    order = np.argsort(middle)
    weight = np.cumsum(width[order], dtype=np.float64)
    return float(middle[order[np.searchsorted(weight, weight[-1] / 2)]])
