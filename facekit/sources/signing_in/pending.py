"""Sign-ins that have begun and wait for the service to lead the browser back, where facekit is a published service."""

from __future__ import annotations

from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from facekit.errors import RefusedError
from facekit.sources.signing_in.oauth import Begun, begin, finish, is_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facekit.sources.item import SignIn, Token

SECONDS = 600.0  # ours: for the user to sign in at the service
_MOST = 1000  # ours; the oldest goes


class _Pending(NamedTuple):
    begun: Begun
    user: str
    until: float


class PendingSignIns:
    """Sign-ins that wait, in memory: each is good once, for ten minutes, and for whoever began it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pending: dict[str, _Pending] = {}

    def begin(self, how: SignIn, redirect: str, user: str) -> Begun:
        """Begin one. The user opens its ``address``, and comes back to ``redirect`` with its ``state``.

        Parameters
        ----------
        how : SignIn
        redirect : str
            The service's own address for it, as it is registered.
        user : str
            Who begins it.

        Raises
        ------
        SignInError, RefusedError
            As from `facekit.sources.signing_in.oauth.begin`.
        """
        begun = begin(how, redirect)
        with self._lock:
            self._tidy_up()
            while len(self._pending) >= _MOST:
                del self._pending[next(iter(self._pending))]
            self._pending[begun.state] = _Pending(begun, user, monotonic() + SECONDS)
        return begun

    def complete(self, said: Mapping[str, str], user: str) -> Token:
        """The token that a sign-in comes to.

        Parameters
        ----------
        said : mapping of str to str
            The parameters with which the browser came back: ``state``, ``code`` and what the service keeps, or
            ``error``.
        user : str
            Who comes back: only whoever began it may end it.

        Raises
        ------
        RefusedError
            If it is none of theirs that waits.
        SignInError, SourceError
            As from `facekit.sources.signing_in.oauth.finish`.
        """
        with self._lock:
            self._tidy_up()
            found = self._pending.get(said.get("state", ""))
            if found is None or found.user != user or not is_answer(found.begun, said):
                message = "This sign-in is not known: it has ended, took too long, or is somebody else's."
                raise RefusedError(message, "Begin anew on the page Sources.")
            del self._pending[said["state"]]
        return finish(found.begun, said)

    def forget(self, state: str) -> None:
        """Give one up."""
        with self._lock:
            self._pending.pop(state, None)

    def _tidy_up(self) -> None:
        now = monotonic()
        self._pending = {state: one for state, one in self._pending.items() if one.until > now}
