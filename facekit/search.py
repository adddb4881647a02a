"""From pictures of somebody to the photos that show them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from loguru import logger

from facekit.errors import FacekitError, NoFaceError
from facekit.images import display_name, read_image
from facekit.index.protocol import MAX_LIMIT, IndexFilter
from facekit.models.alignment import align
from facekit.models.quality import assess
from facekit.models.vectors import good_embeddings
from facekit.types import FloatArray, Hit, Image, Quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    import PIL.Image

    from facekit.catalog import Catalog
    from facekit.index import VectorIndex
    from facekit.models.protocols import Detector, Embedder

ImageSource: TypeAlias = "str | bytes | os.PathLike[str] | PIL.Image.Image | Image"
"""A path, the bytes of an image file, a PIL image, or an array ``uint8 (H, W, 3)``, RGB."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A picture of the person searched for, and the face in it that was used.

    ``faces`` is the number of faces found, largest first; ``used`` the position of the one that was used, ``box`` its
    bounding box ``x, y, w, h`` in 0..1, ``embedding`` its vector, float32 (D,).
    """

    path: str
    faces: int
    used: int
    box: tuple[float, float, float, float]
    quality: Quality
    image: Image
    embedding: FloatArray


def read_probe(
    source: ImageSource,
    detector: Detector,
    embedder: Embedder,
    *,
    face: int | None = None,
    name: str = "the probe",
) -> Probe:
    """Find the face to search for.

    Parameters
    ----------
    source : path, bytes, PIL image or array
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
    path = display_name(source) if isinstance(source, str | os.PathLike) else name
    image = read_image(source, max_side=detector.max_side)
    found = detector.detect([image])[0]
    if not len(found):
        message = f"No face was found in {path}."
        raise NoFaceError(message, "Take a picture in which the face is larger, sharper or seen more from the front.")
    found = found[np.argsort(-found.areas, kind="stable")]
    used = face or 0
    if not 0 <= used < len(found):
        message = f"{path} shows {len(found)} face(s); face={face} is not one of them."
        raise NoFaceError(message, f"Faces are counted from 0, largest first: take 0 to {len(found) - 1}.")
    chosen = found[used]
    crop = align(image, chosen.landmarks, size=embedder.input_size)
    vector = embedder.embed(crop)
    if not good_embeddings(vector, embedder.dimension)[0]:
        message = f"The face in {path} gives no usable embedding."
        raise NoFaceError(message, "Take another picture.")
    height, width = image.shape[:2]
    x, y, w, h = (float(value) for value in chosen.scaled(1 / width, 1 / height).boxes[0])
    return Probe(path, len(found), used, (x, y, w, h), assess(crop, chosen)[0], image, vector[0])


def template(embeddings: Sequence[FloatArray]) -> FloatArray:
    """One vector for several pictures of a person: the mean of their embeddings, float32 (D,), L2-normalised."""
    mean = np.mean(np.stack(embeddings), axis=0, dtype=np.float32)
    norm = float(np.linalg.norm(mean))
    if norm < 1e-6:  # noqa: PLR2004 - opposite vectors: nothing is left to search for
        message = "The probe images have nothing in common."
        raise FacekitError(message, "Take pictures of the same person.")
    return np.asarray(mean / norm, np.float32)


def find(
    vector: FloatArray,
    catalog: Catalog,
    index: VectorIndex,
    *,
    top_k: int,
    min_similarity: float,
    where: IndexFilter,
) -> list[Hit]:
    """The photos most like a vector, each with its most similar face, best first."""
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    limit = min(2 * top_k + 10, MAX_LIMIT)
    while True:
        near = index.search(vector, limit, where)
        rows = catalog.faces_by_id(key for key, _ in near)
        best = {}
        for key, similarity in near:
            if similarity >= min_similarity and key in rows:
                best.setdefault(rows[key]["photo_id"], (similarity, rows[key]))
        lost = sum(key not in rows for key, _ in near)
        if lost:
            logger.warning("{} faces of the vector index are not in the catalog; run facekit doctor.", lost)
        exhausted = len(near) < limit or limit == MAX_LIMIT or near[-1][1] < min_similarity
        if len(best) >= top_k or exhausted:
            break
        limit = min(4 * limit, MAX_LIMIT)
    chosen = list(best.items())[:top_k]
    places = catalog.places(photo_id for photo_id, _ in chosen)
    taken = catalog.taken_at(photo_id for photo_id, _ in chosen)
    return [
        Hit(
            rank=rank,
            photo=places[photo_id][0]["display"],
            photo_id=photo_id,
            face_id=row["face_id"],
            similarity=similarity,
            box=(row["x"], row["y"], row["w"], row["h"]),
            quality=quality_of(row),
            source=places[photo_id][0]["source"],
            taken_at=taken[photo_id],
        )
        for rank, (photo_id, (similarity, row)) in enumerate(chosen, 1)
    ]


def quality_of(row: dict[str, Any]) -> Quality:
    """The quality facts in a row of the catalog's faces."""
    names = ("detection_score", "size", "sharpness", "yaw", "pitch", "roll", "reason")
    return Quality(*(row[name] for name in names))
