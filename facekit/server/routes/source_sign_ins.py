"""Signing in to a place that photos come from: begin, open its page, come back, and see what came of it."""

from __future__ import annotations

import os
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from loguru import logger
from pydantic import BaseModel, Field, model_validator

from facekit.arguments import ID, LONGEST_PATH
from facekit.errors import FacekitError, RefusedError
from facekit.server.access import SIGN_IN_CALLBACK, SIGN_IN_OPEN, anybody
from facekit.server.parameters import Name
from facekit.server.refusal import Refusal
from facekit.server.routes.sources import Editor, check_reach
from facekit.server.service import ServiceOf
from facekit.server.source_sign_ins import SignInState, Wanted
from facekit.server.strict import StrictRoute
from facekit.sources.signing_in import answer_page, loopback
from facekit.sources.signing_in.pending import SECONDS

router = APIRouter(prefix="/api/v1", tags=["sources"], route_class=StrictRoute)

_COOKIE = "facekit_sign_in"
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "There is no such place or sign-in, or it has no page to sign in."}
}
SignInId = Annotated[str, InPath(pattern=ID)]


class SignInToBegin(BaseModel):
    """A place to connect by signing in, or one that is connected to sign in to anew."""

    place: str | None = Field(
        None, min_length=1, max_length=LONGEST_PATH, description="An address, or a kind of place."
    )
    source: Name | None = Field(None, description="Instead: the name of a connected place.")
    name: Name | None = Field(None, description="What to call it; by default its kind.")
    settings: dict[Name, Annotated[str, Field(max_length=LONGEST_PATH)]] = Field(default_factory=dict, max_length=20)
    keep_originals: bool | None = Field(None, description="Keep the photos' files for good.")

    @model_validator(mode="after")
    def _one_of_both(self) -> SignInToBegin:
        if (self.place is None) == (self.source is None):
            message = "either place or source"
            raise ValueError(message)
        return self


class SignInBegun(BaseModel):
    """A sign-in that waits."""

    sign_in_id: str
    address: str = Field(description="To be opened in the browser of whoever signs in, within ten minutes.")


class SignInSeen(BaseModel):
    """What came of a sign-in."""

    state: SignInState
    name: str | None = Field(description="The place that was connected.")
    problem: str | None
    remedy: str | None


@router.post("/source-sign-ins", status_code=201, responses=_REFUSED)
def begin_sign_in(request: Request, service: ServiceOf, me: Editor, body: SignInToBegin) -> SignInBegun:
    """Begin to sign in to a place. Its answer comes to /source-sign-ins/callback, which is registered there."""
    if body.place is not None:
        check_reach(service, body.place, body.settings, me)
    callback = _callback(request)
    wanted = Wanted(body.place or "", body.source, body.name, body.settings, body.keep_originals)
    asks_first = me.kind not in {"owner", "local"}
    sign_in_id, ticket = service.sign_ins.begin(wanted, callback, me.name, asks_first=asks_first)
    address = callback.removesuffix(SIGN_IN_CALLBACK) + f"{SIGN_IN_OPEN}?ticket={ticket}"
    return SignInBegun(sign_in_id=sign_in_id, address=address)


def _callback(request: Request) -> str:
    """The address that is registered with the place, as the environment says it; by default as this request came."""
    said = os.environ.get(loopback.VARIABLE, "").strip()
    if urlsplit(said).path.endswith(SIGN_IN_CALLBACK):
        return said
    return str(request.base_url).rstrip("/") + SIGN_IN_CALLBACK


@router.get("/source-sign-ins/open", dependencies=[Depends(anybody)], include_in_schema=False)
def open_sign_in(request: Request, service: ServiceOf, ticket: str = "") -> Response:
    """Lead a browser to a place's page; where there are accounts, it is first said who wishes so."""
    language = request.headers.get("accept-language", "")
    try:
        found = service.sign_ins.open(ticket, request.cookies.get(_COOKIE, ""))
    except RefusedError:
        return _page(400, language, answer_page.NOT_MINE)
    if found.asks_first:
        texts = {key: text.format(user=found.user, kind=found.words) for key, text in answer_page.ASKS.items()}
        answer = _page(200, language, texts, found.address)
    else:
        answer = RedirectResponse(found.address, 303, answer_page.SAFE)
    secure = urlsplit(_callback(request)).scheme == "https"
    answer.set_cookie(_COOKIE, found.browser, int(SECONDS), path="/", secure=secure, httponly=True, samesite="lax")
    return answer


@router.get("/source-sign-ins/callback", dependencies=[Depends(anybody)], include_in_schema=False)
def end_sign_in(request: Request, service: ServiceOf) -> Response:
    """Take what a place sends along with the browser that it leads back."""
    language = request.headers.get("accept-language", "")
    try:
        service.sign_ins.come_back(dict(request.query_params), request.cookies.get(_COOKIE, ""))
    except RefusedError:
        return _page(400, language, answer_page.NOT_MINE)
    except FacekitError as error:
        logger.info("A sign-in to a place failed: {}", type(error).__name__)
        return _page(400, language, answer_page.REFUSED)
    return _page(200, language, answer_page.DONE)


@router.get("/source-sign-ins/{sign_in_id}", responses=_REFUSED)
def get_sign_in(service: ServiceOf, me: Editor, sign_in_id: SignInId) -> SignInSeen:
    """What came of a sign-in that you began."""
    found = service.sign_ins.get(sign_in_id, me.name)
    return SignInSeen(state=found.state, name=found.name, problem=found.problem, remedy=found.remedy)


@router.delete("/source-sign-ins/{sign_in_id}", status_code=204, responses=_REFUSED)
def cancel_sign_in(service: ServiceOf, me: Editor, sign_in_id: SignInId) -> None:
    """Give a sign-in up that you began."""
    service.sign_ins.cancel(sign_in_id, me.name)


def _page(status: int, language: str, texts: dict[str, str], link: str | None = None) -> Response:
    return HTMLResponse(answer_page.page_of(language, texts, link), status, answer_page.SAFE)
