"""All faces of a library as arrays, with whose they are: what clustering, assigning and reviewing work on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from facekit.catalog.people import PeopleTables
    from facekit.clustering.assignment import Centres
    from facekit.types.arrays import FloatArray, IntArray


@dataclass(eq=False)
class FaceArrays:
    """Faces with an embedding.

    Parameters
    ----------
    face_ids, photo_ids : list of str
        One a face.
    usable : ndarray, bool (N,)
        Whether the face is good enough to found a cluster or a centre.
    owners : list of str or None
        The person whose face it is.
    vectors : ndarray, float32 (N, D)
        Embeddings, L2-normalised.
    """

    face_ids: list[str]
    photo_ids: list[str]
    usable: npt.NDArray[np.bool_]
    owners: list[str | None]
    vectors: FloatArray

    @classmethod
    def of(cls, tables: PeopleTables) -> FaceArrays:
        """All faces of a catalog."""
        rows = tables.all_faces()
        vectors = np.frombuffer(b"".join(row[4] for row in rows), np.float32).reshape(len(rows), -1) if rows else None
        return cls(
            [row[0] for row in rows],
            [row[1] for row in rows],
            np.array([row[2] is None for row in rows], np.bool_),
            [row[3] for row in rows],
            np.zeros((0, 1), np.float32) if vectors is None else vectors,
        )

    def __len__(self) -> int:
        return len(self.face_ids)

    @cached_property
    def people(self) -> list[str]:
        """The people who own faces; their positions number them."""
        return sorted({owner for owner in self.owners if owner is not None})

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The position of each person in `people`."""
        return {person: number for number, person in enumerate(self.people)}

    @cached_property
    def person(self) -> IntArray:
        """Whose each face is, int64 (N,), by number; -1 for nobody's."""
        return np.array([-1 if owner is None else self.numbers[owner] for owner in self.owners], np.int64)

    @cached_property
    def photo(self) -> IntArray:
        """The number of each face's photo, int64 (N,)."""
        found: IntArray = np.unique(self.photo_ids, return_inverse=True)[1].astype(np.int64)
        return found

    @cached_property
    def _by_person(self) -> IntArray:
        """Positions of the faces in the order of their people."""
        found: IntArray = np.argsort(self.person, kind="stable")
        return found

    def photos_of(self, number: int) -> set[str]:
        """The photos that a person is on, by the person's number."""
        start, end = np.searchsorted(self.person[self._by_person], [number, number + 1])
        return {self.photo_ids[face] for face in self._by_person[start:end]}

    @cached_property
    def centres(self) -> Centres:
        """The middles of people's usable faces, and of all of their faces for people who have no usable one."""
        from facekit.clustering.assignment import centres

        person = np.where(self.usable, self.person, -1)
        poor_only = np.setdiff1d(self.person[self.person >= 0], person)
        person[np.isin(self.person, poor_only)] = self.person[np.isin(self.person, poor_only)]
        return centres(self.vectors, person)

    def forbidden(
        self,
        faces: IntArray,
        rejections: Sequence[tuple[str, str]],
        allowed_twice: set[str],
    ) -> IntArray:
        """Pairs of a position in ``faces`` and a person's number that can't be, int64 (M, 2).

        The user said so, or the person has another face in the photo.
        """
        place = {self.face_ids[face]: at for at, face in enumerate(faces)}
        said = [(place[face], self.numbers[who]) for face, who in rejections if face in place and who in self.numbers]
        on_photo: dict[int, set[int]] = {}
        for number, photo, name in zip(self.person, self.photo, self.photo_ids, strict=True):
            if number >= 0 and name not in allowed_twice:
                on_photo.setdefault(int(photo), set()).add(int(number))
        said += [(at, who) for at, face in enumerate(faces) for who in on_photo.get(int(self.photo[face]), ())]
        return np.array(sorted(set(said)), np.int64).reshape(-1, 2)
