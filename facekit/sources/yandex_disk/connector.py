"""Photos at Yandex Disk: public links to files and folders, without any token, and one's own disk, with one."""

from __future__ import annotations

import hashlib
import os
import platform
from collections import Counter, OrderedDict
from collections.abc import Mapping
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any

from facekit.errors import PhotoError, SignInError, SourceError
from facekit.sources.item import Check, ItemPage, SignIn, SourceKind, Token
from facekit.sources.network.http import Answer, Ending, Http, Trouble, endpoint
from facekit.sources.signing_in.oauth import revoke
from facekit.sources.yandex_disk.answers import is_too_popular, judge, judge_of_known, too_popular
from facekit.sources.yandex_disk.listing import FIELDS, PAGE, Listing, item_of, kind_of, path_of_key
from facekit.sources.yandex_disk.places import Place, is_page, path_of, place_of, settings_of
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from facekit.sources.item import Connector, Cursor, SourceItem, Tools
    from facekit.sources.network.http import Judge

API, API_VARIABLE = "https://cloud-api.yandex.net", "FACEKIT_YANDEX_DISK_API"
OAUTH, OAUTH_VARIABLE = "https://oauth.yandex.ru", "FACEKIT_YANDEX_OAUTH"
CLIENT, SECRET = "FACEKIT_YANDEX_CLIENT_ID", "FACEKIT_YANDEX_CLIENT_SECRET"

HOSTS = ("cloud-api.yandex.net", "*.disk.yandex.ru", "*.disk.yandex.net", "*.storage.yandex.net")
"""The API, what its addresses of files name (downloader.disk.yandex.ru), and where those lead (s1vla.storage...)."""

_SIGNED_HOSTS = ("downloader.disk.yandex.ru", "*.downloader.disk.yandex.ru")
"""They want "the same OAuth token as in the original request" (Yandex Disk API, "Downloading a file")."""

PER_SECOND = 5.0
"""Requests. Yandex names no limit; rclone, which many use with it, asks about as often."""

_MOST_ADDRESSES, _MOST_ASKED, _MOST_LIMITED, _MOST_PAGES = 5000, 1000, 5, 20
_MOST_CHECKED = 200 * 2**20


class YandexDisk:
    """A link or a folder of one's own disk; see `Connector`.

    Parameters
    ----------
    place : Place
        Which.
    tools : Tools
        Of a link the token is never asked for.
    """

    def __init__(self, place: Place, tools: Tools) -> None:
        self._place, self._tools = place, tools
        self._own = place.public_key is None
        self._resources = "v1/disk/resources" if self._own else "v1/disk/public/resources"
        to = endpoint(API_VARIABLE, API)
        self._http = Http(
            "Yandex Disk",
            to,
            hosts=HOSTS,
            per_second=PER_SECOND,
            judge=judge,
            tools=tools,
            authorization="OAuth",
            signed_hosts=_SIGNED_HOSTS,
        )
        self._lock = Lock()
        self._addresses: OrderedDict[str, str] = OrderedDict()
        self._limited = 0

    @property
    def whose(self) -> str:
        """The link, or the path on one's own disk."""
        return self._place.words

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """List a folder to its end, then the folders in it. A listing that is at its end begins anew."""
        listing = Listing.at(cursor, self._place)
        begins = listing is None
        listing = listing or Listing.begun(self._place)
        visited: dict[str, str] = {}
        while not listing.done:
            left_out: Counter[str] = Counter()
            items = tuple(self._next(listing, visited, left_out))
            yield ItemPage(
                items,
                listing.cursor,
                last=listing.done,
                whole=listing.whole,
                begins=begins,
                left_out=dict(left_out),
            )
            begins = False

    def _next(self, listing: Listing, visited: dict[str, str], left_out: Counter[str]) -> Iterator[SourceItem]:
        root = self._place.path
        try:
            folder = listing.folder
            answer = self._about(folder, offset=listing.first, limit=PAGE, sort="path", fields=FIELDS)
        except PhotoError as error:
            if folder == root:
                raise self._nothing_there(error) from error
            if error.status is not Status.MISSING:  # it may hold what was seen before
                listing.whole = False
                left_out["folder"] += 1
            listing.leave()
            return
        single = folder == root and answer.get("type") == "file"
        if single:
            listing.leave()
        for one in [{**answer, "path": root}] if single else listing.take(answer, visited, left_out):
            path = path_of(one.get("path"))
            kind = kind_of(one)
            if path is None or kind is not None:
                left_out[kind or "other"] += 1
                continue
            item = item_of(one, path, self._place)
            self._remember(item.key, one.get("file"))
            yield item

    def gone(self, keys: Sequence[str]) -> set[str]:
        """Those that the API says are not there. At most 1000 paths are asked for, none in a folder that is gone."""
        gone: set[str] = set()
        there: dict[str, bool] = {self._place.path: True}
        for key in sorted(keys):
            if len(there) > _MOST_ASKED:
                break
            path = path_of_key(key)
            if path != self._place.path and self._is_gone(path, there):
                gone.add(key)
        if gone:
            self._root()  # a link that was turned off meanwhile says of everything that it is gone
        return gone

    def _is_gone(self, path: str, there: dict[str, bool]) -> bool:
        above = _above(path)
        if any(not there.get(one, True) for one in above):
            return True
        if not self._lacks(path, there):
            return False
        for folder in above:  # from the innermost: all that is in it is gone, too
            if not self._lacks(folder, there):
                break
        return True

    def _lacks(self, path: str, there: dict[str, bool]) -> bool:
        if path not in there:
            try:
                self._about(path, limit=1, fields="type")
                there[path] = True
            except PhotoError as error:
                there[path] = error.status is not Status.MISSING
        return not there[path]

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """Write a photo's bytes: from the address that the listing gave, or from a new one where that is no good."""
        if item.size is not None and item.size > limit:
            raise PhotoError(Status.TOO_LARGE, f"{item.name} has {item.size} bytes; at most {limit} are read.")
        with self._lock:
            known = self._addresses.pop(item.key, None)
        begins = target.tell()
        if known is not None:
            try:
                self._download(known, item, target, limit, judge=judge_of_known)
            except PhotoError as error:
                if error.status is Status.TOO_LARGE:
                    raise
                target.seek(begins)
            else:
                return
        try:
            if known is not None:
                self._see_that_it_is_the_same(item)
            address = self._address(item)
        except PhotoError as error:
            raise PhotoError(error.status, f"{item.name} can't be fetched: {error.reason}") from error
        self._download(address, item, target, limit)

    def _see_that_it_is_the_same(self, item: SourceItem) -> None:
        path = path_of_key(item.key)
        if item_of(self._about(path, fields=FIELDS), path, self._place).version != item.version:
            raise PhotoError(Status.IO_ERROR, "It has changed since it was listed. The next sync brings it.")

    def _download(
        self, address: str, item: SourceItem, target: BinaryIO, limit: int, judge: Judge | None = None
    ) -> None:
        self._http.download(
            address,
            target,
            limit,
            name=item.name,
            size=item.size,
            content=item.content,
            signed=self._own,
            judge=judge,
        )
        with self._lock:
            self._limited = 0

    def _address(self, item: SourceItem) -> str:
        query = self._place.query(path_of_key(item.key))
        href = self._ask("/download", query, judge=self._judge_download).get("href")
        if not isinstance(href, str) or "{" in href:  # templated: nobody has met one
            raise PhotoError(Status.IO_ERROR, "Yandex Disk names no address for it.")
        return href

    def check(self) -> Iterator[Check]:
        """The link or folder, a part of its listing, an address of a photo, and its bytes."""
        for step, work in self._steps():
            try:
                yield Check(step, works=True, found=work())
            except (SourceError, PhotoError) as error:
                yield Check(step, works=False, found=str(error))
                return

    def _steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        found: list[SourceItem] = []
        target = BytesIO()

        def folder() -> str:
            answer = self._root()
            return f"{self.whose} is the {'file' if answer.get('type') == 'file' else 'folder'} {answer.get('name')!r}."

        def page() -> str:
            for _, one in zip(range(_MOST_PAGES), self.pages(None), strict=False):
                found.extend(one.items)
                if found:
                    return f"The first of them is {found[0].name!r}, in {found[0].album or 'no folder'}."
            return "There are no photos, as far as was looked."

        def address() -> str:
            with self._lock:
                self._addresses.clear()
            self._remember(found[0].key, self._address(found[0]))
            return f"Yandex Disk names an address for {found[0].name}."

        def photo() -> str:
            self.fetch(found[0], target, _MOST_CHECKED)
            return f"{found[0].name} has come: {len(target.getvalue())} bytes."

        yield ("your own disk, with the token" if self._own else "the link"), folder
        yield "a list of photos", page
        if found:
            yield "the address of a photo", address
            yield "a photo", photo

    def revoke(self) -> bool:
        """Have Yandex forget the token, which it does of those that were given to a device."""
        token = self._tools.access(None) if self._own else None
        return token is not None and bool(os.environ.get(CLIENT)) and revoke(_SIGN_IN, Token(token))

    def _root(self) -> Mapping[str, Any]:
        """What the source's own folder or file is. Raises SourceError where there is none."""
        try:
            return self._about(self._place.path, limit=1, fields="type,name")
        except PhotoError as error:
            raise self._nothing_there(error) from error

    def _about(self, path: str, **more: str | int) -> Mapping[str, Any]:
        return self._ask("", self._place.query(path) | {name: str(one) for name, one in more.items()})

    def _ask(self, method: str, query: Mapping[str, str], judge: Judge | None = None) -> Mapping[str, Any]:
        if self._own and self._tools.access(None) is None:
            message = "Nobody has signed in to Yandex Disk, and one's own disk is read with a token."
            raise SignInError(message, "Sign in, or give a token with the right cloud_api:disk.read.")
        answer = self._http.ask("GET", self._resources + method, params=query, judge=judge, signed=self._own)
        return answer if isinstance(answer, Mapping) else {}

    def _remember(self, key: str, address: object) -> None:
        """Keep an address for `fetch`; they are good for some hours, and never written down."""
        if isinstance(address, str):
            with self._lock:
                self._addresses[key] = address
                if len(self._addresses) > _MOST_ADDRESSES:
                    self._addresses.popitem()  # the first that were listed are fetched first

    def _judge_download(self, answer: Answer) -> Trouble | None:
        """What asking for an address comes to: a photo that too many wanted is left for tomorrow, five end the sync."""
        if not is_too_popular(answer):
            return judge(answer)
        with self._lock:
            self._limited += 1
            many = self._limited >= _MOST_LIMITED
        return too_popular(Ending.STOP if many else Ending.SKIP)

    def _nothing_there(self, error: PhotoError) -> SourceError:
        if self._own:
            message = f"There is nothing at {self.whose}."
            remedy = "Look at disk.yandex.ru what the folder is called now."
        else:
            message = f"{self.whose} shows nothing."
            remedy = "Its owner may have turned it off, or forbidden downloads: ask for another link."
        if error.status is not Status.MISSING:
            message = error.message
        return SourceError(message, remedy)


def _above(path: str) -> list[str]:
    """The folders that a path lies in, the innermost first."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: depth or None]) for depth in range(len(parts), 0, -1)] + ["/"]


def _connect(settings: Mapping[str, str], tools: Tools) -> Connector:
    return YandexDisk(place_of(settings), tools)


def _device() -> dict[str, str]:
    """What Yandex calls this machine: it forgets only tokens that it gave to a device."""
    name = hashlib.sha256(platform.node().encode()).hexdigest()[:32]
    return {"device_id": name, "device_name": "facekit"}


_SIGN_IN = SignIn(
    authorize=f"{OAUTH}/authorize",
    token=f"{OAUTH}/token",
    scopes=("cloud_api:disk.read",),
    client=CLIENT,
    secret=SECRET,
    revoke=f"{OAUTH}/revoke_token",
    more=_device(),
    address=OAUTH_VARIABLE,
    redirect="http://127.0.0.1:8767/",  # Yandex leads back only to what is registered, port and all
)

KIND = SourceKind(
    name="yandex-disk",
    words="Yandex Disk",
    hosts=(*HOSTS, "oauth.yandex.ru"),
    connect=_connect,
    settings_of=settings_of,
    settings={
        "link": "A link to a file or folder, as https://disk.yandex.ru/d/...; nothing else is needed.",
        "path": "A folder of your own disk, as /Photos; / is all of it. It needs a token.",
    },
    sign_in=_SIGN_IN,
    is_page=is_page,
    addresses="Give a link to a file or folder: https://disk.yandex.ru/d/... Albums (/a/...) are shown to no program.",
    wants_token=lambda settings: not settings.get("link"),
)
