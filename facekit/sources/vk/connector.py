"""VK: the albums of a person or a community, through VK's API and a token that somebody pasted, or got by VK ID."""

from __future__ import annotations

import os
from collections import Counter
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, cast

from facekit.errors import PhotoError, RefusedError, SignInError, SourceError
from facekit.sources.item import Check, ItemPage, SignIn, SourceKind, Token
from facekit.sources.kinds import is_at
from facekit.sources.vk.addresses import page_of, place, settings_of
from facekit.sources.vk.calls import HOSTS, Refusal, VkApi
from facekit.sources.vk.listing import Listing
from facekit.sources.vk.photos import item_of
from facekit.sources.vk.pictures import Ends, Pictures
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from facekit.sources.item import Cursor, SourceItem, Tools

_CLIENT = "FACEKIT_VK_CLIENT_ID"
_CHECKED_PHOTOS = 10  # ours: enough for one that has a picture
_CUT_TRIES = 3  # ours
_CHECKED_BYTES = 64 * 2**20  # ours: VK keeps pictures of some megabytes

_SETTINGS = {
    "owner": (
        "Whose photos: an id (-ID for a community), a screen name, or the page's address; without it those of whoever "
        "the token is of."
    ),
    "album": "One album: its id or address, wall, profile, saved, or tagged; without it, or with all, every album.",
}
_SIGN_IN = SignIn(
    authorize="https://id.vk.com/authorize",
    token="https://id.vk.com/oauth2/auth",  # noqa: S106 - an address
    scopes=("vkid.personal_info", "photos"),
    client=_CLIENT,
    revoke="https://id.vk.com/oauth2/revoke",
    keeps=("device_id",),
    address="FACEKIT_VK_ID",
    redirect="http://localhost",  # VK ID takes no other address of one's own machine
)


class Vk:
    """One owner's albums at VK, or one of them.

    Parameters
    ----------
    settings : mapping of str to str
        ``owner`` and ``album``.
    tools : Tools

    Raises
    ------
    RefusedError
        If the settings are no settings of VK's.
    """

    def __init__(self, settings: Mapping[str, str], tools: Tools) -> None:
        if unknown := sorted(set(settings) - set(_SETTINGS)):
            message = f"VK has no setting {unknown[0]!r}."
            raise RefusedError(message, f"It has {' and '.join(_SETTINGS)}.")
        self._owner, self._album = place(settings.get("owner", ""), settings.get("album", ""))
        self._tools = tools
        self._api = VkApi(tools)
        self._listing = Listing(self._api, self._owner, self._album)
        self._pictures = Pictures(self._api, self._listing)

    @property
    def whose(self) -> str:
        """The page of the owner, or of the album."""
        return page_of(self._owner, self._album)

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """See `Connector.pages`. VK can't tell what has changed: after the end everything is listed again."""
        begins = not cursor
        left_out: Counter[str] = Counter()
        for part in self._listing.parts(cursor or {}):
            items = []
            for photo in part.photos:
                item = item_of(photo, part.folder)
                if item is None or not self._pictures.keep(photo):
                    left_out["photo without a picture"] += 1
                else:
                    items.append(item)
            left_out["album that this token may not see"] += part.refused
            yield ItemPage(
                tuple(items),
                part.cursor,
                last=part.last,
                whole=part.whole,
                begins=begins,
                left_out=dict(+left_out) or None,
            )
            begins = False
            left_out.clear()

    def gone(self, keys: Sequence[str]) -> set[str]:
        """See `Connector.gone`. VK keeps silent on what is deleted, and on what this token may not see."""
        return self._pictures.gone(keys)

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """See `Connector.fetch`. An address that does not work any more is asked for anew, once."""
        address, new = self._pictures.address_of(item)
        if not new:
            begin = target.tell()
            try:
                self._download(address, target, limit, item)
            except PhotoError as error:
                if error.status is Status.TOO_LARGE:
                    raise
                target.seek(begin)
                target.truncate()
            else:
                return
            address = self._pictures.new_address_of(item)
        try:
            self._download(address, target, limit, item)
        except PhotoError as error:
            if error.status is not Status.MISSING:
                raise
            # VK has just said that it has the photo.
            raise PhotoError(Status.IO_ERROR, error.reason) from None

    def _download(self, address: str, target: BinaryIO, limit: int, item: SourceItem) -> None:
        """Fetch a picture, again where it has no end: VK says neither its size nor a hash, so that nothing else tells.

        What VK's API says by its errors, the servers of its pictures say by their status alone.
        """
        begin = target.tell()
        for _ in range(_CUT_TRIES):
            target.seek(begin)
            target.truncate()
            watched = Ends(target)
            file = cast("BinaryIO", watched)
            self._api.http.download(address, file, limit, name=item.name, judge=lambda _: None)
            if not watched.cut_jpeg:
                return
        # Perhaps it is so at VK: decoding it says what is wrong.

    def check(self) -> Iterator[Check]:
        """See `Connector.check`: the token, the owner, the albums, some photos of one, and one's bytes."""
        photos: list[SourceItem] = []
        steps: dict[str, Callable[[], str]] = {
            "token": self._whose_token,
            "owner": lambda: page_of(str(self._listing.owner()), self._album),
            "albums": self._count_albums,
            "photos": lambda: self._look_into_one(photos),
            "a photo's bytes": lambda: self._try_one(photos),
        }
        for step, tried in steps.items():
            try:
                found = tried()
            except (SourceError, PhotoError) as error:
                yield Check(step, works=False, found=str(error))
                return
            yield Check(step, works=True, found=found)

    def _whose_token(self) -> str:
        person = self._listing.person()
        return "an application's (a service token)" if person is None else f"of https://vk.com/id{person}"

    def _count_albums(self) -> str:
        albums = self._listing.albums()
        return f"{len(albums)}, with {sum(album.size for album in albums)} photos as VK counts"

    def _look_into_one(self, photos: list[SourceItem]) -> str:
        """Find some photos, in the first album that has any."""
        refused: Refusal | None = None
        for album in self._listing.albums():
            found = self._listing.page(album, 0, _CHECKED_PHOTOS)
            if isinstance(found, Refusal):
                refused = found
                continue
            photos += [item for one in found if self._pictures.keep(one) and (item := item_of(one, album.folder))]
            if photos:
                return f"{len(photos)} of {album.folder}"
        if refused:
            raise refused.error()
        return "none"

    def _try_one(self, photos: Sequence[SourceItem]) -> str:
        if not photos:
            return "none"
        with SpooledTemporaryFile(2**20) as file:
            self.fetch(photos[0], cast("BinaryIO", file), _CHECKED_BYTES)
            return f"{file.tell()} bytes of {photos[0].name}"

    def revoke(self) -> bool:
        """Have VK ID forget the token; one that was pasted stays, until it is changed in the application's settings."""
        from facekit.sources.signing_in.oauth import revoke

        try:
            token = self._tools.access(None)
        except SignInError:
            return False
        return bool(token and os.environ.get(_CLIENT)) and revoke(_SIGN_IN, Token(token or ""))


KIND = SourceKind(
    name="vk",
    words="VK",
    hosts=(*HOSTS, "id.vk.com"),
    connect=Vk,
    settings_of=settings_of,
    settings=_SETTINGS,
    sign_in=_SIGN_IN,
    needs_token=True,
    is_page=lambda text: is_at(text, "vk.com", "vk.ru"),
    addresses="Give a person's or community's page, or an album: https://vk.com/album-123_456, /albums123, /wall-123.",
)
