"""The REST API as an ASGI application."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from loguru import logger
from starlette.exceptions import HTTPException

from facekit._version import __version__
from facekit.errors import (
    DiskFullError,
    FacekitError,
    LibraryBusyError,
    ModelMismatchError,
    NameTakenError,
    NoFaceError,
    NoFolderError,
    PhotoError,
    RefusedError,
    UnknownIdError,
    WorkerTimeoutError,
)
from facekit.server.access import LocalOnly
from facekit.server.database import StoreAwayError
from facekit.server.limits import BodyLimit
from facekit.server.refusal import AWAY, REFUSALS, Refusal, ServiceRefusal
from facekit.server.routes import accounts as auth_routes
from facekit.server.routes import jobs as job_routes
from facekit.server.routes import people as people_routes
from facekit.server.routes import photos as photo_routes
from facekit.server.routes import search as search_routes
from facekit.server.routes import source_sign_ins as sign_in_routes
from facekit.server.routes import sources as source_routes
from facekit.server.routes import system as system_routes
from facekit.system.disk_space import is_disk_full
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from fastapi import FastAPI, Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from facekit.server.access import Access
    from facekit.server.accounts import Identity
    from facekit.server.service import Service

# What went wrong with a photo, without its name: that may be a path of the server's.
_PHOTO: dict[Status, str] = {
    Status.CORRUPT: "The picture is damaged or cut short.",
    Status.UNSUPPORTED: "This kind of file can't be read.",
    Status.TOO_LARGE: "The picture is too large.",
    Status.IO_ERROR: "The file can't be read.",
    Status.MISSING: "The photo's file is gone, or was changed since it was ingested.",
}
# The status and the kind of errors whose own words are told, where they are safe to show.
_ANSWERS: tuple[tuple[type[FacekitError], int, str], ...] = (
    (UnknownIdError, 404, ""),
    (NoFaceError, 422, "no_face"),
    (LibraryBusyError, 409, "busy"),
    (ModelMismatchError, 409, "models"),
    (NameTakenError, 409, "name_taken"),
    (RefusedError, 400, "refused"),
)
_UNSAID = {"message": "facekit can't do this.", "remedy": "The log says more at the reference."}


def create_app(service: Service, access: Access) -> FastAPI:
    """The application of a service; it starts the service with itself, and stops it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    app = FastAPIOffline(  # the documentation's pages ask no other host for anything
        title="facekit",
        version=__version__,
        summary="Find every photo of a person.",
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        responses=REFUSALS | {422: {"model": Refusal, "description": "The request can't be understood."}},
    )
    app.state.service = service
    app.state.access = access
    for routes in (auth_routes, search_routes, photo_routes, people_routes, job_routes, source_routes, sign_in_routes):
        app.include_router(routes.router)
    app.include_router(system_routes.router)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(FacekitError, _failed)
    app.add_middleware(BodyLimit)
    app.add_middleware(LocalOnly)
    app.add_middleware(Requests)
    return app


class Requests:
    """Middleware: every request has an id, which is in its answer and in each line that it logs, and is measured."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request its id, and note how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        start = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                headers += [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))  # it is private, whatever it was asked for with
                message["headers"] = headers
            await send(message)

        with logger.contextualize(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                logger.exception("{} failed", scope["method"])
                if status != 500:  # noqa: PLR2004 - an answer has begun: nothing more can be said
                    raise
                detail = {
                    "message": "Something went wrong here.",
                    "remedy": "The log says more.",
                    "reference": request_id,
                }
                await JSONResponse({"detail": detail}, 500)(scope, receive, send_with_id)
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", "none")  # the template: addresses hold ids of photos
            logger.info("{} {} {} {:.0f} ms", scope["method"], route, status, seconds * 1000)
        metrics = scope["app"].state.service.metrics
        if not route.endswith("/events"):  # a stream takes as long as its job
            metrics.observe_request(scope["method"], route, status, seconds)


def _answer(request: Request, status: int, detail: dict[str, Any], headers: Any = None) -> JSONResponse:  # noqa: ANN401
    detail = {"message": "", "remedy": "", "kind": ""} | detail | {"reference": request.state.request_id}
    return JSONResponse({"detail": detail}, status, headers)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, ServiceRefusal):
        said = {"message": error.message, "remedy": error.remedy, "kind": error.kind}
        return _answer(request, error.status_code, said, error.headers)
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "There is nothing here.", 405: "This address takes other methods."}
    message = words.get(status, "The request can't be carried out.")
    return _answer(request, status, {"message": message}, getattr(error, "headers", None))


async def _not_understood(request: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    missing = _places([one for one in problems if one["type"] == "missing"])
    wrong = _places([one for one in problems if one["type"] != "missing"])
    said = [f"The request lacks {missing}."] if missing else []
    if wrong or not missing:  # the values are not repeated
        said.append(f"The request can't be understood: {wrong or 'body'}.")
    message = " ".join(said)
    return _answer(request, 422, {"message": message, "remedy": "See /docs for what is expected."})


def _places(problems: Sequence[Any]) -> str:
    """The names of fields and parameters, in words."""
    names = (".".join(part for part in one["loc"][1:] if isinstance(part, str)) or "body" for one in problems)
    return ", ".join(dict.fromkeys(names))


def _refusal(error: Exception) -> tuple[str, int, dict[str, Any]]:
    """What the metrics call a failure, the status, and what is said of it: its own words only if they name no path."""
    if isinstance(error, PhotoError):
        status = 404 if error.status is Status.MISSING else 422
        said = {"message": _PHOTO[error.status], "kind": f"photo.{error.status}"}
        return f"photo_{error.status}", status, said
    if isinstance(error, WorkerTimeoutError):
        said = {"message": "The picture took too long to decode.", "remedy": "Try again later, or send a smaller one."}
        return "slow", 422, said | {"kind": "slow"}
    if isinstance(error, NoFolderError):
        said = {"message": "The library holds no photo in this folder.", "kind": "refused"}
        return "refused", 422, said | {"remedy": "lib.folders() or GET /api/v1/folders lists the folders."}
    if isinstance(error, StoreAwayError):
        return "away", 503, {"message": AWAY[0], "remedy": AWAY[1], "kind": "away"}
    if isinstance(error, DiskFullError) or is_disk_full(error):
        # Where it lies is not told: it is whoever runs the service that can do something.
        said = {"message": "The disk of the library is full: this was not stored.", "kind": "disk_full"}
        remedy = "Make room on the disk that holds the library, and do it again: what was stored before is kept."
        return "disk_full", 507, said | {"remedy": remedy}  # RFC 4918, section 11.5: Insufficient Storage
    status, kind = next(((status, kind) for one, status, kind in _ANSWERS if isinstance(error, one)), (400, ""))
    said = _UNSAID
    if isinstance(error, FacekitError) and error.safe_to_show:
        said = {"message": error.message, "remedy": error.remedy}
    if isinstance(error, NameTakenError):
        said = said | {"person_id": error.person_id}
    return "no_face" if kind == "no_face" else "refused", status, said | {"kind": kind}


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """What facekit says of a failure, without any path."""
    metrics = request.app.state.service.metrics
    refusal, status, said = _refusal(error)
    unsaid = said["message"] == _UNSAID["message"]
    name, reference = type(error).__name__, request.state.request_id
    words = logger.bind(console=f"{name}: {error} (reference {reference})")  # they may name photos
    words.log("WARNING" if unsaid else "INFO", "{} (reference {})", name, reference)
    identity: Identity | None = getattr(request.state, "identity", None)
    if unsaid and isinstance(error, FacekitError) and identity is not None and identity.kind == "owner":
        said = said | {"message": error.message, "remedy": error.remedy}  # the files are theirs anyway
    if not isinstance(error, UnknownIdError):  # that is no failure of a picture or a verb
        metrics.observe_failure(refusal)
    return _answer(request, status, said)
