"""The kinds of connected places, by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from facekit.errors import RefusedError

if TYPE_CHECKING:
    from facekit.sources.item import SourceKind

_MODULES: tuple[str, ...] = (
    "vk",
    "yandex_disk",
    "dropbox",
    "google_photos",
    "google_takeout",
    "storage",  # the last: it knows all addresses that none before it does
)


@cache
def kinds() -> dict[str, SourceKind]:
    """All of them, in the order in which an address is shown to them."""
    found = [import_module(f"facekit.sources.{name}.connector").KIND for name in _MODULES]
    return {kind.name: kind for kind in found}


def kind_named(name: str) -> SourceKind:
    """One of them. Raises RefusedError."""
    kind = kinds().get(name.replace("_", "-"))
    if kind is None:
        raise unknown_kind(name)
    return kind


def unknown_kind(name: str) -> RefusedError:
    """What is said of a name of no kind."""
    return RefusedError(f"There is no kind of source {name!r}.", f"There are {', '.join(kinds())}.")


def kind_of_address(text: str) -> tuple[SourceKind, dict[str, str]] | None:
    """The kind that an address is of, and what it says of the place; None for a folder and for all that none knows.

    Raises
    ------
    RefusedError
        If it is a page of a service that shows no photos to facekit, such as a feed or a shared album.
    """
    for kind in kinds().values():
        if settings := kind.settings_of(text):
            return kind, settings
        if kind.is_page is not None and kind.is_page(text):
            message = f"{shown(text)} is no address of photos that can be read at {kind.words}."
            raise RefusedError(message, kind.addresses)
    return None


def shown(address: str) -> str:
    """An address without what stands behind its ``?`` and ``#``, which may be a key."""
    return address.partition("?")[0].partition("#")[0][:200]


def is_at(text: str, *hosts: str) -> bool:
    """Whether an address leads to one of these hosts, or to ``www.`` or ``m.`` before one."""
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and host.removeprefix("www.").removeprefix("m.") in hosts
