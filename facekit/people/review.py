"""How alike people and their faces are: who may be one person, which faces stand out, and what is worth asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facekit.models.registry import model_info
from facekit.people.runs import ASK_BELOW, ask_from, nearest
from facekit.types.people import Candidate, Conflict, Duplicate, Suggestion

if TYPE_CHECKING:
    import numpy.typing as npt

    from facekit.catalog import Catalog
    from facekit.storage.storage import Storage
    from facekit.types.photos import Face

_FAR = 3.0
"""From how many robust standard deviations below the median a face stands out: the usual bound for outliers (Iglewicz
and Hoaglin, 1993, take 3.5)."""

_MOST_OUTLIERS = 20
_PEOPLE_AT_ONCE = 1024
_FEWEST = 5  # faces below which nothing can stand out


def outliers(similarities: npt.NDArray[np.float64]) -> list[int]:
    """Positions of faces that are much less like the centre than the person's others, the farthest first."""
    if len(similarities) < _FEWEST:
        return []
    median = float(np.median(similarities))
    deviation = 1.4826 * float(np.median(np.abs(similarities - median)))  # of a normal distribution, from its median
    far = np.flatnonzero(similarities < median - _FAR * max(deviation, 1e-6))
    return [int(at) for at in far[np.argsort(similarities[far], kind="stable")][:_MOST_OUTLIERS]]


def duplicates_of(storage: Storage, person_id: str | None, limit: int) -> tuple[Duplicate, ...]:
    """Pairs of people who may be one, the most alike first; with ``person_id`` only those of this person.

    Left out are pairs whom the user called different, hidden people, and pairs that are on a photo together.
    """
    arrays, tables = storage.faces.arrays(), storage.catalog.people
    if len(arrays.people) < 2:  # noqa: PLR2004 - a pair
        return ()
    centres = arrays.centres
    found: list[tuple[float, int, int]] = []
    rows = np.arange(len(centres.person)) if person_id is None else np.array([arrays.numbers.get(person_id, -1)])
    rows = rows[rows >= 0]
    least = 1 - model_info(storage.settings.embedder).cluster_distance - ASK_BELOW
    for start in range(0, len(rows), _PEOPLE_AT_ONCE):
        block = rows[start : start + _PEOPLE_AT_ONCE]
        similar = centres.vectors[block] @ centres.vectors.T
        for at, other in np.argwhere(similar >= least):
            one = int(block[at])
            if one < other or (person_id is not None and one != other):
                found.append((float(similar[at, other]), one, int(other)))
    twice = tables.allowed_twice()
    apart = set(tables.differences())
    hidden = tables.named_and_hidden()[1]
    chosen: list[tuple[float, str, str]] = []
    for similarity, a, b in sorted(found, reverse=True):
        pair = (arrays.people[min(a, b)], arrays.people[max(a, b)])  # people are in the order of their ids
        if pair in apart or hidden & set(pair) or (arrays.photos_of(a) & arrays.photos_of(b)) - twice:
            continue
        chosen.append((similarity, arrays.people[a], arrays.people[b]))
        if len(chosen) == limit:
            break
    who = tables.some(key for _, first, second in chosen for key in (first, second))
    return tuple(
        Duplicate(who[first], who[second], similarity)
        for similarity, first, second in chosen
        if first in who and second in who  # a run that was accepted meanwhile may have done away with them
    )


def questions(storage: Storage, limit: int) -> tuple[Suggestion, ...]:
    """What is most worth deciding.

    A yes to "are these two one person?" settles as many faces as the smaller of the two has, a yes to "who is this?"
    one; both count by how likely a yes is, for which the similarity stands, and twice where somebody has a name.
    """
    merges = [
        (
            (2.0 if pair.first.name or pair.second.name else 1.0)
            * pair.similarity
            * min(pair.first.faces, pair.second.faces),
            pair,
        )
        for pair in duplicates_of(storage, None, 4 * limit)
    ]
    asked = _unsure(storage)[:limit]
    found, photos = _faces_of(storage.catalog, [face for _, face, _ in asked])
    everybody = storage.catalog.people.some(key for _, _, known in asked for key, _ in known)
    ranked: list[tuple[float, Suggestion]] = []
    for value, pair in merges:
        smaller, larger = sorted((pair.first, pair.second), key=lambda one: (one.name is not None, one.faces))
        ranked.append((value, Suggestion("merge", (Candidate(larger, pair.similarity),), person=smaller)))
    for value, key, known in asked:
        candidates = tuple(Candidate(everybody[who], similarity) for who, similarity in known if who in everybody)
        if key in found and candidates:  # neither was removed meanwhile
            face = found[key]
            ranked.append((value, Suggestion("face", candidates, face=face, photo=photos[face.photo_id])))
    ranked.sort(key=lambda one: -one[0])
    return tuple(one for _, one in ranked[:limit])


def _unsure(storage: Storage) -> list[tuple[float, str, list[tuple[str, float]]]]:
    """Faces that are nobody's and resemble somebody: how useful an answer is, the face, and whom it resembles how much.

    The most useful one is the first.
    """
    arrays = storage.faces.arrays()
    faces = np.flatnonzero((arrays.person < 0) & arrays.usable)
    if not len(faces) or not arrays.people:
        return []
    tables = storage.catalog.people
    named, hidden = tables.named_and_hidden()
    near = nearest(storage, arrays, faces, tables.rejections(), tables.allowed_twice())
    least = ask_from(storage.settings)
    asked = []
    for at in np.flatnonzero(near.similarities[:, 0] >= least):
        known = [
            (arrays.people[who], float(similarity))
            for who, similarity in zip(near.candidates[at], near.similarities[at], strict=True)
            if who >= 0 and similarity >= least and arrays.people[who] not in hidden
        ]
        if known:
            who, similarity = known[0]
            asked.append((similarity * (2.0 if who in named else 1.0), arrays.face_ids[faces[at]], known))
    return sorted(asked, key=lambda one: -one[0])


def _faces_of(catalog: Catalog, face_ids: list[str]) -> tuple[dict[str, Face], dict[str, str]]:
    """Faces by id, and the paths of their photos."""
    faces, photos = catalog.pages.some_faces(face_ids, max(len(face_ids), 1))
    return faces, {photo.photo_id: photo.path for photo in photos}


def conflicts_of(catalog: Catalog) -> list[Conflict]:
    """What the user's decisions contradict each other in."""
    tables = catalog.people
    said, twice = set(tables.rejections()), tables.allowed_twice()
    wrong: list[tuple[str, str, list[str], str]] = []
    inside: dict[tuple[str, str], list[str]] = {}
    for row in tables.members():
        inside.setdefault((row.person_id, row.photo_id), []).append(row.face_id)
        if (row.face_id, row.person_id) in said:
            wrong.append(("rejected", row.person_id, [row.face_id], row.photo_id))
    wrong += [
        ("same_photo", person, faces, photo)
        for (person, photo), faces in inside.items()
        if len(faces) > 1 and photo not in twice
    ]
    who = tables.some(person for _, person, _, _ in wrong)
    places = catalog.places(photo for _, _, _, photo in wrong)
    return [
        Conflict(kind, who[person], tuple(faces), photo, places[photo][0].display)  # type: ignore[arg-type]
        for kind, person, faces, photo in wrong
        if person in who and photo in places  # it may have been removed meanwhile
    ]
