"""Who comes in: a form for name and password, where the service has accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import traitlets

from facekit.errors import ServiceError
from facekit.widgets.base import EXPIRED, UNAUTHORIZED, Widget, handler, script, style

if TYPE_CHECKING:
    from collections.abc import Callable


class Accounts(Protocol):
    """What a service with accounts offers; `facekit.server.client.RemoteLibrary` does."""

    device_token: str
    """What shows the next time that this device was let in before; it opens nothing."""

    def sign_in(self, name: str, password: str, device: str = "") -> str:
        """Let somebody in; return a refresh token."""

    def resume(self, refresh_token: str) -> str:
        """Let the owner of a refresh token in again; return the token that takes its place."""


class SignIn(Widget):
    """A form for name and password.

    Neither the password nor a token is ever a trait: widgets' state is stored and shown in places of all kinds. The
    refresh token is kept by the browser for as long as the page's tab is open, so that a reload stays signed in.

    Parameters
    ----------
    accounts : Accounts
        The service that knows the accounts.
    """

    _esm = script("signin")
    _css = style("signin")

    busy = traitlets.Bool(default_value=False).tag(sync=True)
    notice = traitlets.Unicode("").tag(sync=True)

    def __init__(self, accounts: Accounts, **traits: Any) -> None:  # noqa: ANN401 - whatever a trait takes
        super().__init__(**traits)
        self._accounts = accounts
        self._callbacks: list[Callable[[], None]] = []
        self._inside = False
        self.on_msg(self._message)

    def on_signed_in(self, callback: Callable[[], None]) -> None:
        """Call this when somebody was let in."""
        self._callbacks.append(callback)

    def keep(self, refresh_token: str) -> None:
        """Have the browser keep this token instead of the one that it has."""
        self.send({"kind": "token", "token": refresh_token})

    def forget(self, notice: str = "") -> None:
        """Ask for name and password again; ``notice`` is the key of a text that says why."""
        self._inside = False
        self.notice = notice
        self.send({"kind": "forget"})

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        if self._inside:  # a second view of the same page
            return
        self.busy = True
        try:
            if content.get("kind") == "sign_in":
                said = (content["name"], content["password"], content.get("device") or "")
                self._enter("signin.wrong", lambda: self._accounts.sign_in(*said))
            elif content.get("kind") == "resume":
                self._enter(EXPIRED, lambda: self._accounts.resume(content["token"]))
        finally:
            self.busy = False

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
        self.send({"kind": "device", "token": self._accounts.device_token})
        try:
            for callback in self._callbacks:
                callback()
        except Exception:
            self._inside = False  # the form is still there, and may be tried again
            raise
