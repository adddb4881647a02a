"""From pictures of somebody to the photos that show them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from loguru import logger

from facekit.arguments import TOP_K, checked_similarity
from facekit.catalog.rows import FaceRow, box_of, quality_of
from facekit.catalog.sources import place_of
from facekit.errors import NoFaceError, PhotoError, RefusedError
from facekit.images.decode import read_image, thumbnail
from facekit.images.files import display_name
from facekit.images.inputs import ImageSource, given_picture
from facekit.index.protocol import MAX_LIMIT, IndexFilter
from facekit.models.alignment import align
from facekit.models.quality import assess
from facekit.models.vectors import good_embeddings
from facekit.search.hits import Hits
from facekit.search.known_faces import Known, KnownSource, known
from facekit.types.photos import Box, Hit, Probe, ProbeFace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterator

    from facekit.catalog import Catalog
    from facekit.index import VectorIndex
    from facekit.models.protocols import Detector, Embedder
    from facekit.types.arrays import Detections, FloatArray, Image

ProbeSource: TypeAlias = "ImageSource | KnownSource"
"""A picture, or somebody whom the library has: a face, its id, a hit, or a person."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundFaces:
    """A picture of somebody and the faces in it, largest first."""

    name: str
    image: Image
    faces: Detections


def find_faces(source: ImageSource, detector: Detector, *, name: str = "the probe") -> FoundFaces:
    """Find the faces in a picture that is no part of a library.

    Parameters
    ----------
    source : see `read_image`
        The picture.
    name : str
        What to call a picture that has no path.

    Raises
    ------
    PhotoError
        If the picture can't be read.
    """
    given = given_picture(source)
    path = display_name(given) if isinstance(given, Path) else name
    image = read_image(given, max_side=detector.max_side)
    found = detector.detect([image])[0]
    return FoundFaces(path, image, found[np.argsort(-found.areas, kind="stable")])


def probe_faces(found: FoundFaces) -> tuple[ProbeFace, ...]:
    """The faces as a person chooses among them: where each is, and how far it can be trusted."""
    height, width = found.image.shape[:2]
    crops = align(found.image, found.faces.landmarks)
    boxes = found.faces.scaled(1 / width, 1 / height).boxes
    return tuple(ProbeFace(_box(box), quality) for box, quality in zip(boxes, assess(crops, found.faces), strict=True))


def read_probe(
    source: ImageSource,
    detector: Detector,
    embedder: Embedder,
    *,
    face: int | None = None,
    name: str = "the probe",
) -> tuple[Probe, FloatArray]:
    """Find the face to search for, and its embedding, float32 (D,).

    Parameters
    ----------
    source : see `read_image`
        The picture.
    face : int, optional
        Which face, counted from 0 in order of size; by default the largest.
    name : str
        What to call a picture that has no path.

    Raises
    ------
    PhotoError
        If the picture can't be read.
    NoFaceError
        If it shows no face, or fewer than ``face`` asks for.
    """
    found = find_faces(source, detector, name=name)
    number = len(found.faces)
    if not number:
        message = f"No face was found in {found.name}."
        raise NoFaceError(message, "Take a picture in which the face is larger, sharper or seen more from the front.")
    used = face or 0
    if not 0 <= used < number:
        message = f"{found.name} shows {number} face(s); face={face} is not one of them."
        raise NoFaceError(message, f"Faces are counted from 0, largest first: take 0 to {number - 1}.")
    chosen = found.faces[used]
    vector = embedder.embed(embedder.align(found.image, chosen))
    if not good_embeddings(vector, embedder.dimension)[0]:
        message = f"The face in {found.name} gives no usable embedding."
        raise NoFaceError(message, "Take another picture.")
    one = probe_faces(FoundFaces(found.name, found.image, chosen))[0]
    return Probe(found.name, number, used, one.box, one.quality, thumbnail(found.image)), vector[0]


def given_probes(
    probe: ProbeSource | Sequence[ProbeSource], face: int | Sequence[int] | None
) -> list[tuple[Known | ImageSource, int | None]]:
    """The probes that were given, one or several, each with the face of it that was chosen.

    Raises
    ------
    FacekitError
        If no picture is given, or faces are given for another number of pictures.
    """
    given: list[Any] = list(probe) if isinstance(probe, list | tuple) else [probe]
    if not given:
        message = "No probe image was given."
        raise NoFaceError(message, "Give a picture of the person.")
    chosen = list(face) if isinstance(face, Sequence) and not isinstance(face, str) else [face] * len(given)
    if len(chosen) != len(given):
        message = f"{len(given)} probe images were given, and faces for {len(chosen)}."
        raise RefusedError(message, "Give one number a probe image, or one for all.")
    if any(isinstance(one, Hits) for one in given):
        message = "Hits are many faces, and it is not said which of them to search for."
        raise RefusedError(message, "Give one of them, such as hits[0], or some, such as hits[:3].")
    for which in chosen:
        if which is not None and not isinstance(which, int | np.integer):
            message = f"face={which!r} is no number of a face."
            raise RefusedError(message, "Faces of a picture are counted from 0, largest first.")
    return [(known(one) or one, which) for one, which in zip(given, chosen, strict=True)]


@contextmanager
def people_pointed_at(
    given: Sequence[tuple[Known | ImageSource, int | None]], people: Callable[[], Container[str]]
) -> Iterator[None]:
    """Say of a probe that is no file, but a person's name, how to search for that person."""
    try:
        yield
    except PhotoError as error:
        for one, _ in given:
            if isinstance(one, str) and not os.path.lexists(one) and one in people():
                hint = f'A person is called so: search for lib.people["{one}"].'
                raise PhotoError(error.status, f"{error.message} {hint}") from error
        raise


def read_probes(
    given: Sequence[tuple[Known | ImageSource, int | None]],
    detector: Detector,
    embedder: Embedder,
    kept: Callable[[Known], tuple[Probe, FloatArray]],
) -> list[tuple[Probe, FloatArray]]:
    """Find the faces to search for, see `read_probe`; ``kept`` has those of the library."""
    return [
        kept(one) if isinstance(one, Known) else read_probe(one, detector, embedder, face=which, name=f"probe {number}")
        for number, (one, which) in enumerate(given, 1)
    ]


def _box(values: FloatArray) -> Box:
    x, y, w, h = (float(value) for value in values)
    return x, y, w, h


def template(embeddings: Sequence[FloatArray]) -> FloatArray:
    """One vector for several pictures of a person: the mean of their embeddings, float32 (D,), L2-normalised."""
    mean = np.mean(np.stack(embeddings), axis=0, dtype=np.float32)
    norm = float(np.linalg.norm(mean))
    if norm < 1e-6:  # noqa: PLR2004 - opposite vectors: nothing is left to search for
        message = "The probe images have nothing in common."
        raise RefusedError(message, "Take pictures of the same person.")
    return np.asarray(mean / norm, np.float32)


def check_search(top_k: int, min_similarity: float | None, after: date | str | None, before: date | str | None) -> int:
    """Refuse what no search can mean, and return how many photos are wanted. Raises FacekitError."""
    if isinstance(top_k, bool) or not isinstance(top_k, Integral) or top_k < TOP_K.least:
        message = f"top_k is {top_k!r}."
        raise RefusedError(message, "It must be a whole number, at least 1.")
    if min_similarity is not None:
        checked_similarity(min_similarity)
    first, end = moment(after), moment(before)
    if first and end and first >= end:
        message = f"No photo was taken from {first} on and before {end}."
        raise RefusedError(message, "Exchange after and before.")
    return int(top_k)


def find(
    vector: FloatArray,
    catalog: Catalog,
    index: VectorIndex,
    *,
    top_k: int,
    min_similarity: float,
    where: IndexFilter,
    photo_ids: Collection[str] | None = None,
) -> list[Hit]:
    """The photos most like a vector, each with its most similar face, best first; of ``photo_ids`` only, if given."""
    best: dict[str, tuple[float, FaceRow]] = {}
    limit = min(2 * top_k + 10, MAX_LIMIT)
    while True:
        near = index.search(vector, limit, where)
        rows = catalog.faces_by_id(key for key, _ in near)
        best = {}
        for key, similarity in near:
            inside = key in rows and (photo_ids is None or rows[key].photo_id in photo_ids)
            if similarity >= min_similarity and inside:
                best.setdefault(rows[key].photo_id, (similarity, rows[key]))
        lost = sum(key not in rows for key, _ in near)
        if lost:
            logger.warning("{} faces of the vector index are not in the catalog; run facekit doctor.", lost)
        exhausted = len(near) < limit or limit == MAX_LIMIT or near[-1][1] < min_similarity
        if len(best) >= top_k or exhausted:
            break
        limit = min(4 * limit, MAX_LIMIT)
    chosen = list(best.items())[:top_k]
    places = catalog.places((photo_id for photo_id, _ in chosen), where.within)
    kinds = catalog.sources.kinds()
    firsts = {photo_id: place_of(files[0], kinds) for photo_id, files in places.items()}
    taken = catalog.taken_at(photo_id for photo_id, _ in chosen)
    turns = catalog.turns(photo_id for photo_id, _ in chosen)
    whose = catalog.people.whose(row.face_id for _, (_, row) in chosen)
    return [
        Hit(
            rank=rank,
            photo=firsts[photo_id].path,
            photo_id=photo_id,
            face_id=row.face_id,
            similarity=similarity,
            box=box_of(row),
            quality=quality_of(row),
            source=firsts[photo_id].source,
            taken_at=taken[photo_id],
            person=whose.get(row.face_id, (None, None))[1],
            person_id=whose.get(row.face_id, (None, None))[0],
            copies=sum(place.missing_since is None for place in places[photo_id]) or 1,
            turn=turns.get(photo_id, 0),
            source_kind=firsts[photo_id].kind,
            album=firsts[photo_id].album,
            link=firsts[photo_id].link,
        )
        for rank, (photo_id, (similarity, row)) in enumerate(chosen, 1)
    ]


def moment(value: date | str | None) -> datetime | None:
    """The moment that a date, or the text of one, stands for: without a time zone, as photos' dates are."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            message = f"{value!r} is not a date."
            raise RefusedError(message, "Write it as 2019-12-31 or 2019-12-31T18:30.") from error
    if not isinstance(value, date):
        message = f"{value!r} is not a date."
        raise RefusedError(message, "Give a date, or write it as 2019-12-31 or 2019-12-31T18:30.")
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - photos' dates have no time zone
    return value.replace(tzinfo=None)
