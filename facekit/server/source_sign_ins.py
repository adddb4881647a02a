"""Sign-ins to the places that photos come from, led back to the service's own address."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import compare_digest, token_urlsafe
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import uuid4

from facekit.errors import FacekitError, RefusedError, SignInError
from facekit.sources.kinds import kind_named
from facekit.sources.signing_in.pending import SECONDS, PendingSignIns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facekit.library.local_sources import LocalSources
    from facekit.sources.item import SignIn, SourceKind, Token

SignInState: TypeAlias = Literal["waiting", "done", "failed"]

_MOST = 1000  # ours; the oldest goes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a token is wanted for: a place to connect, or with ``source`` one that is connected."""

    place: str = ""
    source: str | None = None
    name: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    keep_originals: bool | None = None


@dataclass(slots=True)
class _SignIn:
    wanted: Wanted
    user: str
    words: str
    asks_first: bool
    address: str = field(repr=False)
    pending: str = field(repr=False)
    until: float
    ticket: str = field(default_factory=lambda: token_urlsafe(32), repr=False)
    browser: str = field(default="", repr=False)
    state: SignInState = "waiting"
    name: str | None = None
    problem: str | None = None
    remedy: str | None = None


class SourceSignIns:
    """Sign-ins that were begun here, in memory.

    Whoever begins one gets a ticket. The browser that opens it is given a secret of its own, and only that browser may
    come back with the place's answer, once.

    Parameters
    ----------
    sources : LocalSources
        Where places are connected.
    """

    def __init__(self, sources: LocalSources) -> None:
        self._sources = sources
        self._pending = PendingSignIns()
        self._lock = Lock()
        self._begun: dict[str, _SignIn] = {}

    def begin(self, wanted: Wanted, redirect: str, user: str, *, asks_first: bool) -> tuple[str, str]:
        """Begin one; its id, and the ticket with which a browser opens it.

        Parameters
        ----------
        wanted : Wanted
        redirect : str
            The service's address for the answer.
        user : str
            Who begins it.
        asks_first : bool
            Whether the browser's user is shown who begins it, before the place's page: the ticket may have been sent
            to them.

        Raises
        ------
        RefusedError
            If it can't be connected, or has no page to sign in.
        SignInError
            If no application's id is there.
        """
        if wanted.source is None:
            kind, _, _ = self._sources.checked(wanted.place, name=wanted.name, settings=wanted.settings)
        else:
            kind = kind_named(self._sources.get(wanted.source).kind)
        begun = self._pending.begin(_page_of(kind), redirect, user)
        sign_in = _SignIn(wanted, user, kind.words, asks_first, begun.address, begun.state, monotonic() + SECONDS)
        sign_in_id = uuid4().hex
        with self._lock:
            self._tidy_up()
            while len(self._begun) >= _MOST:
                self._begun.pop(next(iter(self._begun)))
            self._begun[sign_in_id] = sign_in
        return sign_in_id, sign_in.ticket

    def get(self, sign_in_id: str, user: str) -> _SignIn:
        """One of somebody's own. Raises RefusedError."""
        with self._lock:
            self._tidy_up()
            found = self._begun.get(sign_in_id)
        if found is None or found.user != user:
            raise _unknown()
        return found

    def cancel(self, sign_in_id: str, user: str) -> None:
        """Give one up. Raises RefusedError."""
        self._pending.forget(self.get(sign_in_id, user).pending)
        with self._lock:
            self._begun.pop(sign_in_id, None)

    def open(self, ticket: str, browser: str) -> _SignIn:
        """What a browser opens; a ticket is good for the first that comes with it. Raises RefusedError.

        Parameters
        ----------
        ticket : str
        browser : str
            The secret that the browser has already, or "".
        """
        with self._lock:
            self._tidy_up()
            found = next((one for one in self._begun.values() if _same(one.ticket, ticket)), None)
            if found is None or found.state != "waiting" or (found.browser and not _same(found.browser, browser)):
                raise _unknown()
            found.browser = found.browser or token_urlsafe(32)
            return found

    def come_back(self, said: Mapping[str, str], browser: str) -> None:
        """Take a place's answer, and connect it.

        Parameters
        ----------
        said : mapping of str to str
            The parameters of the redirect.
        browser : str
            The secret of the browser that brings them.

        Raises
        ------
        RefusedError
            If it is none that this browser opened; nothing has changed then.
        FacekitError
            If nobody was let in, or the place could not be connected.
        """
        with self._lock:
            self._tidy_up()
            states = (one for one in self._begun.values() if _same(one.pending, said.get("state", "")))
            found = next(states, None)
            if found is None or not found.browser or not _same(found.browser, browser):
                raise _unknown()
        try:
            token = self._pending.complete(said, found.user)
            found.name = self._keep(found.wanted, token)
        except FacekitError as error:
            if found.state == "waiting":  # and not for the second time
                found.problem, found.remedy, found.state = error.message, error.remedy, "failed"
            raise
        found.state = "done"

    def _keep(self, wanted: Wanted, token: Token) -> str:
        if wanted.source is not None:
            return self._sources.reconnect(wanted.source, token=token).name
        how = {"name": wanted.name, "settings": wanted.settings, "keep_originals": wanted.keep_originals}
        return self._sources.add(wanted.place, **how, token=token).name  # type: ignore[arg-type]

    def _tidy_up(self) -> None:
        now = monotonic()
        self._begun = {name: one for name, one in self._begun.items() if one.until > now}


def _page_of(kind: SourceKind) -> SignIn:
    if kind.sign_in is None:
        message = f"{kind.words} has no page to sign in."
        raise SignInError(message, "Give a token, if it wants one.")
    return kind.sign_in


def _same(one: str, other: str) -> bool:
    return compare_digest(one.encode(), other.encode())


def _unknown() -> RefusedError:
    message = "This sign-in is not known: it has ended, took too long, or is somebody else's."
    return RefusedError(message, "Begin anew on the page Sources.")
