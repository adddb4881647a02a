"""Connected places that photos come from: connect, sync, pause, disconnect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from facekit.arguments import BYTES, ID, LONGEST_PATH, LONGEST_TEXT
from facekit.errors import SignInError
from facekit.server.access import needs
from facekit.server.accounts import Identity
from facekit.server.job import Job, Sync
from facekit.server.parameters import Name
from facekit.server.refusal import Refusal, ServiceRefusal
from facekit.server.service import Service, ServiceOf
from facekit.server.strict import StrictRoute
from facekit.sources.item import Prompt, SourceKind
from facekit.sources.kinds import kind_named, kind_of_address, kinds, unknown_kind
from facekit.sources.signing_in.oauth import has_application
from facekit.sources.storage.address import read as read_address
from facekit.types.sources import ConnectedPlace, Leftovers

router = APIRouter(prefix="/api/v1", tags=["sources"], route_class=StrictRoute)
Editor = Annotated[Identity, Depends(needs("ingest"))]
SourceName = Annotated[str, InPath(max_length=LONGEST_TEXT, description="What the place is called.")]

_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "There is no such place, or what was asked can't be done with it."},
    409: {"model": Refusal, "description": "Another change of the library is going on."},
}


class KindOfPlace(BaseModel):
    """A kind of place that can be connected."""

    name: str
    words: str = Field(description="What it is called, for people.")
    settings: dict[str, str] = Field(description="What can be set, each with a sentence.")
    needs_token: bool
    signs_in: bool = Field(description="Whether there is a page to sign in.")
    can_sign_in: bool = Field(description="Whether the service has an application's id, so that it can be opened.")
    hosts: list[str] = Field(description="The hosts that are contacted; empty where whoever connects it names them.")


class PlaceToConnect(BaseModel):
    """A place, and how it is to be connected."""

    place: str = Field(min_length=1, max_length=LONGEST_PATH, description="An address, or a kind of place.")
    name: Name | None = Field(None, description="What to call it; by default its kind.")
    settings: dict[Name, Annotated[str, Field(max_length=LONGEST_PATH)]] = Field(default_factory=dict, max_length=20)
    token: str | None = Field(None, max_length=10_000, description="What lets facekit in; kept encrypted.")
    keep_originals: bool | None = Field(None, description="Keep the photos' files for good.")


class WhatToSync(BaseModel):
    """What of a place is to be brought in."""

    since: date | None = Field(None, description="Only photos from this day on.")
    album: str | None = Field(None, max_length=LONGEST_PATH)
    dry_run: bool = Field(False, description="List only; the job's report says what would come.")
    most_bytes: int | None = Field(None, ge=BYTES.least, le=BYTES.most, description="The most to be fetched.")


class Pause(BaseModel):
    """Whether syncs that name no place leave this one out."""

    paused: bool = True


class NewToken(BaseModel):
    """What lets facekit in."""

    token: str = Field(min_length=1, max_length=10_000)


class WhatStays(BaseModel):
    """What becomes of the photos of a place that is connected no more."""

    photos: Leftovers = "keep"


class Forgotten(BaseModel):
    """What became of the photos of a place that is connected no more."""

    forgotten: int


class Step(BaseModel):
    """A step of a sync that was tried."""

    step: str
    works: bool
    found: str


class Answer(BaseModel):
    """What a job asked for."""

    answer: str = Field(max_length=LONGEST_TEXT)


@router.get("/source-kinds")
def list_kinds(me: Editor) -> list[KindOfPlace]:
    """The kinds of places that can be connected."""
    return [_kind(kind) for kind in kinds().values()]


def _kind(kind: SourceKind) -> KindOfPlace:
    return KindOfPlace(
        name=kind.name,
        words=kind.words,
        settings=dict(kind.settings),
        needs_token=kind.needs_token,
        signs_in=kind.sign_in is not None,
        can_sign_in=kind.sign_in is not None and has_application(kind.sign_in),
        hosts=list(kind.hosts),
    )


@router.get("/sources")
def list_sources(service: ServiceOf, me: Editor) -> list[ConnectedPlace]:
    """The connected places, by name."""
    return list(service.library.sources.list())


@router.post("/sources", status_code=201, responses=_REFUSED)
def add_source(service: ServiceOf, me: Editor, body: PlaceToConnect) -> ConnectedPlace:
    """Connect a place. Nothing is fetched before it is synced."""
    check_reach(service, body.place, body.settings, me)
    how = body.model_dump(exclude={"place"})
    return service.library.sources.add(body.place, **how, ask=_nobody)


def _nobody(prompt: Prompt) -> str:
    raise SignInError(prompt.text, "Sign in by POST /api/v1/source-sign-ins, or give a token.")


def check_reach(service: Service, place: str, settings: Mapping[str, str], me: Identity) -> None:
    """Addresses of the user's own choosing lead anywhere: they are for an admin. Folders lie under a root.

    Raises
    ------
    ServiceRefusal
        If it is not for this person.
    """
    named = kinds().get(place.replace("_", "-"))
    is_path = named is None and "://" not in place
    if is_path and "admin" not in me.scopes:  # they don't learn either what is there
        raise _anywhere("A folder") if "/" in place else unknown_kind(place)
    kind, found = (named, {}) if named else kind_of_address(place) or (kind_named(place), {})
    if kind.hosts:
        return
    if "admin" not in me.scopes:
        raise _anywhere(kind.words)
    said = found | dict(settings)
    path = said.get("path") if kind.name == "takeout" else None
    if url := said.get("url"):
        address, _ = read_address(url)
        path = address.path if address.scheme == "file" else None
    if path is not None:
        service.paths.decide(path, me, "ingest")


def _anywhere(what: str) -> ServiceRefusal:
    message = f"{what} may lead anywhere that the service can reach."
    return ServiceRefusal(403, message, "Ask an admin to connect it.", kind="refused")


@router.get("/sources/{name}", responses=_REFUSED)
def get_source(service: ServiceOf, me: Editor, name: SourceName) -> ConnectedPlace:
    """A connected place."""
    return service.library.sources.get(name)


@router.post("/sources/{name}/sync", status_code=202, responses=_REFUSED)
def sync_source(service: ServiceOf, me: Editor, name: SourceName, body: WhatToSync) -> Job:
    """Bring in what is new at a place, in the background."""
    service.library.sources.not_paused(name)
    since = None if body.since is None else body.since.isoformat()
    return service.jobs.add(Sync(name, since, body.album, body.dry_run, body.most_bytes), me.name)


@router.post("/sources/{name}/pause", responses=_REFUSED)
def pause_source(service: ServiceOf, me: Editor, name: SourceName, body: Pause) -> ConnectedPlace:
    """Leave a place out of syncs that name none, or no longer."""
    return service.library.sources.pause(name, body.paused)


@router.post("/sources/{name}/reconnect", responses=_REFUSED)
def reconnect_source(service: ServiceOf, me: Editor, name: SourceName, body: NewToken) -> ConnectedPlace:
    """Give a place another token."""
    return service.library.sources.reconnect(name, token=body.token, ask=_nobody)


@router.post("/sources/{name}/check", responses=_REFUSED)
def check_source(service: ServiceOf, me: Editor, name: SourceName) -> list[Step]:
    """Walk through every step of a sync with one photo, changing nothing."""
    return [Step(**asdict(one)) for one in service.library.sources.check(name)]


@router.post("/sources/{name}/remove", responses=_REFUSED)
def remove_source(service: ServiceOf, me: Editor, name: SourceName, body: WhatStays) -> Forgotten:
    """Connect a place no more; the library keeps its photos, or forgets them."""
    return Forgotten(forgotten=service.library.sources.remove(name, photos=body.photos))


@router.post("/jobs/{job_id}/answer", responses=_REFUSED)
def answer_job(service: ServiceOf, me: Editor, job_id: Annotated[str, InPath(pattern=ID)], body: Answer) -> Job:
    """Answer the question that a job waits with."""
    return service.jobs.answer(job_id, body.answer)
