"""HTTP as all connectors speak it: retries, rates, limits, and what may be contacted are decided here, for all alike.

What an answer leads to is one of four endings. Another try (`Ending.RETRY`) follows a failed connection, a time-out, a
body that is cut or not what was told of it, a web page in place of JSON, and the statuses 408, 425, 429 and 5xx; after
the last, the photo is skipped or, where it is not one photo's fault, the source stops. A photo is skipped
(`Ending.SKIP`: PhotoError) after another status of 400 to 499. The source stops (`Ending.STOP`: SourceError) where the
service asks for a long wait, or says so. It wants another token (`Ending.RECONNECT`: SignInError) after a 401 that
comes again with a renewed one. A connector's `Judge` may say otherwise of any whole answer.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from facekit.errors import PhotoError, SourceError
from facekit.sources.network.answers import Answer, Ending, Judge, Trouble, is_page, judged_by_status
from facekit.sources.network.content import hash_of, is_hash
from facekit.sources.network.hosts import Endpoint, Reach, endpoint
from facekit.sources.network.rate import rate_of
from facekit.sources.network.retries import Retries
from facekit.sources.network.transport import FailedError, Request, Transport, headers_of
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from httpx2 import URL, Response

    from facekit.sources.item import Tools

__all__ = ["Answer", "Ending", "Endpoint", "Http", "Judge", "Trouble", "endpoint"]

# All ours.
_LARGEST_ANSWER = 32 * 2**20  # bytes of JSON
_LARGEST_REFUSAL = 2**20  # bytes of what comes in place of a photo
DOWNLOADS_A_SECOND = 10.0


class _TooLargeError(Exception):
    """More bytes than are wanted."""


class Http:
    """Speaks with one service. Threads may share it.

    Parameters
    ----------
    service : str
        For people: ``Yandex Disk``.
    to : Endpoint
        Of its API.
    hosts : sequence of str
        What may be contacted, as `facekit.sources.item.SourceKind.hosts` has it.
    per_second : float
        How often the API may be asked, by all threads of this process together.
    judge : callable
        What answers mean, where the service says more than by their status.
    tools : Tools
    authorization : str
        How the token is given: ``Bearer`` or ``OAuth``.
    signed_hosts : sequence of str
        Hosts that get the token too, besides the endpoint; the others of ``hosts`` never see it.
    """

    def __init__(
        self,
        service: str,
        to: Endpoint,
        *,
        hosts: Sequence[str],
        per_second: float,
        judge: Judge,
        tools: Tools,
        authorization: str = "Bearer",
        signed_hosts: Sequence[str] = (),
    ) -> None:
        self.service = service
        self._base = to.base
        self._asks = rate_of(to.base, "asks", per_second)
        self._downloads = rate_of(to.base, "downloads", DOWNLOADS_A_SECOND)
        self._judge = judge
        self._authorization = authorization
        self._transport = Transport(service, Reach(to, hosts, signed_hosts), tools.stop)
        self._retried: Retries[Any] = Retries(tools)
        tools.opened.callback(self.close)

    def ask(
        self,
        method: str,
        address: str,
        *,
        params: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        judge: Judge | None = None,
        signed: bool = True,
    ) -> Any:  # noqa: ANN401 - whatever a service answers
        """Ask the API.

        Parameters
        ----------
        method, address : str
            The address is absolute, or what follows the endpoint's base.
        params : mapping, optional
            Of the query; one that is None is left out.
        form, json : optional
            The body. ``json`` may be any JSON but None.
        headers : mapping, optional
            None of them goes to another origin, where a redirect leads.
        judge : callable, optional
            Instead of the service's own.
        signed : bool
            Whether the token goes with it, where there is one, and where it may.

        Returns
        -------
        object
            What the answer's JSON says; None for an empty one.

        Raises
        ------
        PhotoError
            `Ending.SKIP`: what was asked for can't be had, although the rest can.
        SourceError, SignInError
            `Ending.STOP` and `Ending.RECONNECT`.
        KeyboardInterrupt
            At once, if the work is to stop.
        """
        url = self._url(address, params)
        body = {name: value for name, value in (("data", form), ("json", json)) if value is not None}

        def once(token: str | None) -> Any:  # noqa: ANN401
            request = Request(method, url, self._asks, body, headers or {}, self._signature(token, signed=signed))
            with self._transport.answered(request) as response:
                answer = self._transport.whole(response, _LARGEST_ANSWER)
            self._look_at(answer, judge)
            found = answer.json()
            if found is None and answer.body.strip() not in {b"", b"null"}:
                what = "a web page" if is_page(answer.headers.get("content-type", "")) else "what is no JSON"
                raise FailedError(Trouble(Ending.RETRY, f"{self.service} answers with {what}."))
            return found

        return self._retried(once, self._asks, signed=signed)

    def download(  # noqa: PLR0913 - what is known of a photo beforehand
        self,
        address: str,
        target: BinaryIO,
        limit: int,
        *,
        name: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        size: int | None = None,
        content: str | None = None,
        signed: bool = False,
        judge: Judge | None = None,
    ) -> Mapping[str, str]:
        """Write what is at an address into a file, in pieces.

        Parameters
        ----------
        method, address : str
            The address is absolute, or what follows the endpoint's base.
        target : file
            Open for writing, and empty from where it stands: another try begins there again.
        limit : int
            Bytes at most.
        name : str
            What it is, for people.
        headers, signed, judge : optional
            As for `ask`. The judge sees no answer whose status is good.
        size, content : optional
            Bytes and hash that the service told of it: what comes has to have them.

        Returns
        -------
        mapping
            The answer's headers, their names in lower case.

        Raises
        ------
        PhotoError
            ``too_large``, ``missing``, or ``io_error`` for one that can't be had although others can.
        SourceError, SignInError, KeyboardInterrupt
            As from `ask`.
        """
        url, begin = self._url(address), target.tell()

        def once(token: str | None) -> dict[str, str] | None:
            target.seek(begin)
            target.truncate()
            signature = self._signature(token, signed=signed)
            request = Request(method, url, self._downloads, {}, headers or {}, signature, Ending.SKIP)
            with self._transport.answered(request) as response:
                if not response.is_success:
                    self._look_at(self._transport.whole(response, _LARGEST_REFUSAL), judge)
                try:
                    self._receive(response, target, limit, size, content)
                except _TooLargeError:
                    return None
                return headers_of(response)

        got = None
        if size is None or size <= limit:
            got = self._retried(once, self._downloads, name, signed=signed)
        if got is None:
            raise PhotoError(Status.TOO_LARGE, f"{name} has more than {limit} bytes, and is not fetched.")
        given: Mapping[str, str] = got
        return given

    def close(self) -> None:
        """Close its connections; the next request opens others."""
        self._transport.close()

    def _url(self, address: str, params: Mapping[str, Any] | None = None) -> URL:
        from httpx2 import URL, InvalidURL

        if not address.lower().startswith(("http://", "https://")):
            address = f"{self._base}/{address.lstrip('/')}"
        given = {name: value for name, value in (params or {}).items() if value is not None}
        url = None
        with suppress(InvalidURL):
            url = URL(address).copy_merge_params(given) if given else URL(address)
        if url is None:  # not from within the block: the error's words, and so its chain, may hold the address
            message = f"{self.service} names an address that is none."
            raise SourceError(message)
        return url

    def _signature(self, token: str | None, *, signed: bool) -> str | None:
        return f"{self._authorization} {token}" if token and signed else None

    def _look_at(self, answer: Answer, judge: Judge | None) -> None:
        trouble = (judge or self._judge)(answer) or judged_by_status(self.service, answer)
        if trouble:
            raise FailedError(trouble)

    def _receive(self, response: Response, target: BinaryIO, limit: int, size: int | None, content: str | None) -> None:
        """A photo's bytes, compared with what was told of them: what is cut short may look whole to a decoder."""
        told = response.headers.get("content-length", "")
        length = int(told) if told.isascii() and told.isdecimal() else None
        if length is not None and length > limit:
            raise _TooLargeError
        made, got = hash_of(content), 0
        for piece in self._transport.pieces(response):
            got += len(piece)
            if got > limit:
                raise _TooLargeError
            target.write(piece)
            if made:
                made.update(piece)
        wrong = None
        if length not in {None, response.num_bytes_downloaded}:
            wrong = "another number of bytes than it says"
        elif size not in {None, got}:
            wrong = f"{got} bytes in place of {size}"
        elif content and made and not is_hash(content, made):
            wrong = "other bytes than it lists"
        elif not made and is_page(response.headers.get("content-type", "")):
            wrong = "a web page in place of a photo"
        if wrong:
            raise FailedError(Trouble(Ending.RETRY, f"{self.service} gives {wrong}."), of_content=True)
