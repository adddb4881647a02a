"""Checks on embeddings, and how alike two of them are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.types.arrays import FloatArray

# float32 rounding of a 512-dimensional norm stays under 1e-6; a vector that somebody forgot to normalise is far off.
_NORM_TOLERANCE = 1e-3
# The parts of a real embedding differ by about 1 / sqrt(dimension); those of a broken model's output not at all.
_SMALLEST_SPREAD = 1e-6


def embedding_faults(vectors: npt.ArrayLike, dimension: int) -> list[str | None]:
    """Say for each vector why it must not enter a library.

    A zero, constant or non-finite vector is like everything or like nothing, and gathers strangers into one person.

    Parameters
    ----------
    vectors : array_like, float (N, D)
        Embeddings, one a row.
    dimension : int
        The length that the model's vectors have.

    Returns
    -------
    list of str or None
        One for each row; None for a good vector.

    Raises
    ------
    EmbeddingError
        If the array as a whole does not have the shape (N, dimension).
    """
    array = np.asarray(vectors, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != dimension:  # noqa: PLR2004
        message = f"The embeddings have the shape {array.shape}, expected (N, {dimension})."
        raise EmbeddingError(message, "Were they made by another model?")
    finite = np.atleast_1d(np.isfinite(array).all(axis=1))
    known = np.where(finite[:, None], array, 0)
    norms = np.linalg.norm(known, axis=1)
    spreads = known.max(axis=1, initial=-np.inf) - known.min(axis=1, initial=np.inf)
    flat = np.atleast_1d(spreads < _SMALLEST_SPREAD * norms)
    faults: list[str | None] = []
    for row, norm in enumerate(norms.tolist()):
        if not finite[row]:
            faults.append("it holds numbers that are not finite")
        elif norm == 0:
            faults.append("it is zero")
        elif flat[row]:
            faults.append("all its numbers are equal")
        elif abs(norm - 1) > _NORM_TOLERANCE:
            faults.append(f"its length is {norm:.4g}, not 1")
        else:
            faults.append(None)
    return faults


def good_embeddings(vectors: npt.ArrayLike, dimension: int) -> npt.NDArray[np.bool_]:
    """Mark the vectors that may enter a library, so that one bad face does not stop a run.

    Parameters
    ----------
    vectors : array_like, float (N, D)
        Embeddings, one a row.
    dimension : int
        The length that the model's vectors have.

    Returns
    -------
    ndarray, bool (N,)

    Raises
    ------
    EmbeddingError
        If the array as a whole does not have the shape (N, dimension).
    """
    return np.array([fault is None for fault in embedding_faults(vectors, dimension)], dtype=np.bool_)


def similarity(a: npt.ArrayLike, b: npt.ArrayLike) -> FloatArray | float:
    """Cosine similarity of every vector of `a` with every vector of `b`.

    Parameters
    ----------
    a : array_like, float (N, D) or (D,)
        Embeddings; their lengths do not matter.
    b : array_like, float (M, D) or (D,)
        Embeddings of the same model.

    Returns
    -------
    ndarray or float
        float32 (N, M), -1..1, higher is more alike. A one-dimensional input loses its axis: (D,) with (M, D)
        gives (M,), and (D,) with (D,) gives one float.

    Raises
    ------
    EmbeddingError
        If the lengths D differ, or a vector is zero or not finite.

    Examples
    --------
    >>> one, other = fk.embed(demo.probe), fk.embed(demo.folder / "selfie.webp")
    >>> fk.similarity(one, other).shape
    (1, 1)
    >>> fk.similarity(one[0], other[0]) > 0.8
    True
    """
    left, right = _directions(a), _directions(b)
    if left.shape[-1] != right.shape[-1]:
        message = f"Vectors of length {left.shape[-1]} and {right.shape[-1]} cannot be compared."
        raise EmbeddingError(message, "They come from different models.")
    cosine = np.clip(left @ right.T, -1, 1)
    return float(cosine) if cosine.ndim == 0 else cosine.astype(np.float32)


def _directions(vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        message = f"Embeddings are numbers, not {type(vectors).__name__}."
        raise EmbeddingError(message, "Of a picture they are fk.embed(picture): one row a face.") from error
    if array.ndim not in (1, 2):
        message = f"Embeddings have the shape (N, D) or (D,), not {array.shape}."
        raise EmbeddingError(message)
    lengths = np.linalg.norm(array, axis=-1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        message = "A zero or non-finite vector has no similarity to anything."
        raise EmbeddingError(message, "Find it with `facekit.models.vectors.good_embeddings`.")
    return np.asarray(array / lengths, dtype=np.float64)
