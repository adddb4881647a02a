"""How much the service takes: requests a minute, the size of a body, and its type."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from fastapi import params
from fastapi.routing import APIRoute
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from loguru import logger
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from facekit.server.refusal import ServiceRefusal, send_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request, Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Far above what a person does and far below what guessing takes: NIST SP 800-63B-4, section 3.2.2, allows 100 failures
# in a row, and here a fifteen-character password would see 14,400 a day.
FAILED_SIGN_INS_A_NAME = 10
SIGN_INS_AN_ADDRESS = 60  # the right ones too: an office, or the web app, has one address
# Somebody who leafs through a gallery asks for some 50 thumbnails a second, and without accounts all are one
# somebody; a search takes some 0.1 s of the models.
REQUESTS = 12_000
SEARCHES = 600

UPLOAD_BYTES = 64 * 2**20  # several of the largest photos that phones make (some 12 MB)
BODY_BYTES = 2**20  # JSON and forms


class RateLimits:
    """Requests a minute, counted in this process's memory in a window that moves.

    Every method raises a `ServiceRefusal` with status 429 and the header Retry-After when it was too many.
    """

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(REQUESTS, namespace="requests")
        self._searches = RateLimitItemPerMinute(SEARCHES, namespace="searches")
        self._name = RateLimitItemPerMinute(FAILED_SIGN_INS_A_NAME, namespace="sign-ins of a name")
        self._address = RateLimitItemPerMinute(SIGN_INS_AN_ADDRESS, namespace="sign-ins of an address")

    def request(self, who: str) -> None:
        """Count a request of somebody."""
        self._count(self._requests, who)

    def search(self, who: str) -> None:
        """Count a search of somebody."""
        self._count(self._searches, who)

    def sign_in(self, name: str, address: str) -> None:
        """Count a sign-in before the password is checked: tries at the same time must not slip past each other."""
        self._count(self._address, address)
        self._count(self._name, name, address)

    def signed_in(self, name: str, address: str) -> None:
        """The password was right: what was counted against this name was not guessing."""
        self._limiter.clear(self._name, name, address)

    def _count(self, limit: RateLimitItemPerMinute, *who: str) -> None:
        if self._limiter.hit(limit, *who):
            return
        seconds = max(1, math.ceil(self._limiter.get_window_stats(limit, *who).reset_time - time.time()))
        logger.warning("too many {}", limit.namespace)
        message = f"That was too often: {limit.amount} times a minute is the limit."
        raise ServiceRefusal(429, message, f"Wait {seconds} seconds.", {"Retry-After": str(seconds)})


class BodyLimit:
    """Middleware: no body is larger than the service takes, whether it says its size or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that says it is too large at once, and others when they have become so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        most = UPLOAD_BYTES if _type_of(headers) == "multipart/form-data" else BODY_BYTES
        message = f"The body is larger than {most // 2**20} MiB."
        refusal = ServiceRefusal(413, message, "Send less at a time, or smaller pictures.")
        said = headers.get("content-length", "")
        if said.isdecimal() and int(said) > most:
            await send_refusal(refusal, scope, receive, send)
            return
        got = 0

        async def receive_at_most() -> Message:
            nonlocal got
            part = await receive()
            got += len(part.get("body", b""))
            if got > most:
                raise refusal
            return part

        await self._app(scope, receive_at_most, send)


class StrictRoute(APIRoute):
    """A route that takes a body of one type only: ``APIRouter(route_class=StrictRoute)``.

    A form with a file comes as multipart/form-data, one without as application/x-www-form-urlencoded, and all else as
    application/json. Web pages of other sites can't send the last without being asked.

    FastAPI reads a body before it asks any dependency. Here a stranger is refused first, but on routes that are open.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, once the type is right and somebody known has sent it."""
        from facekit.server.access import anybody, refuse_strangers

        handle = super().get_route_handler()
        is_open = any(dependency.dependency is anybody for dependency in self.dependencies)
        field = None if self.body_field is None else self.body_field.field_info
        if field is None:
            return handle
        wanted = "application/json"
        if isinstance(field, params.File):
            wanted = "multipart/form-data"
        elif isinstance(field, params.Form):
            wanted = "application/x-www-form-urlencoded"

        async def handle_one_type(request: Request) -> Response:
            has_body = "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
            if has_body and _type_of(request.headers) != wanted:
                message = "The body is of a type that is not taken here."
                raise ServiceRefusal(415, message, f"Send it as {wanted}.")
            if has_body and not is_open:
                await run_in_threadpool(refuse_strangers, request)
            return await handle(request)

        return handle_one_type


def _type_of(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
