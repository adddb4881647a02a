"""Signing in from one's own machine: the service leads the browser back to it (RFC 8252 7.3), for once."""

from __future__ import annotations

import os
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from typing_extensions import override

from facekit._version import __version__
from facekit.errors import RefusedError, SignInError
from facekit.sources.item import Prompt
from facekit.sources.signing_in import answer_page
from facekit.sources.signing_in.oauth import begin, finish, is_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from facekit.sources.item import Ask, SignIn, Token
    from facekit.sources.signing_in.oauth import Begun

VARIABLE = "FACEKIT_REDIRECT"
"""The environment's variable that holds the address that the user registered, where facekit's own does not do."""

_HERE = frozenset({"127.0.0.1", "localhost"})
_WAIT = 600.0  # seconds, ours: for the user to sign in
_TICK = 0.5
_REQUEST = 5.0  # seconds for a browser to send one


def sign_in(how: SignIn, ask: Ask, *, wait: float = _WAIT, stop: Event | None = None) -> Token:
    """Have the user sign in with their browser.

    Parameters
    ----------
    how : SignIn
    ask : callable
        Shows the page to open.
    wait : float
        Seconds that it may take.
    stop : threading.Event, optional
        Set it from another thread to give up.

    Returns
    -------
    Token

    Raises
    ------
    SignInError
        If it does not come to its end, or nobody is there.
    RefusedError
        If the environment names an address to come back to that is none, or the package is missing.
    """
    redirect = os.environ.get(VARIABLE, "").strip() or how.redirect
    if redirect is not None and urlsplit(redirect).scheme not in {"http", "https"}:
        message = f"{VARIABLE} holds no http or https address."
        raise RefusedError(message, "Give it the address that you registered with the service, or leave it out.")
    parts = urlsplit(redirect or "http://127.0.0.1:0/")
    if parts.scheme == "http" and parts.hostname in _HERE:
        try:
            listening = _Listening(parts.port if parts.port is not None else 80, parts.path or "/")
        except OSError:  # somebody else listens there, or nobody may
            listening = None
        if listening is not None:
            with _serving(listening):
                return _led_back(
                    how, redirect or f"http://127.0.0.1:{listening.server_port}/", listening, ask, wait, stop
                )
    return _copied(begin(how, redirect or parts.geturl()), ask)


def _led_back(how: SignIn, redirect: str, listening: _Listening, ask: Ask, wait: float, stop: Event | None) -> Token:
    begun = begin(how, redirect)
    listening.begun = begun
    ask(Prompt(f"Sign in on this page, in a browser of this machine ({wait / 60:g} minutes):", link=begun.address))
    until = monotonic() + wait
    while (left := until - monotonic()) > 0:
        try:
            return finish(begun, listening.answers.get(timeout=min(_TICK, left)))
        except Empty:
            if stop is not None and stop.is_set():
                raise given_up() from None
    message = f"Nobody has signed in within {wait / 60:g} minutes."
    raise SignInError(message, "Try again; from another machine, give a token, or set FACEKIT_REDIRECT.")


def given_up() -> SignInError:
    """Whoever was to sign in does not want to."""
    return SignInError("The sign-in was cancelled.", "Begin anew when you like.")


def _copied(begun: Begun, ask: Ask) -> Token:
    """Where the browser is led to an address that is not served here, its user copies what they see."""
    text = "Sign in on this page. Then copy the code that you see, or the whole address that the browser shows:"
    said = ask(Prompt(text, link=begun.address, answer=True)).strip()
    parts = urlsplit(said)
    return finish(begun, dict(parse_qsl(parts.query)) if parts.query else {"code": said})


class _Listening(ThreadingHTTPServer):
    """Waits for one redirect at this machine's own address; what belongs to no sign-in of ours is turned away."""

    daemon_threads, block_on_close = True, False
    begun: Begun | None = None

    def __init__(self, port: int, path: str) -> None:
        super().__init__(("127.0.0.1", port), _Answer)
        self.path = path
        self.answers: SimpleQueue[dict[str, str]] = SimpleQueue()

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away is no matter."""


class _Answer(BaseHTTPRequestHandler):
    timeout = _REQUEST
    server: _Listening

    def do_GET(self) -> None:
        """The redirect, or anything else that a browser asks for."""
        parts = urlsplit(self.path)
        said = dict(parse_qsl(parts.query, keep_blank_values=True))
        begun = self.server.begun
        if parts.path != self.server.path:
            self._say(HTTPStatus.NOT_FOUND, answer_page.NOT_FOUND)
        elif begun is None or not is_answer(begun, said):
            self._say(HTTPStatus.BAD_REQUEST, answer_page.NOT_MINE)
        else:
            self.server.begun = None  # for once
            self._say(HTTPStatus.OK, answer_page.DONE if said.get("code") else answer_page.REFUSED)
            self.server.answers.put(said)

    def _say(self, status: HTTPStatus, texts: dict[str, str]) -> None:
        page = answer_page.page_of(self.headers.get("Accept-Language", ""), texts).encode()
        self.send_response(status)
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(page))}
        for name, value in (headers | answer_page.SAFE | {"Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)

    @override
    def version_string(self) -> str:
        return f"facekit/{__version__}"

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: it would name the code."""


@contextmanager
def _serving(listening: _Listening) -> Iterator[None]:
    thread = Thread(target=listening.serve_forever, args=(_TICK / 5,), name="facekit-sign-in", daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown()
        listening.server_close()
