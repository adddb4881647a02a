"""One request to a service, from its address to the last byte of the answer: bounded, looked after, and silent."""

from __future__ import annotations

import logging
import ssl
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from facekit._version import __version__
from facekit.sources.network.answers import Answer, Ending, Trouble
from facekit.sources.network.hosts import ForbiddenError, Reach, origin_of
from facekit.sources.network.rate import Rate, pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from threading import Event

    from httpx2 import URL, Client, Response

# All ours. What a user waits for at most, and what a service at the end of a slow line needs.
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0  # seconds: until there is a connection, and from one piece to the next
WHOLE_ANSWER = 120.0  # seconds that an answer may take; longer where it brings so many bytes a second:
_SLOWEST = 4096
_MOST_REDIRECTS = 5


class FailedError(Exception):
    """A try that came to nothing. It is caught in this room: an error that leaves has no address in its chain.

    ``of_content``: the service answered, and what it gave is not what it should be.
    """

    def __init__(self, trouble: Trouble, *, of_content: bool = False) -> None:
        super().__init__()
        self.trouble = trouble
        self.of_content = of_content


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. ``forbidden`` is how it ends where it leads to an address that is not to be contacted."""

    method: str
    url: URL = field(repr=False)
    rate: Rate
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorization: str | None = field(default=None, repr=False)
    forbidden: Ending = Ending.STOP


class Transport:
    """Sends requests. Threads may share it; it has no cookies, and what it sends stands in no log."""

    def __init__(self, service: str, reach: Reach, stop: Event) -> None:
        self._service = service
        self._reach = reach
        self._stop = stop
        self._client: Client | None = None
        self._lock = Lock()

    @contextmanager
    def answered(self, request: Request) -> Iterator[Response]:
        """An answer whose body has not been read yet, after redirects.

        Raises
        ------
        FailedError
            If there is none.
        KeyboardInterrupt
            If the work is to stop.
        """
        import httpx2

        response, failed = None, None
        quiet = _quiet.set(True)
        try:
            response = self._after_redirects(request)
        except ForbiddenError as error:
            failed = Trouble(request.forbidden, f"{self._service} leads to {error}. It was not contacted.")
        except httpx2.InvalidURL:
            failed = Trouble(Ending.RETRY, f"{self._service} leads to an address that is none.")
        except (httpx2.HTTPError, OSError) as error:
            failed = Trouble(Ending.RETRY, f"{self._service} {_words_of(error)}.")
        finally:
            _quiet.reset(quiet)
        if response is None:
            raise FailedError(failed or Trouble(Ending.RETRY, f"{self._service} redirects too often."))
        try:
            yield response
        finally:
            response.close()

    def _after_redirects(self, request: Request) -> Response | None:
        client = self._opened()
        url, headers = request.url, dict(request.headers)
        if request.authorization and self._reach.gets_token(url):
            headers["Authorization"] = request.authorization
        for _ in range(_MOST_REDIRECTS + 1):
            self._reach.check(url)
            request.rate.wait(self._stop)
            sent = client.build_request(
                request.method,
                url,
                headers={"Accept-Encoding": "identity", **headers},
                extensions={"trace": _looking_on(self._reach.guard(url), request.rate)},
                **request.body,
            )
            response = client.send(sent, stream=True)
            if request.method not in {"GET", "HEAD"} or not response.has_redirect_location:
                return response
            response.close()
            there = url.join(response.headers["location"])
            if origin_of(there) != origin_of(url):
                headers = {}  # neither the token nor what else is meant for the service
            url = there
        return None

    def pieces(self, response: Response) -> Iterator[bytes]:
        """A body, as it comes. Raises FailedError, and KeyboardInterrupt if the work is to stop."""
        import httpx2

        begun, got, failed = monotonic(), 0, ""
        pieces = response.iter_bytes()  # as they come: httpcore reads 64 KiB at most
        while not failed:
            try:
                piece = next(pieces, None)
            except httpx2.HTTPError as error:
                failed = f"{self._service} {_words_of(error)}."
                continue
            if piece is None:
                return
            pause(0, self._stop)
            got += len(piece)
            if monotonic() - begun > WHOLE_ANSWER + got / _SLOWEST:
                failed = f"{self._service} answers too slowly."
                continue
            yield piece
        raise FailedError(Trouble(Ending.RETRY, failed), of_content=True)

    def whole(self, response: Response, limit: int) -> Answer:
        """An answer with its body, of which no more than ``limit`` bytes are taken."""
        body = bytearray()
        for piece in self.pieces(response):
            body += piece
            if len(body) > limit:
                break
        return Answer(response.status_code, headers_of(response), bytes(body[:limit]))

    def _opened(self) -> Client:
        import httpx2

        with self._lock:
            if self._client is None:
                _keep_out_of_logs()
                self._client = httpx2.Client(
                    verify=_certificates(),
                    timeout=httpx2.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
                    headers={"User-Agent": f"facekit/{__version__}"},
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                )
            return self._client

    def close(self) -> None:
        """Close all connections; the next request opens others."""
        with self._lock:
            client, self._client = self._client, None
        if client:
            client.close()


@cache
def _certificates() -> ssl.SSLContext:
    """Whom this machine trusts, read once."""
    import httpx2

    return httpx2.create_ssl_context()


def headers_of(response: Response) -> dict[str, str]:
    """An answer's headers, their names in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


def _looking_on(guard: Callable[[str, dict[str, Any]], None] | None, rate: Rate) -> Callable[[str, Any], None]:
    """Httpcore's ``trace``."""

    def look(event: str, info: dict[str, Any]) -> None:
        if guard:
            guard(event, info)
        if event.endswith(".send_request_headers.started"):
            rate.sent()

    return look


def _words_of(error: Exception) -> str:
    """What went wrong, in our words: the error's own may hold an address."""
    import httpx2

    cause: BaseException | None = error
    while cause and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "has a certificate that is not valid here"
    if isinstance(error, httpx2.ProxyError):
        return "can't be reached through the proxy that the environment names"
    if isinstance(error, httpx2.ConnectTimeout):
        return f"can't be reached: no answer for {CONNECT_TIMEOUT:g} s"
    if isinstance(error, httpx2.TimeoutException):
        return f"does not go on answering: nothing for {READ_TIMEOUT:g} s"
    if isinstance(error, httpx2.ConnectError | OSError):
        reason = cause.strerror if isinstance(cause, OSError) else None
        return f"can't be reached: {reason or 'no connection'}"
    return "ended the connection in the middle of an answer"


_quiet: ContextVar[bool] = ContextVar("facekit_http_quiet", default=False)
_NOISY = ("httpx2", *(f"httpcore2.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")))


def _keep_out_of_logs() -> None:
    """Have the HTTP client's own loggers say nothing of these requests: they write whole addresses and headers."""
    for name in _NOISY:
        logging.getLogger(name).addFilter(_not_ours)  # once, however often


def _not_ours(_: logging.LogRecord) -> bool:
    return not _quiet.get()
