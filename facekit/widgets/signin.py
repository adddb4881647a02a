"""Who comes in: a form for name and password, where the service has accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import traitlets

from facekit.errors import ServiceError
from facekit.widgets.base import EXPIRED, UNAUTHORIZED, Widget, handler, script, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.widgets.sessions import TokenStore


class SignInService(Protocol):
    """What a service with accounts offers; `facekit.library.remote.RemoteLibrary` does."""

    device_token: str
    """What shows the next time that this device was let in before; it opens nothing."""

    def sign_in(self, name: str, password: str, device: str = "") -> str:
        """Let somebody in; return a refresh token."""

    def resume(self, refresh_token: str) -> str:
        """Let the owner of a refresh token in again; return the token that takes its place."""


class SignIn(Widget):
    """A form for name and password.

    Neither the password nor a token is ever a trait: widgets' state is stored and shown in places of all kinds. No
    token goes to the page either. The page makes a key up, keeps it for as long as its tab is open, and sends it along;
    under that key the kernels of the app keep the refresh token, so that a reload stays signed in.

    Parameters
    ----------
    accounts : SignInService
        The service that knows the accounts.
    sessions : TokenStore
        Where refresh tokens are kept.
    """

    _esm = script("signin")
    _css = style("signin")

    busy = traitlets.Bool(default_value=False).tag(sync=True)
    notice = traitlets.Unicode("").tag(sync=True)

    def __init__(self, accounts: SignInService, sessions: TokenStore, **traits: Any) -> None:  # noqa: ANN401 - any trait's
        super().__init__(**traits)
        self._accounts = accounts
        self._sessions = sessions
        self._key = ""
        self._callbacks: list[Callable[[], None]] = []
        self._inside = False
        self.on_msg(self._message)

    def on_signed_in(self, callback: Callable[[], None]) -> None:
        """Call this when somebody was let in."""
        self._callbacks.append(callback)

    def keep(self, refresh_token: str) -> None:
        """Keep this token instead of the one before."""
        self._sessions.keep(self._key, refresh_token)

    def forget(self, notice: str = "") -> None:
        """Ask for name and password again; ``notice`` is the key of a text that says why."""
        self._inside = False
        self._sessions.forget(self._key)
        self._key = ""
        self.notice = notice
        self.send({"kind": "forget"})

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        if self._inside:  # a second view of the same page
            return
        self.busy = True
        self._key = str(content.get("key", ""))
        try:
            if content.get("kind") == "sign_in":
                self._sign_in(content["name"], content["password"], str(content.get("device", "")))
            elif content.get("kind") == "resume":
                token = self._sessions.token(self._key)
                if token is None:
                    self.forget(EXPIRED)
                else:
                    self._enter(EXPIRED, lambda: self._accounts.resume(token))
        finally:
            self.busy = False

    def _sign_in(self, name: str, password: str, device: str) -> None:
        """Try name and password, and show that somebody of this name was let in on this device before."""
        known = f"{device} {name}" if device else ""
        token = self._sessions.token(known) or ""
        self._enter("signin.wrong", lambda: self._accounts.sign_in(name, password, token))
        if self._inside:
            self._sessions.keep(known, self._accounts.device_token)

    def _enter(self, refused: str, ask: Callable[[], str]) -> None:
        try:
            token = ask()
        except ServiceError as error:
            if error.status != UNAUTHORIZED:
                raise
            self.forget(refused)
            return
        self._inside = True
        self.notice = ""
        self.keep(token)
        self.send({"kind": "entered"})
        try:
            for callback in self._callbacks:
                callback()
        except Exception:
            self._inside = False  # the form is still there, and may be tried again
            raise
