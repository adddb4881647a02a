"""Users with a password and a role, and who a request comes from."""

from __future__ import annotations

import re
import secrets
import threading
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from loguru import logger

from facekit.errors import FacekitError
from facekit.server.database import now
from facekit.server.tables import api_keys, sessions, users

if TYPE_CHECKING:
    from argon2 import PasswordHasher

    from facekit.server.database import ServiceStore
    from facekit.server.roles import Role, Scope

# NIST SP 800-63B-4, section 3.1.1.2: "a minimum of 15 characters" where the password is the only factor, as it is here.
PASSWORD_CHARACTERS = 15

_NAME = re.compile(r"\w[\w.@+-]{0,63}")
_HASHING = threading.Semaphore(2)  # each hash takes 64 MiB: many sign-ins at once must not eat the memory


class AccountError(FacekitError):
    """What was asked of an account is not possible: a bad name, a weak password, a scope beyond the role."""


class AccountNotFoundError(AccountError):
    """There is no such user, or no such key."""


class AccountConflictError(AccountError):
    """It does not go with the accounts there are: the name is taken, or nobody would be left to manage them."""


@dataclass(frozen=True, slots=True)
class User:
    """An account."""

    name: str
    role: Role
    disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request comes from, and what it may do.

    ``kind`` is "session" for somebody who signed in, "key" for an API key, "owner" for a program of the user that runs
    the service, "local" for anybody on this machine where there are no accounts. ``id`` is the session's or the key's.
    """

    name: str
    role: Role
    scopes: frozenset[Scope]
    kind: Literal["session", "key", "owner", "local"]
    id: str = ""


class Accounts:
    """The users of a service. Where there are any, one of them is an admin who may come in.

    Parameters
    ----------
    store : ServiceStore
        Where they are kept.
    """

    def __init__(self, store: ServiceStore) -> None:
        self.store = store

    def exist(self) -> bool:
        """Whether there are accounts."""
        with self.store.read() as connection:
            return connection.scalar(sa.select(users.c.name).limit(1)) is not None

    def users(self) -> list[User]:
        """All of them, by name."""
        with self.store.read() as connection:
            return [_user(row) for row in connection.execute(sa.select(users).order_by(users.c.name))]

    def add(self, name: str, password: str, role: Role) -> User:
        """Make an account.

        Raises
        ------
        AccountError
            If the name or the password will not do.
        AccountConflictError
            If the name is taken, or the first account is not an admin's.
        """
        display = unicodedata.normalize("NFKC", name)
        if not _NAME.fullmatch(display):
            message = "That is no name for a user."
            raise AccountError(message, "Up to 64 letters, digits and any of . _ - + @, a letter or digit first.")
        created = now()
        user = sa.insert(users).values(
            name=canonical(name),
            display=display,
            role=role,
            created_at=created,
            password_hash=self._hash(password, name),
        )
        with self.store.write() as connection:
            if _find(connection, name):
                message = f"There is a user {display} already."
                raise AccountConflictError(message, "Choose another name.")
            if role != "admin" and connection.scalar(sa.select(users.c.name).limit(1)) is None:
                message = "The first account has to be an admin's: nobody else could manage the others."
                raise AccountConflictError(message, "Add an admin, then the others.")
            connection.execute(user)
        logger.info("user {} was added as {}", display, role)
        return User(display, role, disabled=False, created_at=_time(created))

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        password: str | None = None,
        keep_session: str = "",
    ) -> User:
        """Change what is given. A new password, or disabling, ends the user's sessions but `keep_session`.

        A new password ends the user's API keys too: whoever had the old one may have made some.

        Raises
        ------
        AccountNotFoundError
            If there is no such user.
        AccountConflictError
            If no admin would be left.
        """
        asked = {"role": role, "disabled": disabled}
        values: dict[str, Any] = {column: value for column, value in asked.items() if value is not None}
        if password is not None:
            values["password_hash"] = self._hash(password, name)
        with self.store.write() as connection:
            found = _existing(connection, name)
            if values.get("role", "admin") != "admin" or disabled:
                _keep_an_admin(connection, found)
            if values:
                connection.execute(sa.update(users).where(users.c.name == found.name).values(values))
            if password is not None or disabled:
                theirs = (sessions.c.user == found.name) & (sessions.c.id != keep_session)
                connection.execute(sa.update(sessions).where(theirs).values(revoked=True))
            if password is not None:
                connection.execute(sa.update(api_keys).where(api_keys.c.user == found.name).values(revoked=True))
            changed = _user(_existing(connection, name))
        logger.info("user {}: {} changed", changed.name, ", ".join(values) or "nothing")
        return changed

    def remove(self, name: str) -> None:
        """Remove a user with all sessions and keys.

        Raises
        ------
        AccountNotFoundError
            If there is no such user.
        AccountConflictError
            If no admin would be left.
        """
        with self.store.write() as connection:
            found = _existing(connection, name)
            _keep_an_admin(connection, found)
            for table in (sessions, api_keys):
                connection.execute(sa.delete(table).where(table.c.user == found.name))
            connection.execute(sa.delete(users).where(users.c.name == found.name))
        logger.info("user {} was removed", found.display)

    def check(self, name: str, password: str) -> User | None:
        """The user of this name with this password, or None; both take the same time.

        A hash with older parameters than argon2-cffi's defaults of today is made anew.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        with self.store.read() as connection:
            found = _find(connection, name)
        # made before it is known whether it is needed, so that its first making shows in nobody's time
        nobody = self._hash_of_nobody
        stored = found.password_hash if found else nobody
        try:
            with _HASHING:
                self._hasher.verify(stored, _normal(password))
        except (VerificationError, InvalidHashError):
            right = None
        else:
            right = found
        if right is None or right.disabled:
            logger.info("a sign-in as {} was refused", found.display if found else "somebody who has no account")
            return None
        if self._hasher.check_needs_rehash(stored):
            again = sa.update(users).where(users.c.name == right.name, users.c.password_hash == stored)
            with _HASHING:
                fresh = self._hasher.hash(_normal(password))
            with self.store.write() as connection:
                connection.execute(again.values(password_hash=fresh))
        return _user(right)

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher

        return PasswordHasher()  # its defaults: RFC 9106, section 4, the second recommended option (argon2id, 64 MiB)

    @cached_property
    def _hash_of_nobody(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe())

    def _hash(self, password: str, name: str) -> str:
        password = _normal(password)
        if len(password) < PASSWORD_CHARACTERS:
            message = f"The password is too short: it needs {PASSWORD_CHARACTERS} characters or more."
            raise AccountError(message, "A few words in a row are long and easy to keep in mind.")
        if canonical(password) == canonical(name):
            message = "The password is the user's name."
            raise AccountError(message, "Choose another one.")
        with _HASHING:
            return self._hasher.hash(password)


def canonical(name: str) -> str:
    """The form of a user's name that it is found by."""
    return _storable(unicodedata.normalize("NFKC", name).casefold())


def _normal(password: str) -> str:
    """One form for what looks the same: keyboards differ in how they write an accent."""
    return _storable(unicodedata.normalize("NFC", password))


def _storable(text: str) -> str:
    """JSON can hold halves of characters, which no database takes."""
    return text.encode("utf-8", "replace").decode()


def _find(connection: sa.Connection, name: str) -> sa.Row[Any] | None:
    return connection.execute(sa.select(users).where(users.c.name == canonical(name))).one_or_none()


def _existing(connection: sa.Connection, name: str) -> sa.Row[Any]:
    found = _find(connection, name)
    if found is None:
        message = "There is no user of that name."
        raise AccountNotFoundError(message, "The list of users has them all.")
    return found


def _keep_an_admin(connection: sa.Connection, leaving: sa.Row[Any]) -> None:
    others = sa.select(users.c.name).where(users.c.role == "admin", ~users.c.disabled, users.c.name != leaving.name)
    if connection.scalar(others.limit(1)) is None:
        message = f"{leaving.display} is the last admin; nobody would be left to manage the accounts."
        raise AccountConflictError(message, "Make somebody else an admin first.")


def _user(row: sa.Row[Any]) -> User:
    return User(row.display, row.role, row.disabled, _time(row.created_at))


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
