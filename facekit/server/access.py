"""Who a request comes from and what it may do: every route of the service asks here."""

from __future__ import annotations

import hmac
import re
from functools import cache
from typing import TYPE_CHECKING, Annotated, NoReturn

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from facekit.server.accounts import Identity
from facekit.server.database import StoreAwayError
from facekit.server.limits import RateLimits
from facekit.server.refusal import AWAY, ServiceRefusal, send_refusal
from facekit.server.roles import ROLES
from facekit.server.tokens import Keys, Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Send
    from starlette.types import Scope as AsgiScope

    from facekit.server.accounts import Accounts
    from facekit.server.roles import Scope

_LOCAL = Identity("local", "admin", ROLES["admin"], "local")
_OWNER = Identity("owner", "admin", ROLES["admin"], "owner")
_THIS_MACHINE = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
SIGN_IN_OPEN, SIGN_IN_CALLBACK = "/api/v1/source-sign-ins/open", "/api/v1/source-sign-ins/callback"
"""What a browser opens without anybody's token; other sites' pages lead to the second."""
_OPEN_TO_ALL = ("/healthz", "/readyz", SIGN_IN_OPEN, SIGN_IN_CALLBACK)

_RIGHTS: dict[str, str] = {
    "read": "See photos, faces, thumbnails and numbers.",
    "search": "Search for a person.",
    "export": "Take tables away as files.",
    "ingest": "Bring photos in, remove them, follow the jobs, and set the similarity that searches take.",
    "metrics": "Read the service's metrics.",
    "admin": "Manage the users, change the models, and see whether the service is well.",
}
_bearer = OAuth2PasswordBearer("api/v1/auth/token", "Bearer", _RIGHTS, auto_error=False)
_key_header = APIKeyHeader(name="X-API-Key", scheme_name="Key", auto_error=False)


class Access:
    """What the service knows about who may come in; it is at ``app.state.access``.

    Where there are no accounts, everybody who reaches the service is one person, and `LocalOnly` sees to it that only
    programs of this machine do.

    Parameters
    ----------
    accounts : Accounts or None
        The users, or None where there can't be any.
    owner_key : str
        Opens everything to programs of the user who runs the service. It is new at every start.
    limits : RateLimits, optional
        How often somebody may ask; by default counted in this process.
    """

    def __init__(self, accounts: Accounts | None, owner_key: str, limits: RateLimits | None = None) -> None:
        self.accounts = accounts
        self.sessions = Sessions(accounts.store) if accounts else None
        self.keys = Keys(accounts.store) if accounts else None
        self.limits = limits or RateLimits()
        self.owner_key = owner_key
        self._owner_key = owner_key.encode()
        self._closed = False

    def has_accounts(self) -> bool:
        """Whether there are accounts; once there are, the service never opens again while it runs."""
        self._closed = self._closed or (self.accounts is not None and self.accounts.exist())
        return self._closed

    def identify(self, credential: str) -> Identity | None:
        """Whose access token or API key this is, or None."""
        if self._owner_key and hmac.compare_digest(credential.encode("utf-8", "replace"), self._owner_key):
            return _OWNER
        if not self.has_accounts():
            return _LOCAL
        if not credential or self.sessions is None or self.keys is None:
            return None
        return self.keys.identify(credential) if credential.startswith("fk_") else self.sessions.identify(credential)


def access_of(request: Request) -> Access:
    """The service's `Access`."""
    access: Access = request.app.state.access
    return access


def address_of(request: Request) -> str:
    """Where a request comes from; behind a proxy, what uvicorn believes of what the proxy says."""
    return request.client.host if request.client else "a local program"


@cache
def needs(scope: Scope | None = None) -> Callable[..., Identity]:
    """A dependency that lets in whoever has a scope, or, without one, whoever has signed in.

    ``Depends(needs("read"))`` gives the `Identity`. It also counts the request; a search counts as one, too.
    """

    def identify(
        request: Request,
        _token: Annotated[str | None, Security(_bearer)],  # these two are for the OpenAPI document
        _key: Annotated[str | None, Security(_key_header)],
    ) -> Identity:
        access = access_of(request)
        identity = request.state.identity = refuse_strangers(request)
        if identity.kind != "owner":  # who may read the files themselves is not held up
            who = address_of(request) if identity.kind == "local" else f"user {identity.name}"
            access.limits.request(who)
            if scope == "search":
                access.limits.search(who)
        if scope is not None and scope not in identity.scopes:
            message = f"This needs the right to {scope}, which {identity.name} ({identity.role}) does not have here."
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise ServiceRefusal(403, message, "Ask an admin.", {"WWW-Authenticate": challenge})
        return identity

    return identify


def credential_of(request: Request) -> str:
    """The access token or API key that a request brings, or ""."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if kind.lower() == "bearer" else ""
    return bearer or request.headers.get("x-api-key", "")


def refuse_strangers(request: Request) -> Identity:
    """Who a request comes from, if that is somebody known; what they may do is asked later."""
    access, credential = access_of(request), credential_of(request)
    identity = access.identify(credential)
    if identity is None:
        access.limits.request(address_of(request))
        _refuse_a_stranger(known=bool(credential))
    return identity


def anybody(request: Request) -> None:
    """A dependency of the few routes that are open to all: it counts their requests."""
    access_of(request).limits.request(address_of(request))


def _refuse_a_stranger(*, known: bool) -> NoReturn:
    if known:
        message, challenge = "This token or key is not good, or no longer.", 'Bearer error="invalid_token"'
    else:
        message, challenge = "Nobody has signed in.", "Bearer"
    raise ServiceRefusal(401, message, "Sign in, or use an API key.", {"WWW-Authenticate": challenge})


class LocalOnly:
    """Middleware against other web pages in the browser of somebody who may come in.

    Without accounts, only requests to this machine's own names are answered: a page whose name was made to point here
    (DNS rebinding) is not. In any case, what another site's page sends is refused, but for the health routes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Refuse the request, or let it pass."""
        refusal = None
        if scope["type"] == "http":
            refusal = await run_in_threadpool(_refusal_of_page, scope)  # it may have to ask a server
        if refusal:
            await send_refusal(refusal, scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _refusal_of_page(scope: AsgiScope) -> ServiceRefusal | None:
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    access: Access = scope["app"].state.access
    open_to_all = scope["method"] in {"GET", "HEAD"} and scope["path"] in _OPEN_TO_ALL
    try:
        accounts = access.has_accounts()
    except StoreAwayError:
        if not open_to_all:
            return ServiceRefusal(503, *AWAY)
        accounts = False
    if not accounts and not _THIS_MACHINE.fullmatch(host):
        message = "This service has no accounts and answers on this machine only."
        return ServiceRefusal(403, message, "Use http://127.0.0.1, or add accounts: facekit users add NAME.")
    if open_to_all:
        return None
    origin = headers.get("origin")
    elsewhere = origin is not None and origin.partition("://")[2].lower() != host.lower()
    if elsewhere or headers.get("sec-fetch-site") == "cross-site":
        return ServiceRefusal(403, "Another site's page sent this request.", "Open the service's own address.")
    return None
