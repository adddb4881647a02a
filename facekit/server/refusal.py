"""How the service says no: a status, a sentence, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send


AWAY = ("The library's server does not answer now.", "Try again in a while; whoever runs the service sees why.")
"""Message and remedy while accounts and jobs can't be asked; where the server is, is not told."""


class ServiceRefusal(HTTPException):
    """A request that is not granted.

    It is an `HTTPException` so that FastAPI lets it through where it turns other exceptions into answers of its own:
    while a body is read.

    Parameters
    ----------
    status : int
        The answer's HTTP status.
    message : str
        One sentence that says why. It holds no path of the server's and nothing secret.
    remedy : str, optional
        What to do next.
    headers : mapping of str to str, optional
        The answer's headers.
    kind : str, optional
        What a program can tell the refusal by.
    """

    def __init__(
        self,
        status: int,
        message: str,
        remedy: str = "",
        headers: Mapping[str, str] | None = None,
        *,
        kind: str = "",
    ) -> None:
        super().__init__(status, {"message": message, "remedy": remedy}, headers)
        self.kind = kind
        self.message = message
        self.remedy = remedy


class RefusalDetail(BaseModel):
    """Why a request was not granted."""

    message: str = Field(description="What happened, in one sentence.")
    remedy: str = Field("", description="What to do next.")
    kind: str = Field(
        "",
        description="What a program can tell by: no_face, busy, models, no_model, folder, no_folder, name_taken, "
        "refused, slow, disk_full, away, photo.STATUS.",
    )
    person_id: str = Field("", description="Who has the name, where it is taken.")
    reference: str = Field("", description="The request's id, under which the service's log has more.")


class Refusal(BaseModel):
    """The body of every answer from 400 on."""

    detail: RefusalDetail


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Refusal, "description": "Nobody has signed in, or no longer."},
    403: {"model": Refusal, "description": "This is more than you may do."},
    413: {"model": Refusal, "description": "The body is too large."},
    415: {"model": Refusal, "description": "The body is of another type than this takes."},
    429: {"model": Refusal, "description": "Too many requests; Retry-After says when to go on."},
    503: {"model": Refusal, "description": "A server that the library lies on does not answer now."},
    507: {"model": Refusal, "description": "The disk of the library is full."},
}
"""For an `APIRouter`'s ``responses``."""


async def send_refusal(refusal: ServiceRefusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer from a middleware, which no handler of exceptions stands around."""
    reference = scope.get("state", {}).get("request_id", "")
    detail = {"message": refusal.message, "remedy": refusal.remedy, "reference": reference}
    await JSONResponse({"detail": detail}, refusal.status_code, refusal.headers)(scope, receive, send)
