"""What is known of faces before they are grouped: who must be one person, and who can't."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from facekit.errors import FacekitError

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.types.arrays import IntArray


class ConstraintConflict(NamedTuple):
    """Two faces that must be one person and can't be.

    Parameters
    ----------
    first, second : int
        Positions of the faces.
    kind : {"photo", "person", "cannot"}
        Why they can't: they are in the same photo, they are settled to different people, or a pair says so.
    """

    first: int
    second: int
    kind: Literal["photo", "person", "cannot"]


class Apart(NamedTuple):
    """Sets of groups of which no two are the same person; the group ``who[i]`` belongs to the set ``what[i]``."""

    who: IntArray
    what: IntArray

    def forbids(self, first: IntArray, second: IntArray, count: int) -> npt.NDArray[np.bool_]:
        """Whether each pair shares a set, bool (E,); `count` is the number of groups."""
        if not len(self.who):
            return np.zeros(len(first), np.bool_)
        from scipy import sparse

        bound = np.zeros(count, np.bool_)
        bound[self.who] = True
        forbidden = bound[first] & bound[second]
        ones = np.ones(len(self.who), np.int32)
        sets = sparse.csr_array((ones, (self.who, self.what)), shape=(count, int(self.what.max()) + 1))
        shared = sets[first[forbidden]].multiply(sets[second[forbidden]]).sum(axis=1)
        forbidden[forbidden] = np.asarray(shared).ravel() > 0
        return forbidden

    def merged(self, into: IntArray) -> Apart:
        """The same sets after group ``g`` became part of the group ``into[g]``."""
        return Apart(into[self.who], self.what)

    def broken(self, labels: IntArray) -> IntArray:
        """Labels under which two groups of a set came together; `labels` are those of the groups, 0 or more."""
        if not len(self.who):
            return np.empty(0, np.int64)
        seen, often = np.unique(np.stack([labels[self.who], self.what]), axis=1, return_counts=True)
        return np.unique(seen[0, often > 1])


def _pairs() -> IntArray:
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Constraints:
    """What a grouping of N faces must honour.

    Where a must-link contradicts a cannot-link, the must-link holds: the user's word goes before the rule about photos.
    `conflicts` lists where.

    Parameters
    ----------
    person : ndarray, int64 (N,), optional
        The number of the person to whom the user settled the face, or -1. Faces with the same number must be one
        person, faces with different numbers can't be.
    photo : ndarray, int64 (N,), optional
        The number of the face's photo: two faces of one photo can't be one person. -1 lifts it, as for a mirror or a
        collage.
    must, cannot : ndarray, int64 (M, 2), optional
        Pairs of positions that must be, or can't be, one person.

    Raises
    ------
    FacekitError
        If the shapes don't belong together, or a pair names a face that is not there.

    Examples
    --------
    >>> ids, vectors = lib.embeddings()
    >>> known = fk.Constraints(cannot=[[0, 1]])  # the first two faces are different people
    >>> labels = fk.cluster(vectors, constraints=known)
    >>> bool(labels[0] == labels[1])
    False
    >>> fk.Constraints(photo=[0, 0, 1], must=[[0, 1]]).conflicts()
    [ConstraintConflict(first=0, second=1, kind='photo')]
    """

    person: IntArray | None = None
    photo: IntArray | None = None
    must: IntArray = field(default_factory=_pairs)
    cannot: IntArray = field(default_factory=_pairs)

    def __post_init__(self) -> None:
        numbers = {name: getattr(self, name) for name in ("person", "photo")}
        given = {name: _whole(value, name) for name, value in numbers.items() if value is not None}
        for name, value in given.items():
            if value.ndim != 1:
                message = f"Constraints.{name} has the shape {value.shape}, but it takes one number a face: (N,)."
                raise FacekitError(message)
            object.__setattr__(self, name, value)
        if len({len(value) for value in given.values()}) > 1:
            message = "Constraints.person and .photo are of different lengths."
            raise FacekitError(message, "Give one number a face in each.")
        for name in ("must", "cannot"):
            value = _whole(getattr(self, name), name)
            value = _pairs() if value.size == 0 else value
            if value.ndim != 2 or value.shape[1] != 2:  # noqa: PLR2004 - pairs
                message = f"Constraints.{name} has the shape {value.shape}, but it takes one row a pair: (M, 2)."
                raise FacekitError(message)
            object.__setattr__(self, name, value)
        self._check_range(len(next(iter(given.values()))) if given else None)

    def conflicts(self) -> list[ConstraintConflict]:
        """Where must-links, also by way of other faces, contradict cannot-links.

        Returns
        -------
        list of ConstraintConflict
            In the order of positions. Of two people who are linked to be one, their first faces stand for all.
        """
        faces = self._faces()
        groups = self.groups(faces)
        found = [
            ConstraintConflict(int(a), int(b), "cannot")
            for a, b in np.sort(self.cannot, axis=1)
            if groups[a] == groups[b]
        ]
        if self.photo is not None:
            found += self._clashes(groups, self.photo, np.arange(faces), "photo")
        if self.person is not None:
            settled = np.flatnonzero(self.person >= 0)
            firsts = settled[np.unique(self.person[settled], return_index=True)[1]]
            found += self._clashes(groups, np.where(self.person >= 0, 0, -1), firsts, "person")
        return sorted(set(found))

    def _clashes(
        self, groups: IntArray, sets: IntArray, among: IntArray, kind: Literal["photo", "person"]
    ) -> list[ConstraintConflict]:
        """Pairs of the same group in the same set."""
        places: dict[tuple[int, int], list[int]] = {}
        for face in among:
            if sets[face] >= 0:
                places.setdefault((int(groups[face]), int(sets[face])), []).append(int(face))
        return [
            ConstraintConflict(first, second, kind)
            for faces in places.values()
            for position, first in enumerate(faces)
            for second in faces[position + 1 :]
        ]

    def groups(self, faces: int) -> IntArray:
        """The number of each face's group: faces that must be one person, 0.. in the order of their first face.

        Raises
        ------
        FacekitError
            If the constraints are for another number of faces.
        """
        for name in ("person", "photo"):
            value = getattr(self, name)
            if value is not None and len(value) != faces:
                message = f"Constraints.{name} is for {len(value)} faces, but there are {faces}."
                raise FacekitError(message, "Give one number a face.")
        self._check_range(faces)
        from scipy import sparse

        links = [self.must]
        if self.person is not None:
            settled = np.flatnonzero(self.person >= 0)
            settled = settled[np.argsort(self.person[settled], kind="stable")]
            same = self.person[settled[1:]] == self.person[settled[:-1]]
            links.append(np.stack([settled[:-1][same], settled[1:][same]], axis=1))
        first, second = np.concatenate(links).T
        graph = sparse.coo_array((np.ones(len(first), np.int8), (first, second)), shape=(faces, faces))
        groups: IntArray = sparse.csgraph.connected_components(graph, directed=False)[1].astype(np.int64)
        return groups

    def apart(self, groups: IntArray) -> Apart:
        """Which groups can't be one person, as sets; contradicted pairs are not in it."""
        who, what = [self.cannot.ravel()], [np.repeat(np.arange(len(self.cannot)), 2)]
        sets = len(self.cannot)
        if self.photo is not None:
            inside = np.flatnonzero(self.photo >= 0)
            photos, number = np.unique(self.photo[inside], return_inverse=True)
            who.append(inside)
            what.append(sets + number)
            sets += len(photos)
        if self.person is not None:
            settled = np.flatnonzero(self.person >= 0)
            who.append(settled)
            what.append(np.full(len(settled), sets))
        members = np.unique(np.stack([np.concatenate(what), groups[np.concatenate(who)]]), axis=1)
        crowded = np.bincount(members[0], minlength=1)[members[0]] > 1
        return Apart(members[1, crowded], members[0, crowded])

    def reordered(self, order: IntArray) -> Constraints:
        """The constraints of the faces ``embeddings[order]``."""
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return Constraints(
            None if self.person is None else self.person[order],
            None if self.photo is None else self.photo[order],
            place[self.must],
            place[self.cannot],
        )

    def _faces(self) -> int:
        """How many faces there are, as far as the constraints know."""
        for numbers in (self.person, self.photo):
            if numbers is not None:
                return len(numbers)
        return int(max(self.must.max(initial=-1), self.cannot.max(initial=-1))) + 1

    def _check_range(self, faces: int | None) -> None:
        for name in ("must", "cannot"):
            pairs = getattr(self, name)
            wrong = (pairs < 0) if faces is None else (pairs < 0) | (pairs >= faces)
            if wrong.any():
                row = int(np.argmax(wrong.any(axis=1)))
                message = f"Constraints.{name}[{row}] names a face that is not there: {pairs[row].tolist()}."
                raise FacekitError(message, "Name faces by their positions among the embeddings, from 0 on.")


def _whole(value: Any, name: str) -> IntArray:  # noqa: ANN401 - whatever numpy takes
    array = np.asarray(value)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        message = f"Constraints.{name} takes whole numbers, not {array.dtype}."
        raise FacekitError(message)
    return array.astype(np.int64)
