"""Files over HTTP: of a WebDAV server, such as Nextcloud's, or on a web server that lists its folders."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit
from xml.etree import ElementTree as ET

from typing_extensions import override

from facekit.sources.network.answers import Ending, Trouble, is_page, judged_by_status
from facekit.sources.network.hosts import Endpoint, ForbiddenError, Reach, origin_of
from facekit.sources.network.transport import FailedError, Request, Transport, headers_of
from facekit.sources.storage.address import WEB
from facekit.sources.storage.files import Entry, is_picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from httpx2 import URL, Response

    from facekit.sources.item import Tools
    from facekit.sources.network.hosts import Guard
    from facekit.sources.network.rate import Rate
    from facekit.sources.storage.address import Address

_LARGEST_LIST = 64 * 2**20  # bytes of what lists a folder; ours
_PROPERTIES = b"""<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getetag/>\
<getlastmodified/></prop></propfind>"""  # RFC 4918, 9.1
_SAYS_SO = re.compile(r"<title>[^<]*(index of|directory listing|listing of)", re.IGNORECASE)
"""Apache, nginx, lighttpd; Python; Caddy and others. Where no more is in a folder, nothing else tells."""
_DAV = "{DAV:}"
_MULTI_STATUS = 207
_NOT_ALLOWED = {405, 501}


class _OwnOrigin(Reach):
    """The host that the user named, wherever it is, and no other; over TLS too, where it leads there."""

    def __init__(self, base: str) -> None:
        super().__init__(Endpoint(base, trusted=False), ())

    @override
    def check(self, url: URL) -> None:
        scheme, host, port = origin_of(url)
        secure = scheme == "https" and (host, port) == (self._origin[1], 443)
        if (scheme, host, port) != self._origin and not secure:
            message = "another host than the one it is connected for"
            raise ForbiddenError(message)

    @override
    def guard(self, url: URL) -> Guard | None:
        return None


class WebFiles:
    """Files over HTTP; see `facekit.sources.storage.files.Files`. Requests wait for their turn of ``rate``."""

    def __init__(self, address: Address, tools: Tools, rate: Rate) -> None:
        self._is_dav = not address.scheme.startswith("http")
        host = f"[{address.host}]" if ":" in address.host else address.host
        self._base = f"{WEB[address.scheme]}://{host}" + (f":{address.port}" if address.port else "")
        self._root = address.path.rstrip("/")
        self._user = address.user or ""
        self._shown = address.shown
        self._rate = rate
        self._transport = Transport(self._shown, _OwnOrigin(self._base), tools.stop)
        tools.opened.callback(self._transport.close)

    def address_of(self, path: str) -> str:
        """The address of a file, without anything that lets one in."""
        return self._base + quote(f"{self._root}/{path}" if path else self._root or "/")

    def again(self) -> None:
        """Nothing was kept."""

    def folder(self, path: str, secret: str | None) -> list[Entry]:
        """What lies in a folder, in any order."""
        address = self.address_of(path).rstrip("/") + "/"
        return self._properties(address, secret, "1") if self._is_dav else self._links(address, secret)

    def entry(self, path: str, secret: str | None) -> Entry:
        """What is said of one file or folder."""
        address = self.address_of(path)
        name = path.rpartition("/")[2] or self._root.rpartition("/")[2]
        if self._is_dav:
            found = self._properties(address, secret, "0")
            if found:
                return found[0]
            raise FailedError(Trouble(Ending.RETRY, f"{self._shown} says nothing of what it was asked for."))
        with self._transport.answered(self._request("HEAD", address, secret)) as response:
            if response.status_code in _NOT_ALLOWED:
                return Entry(name, "file")
            self._look_at(response, no_page=is_picture(name))
            said = headers_of(response)
        size = said.get("content-length", "")
        return Entry(
            name=name,
            kind="directory" if is_page(said.get("content-type", "")) else "file",
            size=int(size) if size.isascii() and size.isdecimal() and "content-encoding" not in said else None,
            mark=_mark(said.get("etag")),
            modified=_moment(said.get("last-modified")),
        )

    def pieces(self, path: str, secret: str | None) -> Iterator[bytes]:
        """A file's bytes."""
        with self._transport.answered(self._request("GET", self.address_of(path), secret, Ending.SKIP)) as response:
            self._look_at(response, no_page=True)
            yield from self._transport.pieces(response)
            told = response.headers.get("content-length", "")
            if told.isdecimal() and int(told) != response.num_bytes_downloaded:
                message = f"{self._shown} gives another number of bytes than it says."
                raise FailedError(Trouble(Ending.RETRY, message), of_content=True)

    def _request(
        self,
        method: str,
        address: str,
        secret: str | None,
        forbidden: Ending = Ending.STOP,
        **more: Mapping[str, object],
    ) -> Request:
        from httpx2 import URL

        account = base64.b64encode(f"{self._user}:{secret or ''}".encode()).decode("ascii")
        signed = f"Basic {account}" if secret is not None or self._user else None
        return Request(method, URL(address), self._rate, authorization=signed, forbidden=forbidden, **more)  # type: ignore[arg-type]

    def _look_at(self, response: Response, *, no_page: bool = False) -> None:
        if not response.is_success:
            trouble = judged_by_status(self._shown, self._transport.whole(response, 2**16))
            raise FailedError(trouble or Trouble(Ending.RETRY, f"{self._shown} answers oddly."))
        if no_page and is_page(response.headers.get("content-type", "")):
            message = f"{self._shown} gives a web page in place of a photo."
            raise FailedError(Trouble(Ending.RETRY, message), of_content=True)

    def _properties(self, address: str, secret: str | None, depth: str) -> list[Entry]:
        headers = {"Depth": depth, "Content-Type": "application/xml"}
        request = self._request("PROPFIND", address, secret, headers=headers, body={"content": _PROPERTIES})
        with self._transport.answered(request) as response:
            self._look_at(response)
            answer = self._transport.whole(response, _LARGEST_LIST)
        tree = None
        if answer.status == _MULTI_STATUS and len(answer.body) < _LARGEST_LIST:
            tree = _tree(answer.body)
        if tree is None:
            message = f"{self._shown} does not answer as a WebDAV server does."
            raise FailedError(Trouble(Ending.RETRY, message, "See whether the address is that of its WebDAV."))
        asked = _path_of(address)
        found = [(href, entry) for one in tree.iter(f"{_DAV}response") for href, entry in _said_of(one, address)]
        return [entry for href, entry in found if (href == asked) == (depth == "0")]

    def _links(self, address: str, secret: str | None) -> list[Entry]:
        with self._transport.answered(self._request("GET", address, secret)) as response:
            self._look_at(response)
            if not is_page(response.headers.get("content-type", "")):
                message = f"{self._shown} gives no list of what lies there."
                raise FailedError(
                    Trouble(Ending.STOP, message, "Give the address of a folder that it lists, or a photo's.")
                )
            answer = self._transport.whole(response, _LARGEST_LIST)
            here = str(response.url)
        text = answer.body.decode("utf-8", "replace")
        parser = _Links()
        parser.feed(text)
        names: dict[str, str] = {}
        is_list = _SAYS_SO.search(text) is not None
        for link in parser.found:
            name, is_folder = _below(here, link)
            if name:
                names[name] = "directory" if is_folder else "file"
            is_list = is_list or bool(name) or link in {"..", "../"}
        if not is_list:  # an error, or a page to sign in
            raise FailedError(Trouble(Ending.RETRY, f"{self._shown} gives a web page that lists nothing."))
        return [Entry(name, kind) for name, kind in names.items()]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _below(here: str, link: str) -> tuple[str, bool]:
    """The name of what a link leads to, where that lies in this folder, else ""; and whether it is a folder."""
    try:
        there = urlsplit(urljoin(here, link))
    except ValueError:
        return "", False
    page = urlsplit(here)
    folder = page.path.rpartition("/")[0] + "/"
    if there.query or there.fragment or there.netloc != page.netloc or not there.path.startswith(folder):
        return "", False
    name = there.path[len(folder) :]
    return ("" if "/" in name.rstrip("/") else unquote(name.rstrip("/"))), name.endswith("/")


def _tree(body: bytes) -> ET.Element | None:
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:  # entities that make each other grow
        return None
    try:
        return ET.fromstring(body)  # noqa: S314 - without entities
    except (ET.ParseError, ValueError, LookupError):
        return None


def _said_of(response: ET.Element, asked: str) -> Iterator[tuple[str, Entry]]:
    path = _path_of(urljoin(asked, response.findtext(f"{_DAV}href", "").strip()))
    said: dict[str, ET.Element] = {}
    for state in response.iter(f"{_DAV}propstat"):
        if " 200" in state.findtext(f"{_DAV}status", ""):
            said |= {one.tag: one for properties in state.iter(f"{_DAV}prop") for one in properties}
    kind = said.get(f"{_DAV}resourcetype")
    if kind is None and not said:
        return
    texts = {tag.removeprefix(_DAV): (one.text or "").strip() for tag, one in said.items()}
    size = texts.get("getcontentlength", "")
    yield (
        path,
        Entry(
            name=path.rpartition("/")[2],
            kind="directory" if kind is not None and kind.find(f"{_DAV}collection") is not None else "file",
            size=int(size) if size.isascii() and size.isdecimal() else None,
            mark=_mark(texts.get("getetag")),
            modified=_moment(texts.get("getlastmodified")),
        ),
    )


def _path_of(address: str) -> str:
    return unquote(urlsplit(address).path).rstrip("/")


def _mark(etag: str | None) -> str:
    return (etag or "").removeprefix("W/").strip('"')[:200]


def _moment(said: str | None) -> datetime | None:
    try:
        when = parsedate_to_datetime(said or "")
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
