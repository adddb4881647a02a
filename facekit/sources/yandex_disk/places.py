"""What of Yandex Disk a source is: a public link to a folder or file, or a folder of one's own disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from facekit.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

SITE = "https://disk.yandex.ru"

_HOST = re.compile(r"(?:www\.)?(?:disk\.yandex\.(?:com\.[a-z]{2}|co\.[a-z]{2}|[a-z]{2,3})|yadi\.sk)")
_SHARED = re.compile(r"/([dia])/([\w-]{6,100})(/.*)?", re.ASCII | re.DOTALL)
_PUBLIC_KEY = re.compile(r"[\w+/=-]{20,400}", re.ASCII)
_OWN_PAGE = re.compile(r"/client/disk(/.*)?", re.DOTALL)
_OWN_PATH = re.compile(r"disk:(/?.*)", re.DOTALL)
_LONGEST_PATH = 32_760
"""Yandex Disk API, "Uploading a file": the longest path."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, or one file, of a public link or of one's own disk.

    ``public_key`` is what the API knows a link by: the link as it is written at ``disk.yandex.ru``, or the long key of
    old links; None for one's own disk. ``path`` begins with ``/``, which is the link's own folder or file, or the disk.
    """

    public_key: str | None
    path: str = "/"

    @property
    def words(self) -> str:
        """Which it is, for people."""
        if self.public_key is None:
            return f"disk:{self.path}"
        return self.page(self.path)

    def query(self, path: str) -> dict[str, str]:
        """How the API is asked for a path of the link or the disk."""
        if self.public_key is None:
            return {"path": f"disk:{path}"}
        return {"public_key": self.public_key, "path": path}

    def page(self, path: str) -> str:
        """The address of the page that shows a file."""
        inside = "" if path == "/" else path
        if self.public_key is None:
            folder = quote(inside.rpartition("/")[0])
            return f"{SITE}/client/disk{folder}?idApp=client&dialog=slider&idDialog={quote(f'/disk{inside}', safe='')}"
        if self.public_key.startswith(SITE):
            return self.public_key + quote(inside)
        return f"{SITE}/public?hash={quote(self.public_key + (f':{inside}' if inside else ''), safe='')}"


def path_of(answered: object) -> str | None:
    """A path as the API gives it, ``disk:/a/b`` or ``/a/b``, as ``/a/b``; None for anything else."""
    if not isinstance(answered, str):
        return None
    path = answered.removeprefix("disk:")
    return path if path.startswith("/") and len(path) <= _LONGEST_PATH else None


def settings_of(text: str) -> dict[str, str] | None:
    """The settings that an address of Yandex Disk, or ``disk:/Photos``, means; None for any other text.

    They are the same however a link is written.
    """
    text = text.strip()
    if own := _OWN_PATH.fullmatch(text):
        return {"path": _tidy(own[1])}
    parts = _at_yandex(text)
    if parts is None:
        return None
    if own := _OWN_PAGE.fullmatch(parts.path):
        return {"path": _tidy(unquote(own[1] or ""))}
    if not _SHARED.fullmatch(parts.path) and parts.path.rstrip("/") not in {"/public", "/disk/public"}:
        return None
    try:
        return {"link": place_of({"link": text}).words}
    except RefusedError:  # when it is connected, it is said what is wrong with it
        return {"link": text}


def is_page(text: str) -> bool:
    """Whether an address is one of Yandex Disk's site."""
    return "://" in text and _at_yandex(text.strip()) is not None


def place_of(settings: Mapping[str, str]) -> Place:
    """The place that settings mean. Raises RefusedError for a link that is none, and for one to an album."""
    link, path = settings.get("link", "").strip(), settings.get("path", "").strip()
    if not link:
        return Place(None, _tidy(path.removeprefix("disk:")))
    if path:
        message = "A source at Yandex Disk is a link or a path of your own disk, not both."
        raise RefusedError(message, "Leave link or path out. A path in a link is written behind it: .../d/KEY/folder.")
    if parts := _at_yandex(link):
        if shared := _SHARED.fullmatch(parts.path):
            return _shared(shared[1], shared[2], unquote(shared[3] or ""))
        key, _, inside = parse_qs(parts.query).get("hash", [""])[0].replace(" ", "+").partition(":")
        if _PUBLIC_KEY.fullmatch(key):
            return Place(key, _tidy(inside))
    message = f"{link} is no link to a file or folder at Yandex Disk."
    raise RefusedError(message, "Give one as https://disk.yandex.ru/d/... or https://yadi.sk/i/...")


def _at_yandex(link: str) -> SplitResult | None:
    try:
        parts = urlsplit(link if "://" in link else f"https://{link}")
    except ValueError:  # http://[::1
        return None
    return parts if parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.netloc.lower()) else None


def _shared(kind: str, key: str, inside: str) -> Place:
    if kind == "a":
        message = "That is a link to an album, and Yandex Disk shows programs only files and folders."
        raise RefusedError(message, "Ask for a link to the folder with the photos: https://disk.yandex.ru/d/...")
    return Place(f"{SITE}/{kind}/{key}", _tidy(inside))


def _tidy(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part)
