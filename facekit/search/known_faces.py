"""Somebody whom the library has already, as the one to search for: a face of it, or a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from facekit.arguments import is_id
from facekit.catalog.rows import box_of, quality_of
from facekit.errors import NoFaceError, UnknownIdError
from facekit.types.people import Member, Person
from facekit.types.photos import Face, Hit, Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.catalog import Catalog
    from facekit.types.arrays import FloatArray

KnownSource: TypeAlias = "Person | Face | Hit | Member | Known"


@dataclass(frozen=True, slots=True)
class Known:
    """The id of a face or of a person; the other one is empty."""

    face_id: str = ""
    person_id: str = ""


def known(probe: object) -> Known | None:
    """Whom of the library a probe means, or None for a picture. An id is a face's where no file is called so."""
    if isinstance(probe, Known):
        return probe
    if isinstance(probe, Person):
        return Known(person_id=probe.person_id)
    if isinstance(probe, Member):
        return Known(face_id=probe.face.face_id)
    if isinstance(probe, Face | Hit):
        return Known(face_id=probe.face_id)
    if isinstance(probe, str) and is_id(probe) and not Path(probe).exists():
        return Known(face_id=probe)
    return None


def known_probe(whom: Known, catalog: Catalog, thumbnail: Callable[[str], bytes | None]) -> tuple[Probe, FloatArray]:
    """Somebody of the library as a probe, and the embedding that is kept, float32 (D,): a person's is the mean.

    Raises
    ------
    UnknownIdError
        If the library has no such face or person.
    NoFaceError
        If there is no embedding: of a person only the good faces count.
    """
    if whom.person_id:
        person = catalog.people.find(whom.person_id)
        owned = catalog.faces_by_id(catalog.people.owners([person.person_id]))
        rows = {key: row for key, row in owned.items() if row.reason is None}
        chosen, name = person.cover or "", person.label
    else:
        rows = catalog.faces_by_id([whom.face_id])
        chosen, name = whom.face_id, ""
        if not rows:
            message = f"The library has no face {whom.face_id!r}."
            raise UnknownIdError(message, "lib.faces() lists all faces. A picture is given by its path.")
    vectors = catalog.people.vectors(list(rows))
    if not vectors:
        message = f"{name or 'This face'} has no good face to search with."
        raise NoFaceError(message, "Give a picture of the person.")
    row = rows[chosen if chosen in vectors else next(iter(vectors))]
    name = name or catalog.places([row.photo_id])[row.photo_id][0].display
    vector = np.mean(np.stack(list(vectors.values())), axis=0, dtype=np.float32)
    vector = np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)
    return Probe(name, 1, 0, box_of(row), quality_of(row), thumbnail(row.photo_id) or b""), vector
