"""The faces of a person, the most typical first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.clustering.assignment import similarities_to_centre
from facekit.types.people import Member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.catalog.rows import MembershipRow
    from facekit.storage.storage import Storage
    from facekit.types.photos import Face


def ranked_faces(storage: Storage, person_id: str) -> list[tuple[MembershipRow, float | None]]:
    """A person's faces with their cosine similarity to the centre, the most similar first, those without one last."""
    rows = storage.catalog.people.members([person_id])
    vectors = storage.faces.vectors([row.face_id for row in rows])
    known = [row for row in rows if row.face_id in vectors]
    values: dict[str, float] = {}
    if known:
        near = similarities_to_centre(np.stack([vectors[row.face_id] for row in known]))
        values = {row.face_id: float(value) for row, value in zip(known, near, strict=True)}
    pairs = [(row, values.get(row.face_id)) for row in rows]
    return sorted(pairs, key=lambda pair: (pair[1] is None, -(pair[1] or 0.0), pair[0].face_id))


def members_of(ranked: Sequence[tuple[MembershipRow, float | None]], found: dict[str, Face]) -> tuple[Member, ...]:
    """Records of those faces that were found: a photo may have been removed meanwhile."""
    return tuple(
        Member(found[row.face_id], row.origin, similarity) for row, similarity in ranked if row.face_id in found
    )
