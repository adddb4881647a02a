"""Addresses at VK: whose photos, and which album, they mean."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from facekit.errors import RefusedError

_HOSTS = frozenset({"vk.com", "www.vk.com", "m.vk.com", "vk.ru", "www.vk.ru", "m.vk.ru"})
SYSTEM_ALBUMS = {-6: "profile", -7: "wall", -15: "saved", -9000: "tagged"}
"""The albums that everybody has, by the id that photos.getAlbums gives them: the words that photos.get takes for them,
and ``tagged`` for the photos that somebody is marked on."""
_ZEROS = {"0": "profile", "00": "wall", "000": "saved"}  # in the addresses of albums
_OWNER = re.compile(r"(id|club|public|event)([1-9]\d*)")
_ALBUM = re.compile(r"album(-?[1-9]\d*)_(\d+)")
_SOME = re.compile(r"(albums|photos|wall|tag)(-?[1-9]\d*)")
_NUMBER = re.compile(r"-?[1-9]\d{0,18}")
_SCREEN_NAME = re.compile(r"[a-z][a-z0-9_.]{1,63}", re.IGNORECASE)
# Pages of the site itself; a look at what https://vk.com links to. Nobody may be called so.
_PAGES = re.compile(
    r"about|albums|al_feed|apps|artists|ads|audio|audios|badbrowser|blog|bookmarks|calls|clips|dev|docs|edit|"
    r"fave|feed|friends|games|groups|help|im|jobs|join|login|logout|market|music|mail|mini_apps|notifications|"
    r"photos|podcasts|press|privacy|restore|rules|search|services|settings|share|stickers|stories|support|terms|"
    r"vkpay|video|videos|wall|write",
    re.IGNORECASE,
)
# What has a page of its own and is neither anybody nor an album: photo1_2, wall-1_2, video1_2, topic-1_2, @article
_THINGS = re.compile(
    r"(photo|wall|video|clip|topic|market|product|audio|doc|story|note|poll|page|app|write|im)-?\d+(_.*)?"
)


def settings_of(text: str) -> dict[str, str] | None:
    """The settings that an address means: ``owner``, and ``album`` where it is of one; None for any other text.

    Examples
    --------
    >>> from facekit.sources.vk.addresses import settings_of
    >>> settings_of("https://vk.com/album-123_456")
    {'owner': '-123', 'album': '456'}
    >>> settings_of("https://m.vk.ru/durov"), settings_of("https://vk.com/feed")
    ({'owner': 'durov'}, None)
    """
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or host not in _HOSTS:
        return None
    shown = parse_qs(parts.query).get("z", [""])[0]  # an album that is open above another page
    if album := _ALBUM.match(shown):
        return _album(album)
    return _place(parts.path.strip("/"))


def _place(name: str) -> dict[str, str] | None:
    found = None
    if album := _ALBUM.fullmatch(name):
        found = _album(album)
    elif some := _SOME.fullmatch(name):
        word = {"wall": "wall", "tag": "tagged"}.get(some[1])
        found = {"owner": some[2]} | ({"album": word} if word else {})
    elif owner := _OWNER.fullmatch(name):
        found = {"owner": owner[2] if owner[1] == "id" else f"-{owner[2]}"}
    elif _SCREEN_NAME.fullmatch(name) and not _PAGES.fullmatch(name) and not _THINGS.fullmatch(name):
        found = {"owner": name.lower()}
    return found


def _album(found: re.Match[str]) -> dict[str, str]:
    return {"owner": found[1], "album": _ZEROS.get(found[2], found[2])}


def place(owner: str, album: str) -> tuple[str, str]:
    """What somebody wrote as owner and as album, in the words of the API.

    Parameters
    ----------
    owner : str
        An id (negative for a community), a screen name or an address; empty for whoever the token is of.
    album : str
        An id, an address or one of the words of `SYSTEM_ALBUMS`; ``all`` or empty for all of them.

    Returns
    -------
    tuple of str
        An id or a screen name, and an id or a word; both may be empty.

    Raises
    ------
    RefusedError
        If it is none of these.
    """
    whose = _owner(owner.strip())
    which = _album_named(album.strip())
    return whose.get("owner") or which.get("owner", ""), which.get("album", whose.get("album", ""))


def _owner(text: str) -> dict[str, str]:
    if not text or _NUMBER.fullmatch(text):
        return {"owner": text}
    found = _address(text) if "/" in text else _place(text.removeprefix("@"))
    if found is None:
        message = f"{text!r} is nobody at VK."
        raise RefusedError(message, "Give an id, -ID for a community, a screen name, or the address of the page.")
    return found


def _album_named(text: str) -> dict[str, str]:
    """Of an empty text nothing: the owner's address may say which."""
    if not text:
        return {}
    if text == "all" or text in SYSTEM_ALBUMS.values():
        return {"album": "" if text == "all" else text}
    if _NUMBER.fullmatch(text):
        return {"album": SYSTEM_ALBUMS.get(int(text), text)}
    found = (_address(text) if "/" in text else _place(text)) or {}
    if "album" not in found:
        message = f"{text!r} is no album at VK."
        raise RefusedError(message, f"Give its id or its address, {', '.join(sorted(SYSTEM_ALBUMS.values()))}, or all.")
    return found


def _address(text: str) -> dict[str, str] | None:
    """The same as `settings_of`, also without ``https://``."""
    return settings_of(text if "://" in text else f"https://{text}")


def page_of(owner: str, album: str) -> str:
    """The page that shows an owner's photos, or one of the albums; ``owner`` may be a screen name."""
    if not owner:
        return "vk.com"
    if not _NUMBER.fullmatch(owner):
        return f"https://vk.com/{owner}" + (f" ({album})" if album else "")
    if album == "tagged":
        return f"https://vk.com/tag{owner}"
    if album:
        zeros = {word: digits for digits, word in _ZEROS.items()}
        return f"https://vk.com/album{owner}_{zeros.get(album, album)}"
    return f"https://vk.com/albums{owner}"
