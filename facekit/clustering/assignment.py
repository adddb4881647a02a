"""New faces given to the people there are, where nothing speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facekit.clustering.neighbours import checked
from facekit.errors import FacekitError

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.types.arrays import FloatArray, IntArray

CANDIDATES = 3
"""People who are suggested for a face."""

SIMILARITIES_AT_ONCE = 4_194_304
"""Faces times people whose similarity is in memory together: 17 MB."""


class Centres(NamedTuple):
    """The middle of each person's faces.

    Parameters
    ----------
    person : ndarray, int64 (P,)
        The people's numbers, ascending.
    vectors : ndarray, float32 (P, D)
        The mean of the person's vectors, not normalised: its product with a face is the average cosine similarity of
        that face to the person's faces.
    faces : ndarray, int64 (P,)
        How many faces the person has.
    """

    person: IntArray
    vectors: FloatArray
    faces: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """To whom faces go.

    Parameters
    ----------
    person : ndarray, int64 (F,)
        The person's number, or -1 where no one is near enough, two are about as near, or somebody forbade it.
    similarity : ndarray, float32 (F,)
        Average cosine similarity to the nearest person's faces, whether or not the face goes to that person; -1 where
        nobody is left.
    margin : ndarray, float32 (F,)
        By how much that exceeds the similarity to the second person; infinity where there is no second.
    candidates : ndarray, int64 (F, K)
        The nearest people whom nobody forbade, nearest first; -1 where there are fewer.
    similarities : ndarray, float32 (F, K)
        Theirs; -1 beside -1.
    """

    person: IntArray
    similarity: FloatArray
    margin: FloatArray
    candidates: IntArray
    similarities: FloatArray


def centres(embeddings: npt.ArrayLike, person: npt.ArrayLike) -> Centres:
    """The middle of each person's faces.

    Parameters
    ----------
    embeddings : array_like, float32 (N, D)
        L2-normalised.
    person : array_like, int (N,)
        Whose face each is; -1 is nobody's.

    Returns
    -------
    Centres

    Raises
    ------
    EmbeddingError
        If a row can't be compared, see `cluster`.
    FacekitError
        If the lengths differ.
    """
    vectors, person = checked(embeddings), np.asarray(person, np.int64)
    if person.shape != (len(vectors),):
        message = f"There are {len(vectors)} embeddings and {person.size} people: one of each a face is needed."
        raise FacekitError(message)
    from scipy import sparse

    theirs = np.flatnonzero(person >= 0)
    people, number, faces = np.unique(person[theirs], return_inverse=True, return_counts=True)
    members = sparse.csr_array((np.ones(len(theirs)), (number, theirs)), shape=(len(people), len(vectors)))
    return Centres(people, ((members @ vectors) / faces[:, None]).astype(np.float32), faces)


def assign(
    embeddings: npt.ArrayLike,
    people: Centres,
    *,
    embedder: str = "sface",
    min_similarity: float | None = None,
    margin: float | None = None,
    forbidden: npt.ArrayLike | None = None,
    photo: npt.ArrayLike | None = None,
    candidates: int = CANDIDATES,
) -> Assignment:
    """Give faces to the people there are, where similarity and margin to the second person agree.

    Parameters
    ----------
    embeddings : array_like, float32 (F, D)
        L2-normalised.
    people : Centres
        Of `centres`.
    embedder : str, optional
        Whose embeddings these are, for the defaults of the next two.
    min_similarity : float, optional
        The least average similarity to the person's faces. Default: the embedder's ``assign_similarity``, see
        `facekit.models.facts.ModelInfo`.
    margin : float, optional
        By how much it must exceed the similarity to any other person. Default: the embedder's ``assign_margin``.
    forbidden : array_like, int (M, 2), optional
        Pairs of a face's position and a person's number: the face is not this person, because the user said so, or
        because the person has another face in the same photo. Such a person is no candidate, and no second either.
    photo : array_like, int (F,), optional
        The number of each face's photo. Of two faces of one photo that would go to one person, the more similar one
        does; the other goes to nobody. -1 lifts it.
    candidates : int, optional
        How many people to name for each face.

    Returns
    -------
    Assignment

    Raises
    ------
    EmbeddingError
        If a row can't be compared, see `cluster`.
    FacekitError
        If the shapes don't belong together.
    """
    from facekit.models.registry import model_for

    info = model_for(embedder, "embedding")
    least = info.assign_similarity if min_similarity is None else min_similarity
    ahead = info.assign_margin if margin is None else margin
    vectors = checked(embeddings)
    if len(vectors) and len(people.person) and vectors.shape[1] != people.vectors.shape[1]:
        message = f"The faces' vectors have {vectors.shape[1]} numbers, the people's {people.vectors.shape[1]}."
        raise FacekitError(message, "Embed the faces with the model that the people's faces were embedded with.")
    kept, named = _candidates(vectors, people, _places(forbidden, people, len(vectors)), max(candidates, 2))
    similarity = named[:, 0]
    second = named[:, 1]
    lead = np.where(second > -1, similarity - second, np.inf).astype(np.float32)
    goes = (kept[:, 0] >= 0) & (similarity >= least) & (lead >= ahead)
    person = np.where(goes, kept[:, 0], -1)
    if photo is not None:
        person = _one_each(person, similarity, _numbers(photo, len(vectors)))
    return Assignment(person, similarity, lead, kept[:, :candidates], named[:, :candidates])


def _places(forbidden: npt.ArrayLike | None, people: Centres, faces: int) -> tuple[IntArray, IntArray]:
    """Forbidden pairs as faces, ascending, and columns; people who have no centre are left out."""
    pairs = np.asarray([] if forbidden is None else forbidden, np.int64).reshape(-1, 2)
    if len(pairs) and (pairs[:, 0].min() < 0 or pairs[:, 0].max() >= faces):
        message = f"A forbidden pair names a face that is not there; there are {faces} faces."
        raise FacekitError(message, "Name faces by their positions among the embeddings, from 0 on.")
    pairs = pairs[np.isin(pairs[:, 1], people.person)]
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    return pairs[:, 0], np.searchsorted(people.person, pairs[:, 1])


def _candidates(
    vectors: FloatArray, people: Centres, forbidden: tuple[IntArray, IntArray], count: int
) -> tuple[IntArray, FloatArray]:
    faces, many = len(vectors), len(people.person)
    kept = np.full((faces, count), -1)
    named = np.full((faces, count), -1, np.float32)
    block = max(1, SIMILARITIES_AT_ONCE // max(many, 1))
    taken = min(count, many)
    for start in range(0, faces if many else 0, block):
        similar = vectors[start : start + block] @ people.vectors.T
        inside = slice(*np.searchsorted(forbidden[0], [start, start + block]))
        similar[forbidden[0][inside] - start, forbidden[1][inside]] = -np.inf
        best = np.argpartition(-similar, taken - 1, axis=1)[:, :taken]
        values = np.take_along_axis(similar, best, axis=1)
        order = np.lexsort((best, -values), axis=1)
        best, values = np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)
        allowed = values > -np.inf
        kept[start : start + block, :taken] = np.where(allowed, people.person[best], -1)
        named[start : start + block, :taken] = np.where(allowed, values, -1)
    return kept, named


def _numbers(photo: npt.ArrayLike, faces: int) -> IntArray:
    numbers = np.asarray(photo, np.int64)
    if numbers.shape != (faces,):
        message = f"There are {faces} faces and {numbers.size} numbers of photos: one a face is needed."
        raise FacekitError(message)
    return numbers


def _one_each(person: IntArray, similarity: FloatArray, photo: IntArray) -> IntArray:
    """Of the faces of one photo that go to one person, only the most similar does."""
    going = np.flatnonzero((person >= 0) & (photo >= 0))
    ranked = going[np.lexsort((-similarity[going], person[going], photo[going]))]
    repeated = np.zeros(len(ranked), np.bool_)
    repeated[1:] = (np.diff(photo[ranked]) == 0) & (np.diff(person[ranked]) == 0)
    result = person.copy()
    result[ranked[repeated]] = -1
    return result


def similarities_to_centre(vectors: FloatArray) -> FloatArray:
    """Cosine similarity of each face of a person to the middle of all of them, float32 (N,)."""
    middle = vectors.mean(axis=0)
    norm = float(np.linalg.norm(middle))
    found: FloatArray = (vectors @ (middle / norm if norm > 0 else middle)).astype(np.float32)
    return found
