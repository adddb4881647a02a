"""All faces of a library as arrays, with whose they are: what clustering, assigning and reviewing work on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from facekit.catalog.changes import Version
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
        Embeddings, L2-normalised. Read only: everybody has the same ones.
    photo : ndarray, int64 (N,)
        The number of each face's photo.
    place : dict of str to int
        Which face has an id.
    """

    face_ids: list[str]
    photo_ids: list[str]
    usable: npt.NDArray[np.bool_]
    owners: list[str | None]
    vectors: FloatArray
    photo: IntArray
    place: dict[str, int]

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


class FacesInMemory:
    """The one copy of a library's faces in memory. It is read at first use, and again after faces changed.

    Parameters
    ----------
    tables : PeopleTables
        Where they are read.
    """

    def __init__(self, tables: PeopleTables) -> None:
        self._tables = tables
        self._lock = Lock()
        self._faces: tuple[Version, FaceArrays] | None = None
        self._owned: tuple[Version, FaceArrays] | None = None

    def arrays(self) -> FaceArrays:
        """All faces, and whose they are as this thread's transaction sees it."""
        with self._tables.reading(), self._lock:
            version = self._tables.version_of_owners()
            if self._owned is not None and version is not None and self._owned[0] == version:
                return self._owned[1]
            found = self._with_owners(self._all())
            if version is not None and version == self._tables.version_of_owners():
                self._owned = version, found
            return found

    def vectors(self, face_ids: Sequence[str]) -> dict[str, FloatArray]:
        """Embeddings by face id, float32 (D,); faces without one are left out.

        They are read by themselves where the copy is not up to date: few need not wait for all.
        """
        with self._tables.reading(), self._lock:
            known = self._known()
            if known is None:
                return self._tables.vectors(face_ids)
            return {key: known.vectors[known.place[key]] for key in face_ids if key in known.place}

    def _known(self) -> FaceArrays | None:
        version = self._tables.version_of_faces()
        return self._faces[1] if self._faces is not None and version is not None and self._faces[0] == version else None

    def _all(self) -> FaceArrays:
        known = self._known()
        if known is None:
            self._faces = self._owned = None  # two copies may be more than the memory holds
            version = self._tables.version_of_faces()
            known = _read(self._tables)
            if version is not None and version == self._tables.version_of_faces():
                self._faces = version, known
        return known

    def _with_owners(self, known: FaceArrays) -> FaceArrays:
        owners = self._tables.owners()
        return replace(known, owners=[owners.get(key) for key in known.face_ids])


def _read(tables: PeopleTables) -> FaceArrays:
    rows = tables.all_faces()
    face_ids, photo_ids = [row[0] for row in rows], [row[1] for row in rows]
    vectors = np.zeros((0, 1), np.float32)
    if rows:
        vectors = np.frombuffer(b"".join(row[3] for row in rows), np.float32).reshape(len(rows), -1)
    return FaceArrays(
        face_ids=face_ids,
        photo_ids=photo_ids,
        usable=np.array([row[2] is None for row in rows], np.bool_),
        owners=[None] * len(rows),
        vectors=vectors,
        photo=np.unique(photo_ids, return_inverse=True)[1].astype(np.int64),
        place={key: at for at, key in enumerate(face_ids)},
    )
