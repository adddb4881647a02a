"""Files that were changed since they were ingested: what was said of their faces stays with the faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from facekit.catalog import Catalog
    from facekit.catalog.records import PhotoRecord
    from facekit.types import FloatArray

SAME_FACE = 0.7
"""Cosine similarity from which a face in a changed file is taken to be a face that the file showed before."""


def carry_edited(catalog: Catalog, edited: Mapping[str, PhotoRecord]) -> None:
    """Let what was said of faces in photos count for the same faces in the photos that took their place in the files.

    The photo may have been cropped or turned: faces are known by their embeddings. Called before the new photos are
    saved: cut off in between, it is found done the next time.

    Parameters
    ----------
    catalog : Catalog
        Where the old photos are.
    edited : mapping of str to PhotoRecord
        The new photos, by the old ones' ids.
    """
    said = catalog.people.spoken_of(edited) if edited else {}
    vectors = catalog.people.vectors(list(said))
    places = catalog.places(said.values())
    for photo_id in sorted(set(said.values())):
        old = [face for face in vectors if said[face] == photo_id]
        new = [face for face in edited[photo_id].faces if face.embedding is not None]
        at = _same([vectors[face] for face in old], [face.embedding for face in new if face.embedding is not None])
        pairs = {old[a]: new[b].face_id for a, b in at}
        if len(places[photo_id]) > 1:  # the old photo is still there, in another file
            catalog.people.copy(pairs)
        else:
            catalog.people.rename(pairs)


def _same(old: Sequence[FloatArray], new: Sequence[FloatArray]) -> list[tuple[int, int]]:
    """Positions of the same faces; no face is in two pairs."""
    from scipy.optimize import linear_sum_assignment

    if not old or not new:
        return []
    similar = np.stack(old) @ np.stack(new).T
    pairs = zip(*linear_sum_assignment(similar, maximize=True), strict=True)
    return [(int(a), int(b)) for a, b in pairs if similar[a, b] >= SAME_FACE]
