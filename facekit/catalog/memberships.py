"""Memberships (which person is a face's owner), rejections (who is not), and differences (two people are not one)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from facekit.catalog.changes import Version, version
from facekit.catalog.people_tables import (
    allowed_twice,
    cluster_runs,
    differences,
    members,
    persons,
    rejections,
)
from facekit.catalog.rows import MemberRow, MembershipRow, among, by_key, fetch, select
from facekit.catalog.snapshots import Snapshots
from facekit.catalog.tables import faces, meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from facekit.types.arrays import FloatArray


class Memberships(Snapshots):
    """Reads memberships, rejections and differences."""

    def members(self, person_ids: Iterable[str] | None = None) -> list[MembershipRow]:
        """The memberships of faces in the library: of everybody, or of these people."""
        query = select(MemberRow, members).add_columns(faces.c.photo_id)
        query = query.join(faces, faces.c.face_id == members.c.face_id).order_by(members.c.face_id)
        if person_ids is not None:
            query = query.where(among(members.c.person_id, person_ids))
        with self._connect() as connection:
            return fetch(connection, query, MembershipRow)

    def whose(self, face_ids: Iterable[str]) -> dict[str, tuple[str, str | None]]:
        """The id and the name of each face's owner; faces without an owner are left out."""
        query = sa.select(members.c.face_id, persons.c.person_id, persons.c.name)
        query = query.join(persons, persons.c.person_id == members.c.person_id)
        with self._connect() as connection:
            return {
                key: (person, name)
                for key, person, name in connection.execute(query.where(among(members.c.face_id, face_ids)))
            }

    def owners(self, person_ids: Iterable[str] | None = None) -> dict[str, str]:
        """The owner of each face, also of faces that are not in the library now; of everybody, or of these people."""
        query = sa.select(members.c.face_id, members.c.person_id).order_by(members.c.face_id)
        with self._connect() as connection:
            if person_ids is None:
                return by_key(connection, query)
            return by_key(connection, query.where(among(members.c.person_id, person_ids)))

    def faces_with_decisions(self, photo_ids: Iterable[str]) -> dict[str, str]:
        """Faces on some photos that have a membership or a rejection: with their photos."""
        known = sa.union(sa.select(members.c.face_id), sa.select(rejections.c.face_id)).subquery()
        query = sa.select(faces.c.face_id, faces.c.photo_id).join(known, known.c.face_id == faces.c.face_id)
        with self._connect() as connection:
            return by_key(connection, query.where(among(faces.c.photo_id, photo_ids)))

    def vectors(self, face_ids: Sequence[str]) -> dict[str, FloatArray]:
        """Embeddings by face id, float32 (D,); faces without one are left out."""
        query = sa.select(faces.c.face_id, faces.c.embedding).where(faces.c.embedding.is_not(None))
        with self._connect() as connection:
            return {
                key: np.frombuffer(blob, np.float32)
                for key, blob in connection.execute(query.where(among(faces.c.face_id, face_ids)))
            }

    def all_faces(self) -> list[tuple[str, str, str | None, bytes]]:
        """All faces with an embedding, by face id: face id, photo id, why it is poor, the embedding's bytes."""
        query = sa.select(faces.c.face_id, faces.c.photo_id, faces.c.reason, faces.c.embedding)
        with self._connect() as connection:
            rows = connection.execute(query.where(faces.c.embedding.is_not(None)).order_by(faces.c.face_id))
            return [(a, b, c, d) for a, b, c, d in rows]

    def version_of_faces(self) -> Version | None:
        """The version of faces as this thread sees them, see `facekit.catalog.changes`; call it inside `reading`."""
        with self._connect() as connection:
            return version(connection, faces)

    def version_of_owners(self) -> Version | None:
        """The same, of whose faces are whose."""
        with self._connect() as connection:
            return version(connection, faces, members)

    def version_of_people(self) -> Version | None:
        """The same, of all that is known about people."""
        with self._connect() as connection:
            return version(connection, allowed_twice, cluster_runs, differences, members, persons, rejections)

    def photo_of(self, face_ids: Iterable[str] | None = None) -> dict[str, str]:
        """The photo of each face in the library, or of these; unknown ids are left out."""
        query = sa.select(faces.c.face_id, faces.c.photo_id)
        with self._connect() as connection:
            if face_ids is None:
                return by_key(connection, query)
            return by_key(connection, query.where(among(faces.c.face_id, face_ids)))

    def photo_ids(self, person_id: str) -> list[str]:
        """The photos that a person is on."""
        query = sa.select(faces.c.photo_id).join(members, members.c.face_id == faces.c.face_id)
        with self._connect() as connection:
            return sorted(set(connection.scalars(query.where(members.c.person_id == person_id))))

    def rejections(self) -> list[tuple[str, str]]:
        """The rejections: which face is not which person."""
        return self._pairs(rejections)

    def differences(self) -> list[tuple[str, str]]:
        """The differences: which two people are not one."""
        return self._pairs(differences)

    def _pairs(self, table: sa.Table) -> list[tuple[str, str]]:
        with self._connect() as connection:
            return [(a, b) for a, b in connection.execute(sa.select(*table.c).order_by(*table.c))]

    def allowed_twice(self) -> set[str]:
        """Photos that may show a face twice."""
        with self._connect() as connection:
            return set(connection.scalars(sa.select(allowed_twice.c.photo_id)))

    @property
    def assign_due(self) -> bool:
        """Whether there are new faces since `assigned` was called: a run may have been cut off in between."""
        with self._connect() as connection:
            return connection.scalar(sa.select(meta.c.value).where(meta.c.key == "assign")) == "due"
