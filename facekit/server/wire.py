"""What travels between the service and its clients: one shape, written here and read here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime  # noqa: TC003 - the shapes are read at run time
from typing import TYPE_CHECKING, Any, TypeVar

from facekit.hits import Hits
from facekit.types import Hit, Photo, Probe, Quality

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.library import Library

T = TypeVar("T")

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """The library that a service owns. ``library`` is its folder, told to its own user only."""

    version: str
    detector: str
    embedder: str
    embedder_version: str
    search_similarity: float
    library: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeDocument:
    """A probe image: the faces it shows, and the one that was searched for."""

    path: str
    faces: int
    used: int
    box: Box
    quality: Quality


@dataclass(frozen=True, slots=True)
class HitDocument:
    """A photo that was found. ``box`` is x, y, width, height in 0..1 of the upright photo."""

    rank: int
    photo: str
    photo_id: str
    face_id: str
    similarity: float
    box: Box
    detection_score: float
    source: str
    quality: Quality
    taken_at: datetime | None = None
    person: str | None = None
    person_id: str | None = None


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """The result of a search, best first."""

    probe: list[ProbeDocument]
    hits: list[HitDocument]
    searched: int
    min_similarity: float
    top_k: int
    notes: list[str] = field(default_factory=list)


def search_document(hits: Hits, shown: Callable[[str], str]) -> SearchDocument:
    """The document of a search; ``shown`` says what a person may see of a path."""
    probes = [ProbeDocument(one.path, one.faces, one.used, one.box, one.quality) for one in hits.probes]
    found = [
        HitDocument(
            rank=hit.rank,
            photo=shown(hit.photo),
            photo_id=hit.photo_id,
            face_id=hit.face_id,
            similarity=hit.similarity,
            box=hit.box,
            detection_score=hit.quality.detection_score,
            source=hit.source,
            quality=hit.quality,
            taken_at=hit.taken_at,
            person=hit.person,
            person_id=hit.person_id,
        )
        for hit in hits
    ]
    return SearchDocument(probes, found, hits.searched, hits.min_similarity, hits.top_k, hits.notes)


def hits_from(document: SearchDocument, pictures: Sequence[tuple[str, bytes]], library: Library) -> Hits:
    """The result again, with the probes' names and pictures, which only the client knows."""
    probes = tuple(
        Probe(name, one.faces, one.used, one.box, one.quality, picture)
        for one, (name, picture) in zip(document.probe, pictures, strict=True)
    )
    hits = tuple(Hit(**{name: getattr(one, name) for name in Hit.__dataclass_fields__}) for one in document.hits)
    return Hits(hits, probes, document.top_k, document.min_similarity, document.searched, library)


def photo_for(photo: Photo, shown: Callable[[str], str]) -> Photo:
    """A photo with what a person may see of its paths."""
    reason = photo.reason if shown(photo.path) == photo.path else None  # it names the file
    return replace(photo, path=shown(photo.path), paths=tuple(shown(path) for path in photo.paths), reason=reason)


def parse(shape: type[T], document: Any) -> T:  # noqa: ANN401 - what JSON gave
    """Read one of the shapes from JSON."""
    from pydantic import TypeAdapter

    return TypeAdapter(shape).validate_python(document)
