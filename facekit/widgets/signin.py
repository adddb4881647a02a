"""Who comes in: a form for name and password, where the service has accounts."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import traitlets

from facekit.errors import ServiceError
from facekit.widgets.base import EXPIRED, UNAUTHORIZED, Widget, handler, script, style

if TYPE_CHECKING:
    from collections.abc import Callable


class Accounts(Protocol):
    """What a service with accounts offers; `facekit.server.client.RemoteLibrary` does."""

    def sign_in(self, name: str, password: str) -> str:
        """Let somebody in; return a refresh token."""

    def resume(self, refresh_token: str) -> str:
        """Let the owner of a refresh token in again; return the token that takes its place."""


class SignIn(Widget):
    """A form for name and password.

    Neither the password nor a token is ever a trait: widgets' state is stored and shown in places of all kinds. The
    refresh token is kept by the browser for as long as the page's tab is open, so that a reload stays signed in.

    Whoever may listen to a kernel's output learns no token from it: the page sends random bytes beforehand, on the
    channel that leads into the kernel, and a token comes back combined with them (a one-time pad).

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
        self._pad: tuple[int, bytes] | None = None  # its number, and the bytes; for one token
        self._token = ""  # that the browser does not have yet
        self._newest = ""
        self._handing = Lock()  # a pad that two threads used would hide nothing
        self.on_msg(self._message)

    def on_signed_in(self, callback: Callable[[], None]) -> None:
        """Call this when somebody was let in."""
        self._callbacks.append(callback)

    def keep(self, refresh_token: str) -> None:
        """Have the browser keep this token instead of the one that it has."""
        with self._handing:
            if refresh_token != self._newest:
                self._token = self._newest = refresh_token
        self._hand_over()

    def _hand_over(self) -> None:
        with self._handing:
            if not self._token or self._pad is None:  # the next pad is on its way
                return
            (number, pad), token = self._pad, self._token.encode()
            self._pad, self._token = None, ""
            if len(token) > len(pad):
                message = f"A token of {len(token)} bytes does not fit the page's pad of {len(pad)}."
                raise ValueError(message)
        hidden = [one ^ other for one, other in zip(token, pad, strict=False)]
        self.send({"kind": "token", "number": number, "hidden": hidden})

    def _take_pad(self, said: dict[str, Any]) -> None:
        with self._handing:
            self._pad = int(said["number"]), bytes(said["bytes"])
        self._hand_over()

    def forget(self, notice: str = "") -> None:
        """Ask for name and password again; ``notice`` is the key of a text that says why."""
        self._inside = False
        self._token = self._newest = ""
        self.notice = notice
        self.send({"kind": "forget"})

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        if "pad" in content:
            self._take_pad(content["pad"])
        if self._inside:  # a second view of the same page
            return
        if content.get("kind") not in {"sign_in", "resume"}:
            return
        self.busy = True
        try:
            if content.get("kind") == "sign_in":
                self._enter("signin.wrong", lambda: self._accounts.sign_in(content["name"], content["password"]))
            else:
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
        try:
            for callback in self._callbacks:
                callback()
        except Exception:
            self._inside = False  # the form is still there, and may be tried again
            raise
