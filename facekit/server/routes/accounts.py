"""``/api/v1/auth``: sign in and out, passwords, API keys, and for admins the users."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict, Field

from facekit.server.access import access_of, address_of, anybody, needs
from facekit.server.accounts import (
    PASSWORD_CHARACTERS,
    AccountConflictError,
    AccountError,
    AccountNotFoundError,
    Identity,
    canonical,
)
from facekit.server.refusal import REFUSALS, Refusal, ServiceRefusal
from facekit.server.roles import SCOPES, Role, Scope
from facekit.server.strict import StrictRoute
from facekit.server.tokens import ACCESS_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.server.access import Access
    from facekit.server.accounts import Accounts, User
    from facekit.server.tokens import Keys, Sessions, Tokens

Me = Annotated[Identity, Depends(needs())]


def _no_key(me: Me) -> None:
    """A key must not change accounts or keys: it would outlive itself, or do more than it was given."""
    if me.kind == "key":
        message = "Only somebody who signed in with a password can do this."
        raise ServiceRefusal(403, message, "Sign in, and try again.")


router = APIRouter(prefix="/api/v1/auth", tags=["auth"], route_class=StrictRoute, responses=REFUSALS)
# What changes an account, a session or a key is a route of this one.
changes = APIRouter(route_class=StrictRoute, dependencies=[Depends(_no_key)])

_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": Refusal, "description": "It does not go with the accounts there are."}
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "There is none of that name."}}

Admin = Annotated[Identity, Depends(needs("admin"))]
UserName = Annotated[str, Path(description="A user's name, however it is capitalised.", max_length=64)]


class SignInStatus(BaseModel):
    """Whether one has to sign in."""

    accounts: bool = Field(description="False where everybody on this machine may do everything.")


class TokenPair(BaseModel):
    """What somebody who signed in holds, and what it allows."""

    access_token: str = Field(description="For the header ``Authorization: Bearer ...``.")
    refresh_token: str = Field(description="Good for one use, at /refresh; used twice, it closes the session.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - it is not one
    expires_in: int = Field(description="Seconds that the access token is good for.")
    role: Role
    scopes: list[Scope]
    device_token: str = Field(
        description="Opens nothing. Sent as `device` with the next sign-in, that does not wait for others' guesses."
    )


class RefreshToken(BaseModel):
    """The refresh token that was given last."""

    refresh_token: str


class SignedIn(BaseModel):
    """Who the service takes you for."""

    name: str
    role: Role
    scopes: list[Scope]
    kind: Literal["session", "key", "owner", "local"] = Field(description="How you came in.")
    accounts: bool = Field(description="Whether there are accounts; without, everybody is the admin `local`.")


class PasswordChange(BaseModel):
    """A new password for yourself."""

    current: str
    new: str = Field(description=f"{PASSWORD_CHARACTERS} characters or more.")


class NewKey(BaseModel):
    """What a new API key is to be for."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=100, description="What you will know it by.")
    scopes: list[Scope] = Field(min_length=1, description="What it may do, at most what you may do.")
    expires_days: int | None = Field(None, ge=1, le=3650, description="Days that it is good for; null for always.")


class KeyInfo(BaseModel):
    """What is known of an API key."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    user: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")
    expires_at: datetime | None
    revoked: bool


class KeyMade(KeyInfo):
    """A new API key, shown this once."""

    key: str = Field(description="For the header ``X-API-Key`` or ``Authorization: Bearer``. It can't be shown again.")


class UserInfo(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    role: Role
    disabled: bool
    created_at: datetime


class NewUser(BaseModel):
    """An account to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Letters, digits and . _ - + @; capitals make no difference.")
    password: str = Field(description=f"{PASSWORD_CHARACTERS} characters or more.")
    role: Role


class UserChange(BaseModel):
    """What is to change; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    disabled: bool | None = None
    password: str | None = Field(None, description=f"{PASSWORD_CHARACTERS} characters or more.")


@router.get("/status", dependencies=[Depends(anybody)])
def status(request: Request) -> SignInStatus:
    """Say whether one has to sign in."""
    return SignInStatus(accounts=access_of(request).has_accounts())


@router.post("/token", dependencies=[Depends(anybody)], responses=_CONFLICT)
def sign_in(
    request: Request,
    response: Response,
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    device: Annotated[
        str, Form(max_length=1024, description="The `device_token` of an earlier sign-in, where there is one.")
    ] = "",
) -> TokenPair:
    """Sign in with a name and a password. After some wrong ones the next has to wait, each time longer."""
    access = access_of(request)
    accounts, sessions, _ = _with_accounts(access)
    known = sessions.device_of(device, form.username) if device else ""
    user = _right_password(request, accounts, form.username, form.password, known)
    return _pair(access, sessions.start(user.name), response)


@router.post("/refresh", dependencies=[Depends(anybody)], responses=_CONFLICT)
def refresh(request: Request, response: Response, body: RefreshToken) -> TokenPair:
    """Get new tokens for a refresh token, which is dead from then on."""
    access = access_of(request)
    _, sessions, _ = _with_accounts(access)
    tokens = sessions.refresh(body.refresh_token)
    if tokens is None:
        message = "This refresh token is not good, or no longer."
        raise ServiceRefusal(401, message, "Sign in again.", {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return _pair(access, tokens, response)


@changes.post("/logout", status_code=204, responses=_CONFLICT)
def sign_out(request: Request, me: Me) -> None:
    """End this session: its tokens are refused from now on."""
    _must_be_signed_in(me)
    _, sessions, _ = _with_accounts(access_of(request))
    sessions.end(me.id)


@router.get("/me")
def who_am_i(request: Request, me: Me) -> SignedIn:
    """Say who you are, and what you may do."""
    accounts = access_of(request).has_accounts()
    return SignedIn(name=me.name, role=me.role, scopes=_in_order(me), kind=me.kind, accounts=accounts)


@changes.post("/password", status_code=204, responses=_CONFLICT)
def change_password(request: Request, me: Me, body: PasswordChange) -> None:
    """Change your own password; your other sessions and all your API keys end."""
    _must_be_signed_in(me)
    accounts, _, _ = _with_accounts(access_of(request))
    _right_password(request, accounts, me.name, body.current, me.id)
    with _refusals():
        accounts.change(me.name, password=body.new, keep_session=me.id)


@router.get("/keys", responses=_CONFLICT)
def list_keys(request: Request, me: Me) -> list[KeyInfo]:
    """List your API keys; an admin sees all."""
    _, _, keys = _with_accounts(access_of(request))
    _must_be_signed_in(me)
    return [KeyInfo.model_validate(key) for key in keys.of(_whose_keys(me))]


@changes.post("/keys", status_code=201, responses=_CONFLICT)
def make_key(request: Request, response: Response, me: Me, body: NewKey) -> KeyMade:
    """Make an API key of your own for a program; this answer alone shows it."""
    _must_be_signed_in(me)
    _, _, keys = _with_accounts(access_of(request))
    with _refusals():
        secret, key = keys.create(me.name, body.scopes, name=body.name, expires_days=body.expires_days)
    response.headers["Cache-Control"] = "no-store"
    return KeyMade(**KeyInfo.model_validate(key).model_dump(), key=secret)


@changes.delete("/keys/{key_id}", status_code=204, responses=_CONFLICT | _NOT_FOUND)
def revoke_key(
    request: Request,
    me: Me,
    key_id: Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="The key's id.")],
) -> None:
    """End an API key of yours; an admin may end any."""
    _, _, keys = _with_accounts(access_of(request))
    _must_be_signed_in(me)
    with _refusals():
        keys.revoke(key_id, _whose_keys(me))


@router.get("/users", responses=_CONFLICT)
def list_users(request: Request, _: Admin) -> list[UserInfo]:
    """List the accounts."""
    return [UserInfo.model_validate(user) for user in _accounts(access_of(request)).users()]


@changes.post("/users", status_code=201, responses=_CONFLICT)
def add_user(request: Request, _: Admin, body: NewUser) -> UserInfo:
    """Make an account. The first has to be an admin's; from then on, everybody has to sign in."""
    with _refusals():
        return UserInfo.model_validate(_accounts(access_of(request)).add(body.name, body.password, body.role))


@changes.patch("/users/{name}", responses=_CONFLICT | _NOT_FOUND)
def change_user(request: Request, _: Admin, name: UserName, body: UserChange) -> UserInfo:
    """Change a role or a password, or lock an account; that ends its sessions, a new password its API keys too."""
    accounts = _accounts(access_of(request))
    with _refusals():
        user = accounts.change(name, role=body.role, disabled=body.disabled, password=body.password)
    return UserInfo.model_validate(user)


@changes.delete("/users/{name}", status_code=204, responses=_CONFLICT | _NOT_FOUND)
def remove_user(request: Request, _: Admin, name: UserName) -> None:
    """Remove an account with its sessions and keys."""
    with _refusals():
        _accounts(access_of(request)).remove(name)


router.include_router(changes)


@contextmanager
def _refusals() -> Iterator[None]:
    """What an account can't do, as an answer."""
    try:
        yield
    except AccountError as error:
        status = 422
        if isinstance(error, AccountNotFoundError):
            status = 404
        elif isinstance(error, AccountConflictError):
            status = 409
        raise ServiceRefusal(status, error.message, error.remedy) from error


def _accounts(access: Access) -> Accounts:
    if access.accounts is None:
        message = "This service can't have accounts."
        raise ServiceRefusal(409, message)
    return access.accounts


def _with_accounts(access: Access) -> tuple[Accounts, Sessions, Keys]:
    if not access.has_accounts() or access.accounts is None or access.sessions is None or access.keys is None:
        message = "This service has no accounts: everybody on this machine may do everything."
        raise ServiceRefusal(409, message, "Go on without signing in.")
    return access.accounts, access.sessions, access.keys


def _right_password(request: Request, accounts: Accounts, name: str, password: str, device: str) -> User:
    limits, address, asked = access_of(request).limits, address_of(request), canonical(name)[:64]
    limits.sign_in(asked, address, device)
    user = accounts.check(name, password)
    if user is None:
        message = "The name or the password is wrong, or the account is locked."
        raise ServiceRefusal(401, message, "Try again, or ask an admin.", {"WWW-Authenticate": "Bearer"})
    limits.signed_in(asked, address, device)
    return user


def _must_be_signed_in(me: Identity) -> None:
    """Where there are no accounts, and with the owner's key, there is no session and no password."""
    if me.kind != "session":
        message = "Only somebody who signed in with a password can do this."
        raise ServiceRefusal(403, message, "Sign in, and try again.")


def _whose_keys(me: Identity) -> str | None:
    return None if "admin" in me.scopes else me.name


def _pair(access: Access, tokens: Tokens, response: Response) -> TokenPair:
    response.headers["Cache-Control"] = "no-store"  # RFC 6749, section 5.1
    me = access.identify(tokens.access)
    if me is None:  # locked in this very moment
        message = "The account is locked."
        raise ServiceRefusal(401, message, "Ask an admin.", {"WWW-Authenticate": "Bearer"})
    return TokenPair(
        access_token=tokens.access,
        refresh_token=tokens.refresh,
        expires_in=ACCESS_SECONDS,
        role=me.role,
        scopes=_in_order(me),
        device_token="" if access.sessions is None else access.sessions.device(me.name),
    )


def _in_order(me: Identity) -> list[Scope]:
    return [scope for scope in SCOPES if scope in me.scopes]
