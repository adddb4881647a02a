"""The photos of an owner at VK, album by album and page by page, while albums and photos come and go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from facekit.errors import SourceError
from facekit.sources.vk.addresses import SYSTEM_ALBUMS
from facekit.sources.vk.calls import Refusal
from facekit.sources.vk.photos import Album, album_of, key_of, photos_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from facekit.sources.item import Cursor
    from facekit.sources.vk.calls import VkApi

_PAGE = 1000  # photos.get and photos.getUserPhotos give no more at once
_OVERLAP = 10  # ours: photos of a page that the next one has to show again, so that nothing in between is missed
_STEPS_BACK = 5  # ours: how often an album is looked at from further before, where they are not there
_BARREN = 3  # ours: how many pages in a row without anything new end an album, whatever VK counts
_TOGETHER, _FEW, _MOST = 25, 3, 500
"""Calls in one, by VK's limit; ours: how few are not worth it; how many photos at most, for the answer may have 5 MB
and a photo takes 4 kB with the addresses of its sizes."""
_NO_SUCH_ALBUM = 114
_TAGGED = "tagged"


@dataclass(frozen=True, slots=True)
class Part:
    """Some photos of one album. ``refused`` counts the albums before it that VK does not show to this token.

    The last one has no photos. ``whole`` is whether all albums were shown so far.
    """

    photos: tuple[Mapping[str, Any], ...]
    folder: str
    cursor: Cursor
    last: bool = False
    whole: bool = True
    refused: int = 0


@dataclass(frozen=True, slots=True)
class _Where:
    """Where a listing is: the album, how much of it is done (-1: all), the last photos shown, and what was refused."""

    album: str = ""
    offset: int = 0
    tail: tuple[str, ...] = ()
    whole: bool = True

    @classmethod
    def of(cls, cursor: Cursor) -> _Where:
        tail = cursor.get("tail", ())
        return cls(cursor.get("album", ""), cursor.get("offset", 0), tuple(tail), cursor.get("whole", True))

    def cursor(self) -> Cursor:
        return {"album": self.album, "offset": self.offset, "tail": list(self.tail), "whole": self.whole}


class Listing:
    """Lists the albums of an owner, or one of them, and their photos. Threads may share it.

    Parameters
    ----------
    api : VkApi
    owner : str
        An id, or a screen name; empty for whoever the token is of.
    album : str
        An id, or a word of `SYSTEM_ALBUMS`; empty for all.
    """

    def __init__(self, api: VkApi, owner: str, album: str) -> None:
        self._api = api
        self._named = owner
        self._album = album
        self._lock = Lock()
        self._owner: int | None = None
        self._person: list[int | None] = []
        self._albums: list[Album] = []
        self._together = True

    def person(self) -> int | None:
        """Whom the token is of; None for an application's, which VK calls a service token."""
        if not self._person:
            reply = self._api.reply("users.get")
            if isinstance(reply, Refusal) and reply.code not in (15, 27, 28, 100, 113, 1051):
                raise reply.error()
            first = reply[0] if isinstance(reply, list) and reply and isinstance(reply[0], dict) else {}
            number = first.get("id")
            self._person = [number if isinstance(number, int) else None]
        return self._person[0]

    def owner(self) -> int:
        """The owner's id, negative for a community."""
        with self._lock:
            if self._owner is None:
                self._owner = self._found_owner()
            return self._owner

    def _found_owner(self) -> int:
        if not self._named:
            person = self.person()
            if person is None:
                message = "The token is an application's: it does not say whose photos are wanted."
                raise SourceError(message, "Connect it anew with an owner: an id, a name, or the page's address.")
            return person
        if self._named.lstrip("-").isdecimal():
            return int(self._named)
        found = self._api.call("utils.resolveScreenName", screen_name=self._named)
        kind, number = (found.get("type"), found.get("object_id")) if isinstance(found, dict) else (None, None)
        if kind not in ("user", "group", "page", "event") or not isinstance(number, int):
            message = f"Neither a person nor a community at VK is called {self._named}."
            raise SourceError(message, "Connect it anew with another owner: an id, or the page's address.")
        return number if kind == "user" else -number

    def albums(self) -> list[Album]:
        """The albums to list, in an order that stays. A system album has its word for a folder, in any language."""
        if self._album in SYSTEM_ALBUMS.values():
            return [Album(self._album, self._album)]
        asked = {"album_ids": self._album} if self._album else {"need_system": 1}
        found: dict[str, Album] = {}
        offset = 0
        while True:
            reply = self._api.call("photos.getAlbums", owner_id=self.owner(), offset=offset, count=_PAGE, **asked)
            items = photos_in(reply)
            new = {album.id: album for album in map(album_of, items) if album and album.id not in found}
            found |= new
            offset += len(items)
            if not new or offset >= reply.get("count", 0):
                break
        if self._album and self._album not in found:
            raise Refusal(_NO_SUCH_ALBUM).error()
        self._albums = sorted(found.values(), key=lambda album: album.place)
        return self._albums

    def named(self, folder: str) -> list[Album]:
        """The owner's albums whose photos lie in a folder."""
        albums = self._albums or self.albums()
        return [album for album in albums if album.folder == folder and album.id != _TAGGED]

    def page(self, album: Album, offset: int, count: int = _PAGE) -> list[dict[str, Any]] | Refusal:
        """Some photos of an album."""
        reply = self._page(album, offset, count)
        return reply if isinstance(reply, Refusal) else photos_in(reply)

    def _page(self, album: Album, offset: int, count: int = _PAGE) -> Any:  # noqa: ANN401 - whatever VK answers
        if album.id == _TAGGED:
            return self._api.reply("photos.getUserPhotos", user_id=self.owner(), sort=1, offset=offset, count=count)
        return self._api.reply("photos.get", **self._asked(album, offset, count))

    def _asked(self, album: Album, offset: int, count: int) -> dict[str, object]:
        """The oldest first, so that what is added comes at the end."""
        return {"owner_id": self.owner(), "album_id": album.id, "rev": 0, "offset": offset, "count": count}

    def parts(self, cursor: Cursor) -> Iterator[Part]:
        """All photos, from where a cursor says.

        Raises
        ------
        SourceError
            If VK shows no album at all: why it does not show the last. No cursor goes on from there.
        """
        where = _Where.of(cursor)
        begin = Album(where.album, "").place if where.album else None
        albums = [album for album in self.albums() if begin is None or album.place >= begin]
        shown, refused, refusal = bool(cursor), 0, None
        firsts: dict[str, Any] = {}
        for number, album in enumerate(albums):
            if album.id != where.album:
                where = replace(where, album=album.id, offset=0, tail=())
            if where.offset < 0:
                continue
            if not where.offset and album.id not in firsts:
                firsts = self._several(albums[number:])
            for found in self._of_album(album, where, firsts.get(album.id)):
                if isinstance(found, Refusal):
                    refused, refusal = refused + 1, found
                    where = replace(where, whole=False)
                    break
                photos, where = found
                shown = True
                yield Part(tuple(photos), album.folder, where.cursor(), whole=where.whole, refused=refused)
                refused = 0
        if refusal and not shown:
            raise refusal.error()
        yield Part((), "", {}, last=True, whole=where.whole, refused=refused)

    def _of_album(self, album: Album, where: _Where, first: Any) -> Iterator[tuple[list[Any], _Where] | Refusal]:  # noqa: ANN401
        """An album's photos, each once, and where it goes on after them; or that VK refuses it.

        Photos that are deleted meanwhile move what comes after them, so that the next page would begin behind some that
        were not shown. Each page therefore begins with photos of the last one: where they are not, it begins too late.
        """
        known = set(where.tail)
        step, steps_back, barren, largest = _OVERLAP, 0, 0, 1
        while where.offset >= 0:
            reply, first = (self._page(album, where.offset) if first is None else first), None
            if isinstance(reply, Refusal):
                yield reply
                return
            photos = photos_in(reply)
            keys = [key for photo in photos if (key := key_of(photo))]
            if where.tail and where.offset and steps_back < _STEPS_BACK and known.isdisjoint(keys):
                where = replace(where, offset=max(where.offset - step, 0))
                step, steps_back = step * 4, steps_back + 1
                continue
            fresh = [photo for photo in photos if key_of(photo) not in known]
            known.update(keys)
            barren = 0 if fresh else barren + 1
            largest = max(largest, len(keys))
            where = self._after(where, reply, keys, barren, largest)
            yield self._own(album, fresh), where

    def _after(self, where: _Where, reply: Mapping[str, Any], keys: Sequence[str], barren: int, largest: int) -> _Where:
        """Where an album goes on after a page; hidden photos count and are not shown, so that any page may be short."""
        total = reply.get("count")
        total = total if isinstance(total, int) else 0
        end = where.offset + len(keys)
        if barren:  # whatever is here is hidden, for as many as a page has been seen to have
            over = barren >= _BARREN or where.offset + largest >= total
            return replace(where, offset=-1 if over else where.offset + largest, tail=())
        if len(keys) < _PAGE and 0 < total <= end:
            return replace(where, offset=-1, tail=())
        overlap = min(_OVERLAP, len(keys) // 2)
        return replace(where, offset=end - overlap, tail=tuple(keys[len(keys) - overlap :]))

    def _own(self, album: Album, photos: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Without photos of the owner's own among those that show them, where their own albums are listed as well."""
        if album.id != _TAGGED or self._album:
            return photos
        return [photo for photo in photos if photo.get("owner_id") != self.owner()]

    def _several(self, albums: Sequence[Album]) -> dict[str, Any]:
        """The first pages of several small albums in one call, where the token is a person's: others may not so."""
        few: list[Album] = []
        for album in albums[:_TOGETHER]:
            if album.id == _TAGGED or sum(one.size for one in few) + album.size > _MOST:
                break
            few.append(album)
        if len(few) < _FEW or not self._together or self.person() is None:
            return {}
        replies = self._api.together("photos.get", [self._asked(album, 0, _MOST) for album in few])
        self._together = replies is not None
        return {album.id: reply for album, reply in zip(few, replies or (), strict=False)}
