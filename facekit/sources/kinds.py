"""The kinds of connected places, by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from facekit.errors import RefusedError

if TYPE_CHECKING:
    from facekit.sources.item import SourceKind

_MODULES: tuple[str, ...] = (
    "vk",
    "yandex_disk",
    "dropbox",
    "google_photos",
    "google_takeout",
    "storage_urls",  # the last: it knows all addresses that none before it does
)


@cache
def kinds() -> dict[str, SourceKind]:
    """All of them, in the order in which an address is shown to them."""
    found = [import_module(f"facekit.sources.{name}").KIND for name in _MODULES]
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
    """The kind that an address is of, and what it says of the place; None for a folder and for all that none knows."""
    for kind in kinds().values():
        if settings := kind.settings_of(text):
            return kind, settings
    return None
