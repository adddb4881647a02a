"""Ingests and changes of models as jobs: start, watch, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from facekit.arguments import ID, LONGEST_PATH
from facekit.errors import RefusedError
from facekit.library.background import background_of, try_again
from facekit.server.access import access_of, credential_of, needs
from facekit.server.accounts import Identity
from facekit.server.job import FolderIngest, Job, Look, ModelChange
from facekit.server.refusal import Refusal, ServiceRefusal
from facekit.server.service import Service, ServiceOf
from facekit.server.strict import StrictRoute
from facekit.sources.left_out import MOST_PATTERNS, checked
from facekit.storage.settings import settings_of
from facekit.types.work import Background

router = APIRouter(prefix="/api/v1", tags=["jobs"], route_class=StrictRoute)
Editor = Annotated[Identity, Depends(needs("ingest"))]
Admin = Annotated[Identity, Depends(needs("admin"))]
JobId = Annotated[str, InPath(pattern=ID)]

_EVENT_SECONDS = 0.5
_NO_RETRY: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "Nothing of it was given up."},
    404: {"model": Refusal, "description": "There is no such work."},
}
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "There is no such job."}}


class FolderToIngest(BaseModel):
    """A folder on the service's machine."""

    path: str = Field(
        min_length=1, max_length=LONGEST_PATH, description="Absolute, and under a root that the service allows."
    )
    detail: Look = Field(
        "normal", description="How closely to look: normal, fine, or the longest side in pixels that is looked at."
    )
    exclude: list[str] | None = Field(
        None,
        max_length=MOST_PATTERNS,
        description="Globs of what to leave out, now and later; null leaves them as they are.",
    )


@router.post("/upload/local", status_code=202, responses=_UNKNOWN)
def ingest_local(service: ServiceOf, me: Editor, body: FolderToIngest) -> Job:
    """Bring a folder of the service's machine into the library, in the background."""
    path = service.paths.decide(body.path, me, "ingest") or ""
    try:
        exclude = None if body.exclude is None else [*checked(body.exclude)]
    except RefusedError as error:
        raise ServiceRefusal(422, error.message, error.remedy, kind="pattern") from error
    return service.jobs.add(FolderIngest(path, body.detail, me.kind == "owner", exclude), me.name)


@router.post("/library/reembed", status_code=202)
def reembed(service: ServiceOf, me: Admin, body: ModelChange) -> Job:
    """Make all faces of the library again with other models, in the background, then switch to them in one step."""
    now = service.library.settings
    try:
        settings_of(body.detector or now.detector, body.embedder or now.embedder)
    except RefusedError as error:
        raise ServiceRefusal(422, error.message, error.remedy, kind="no_model") from error
    return service.jobs.add(body, me.name)


@router.get("/jobs")
def list_jobs(service: ServiceOf, me: Editor) -> list[Job]:
    """The jobs, newest first."""
    return [_told(service, me, job) for job in service.jobs.list()]


@router.get("/jobs/{job_id}", responses=_UNKNOWN)
def get_job(service: ServiceOf, me: Editor, job_id: JobId) -> Job:
    """How far a job is."""
    return _told(service, me, service.jobs.get(job_id))


@router.post("/jobs/{job_id}/cancel", responses=_UNKNOWN)
def cancel_job(service: ServiceOf, me: Editor, job_id: JobId) -> Job:
    """Stop a job; what it has done is kept."""
    return _told(service, me, service.jobs.cancel(job_id))


def _told(service: Service, me: Identity, job: Job) -> Job:
    """A job for somebody who may see where photos lie, but not where the library does: its errors may say so."""
    return replace(job, problem=job.problem and service.paths.said(job.problem, me))


class TriedAgain(BaseModel):
    """What workers try again."""

    again: int = Field(description="Files, or listings of folders.")


@router.get("/queue")
def background_work(service: ServiceOf, me: Editor) -> Background | None:
    """What workers do: files by state, workers that are there, and what was given up. Null where there can't be any."""
    now = background_of(service.library)
    if now is None:
        return None
    given_up = [replace(one, problem=service.paths.said(one.problem, me)) for one in now.given_up]
    return replace(now, given_up=given_up)


@router.post("/queue/{key}/retry", responses=_NO_RETRY)
def retry_work(service: ServiceOf, me: Editor, key: Annotated[str, InPath(pattern=ID)]) -> TriedAgain:
    """Have workers try again what they gave up: all of a `work_id`, or one `batch_id`."""
    return TriedAgain(again=try_again(service.library, key))


def _known(service: ServiceOf, job_id: JobId) -> Job:
    return service.jobs.get(job_id)  # an event stream has begun before it could say that there is no such job


def _still_allowed(request: Request) -> bool:
    """A stream may last for hours; who lost the right to it loses the stream."""
    identity = access_of(request).identify(credential_of(request))
    return identity is not None and "ingest" in identity.scopes


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse, responses=_UNKNOWN)
async def watch_job(
    request: Request,
    service: ServiceOf,
    me: Editor,
    job: Annotated[Job, Depends(_known)],
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events named `job`, each with the job as it is; the stream ends with the job."""
    yield ServerSentEvent(event="job", data=_told(service, me, job))
    while not job.ended:
        await asyncio.sleep(_EVENT_SECONDS)
        if not await asyncio.to_thread(_still_allowed, request):
            return
        now = await asyncio.to_thread(service.jobs.get, job.job_id)
        if now != job:
            job = now
            yield ServerSentEvent(event="job", data=_told(service, me, job))
