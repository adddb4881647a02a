"""What travels between the service and its clients: one shape, written here and read here."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from facekit.errors import (
    DiskFullError,
    FacekitError,
    LibraryBusyError,
    NameTakenError,
    NoFaceError,
    OtherVectorsError,
    PhotoError,
    RefusedError,
    ServiceError,
    UnknownIdError,
)
from facekit.search.hits import Hits
from facekit.types.people import XmpReport
from facekit.types.photos import ChosenFace, Hit, Photo, Probe, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx2

    from facekit.types.photos import PictureSource

_NOT_FOUND = 404
_ERRORS = {
    "no_face": NoFaceError,
    "busy": LibraryBusyError,
    "models": OtherVectorsError,
    "disk_full": DiskFullError,
    "refused": RefusedError,
}

T = TypeVar("T")


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
class HitDocument(Hit):
    """A photo that was found. ``box`` is x, y, width, height in 0..1 of the upright photo.

    Pictures of the photo are turned clockwise by ``turn`` degrees, the box is not. ``detection_score`` is the
    quality's, once more.
    """

    detection_score: float = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Constraint:
    """Something that was said of people, see `facekit.people.base.People.constraints`."""

    kind: str
    face_id: str | None
    person_id: str | None
    other_person_id: str | None
    photo_id: str | None


@dataclass(frozen=True, slots=True)
class SearchDocument:
    """The result of a search, best first: `Hits` without the library, and without the pictures that were sent."""

    probe: list[ChosenFace]
    hits: list[HitDocument]
    searched: int
    min_similarity: float
    top_k: int
    notes: list[str] = field(default_factory=list)


def search_document(hits: Hits, shown: Callable[[str], str]) -> SearchDocument:
    """The document of a search; ``shown`` says what a person may see of a path."""
    probes = [_with(ChosenFace, one) for one in hits.probes]
    found = [
        _with(HitDocument, hit, photo=shown(hit.photo), detection_score=hit.quality.detection_score) for hit in hits
    ]
    return SearchDocument(probes, found, hits.searched, hits.min_similarity, hits.top_k, hits.notes)


def hits_from(
    document: SearchDocument, pictures: Sequence[tuple[str, bytes]], order: Sequence[int], library: PictureSource
) -> Hits:
    """The result again, with the names of pictures and the pictures, which only the client knows.

    ``order`` has the place of each probe of the document among those that were given: pictures are the first of them.
    """
    more = [(one.path, b"") for one in document.probe[len(pictures) :]]
    probes = [
        (at, _with(Probe, one, path=name, picture=picture))
        for at, one, (name, picture) in zip(order, document.probe, [*pictures, *more], strict=True)
    ]
    in_order = tuple(probe for _, probe in sorted(probes, key=lambda pair: pair[0]))
    hits = tuple(_with(Hit, one) for one in document.hits)
    return Hits(hits, in_order, document.top_k, document.min_similarity, document.searched, library)


def _with(shape: type[T], one: object, **other: Any) -> T:  # noqa: ANN401 - the fields' own
    """One dataclass from another that has its fields, but for the other values."""
    names = [each.name for each in fields(shape) if each.name not in other]  # type: ignore[arg-type]
    return shape(**{name: getattr(one, name) for name in names}, **other)


def photo_for(photo: Photo, shown: Callable[[str], str]) -> Photo:
    """A photo with what a person may see of its paths."""
    reason = photo.reason if shown(photo.path) == photo.path else None  # it names the file
    paths = tuple(shown(path) for path in photo.paths)
    places = tuple(replace(place, path=shown(place.path)) for place in photo.places)
    return replace(photo, path=shown(photo.path), paths=paths, places=places, reason=reason)


@dataclass(frozen=True, slots=True)
class About:
    """Something to know about a photo: a pair of a report."""

    path: str
    words: str


@dataclass(frozen=True, slots=True)
class XmpDocument:
    """A `facekit.types.people.XmpReport`, whose pairs have names here: in JSON they would be lists."""

    photos: int
    faces: int
    people: int
    unmatched: list[About]
    failed: list[About]


def xmp_document(report: XmpReport) -> XmpDocument:
    """The document of a report."""
    unmatched, failed = ([About(*one) for one in pairs] for pairs in (report.unmatched, report.failed))
    return XmpDocument(report.photos, report.faces, report.people, unmatched, failed)


def xmp_report(document: XmpDocument) -> XmpReport:
    """The report again."""
    unmatched, failed = (tuple((one.path, one.words) for one in some) for some in (document.unmatched, document.failed))
    return XmpReport(document.photos, document.faces, document.people, unmatched, failed)


def parse(shape: type[T], document: Any) -> T:  # noqa: ANN401 - what JSON gave
    """Read one of the shapes from JSON."""
    from pydantic import TypeAdapter

    return TypeAdapter(shape).validate_python(document)


def error_of(response: httpx2.Response) -> FacekitError:
    """The error that the service's refusal stands for."""
    try:
        detail = response.json()["detail"]
        message, remedy = str(detail["message"]), str(detail["remedy"])
        kind, reference = str(detail.get("kind", "")), str(detail.get("reference", ""))
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"The service answered {response.status_code}.", "Its log says more.", response.status_code)
    if kind == "name_taken":
        return NameTakenError(message, remedy, str(detail.get("person_id", "")))
    if kind in _ERRORS:
        return _ERRORS[kind](message, remedy)
    if kind.startswith("photo."):
        return PhotoError(Status(kind.removeprefix("photo.")), message)
    if response.status_code == _NOT_FOUND and not kind:
        return UnknownIdError(message, remedy)
    reference = f" (reference {reference})" if reference else ""
    return ServiceError(message, f"{remedy}{reference}".strip(), response.status_code, kind)
