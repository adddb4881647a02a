"""What stands for a user: the tokens of a session, and API keys.

Refresh tokens and keys hold 256 random bits, so their SHA-256 is all that has to be stored: nobody can try so many,
and the slow hash that passwords need would only slow every request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from loguru import logger

from facekit.server.accounts import AccountError, AccountNotFoundError, Identity, canonical
from facekit.server.database import now
from facekit.server.roles import ROLES, SCOPES
from facekit.server.tables import api_keys, sessions, users

if TYPE_CHECKING:
    from collections.abc import Collection

    from facekit.server.database import ServiceStore
    from facekit.server.roles import Scope

ACCESS_SECONDS = 15 * 60  # short, so that one that leaks is soon worthless; a closed session ends at once anyway
SESSION_SECONDS = 30 * 86_400  # NIST SP 800-63B-4, section 2.1.3: sign in anew after 30 days at the latest
_ISSUER = "facekit"
_DEVICE = "device"
_ALGORITHM = "HS256"
_SECRET_BYTES = 32
_USED_SECONDS = 60  # how exact a key's last use is: a program that asks all the time must not write all the time


@dataclass(frozen=True, slots=True)
class Tokens:
    """What somebody who signed in holds."""

    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of an API key; the key itself is not."""

    id: str
    user: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked: bool


class Sessions:
    """Signed-in users: a short access token, and a refresh token that is good for one use."""

    def __init__(self, store: ServiceStore) -> None:
        self._store = store
        self._secret = store.secret()

    def start(self, user: str) -> Tokens:
        """Open a session for somebody whose password was right."""
        session, secret, at = secrets.token_hex(16), _random(), now()
        opened = sa.insert(sessions).values(
            id=session,
            user=canonical(user),
            token_hash=_hash(secret),
            created_at=at,
            last_used_at=at,
            expires_at=at + SESSION_SECONDS,
        )
        with self._store.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.expires_at <= at))
            connection.execute(opened)
        return Tokens(self._access(session, canonical(user)), f"{session}.{secret}")

    def refresh(self, token: str) -> Tokens | None:
        """New tokens for a refresh token, which is dead from now on; None if it is not good.

        Whoever shows one that was used before, or somebody else, has a copy of it. Who of them is the thief can't be
        known, so the session ends for both.
        """
        session, _, secret = token.encode("utf-8", "replace").decode().partition(".")
        fresh, at = _random(), now()
        mine = sessions.c.id == session
        with self._store.write() as connection:
            row = _live_session(connection, session)
            if row is None:
                return None
            if not hmac.compare_digest(row.token_hash, _hash(secret)):
                connection.execute(sa.update(sessions).where(mine).values(revoked=True))
                logger.warning("an old refresh token of {} was shown again; the session was closed", row.display)
                return None
            connection.execute(sa.update(sessions).where(mine).values(token_hash=_hash(fresh), last_used_at=at))
        return Tokens(self._access(session, row.name), f"{session}.{fresh}")

    def device(self, user: str) -> str:
        """A token that opens nothing: it shows that somebody once gave this user's right password on this device."""
        import jwt

        claims = {"sub": canonical(user), "iss": _ISSUER, "aud": _DEVICE, "jti": secrets.token_hex(8)}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def device_of(self, token: str, user: str) -> str:
        """Which device of a user a token names; "" if it is none of theirs."""
        import jwt

        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                audience=_DEVICE,
                options={"require": ["sub", "iss", "aud", "jti"]},
            )
        except jwt.InvalidTokenError:
            return ""
        return str(claims["jti"]) if claims["sub"] == canonical(user) else ""

    def end(self, session: str) -> None:
        """Close a session: its tokens are refused from now on."""
        with self._store.write() as connection:
            connection.execute(sa.update(sessions).where(sessions.c.id == session).values(revoked=True))

    def identify(self, token: str) -> Identity | None:
        """Whose access token this is; None if it is not good, or its session or its user no longer is."""
        import jwt

        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],  # never the one that the token names
                issuer=_ISSUER,
                options={"require": ["sub", "sid", "iat", "exp", "iss", "jti"]},
            )
        except jwt.InvalidTokenError:
            return None
        with self._store.read() as connection:
            row = _live_session(connection, str(claims["sid"]))
        if row is None or row.name != claims["sub"]:
            return None
        return Identity(row.display, row.role, ROLES[row.role], "session", row.id)

    def _access(self, session: str, user: str) -> str:
        import jwt

        at = now()
        claims = {"sub": user, "sid": session, "iat": at, "exp": at + ACCESS_SECONDS, "iss": _ISSUER}
        return jwt.encode(claims | {"jti": secrets.token_hex(8)}, self._secret, algorithm=_ALGORITHM)


class Keys:
    """API keys for programs: ``fk_ID_SECRET``, shown once."""

    def __init__(self, store: ServiceStore) -> None:
        self._store = store

    def create(
        self,
        user: str,
        scopes: Collection[Scope],
        *,
        name: str = "",
        expires_days: int | None = None,
    ) -> tuple[str, ApiKey]:
        """A new key, and what is known of it from then on.

        Raises
        ------
        AccountError
            If a scope is not among those of the user's role.
        AccountNotFoundError
            If there is no such user.
        """
        key_id, secret, at = secrets.token_hex(6), _random(), now()
        with self._store.write() as connection:
            owner = connection.execute(sa.select(users).where(users.c.name == canonical(user))).one_or_none()
            if owner is None:
                message = "There is no user of that name."
                raise AccountNotFoundError(message, "The list of users has them all.")
            allowed = ", ".join(scope for scope in SCOPES if scope in ROLES[owner.role])
            if not scopes or not ROLES[owner.role].issuperset(scopes):
                message = f"A key of a user with the role {owner.role} can't have these scopes."
                raise AccountError(message, f"Give it one or more of: {allowed}.")
            given = [scope for scope in SCOPES if scope in scopes]
            key = sa.insert(api_keys).values(
                id=key_id,
                user=owner.name,
                name=name,
                hash=_hash(secret),
                created_at=at,
                scopes=given,
                expires_at=None if expires_days is None else at + expires_days * 86_400,
            )
            connection.execute(key)
            made = connection.execute(_listing().where(api_keys.c.id == key_id)).one()
        logger.info("{} got the API key {} for {}", owner.display, key_id, ", ".join(given))
        return f"fk_{key_id}_{secret}", _key(made)

    def of(self, user: str | None = None) -> list[ApiKey]:
        """The keys of a user, or of all."""
        query = _listing().order_by(api_keys.c.created_at, api_keys.c.id)
        if user is not None:
            query = query.where(api_keys.c.user == canonical(user))
        with self._store.read() as connection:
            return [_key(row) for row in connection.execute(query)]

    def revoke(self, key_id: str, user: str | None = None) -> None:
        """End a key; with `user`, only one of theirs.

        Raises
        ------
        AccountNotFoundError
            If there is none.
        """
        change = sa.update(api_keys).where(api_keys.c.id == key_id).values(revoked=True)
        if user is not None:
            change = change.where(api_keys.c.user == canonical(user))
        with self._store.write() as connection:
            if not connection.execute(change).rowcount:
                message = "There is no such key."
                raise AccountNotFoundError(message, "The list of keys has their ids.")

    def identify(self, key: str) -> Identity | None:
        """Whose key this is, with those of its scopes that its user's role has today; None if it is not good."""
        _, key_id, secret = (*key.split("_", 2), "", "")[:3]
        at = now()
        query = sa.select(api_keys, users.c.display, users.c.role, users.c.disabled)
        query = query.join(users, users.c.name == api_keys.c.user).where(api_keys.c.id == key_id)
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or not hmac.compare_digest(row.hash, _hash(secret)):
            return None
        if row.revoked or row.disabled or (row.expires_at is not None and row.expires_at <= at):
            return None
        if row.last_used_at is None or row.last_used_at <= at - _USED_SECONDS:
            with self._store.write() as connection:
                connection.execute(sa.update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=at))
        return Identity(row.display, row.role, ROLES[row.role].intersection(row.scopes), "key", key_id)


def _random() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _live_session(connection: sa.Connection, session: str) -> sa.Row[*tuple[Any, ...]] | None:
    """A session that is neither closed nor over, of a user who may come in."""
    query = sa.select(sessions.c.id, sessions.c.token_hash, users.c.name, users.c.display, users.c.role)
    query = query.join(users, users.c.name == sessions.c.user).where(
        sessions.c.id == session, ~sessions.c.revoked, sessions.c.expires_at > now(), ~users.c.disabled
    )
    return connection.execute(query).one_or_none()


def _listing() -> sa.Select[Any]:
    return sa.select(api_keys, users.c.display).join(users, users.c.name == api_keys.c.user)


def _key(row: sa.Row[Any]) -> ApiKey:
    times = [None if at is None else datetime.fromtimestamp(at, UTC) for at in (row.last_used_at, row.expires_at)]
    created = datetime.fromtimestamp(row.created_at, UTC)
    return ApiKey(row.id, row.display, row.name, tuple(row.scopes), created, times[0], times[1], row.revoked)
