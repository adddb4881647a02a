"""Grouping faces into people: the methods, and what all of them honour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from facekit.arguments import DISTANCE, NUMBER
from facekit.clustering.average import link
from facekit.clustering.constraints import Constraints
from facekit.clustering.kmeans import kmeans
from facekit.clustering.neighbours import MOST_NEIGHBOURS, NEIGHBOURS, ROUNDING, Neighbours, checked, nearest, stop_if
from facekit.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    import numpy.typing as npt
    from scipy import sparse

    from facekit.clustering.constraints import Apart
    from facekit.types.arrays import FloatArray, IntArray

Method: TypeAlias = Literal["average", "dbscan", "hdbscan", "kmeans"]
METHODS: tuple[Method, ...] = get_args(Method)

DEFAULT_METHOD: Method = "average"

"""The largest cosine distance there is."""

_BY_DENSITY = frozenset({"dbscan", "hdbscan"})  # they look for min_faces faces around each


class _Task(NamedTuple):
    """What a method works on."""

    vectors: FloatArray
    groups: IntArray  # faces that must be one person bear the same number
    apart: Apart
    near: Neighbours
    eps: float
    min_faces: int
    people: int
    stop: Event | None

    def graph(self, within: float) -> sparse.csr_array:
        """Distances between neighbours that may be one person, symmetric."""
        from scipy import sparse

        stop_if(self.stop)
        first, second, distances = self.near.pairs(within)
        count = len(self.vectors)
        allowed = ~self.apart.forbids(self.groups[first], self.groups[second], count)
        first, second, distances = first[allowed], second[allowed], distances[allowed]
        both = (np.concatenate([distances] * 2), (np.concatenate([first, second]), np.concatenate([second, first])))
        return sparse.csr_array(sparse.coo_array(both, shape=(count, count)))


def cluster(
    embeddings: npt.ArrayLike,
    *,
    method: Method | None = None,
    embedder: str = "sface",
    eps: float | None = None,
    min_faces: int = 2,
    people: int | None = None,
    constraints: Constraints | None = None,
    stop: Event | None = None,
) -> IntArray:
    """Group faces into people.

    Parameters
    ----------
    embeddings : array_like, float32 (N, D)
        L2-normalised.
    method : {"average", "dbscan", "hdbscan", "kmeans"}, optional
        How. "average" merges the two groups whose faces are nearest on average, again and again; it is the default,
        because it is the most accurate, see the README's table. "dbscan" joins faces by way of near faces, "hdbscan"
        does so with a distance of each place's own, and "kmeans" makes a given number of groups.
    embedder : str, optional
        Whose embeddings these are, for the default of `eps`.
    eps : float, optional
        Cosine distance, 0..2. "average": the average distance at which merging ends. "dbscan": the radius in which a
        face needs ``min_faces`` faces, itself among them, to be in the midst of a person. "hdbscan": faces farther
        apart are not neighbours. "kmeans" has none.
        The defaults are the embedder's, see `facekit.models.facts.ModelInfo`; `suggest_eps` suggests another for
        "dbscan".
    min_faces : int, optional
        Faces that make a person: those of smaller groups are left unassigned. 1 or more; "dbscan" and "hdbscan", which
        look for so many faces around each, take at most 256.
    people : int, optional
        The number of people, at most that of the faces, which "kmeans" takes and no other method does. Constraints
        may make it more.
    constraints : Constraints, optional
        What is known already.
    stop : threading.Event, optional
        Set, it ends the work with an error: at once, but for "dbscan" and "hdbscan", which end the step they are in
        first, some seconds of a hundred thousand faces.

    Returns
    -------
    ndarray, int64 (N,)
        The number of each face's person: 0 is the one with the most faces, and of two with as many the one whose first
        face comes first. -1 is unassigned. The same input gives the same labels; in another order it gives the same
        groups, except among faces whose vectors are equal.

    Raises
    ------
    EmbeddingError
        If a row is not finite, not of unit length, or the same number throughout; the message names it.
    FacekitError
        If there is no such method or embedder, a number is out of its range, the constraints are for other faces, or
        it was stopped.

    Notes
    -----
    Faces that must be one person always are, and are never left unassigned. Faces that can't be one person never are,
    except where that contradicts a must-link, see `Constraints.conflicts`. Average linkage honours both as it merges.
    The other methods see the graph without the forbidden pairs; then groups that must-links tie are joined, and the
    groups that still hold a forbidden pair are taken apart and merged anew by average linkage.

    Examples
    --------
    >>> ids, vectors = lib.embeddings()
    >>> labels = fk.cluster(vectors)
    >>> [int((labels == person).sum()) for person in range(labels.max() + 1)]
    [14, 9]
    """
    method = checked_options(method, eps, min_faces, people)
    vectors = checked(embeddings)
    faces = len(vectors)
    known = constraints or Constraints()
    known.groups(faces)  # an error before the work rather than after it
    cut = _default_eps("average", embedder)
    eps = eps if eps is not None else _default_eps(method, embedder)
    if method == "kmeans" and people is not None and people > faces:
        message = f"There can't be {people} people among {faces} faces."
        raise RefusedError(message, "Give a smaller number of people.")
    if not faces:
        return np.empty(0, np.int64)
    # Vectors in an order of their own, so that the order in which they were given does not matter.
    order = np.argsort(vectors.view(f"V{vectors.itemsize * vectors.shape[1]}").ravel(), kind="stable")
    vectors, known = vectors[order], known.reordered(order)
    groups = known.groups(faces)
    near = nearest(vectors, max(NEIGHBOURS, min_faces) if method in _BY_DENSITY else NEIGHBOURS, stop=stop)
    task = _Task(vectors, groups, known.apart(groups), near, eps, min_faces, people or 0, stop)
    labels = _average(task) if method == "average" else _honour(task, _METHODS[method](task), cut)
    stop_if(stop)
    given_order = np.empty_like(labels)
    given_order[order] = labels
    return _by_size(given_order, Constraints() if constraints is None else constraints, min_faces)


def checked_options(method: str | None, eps: float | None, min_faces: int, people: int | None) -> Method:
    """The method that is meant, or `FacekitError` where an option of `cluster` makes no sense, whatever the faces."""
    method = method or DEFAULT_METHOD
    for name in METHODS:
        if name == method:
            break
    else:
        message = f"There is no method {method!r}."
        raise RefusedError(message, f"Methods: {', '.join(METHODS)}.")
    if eps is not None and not DISTANCE.holds(eps):
        message = f"eps is {eps}, but a cosine distance is from 0 to 2."
        raise RefusedError(message, "Leave it out for the embedder's default.")
    if not NUMBER.has_whole(min_faces):
        message = f"min_faces is {min_faces!r}, but a person has at least one face."
        raise RefusedError(message, "Give a whole number, 1 or more.")
    if min_faces > MOST_NEIGHBOURS and name in _BY_DENSITY:
        message = f"min_faces is {min_faces}, but {name} looks at {MOST_NEIGHBOURS} faces around each at most."
        raise RefusedError(message, f"Give {MOST_NEIGHBOURS} or less, or take another method.")
    if (people is None) == (name == "kmeans") or (people is not None and not NUMBER.has_whole(people)):
        message = f"people is {people}: the method kmeans takes the number of people, 1 or more, and no other does."
        raise RefusedError(message, "Without that number, leave the method out.")
    return name


def _default_eps(method: Method, embedder: str) -> float:
    from facekit.models.registry import model_for

    info = model_for(embedder, "embedding")
    distances = {"dbscan": info.dbscan_distance, "hdbscan": info.hdbscan_distance}
    return distances.get(method, info.cluster_distance)


def _average(task: _Task) -> IntArray:
    first, second, _ = task.near.pairs(task.eps + ROUNDING)
    return link(task.vectors, task.groups, task.apart, (first, second), task.eps, task.stop)[task.groups]


def _dbscan(task: _Task) -> IntArray:
    from sklearn.cluster import DBSCAN

    method = DBSCAN(eps=task.eps, min_samples=task.min_faces, metric="precomputed")
    labels: IntArray = method.fit_predict(task.graph(task.eps)).astype(np.int64)
    return labels


def _hdbscan(task: _Task) -> IntArray:
    from scipy import sparse
    from sklearn.cluster import HDBSCAN

    faces, fewest = len(task.vectors), max(task.min_faces, 2)
    graph = task.graph(task.eps)
    # scikit-learn takes only a connected graph, and no method of its own makes everything one group: so the parts that
    # are not connected, and one more of made-up faces, are tied together in a row at the distance `eps`. What falls
    # out of a group at that distance keeps the group's label, so that the parts have to be told apart again.
    parts = sparse.csgraph.connected_components(graph, directed=False)[1]
    row = np.concatenate([np.unique(parts, return_index=True)[1], np.arange(faces, faces + fewest)])
    ties = np.full(len(row) - 1, task.eps)
    ties[len(row) - fewest :] = np.finfo(np.float32).tiny
    graph.resize(faces + fewest, faces + fewest)
    tied = sparse.coo_array((ties, (row[:-1], row[1:])), shape=graph.shape)
    method = HDBSCAN(
        min_cluster_size=fewest,
        min_samples=1,
        metric="precomputed",
        metric_params={"max_distance": task.eps},
        copy=True,
    )
    found = method.fit_predict(sparse.csr_array(graph + tied + tied.T))[:faces].astype(np.int64)
    labels: IntArray = np.where(found < 0, -1, found * faces + parts)
    return labels


def _kmeans(task: _Task) -> IntArray:
    return kmeans(task.vectors, task.people, task.stop)


_METHODS: dict[Method, Callable[[_Task], IntArray]] = {
    "dbscan": _dbscan,
    "hdbscan": _hdbscan,
    "kmeans": _kmeans,
}


def _honour(task: _Task, labels: IntArray, cut: float) -> IntArray:
    """Join what must be together, then take apart what can't be. Labels of single faces instead of -1."""
    from scipy import sparse

    alone = labels < 0
    labels = np.unique(np.where(alone, labels.max() + 1 + np.cumsum(alone), labels), return_inverse=True)[1]
    count = int(task.groups.max()) + 1
    size = count + int(labels.max()) + 1
    ties = sparse.coo_array((np.ones(len(labels), np.int8), (task.groups, count + labels)), shape=(size, size))
    of_group = sparse.csgraph.connected_components(ties, directed=False)[1][:count].astype(np.int64)
    broken = np.zeros(size, np.bool_)
    broken[task.apart.broken(of_group)] = True
    if not broken.any():
        joined: IntArray = of_group[task.groups]
        return joined
    joined = of_group[task.groups]
    first, second, _ = task.near.pairs(cut)
    inside = broken[joined[first]] & (joined[first] == joined[second])
    pieces = link(task.vectors, task.groups, task.apart, (first[inside], second[inside]), cut, task.stop)
    return np.where(broken[joined], size + pieces[task.groups], joined)


def _by_size(labels: IntArray, known: Constraints, min_faces: int) -> IntArray:
    """Number groups from the largest to the smallest; those below `min_faces` become -1 where nobody tied them."""
    groups = known.groups(len(labels))
    _, first, number, faces = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    tied = np.zeros(len(faces), np.bool_)
    tied[number[np.bincount(groups)[groups] > 1]] = True
    kept = np.flatnonzero(tied | (faces >= min_faces))
    ranked = kept[np.lexsort((first[kept], -faces[kept]))]
    rank = np.full(len(faces), -1)
    rank[ranked] = np.arange(len(ranked))
    result: IntArray = rank[number]
    return result
