"""Routes that are strict about what they take: a body of one type, and from a stranger none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import params
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from facekit.server.access import anybody, refuse_strangers
from facekit.server.limits import media_type
from facekit.server.refusal import ServiceRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request, Response


class StrictRoute(APIRoute):
    """A route that takes a body of one type only: ``APIRouter(route_class=StrictRoute)``.

    A form with a file comes as multipart/form-data, one without as application/x-www-form-urlencoded, and all else as
    application/json. Web pages of other sites can't send the last without being asked.

    FastAPI reads a body before it asks any dependency. Here a stranger is refused first, but on routes that are open.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, once the type is right and somebody known has sent it."""
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
            if has_body and media_type(request.headers) != wanted:
                message = "The body is of a type that is not taken here."
                raise ServiceRefusal(415, message, f"Send it as {wanted}.")
            if has_body and not is_open:
                await run_in_threadpool(refuse_strangers, request)
            return await handle(request)

        return handle_one_type
