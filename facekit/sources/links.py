"""Where a photo is from, in words, and which links to a page of it may be opened."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from facekit.sources.kinds import kinds

_BASES = ("_API", "_ID")  # FACEKIT_VK_API, FACEKIT_VK_ID: see `facekit.sources.network.http.endpoint`


def safe_link(link: str | None) -> str | None:
    """A link, where it leads to a page over https, or to a service whose address was changed in the environment.

    Examples
    --------
    >>> from facekit.sources.links import safe_link
    >>> safe_link("https://vk.com/photo1_2"), safe_link("javascript:alert(1)")
    ('https://vk.com/photo1_2', None)
    """
    try:
        parts = urlsplit(link or "")
        place = (parts.scheme, parts.hostname, parts.port)
    except ValueError:  # a port that is none
        return None
    if not link or not link.isprintable() or not parts.hostname or parts.username is not None:
        return None
    return link if parts.scheme == "https" or place in _trusted() else None


def source_words(source: str, kind: str | None, album: str | None = None) -> str:
    """Which place a photo is from, for people: ``VK · Summer 2019``; empty for files in folders, whose path says it."""
    if kind is None:
        return f"{source} · {album}" if album else ""
    known = kinds().get(kind)
    words = known.words if known else kind
    return words if not album and source == kind else f"{words} · {album or source}"


def _trusted() -> set[tuple[str, str | None, int | None]]:
    """Scheme, host and port of the addresses that the environment gives for services."""
    found = set()
    for name, value in os.environ.items():
        if name.startswith("FACEKIT_") and name.endswith(_BASES):
            try:
                parts = urlsplit(value)
                found.add((parts.scheme, parts.hostname, parts.port))
            except ValueError:
                continue
    return {place for place in found if place[0] in {"http", "https"}}
