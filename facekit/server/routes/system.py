"""How the service and its library are."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from facekit._version import __version__
from facekit.arguments import LONGEST_PATH
from facekit.library.documents import ServiceInfo
from facekit.server.access import needs
from facekit.server.accounts import Identity
from facekit.server.refusal import ServiceRefusal
from facekit.server.service import ServiceOf
from facekit.server.strict import StrictRoute

router = APIRouter(route_class=StrictRoute)
Reader = Annotated[Identity, Depends(needs("read"))]
Admin = Annotated[Identity, Depends(needs("admin"))]


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", tags=["health"], response_class=PlainTextResponse)
def healthz() -> str:
    """Whether the process answers."""
    return "ok"


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", tags=["health"], response_class=PlainTextResponse, responses={503: {}})
def readyz(service: ServiceOf) -> str:
    """Whether searches and jobs are taken."""
    if service.library.closed or not service.jobs.alive:
        raise ServiceRefusal(503, "The service is not ready.", "Wait, or start it again.")
    return "ok"


@router.get("/metrics", tags=["health"], response_class=PlainTextResponse)
def metrics(service: ServiceOf, me: Annotated[Identity, Depends(needs("metrics"))]) -> Response:
    """Metrics in Prometheus' text format."""
    return Response(service.metrics.render(service.library, service.jobs), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/v1/service", tags=["library"])
def info(service: ServiceOf, me: Reader) -> ServiceInfo:
    """What serves here."""
    library = service.library
    settings = library.settings
    place = library.place if me.kind in {"owner", "local"} else None
    return ServiceInfo(
        version=__version__,
        detector=settings.detector,
        embedder=settings.embedder,
        embedder_version=settings.embedder_version,
        search_similarity=settings.search_similarity,
        library=place,
    )


@router.get("/api/v1/stats", tags=["library"])
def stats(service: ServiceOf, me: Reader) -> dict[str, Any]:
    """The library's numbers."""
    numbers = service.library.stats()
    if me.kind not in {"owner", "local"}:
        del numbers["library"]
    return numbers


class BackupFolder(BaseModel):
    """Where a backup is kept."""

    folder: str = Field(
        min_length=1, max_length=LONGEST_PATH, description="Absolute, and under a root that the service allows."
    )


class BackedUp(BaseModel):
    """What was copied."""

    thumbnails: int = Field(description="Thumbnails that the backup did not have.")


@router.post("/api/v1/library/backup", tags=["library"])
def backup(service: ServiceOf, me: Admin, body: BackupFolder) -> BackedUp:
    """Bring a backup of the library up to date in a folder of the service's machine, while the service goes on."""
    return BackedUp(thumbnails=service.library.backup(service.paths.decide(body.folder, me, "keep") or ""))


@router.get("/api/v1/doctor", tags=["library"])
def doctor(service: ServiceOf, me: Admin) -> dict[str, Any]:
    """Check everything. Only the service's own user is told where files lie."""
    document = service.library.doctor().to_dict()
    for check in document["checks"]:
        check["detail"] = service.paths.said(check["detail"], me)
    return document
