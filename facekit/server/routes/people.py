"""People, what is said about them, and the clusterings that propose them. People are named by id, never by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from loguru import logger
from pydantic import BaseModel, Field

from facekit.arguments import LONGEST_PATH, LONGEST_TEXT, NUMBER, START_OF_ID
from facekit.clustering.methods import checked_options
from facekit.errors import RefusedError
from facekit.library.documents import Constraint, XmpDocument, photo_for, xmp_document
from facekit.people.local import LocalPeople
from facekit.server.access import needs
from facekit.server.accounts import Identity
from facekit.server.job import Clustering, Job
from facekit.server.parameters import AnId, Few, IdInPath, Limit, Name, Offset, RunId
from facekit.server.refusal import Refusal, ServiceRefusal
from facekit.server.service import ServiceOf
from facekit.server.strict import StrictRoute
from facekit.system.files import user_path
from facekit.types.people import (
    AssignReport,
    ClusterRun,
    Comparison,
    Conflict,
    Duplicate,
    Entry,
    MemberPage,
    Person,
    PersonPage,
    PersonQuality,
    Suggestion,
)

_MAX_FACES = 20_000  # ids in one body, which is at most a megabyte


def _said() -> Iterator[None]:
    """What can't be done with people does not go with what there is: 409, where elsewhere it is 400."""
    try:
        yield
    except RefusedError as error:
        raise ServiceRefusal(409, error.message, error.remedy, kind="refused") from error


def _changing(request: Request, service: ServiceOf, me: Annotated[Identity, Depends(needs("ingest"))]) -> LocalPeople:
    """The verbs for somebody who may change people; the journal and the log say who it was."""
    logger.info("{}: {} {}", me.name, request.method, request.url.path)
    return service.library.people_as(me.name)


_ANSWERS: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "There is no such person, face, photo or run."},
    409: {"model": Refusal, "description": "It does not go with what there is, or the library is being changed."},
}
router = APIRouter(
    prefix="/api/v1",
    tags=["people"],
    route_class=StrictRoute,
    dependencies=[Depends(_said)],
    responses=_ANSWERS,
)
Reader = Annotated[Identity, Depends(needs("read"))]
Editor = Annotated[Identity, Depends(needs("ingest"))]
Changing = Annotated[LocalPeople, Depends(_changing)]


class FacesOf(BaseModel):
    """Some faces."""

    faces: list[AnId] = Field(min_length=1, max_length=_MAX_FACES)


class NamedFaces(FacesOf):
    """Some faces, and whose they are."""

    name: Name | None = Field(None, description="The new person's name, when it is known.")


class NotThisPerson(FacesOf):
    """Some faces, and whose they are not."""

    person_id: AnId | None = Field(None, description="By default whoever each face is with.")


class Others(BaseModel):
    """People who are one with another."""

    others: list[AnId] = Field(min_length=1, max_length=_MAX_FACES)


class Other(BaseModel):
    """Somebody who is not the same person."""

    other: AnId


class PersonChange(BaseModel):
    """What to change of a person; what is left out stays as it is."""

    name: Name | None = Field(None, description="null takes the name away.")
    hidden: bool = False
    cover: AnId | None = Field(None, description="A face of this person; null lets facekit choose.")


class AllowedTwice(BaseModel):
    """Whether a photo may show a face twice, as in a mirror or a collage."""

    allowed: bool = True


@dataclass(frozen=True, slots=True)
class EntryNumber:
    """A change that was made: the number of its entry in the journal, 0 where nothing was changed."""

    entry: int


class UndoAsked(BaseModel):
    """Which entry of the journal to take back."""

    number: int | None = Field(
        None, ge=NUMBER.least, le=NUMBER.most, description="By default the last that was not taken back."
    )


class PhotosOf(BaseModel):
    """Which photos."""

    folder: str | None = Field(
        None,
        max_length=LONGEST_PATH,
        pattern=r"^[^\x00]*$",
        description="Only photos in it or below it; by default all.",
    )


def _there(folder: str | None) -> str | None:
    """A folder of photos that the library has, if it can be read now: its disk may be gone."""
    if folder is not None and not user_path(folder).exists():
        message = "This folder is not there now."
        raise ServiceRefusal(409, message, "Connect the disk that it is on.", kind="refused")
    return folder


# -- who there is ------------------------------------------------------------------------------------------------


@router.get("/people")
def list_people(
    service: ServiceOf,
    me: Reader,
    hidden: Annotated[bool, Query(description="The hidden people instead of the others.")] = False,
    named: Annotated[bool | None, Query(description="Only people with a name, or only those without.")] = None,
    text: Annotated[str, Query(max_length=LONGEST_TEXT, description="Only people whose name contains it.")] = "",
    offset: Offset = 0,
    limit: Limit = 60,
) -> PersonPage:
    """Some of the people: named ones first, then those with most faces."""
    return service.library.people.page(hidden=hidden, named=named, text=text, offset=offset, limit=limit)


@router.get("/people/resolve")
def resolve(
    service: ServiceOf,
    me: Reader,
    who: Annotated[str, Query(max_length=LONGEST_TEXT, description="A name, an id, or at least six digits of one.")],
) -> Person:
    """The person whom somebody means."""
    return service.library.people.get(who)


@router.get("/people/journal")
def journal(service: ServiceOf, me: Reader, limit: Few = 50) -> tuple[Entry, ...]:
    """What was done, by whom, the newest first."""
    return service.library.people.journal(limit)


@router.get("/people/conflicts")
def conflicts(service: ServiceOf, me: Reader) -> list[Conflict]:
    """What the decisions about people contradict each other in."""
    shown = service.paths.shown(me)
    return [replace(one, photo=shown(one.photo)) for one in service.library.people.conflicts()]


@router.get("/people/duplicates")
def duplicates(service: ServiceOf, me: Reader, limit: Few = 20) -> tuple[Duplicate, ...]:
    """Pairs of people who may be one, the most alike first."""
    return service.library.people.duplicates(limit)


@router.get("/people/review")
def review(service: ServiceOf, me: Reader, limit: Few = 20) -> list[Suggestion]:
    """What is most worth deciding, the most useful question first."""
    shown = service.paths.shown(me)
    return [replace(one, photo=shown(one.photo)) for one in service.library.people.review(limit)]


@router.get("/people/constraints")
def constraints(service: ServiceOf, me: Reader) -> list[Constraint]:
    """What was said of people: who is, is not, and may be twice."""
    rows = service.library.people.constraints().astype(object)
    return [Constraint(*row) for row in rows.where(rows.notna(), None)[[*Constraint.__dataclass_fields__]].to_numpy()]


@router.get("/people/{person_id}")
def get_person(service: ServiceOf, me: Reader, person_id: IdInPath) -> Person:
    """One person."""
    return service.library.people.get(person_id)


@router.get("/people/{person_id}/faces")
def list_faces(
    service: ServiceOf,
    me: Reader,
    person_id: IdInPath,
    offset: Offset = 0,
    limit: Limit = 60,
) -> MemberPage:
    """Some faces of a person, the most typical first, with their photos."""
    page = service.library.people.faces(person_id, offset=offset, limit=limit)
    shown = service.paths.shown(me)
    return replace(page, photos=tuple(photo_for(photo, shown) for photo in page.photos))


@router.get("/people/{person_id}/quality")
def quality(service: ServiceOf, me: Reader, person_id: IdInPath) -> PersonQuality:
    """How much alike a person's faces are, which stand out, and who may be the same person."""
    return service.library.people.quality(person_id)


# -- corrections -------------------------------------------------------------------------------------------------


@router.post("/people")
def new_person(people: Changing, body: NamedFaces) -> Person:
    """These faces are somebody who is not among the people yet."""
    return people.new(body.faces, body.name)


@router.patch("/people/{person_id}")
def change_person(people: Changing, person_id: IdInPath, body: PersonChange) -> Person:
    """Name a person, hide or show them, choose their cover: all that is given, or nothing. One journal entry."""
    return people.change(person_id, **body.model_dump(exclude_unset=True))


@router.post("/people/{person_id}/merge")
def merge(people: Changing, person_id: IdInPath, body: Others) -> Person:
    """They are all one person: this one, who takes the others' faces."""
    return people.merge(person_id, *body.others)


@router.post("/people/{person_id}/split")
def split(people: Changing, person_id: IdInPath, body: NamedFaces) -> Person:
    """These faces of a person are somebody else: the answer is the new person."""
    return people.split(person_id, body.faces, body.name)


@router.post("/people/{person_id}/faces")
def move(people: Changing, person_id: IdInPath, body: FacesOf) -> Person:
    """These faces are this person, whoever they were with before."""
    return people.move(body.faces, person_id)


@router.post("/people/{person_id}/different")
def different(people: Changing, person_id: IdInPath, body: Other) -> EntryNumber:
    """These two are different people."""
    return EntryNumber(people.different(person_id, body.other))


@router.post("/people/not-this-person")
def not_this_person(people: Changing, body: NotThisPerson) -> EntryNumber:
    """These faces are not this person, and never will be again."""
    return EntryNumber(people.not_this_person(body.faces, body.person_id))


@router.put("/photos/{photo_id}/allowed-twice")
def allow_twice(people: Changing, photo_id: IdInPath, body: AllowedTwice) -> EntryNumber:
    """Say that a photo may show a face twice, or may not any more."""
    return EntryNumber(people.allow_twice(photo_id, body.allowed))


@router.post("/people/undo")
def undo(people: Changing, body: UndoAsked) -> Entry:
    """Take back what was done. Undoing an undo does it again."""
    return people.undo(body.number)


@router.post("/people/assign")
def assign(people: Changing) -> AssignReport:
    """Give faces that are nobody's to the people whom they clearly resemble."""
    return people.assign()


@router.post("/people/xmp/write")
def write_xmp(service: ServiceOf, me: Editor, people: Changing, body: PhotosOf) -> XmpDocument:
    """Write the named faces into XMP sidecar files beside the photos that lie where this person may write."""
    folder = _there(service.paths.decide(body.folder, me, "write"))
    return xmp_document(people.write_xmp(folder, writable=service.paths.writable(me)))


@router.post("/people/xmp/read")
def read_xmp(service: ServiceOf, me: Editor, people: Changing, body: PhotosOf) -> XmpDocument:
    """Take names of faces over from XMP sidecar files, and from XMP inside the photos."""
    return xmp_document(people.read_xmp(_there(service.paths.decide(body.folder, me, "read"))))


# -- clusterings -------------------------------------------------------------------------------------------------


@router.get("/clusters/runs", tags=["clusters"])
def list_runs(service: ServiceOf, me: Reader) -> tuple[ClusterRun, ...]:
    """The clusterings of the library's faces, newest first."""
    return service.library.people.runs()


@router.post("/clusters/runs", tags=["clusters"], status_code=202)
def cluster(service: ServiceOf, me: Editor, body: Clustering) -> Job:
    """Group the faces into people, in the background; a cancelled job changes nothing."""
    try:
        checked_options(body.method, body.eps, body.min_faces, body.people)
    except RefusedError as error:
        raise ServiceRefusal(422, error.message, error.remedy, kind="refused") from error
    return service.jobs.add(body, me.name)


@router.post("/clusters/runs/{run_id}/accept", tags=["clusters"])
def accept(people: Changing, run_id: RunId) -> ClusterRun:
    """Take over what a run proposed."""
    return people.accept(run_id)


@router.post("/clusters/runs/{run_id}/discard", tags=["clusters"], status_code=204)
def discard(people: Changing, run_id: RunId) -> None:
    """Throw a proposal away."""
    people.discard(run_id)


@router.get("/clusters/runs/{run_id}/compare", tags=["clusters"])
def compare(
    service: ServiceOf,
    me: Reader,
    run_id: RunId,
    other: Annotated[
        str | None,
        Query(alias="with", pattern=START_OF_ID, description="Another run; by default the people as they are."),
    ] = None,
) -> Comparison:
    """What moved from one run to another."""
    found = service.library.people.compare(run_id, other)
    shown = service.paths.shown(me)
    return replace(found, moved=tuple(replace(one, photo=shown(one.photo)) for one in found.moved))
