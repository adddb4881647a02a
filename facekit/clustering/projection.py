"""Faces on a plane, alike ones near each other: for looking at, not for deciding."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.clustering.neighbours import checked, nearest
from facekit.errors import FacekitError

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.types.arrays import FloatArray

FEWEST = 5
"""Faces from which UMAP is asked: it needs more neighbours than dimensions; fewer faces have nothing to unfold."""

_KNOWN_NEIGHBOURS_FROM = 4096  # rows; of fewer, UMAP compares all with each other and takes no neighbours from outside


def project(embeddings: npt.ArrayLike, *, neighbours: int = 15, min_dist: float = 0.1, seed: int = 42) -> FloatArray:
    """Lay faces out on a plane so that those that are alike lie near each other (UMAP, cosine distance).

    Near means alike; how far apart two groups lie, and how large they are, means little. The same faces and seed give
    the same picture on the same machine. Up to 4 faces lie on their two principal axes instead.

    Parameters
    ----------
    embeddings : array_like, float32 (N, D)
        L2-normalised.
    neighbours : int
        Faces that each face is kept near to; fewer show small groups, more the large order. The default is UMAP's.
    min_dist : float
        How near faces may lie, 0..1. The default is UMAP's.
    seed : int
        Of the random layout.

    Returns
    -------
    ndarray, float32 (N, 2)

    Raises
    ------
    EmbeddingError
        If a row can't be compared, see `facekit.cluster`.
    FacekitError
        If umap-learn is not installed, or a number is out of its range.

    Examples
    --------
    >>> ids, vectors = lib.embeddings()
    >>> points = fk.project(vectors)
    >>> points.shape
    (23, 2)
    """
    vectors = checked(embeddings)
    if neighbours < 2 or not 0 <= min_dist <= 1:  # noqa: PLR2004 - itself is the first
        message = f"neighbours is {neighbours} and min_dist {min_dist}."
        raise FacekitError(message, "neighbours is at least 2, and min_dist from 0 to 1.")
    if len(vectors) < FEWEST:
        return _principal_axes(vectors)
    try:
        UMAP = _umap()  # noqa: N806 - a class
    except ImportError as error:
        message = f"Faces are laid out by umap-learn, which can't be imported: {error}."
        raise FacekitError(message, 'Install it with: pip install "facekit[people]"') from error
    neighbours = min(neighbours, len(vectors) - 1)
    known = _known(vectors, neighbours) if len(vectors) >= _KNOWN_NEIGHBOURS_FROM else (None, None, None)
    layout = UMAP(
        metric="cosine",
        n_neighbors=neighbours,
        min_dist=min_dist,
        precomputed_knn=known,
        random_state=seed,
        n_jobs=1,  # more would not give the same picture twice
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that faces can't be added to the layout later, that some lie apart
        return np.asarray(layout.fit_transform(vectors), np.float32)


def _umap() -> Any:  # noqa: ANN401 - umap-learn has no types
    """The class, without the part of its package that imports all of TensorFlow where that is installed."""
    part = "umap.parametric_umap"
    sys.modules.setdefault(part, None)  # type: ignore[arg-type]  # this makes Python say that it is not installed
    try:
        from umap import UMAP
    finally:
        if sys.modules[part] is None:
            del sys.modules[part]
    return UMAP


def _known(vectors: FloatArray, count: int) -> tuple[npt.NDArray[np.int64], FloatArray, None]:
    """Neighbours as UMAP takes them: each face is its own first."""
    near = nearest(vectors, count - 1)
    itself = np.arange(len(vectors))[:, None]
    distances = np.hstack([np.zeros_like(near.distances[:, :1]), near.distances])
    return np.hstack([itself, near.indices]), distances, None


def _principal_axes(vectors: FloatArray) -> FloatArray:
    if not len(vectors):
        return np.zeros((0, 2), np.float32)
    centred = vectors - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(vectors), 2), np.float32)
    found = (left * sizes)[:, :2]
    plane[:, : found.shape[1]] = found
    return plane
