"""Photos in a Dropbox: one's own folders, and what somebody shared by a link."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from facekit.errors import PhotoError, RefusedError
from facekit.sources.dropbox.answers import CursorResetError, NotThereError, item_of, kind_of, page_of
from facekit.sources.dropbox.calls import API, HOSTS, DropboxCalls, once_more, vanished
from facekit.sources.dropbox.link import DropboxLink
from facekit.sources.item import ItemPage, SignIn, SourceItem, SourceKind
from facekit.sources.kinds import is_at
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from facekit.sources.item import Connector, Cursor, Tools

_SITES = {"www.dropbox.com", "dropbox.com", "m.dropbox.com"}


class DropboxFolder(DropboxCalls):
    """Talks to one's own Dropbox: a folder, with all that is below it.

    A photo's key is its path as Dropbox compares paths, and not Dropbox's id: what is deleted is told by paths alone.
    One that was moved is a new one of the same ``content``.

    Parameters
    ----------
    path : str
        The folder; empty for all.
    tools : Tools
    """

    def __init__(self, path: str, tools: Tools) -> None:
        super().__init__(tools)
        self._root = f"/{path.strip('/')}" if path.strip("/") else ""

    @property
    def whose(self) -> str:
        """``Dropbox: /Photos``."""
        return f"Dropbox: {self._root or '/'}"

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """List the photos, or what has changed since the last page of a listing."""
        state: Cursor = cursor or {}
        at, changes = state.get("at"), bool(state.get("changes"))
        begins, resets, seen = at is None, 0, {at}
        while True:
            try:
                entries, after, more = self._listed(self._root, at, seen, recursive=True)
                self._check_root(entries)
            except NotThereError:
                raise vanished(self.whose) from None
            except CursorResetError:
                resets = once_more(resets)
                at, changes, begins = None, False, True
                continue
            items, gone, left_out = self._read(entries, changes=changes)
            if gone:
                # On a page of its own, which a listing that is cut off repeats: what is deleted and what came in its
                # place may have the same key.
                yield ItemPage((), {"at": at, "changes": changes}, last=False, gone=gone, begins=begins)
                begins = False
            at = after
            then = {"at": at, "changes": changes or not more}
            yield ItemPage(items, then, last=not more, whole=not changes, begins=begins, left_out=left_out)
            if not more:
                return
            begins = False

    def _check_root(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Raise CursorResetError where the folder itself is deleted, or was: it takes nothing away with it."""
        root = self._root.lower()
        if any(one[".tag"] == "deleted" and f"{root}/".startswith(f"{one.get('path_lower')}/") for one in entries):
            raise CursorResetError

    def _read(
        self, entries: Iterable[Mapping[str, Any]], *, changes: bool
    ) -> tuple[tuple[SourceItem, ...], tuple[str, ...], Counter[str]]:
        """What entries come to, read one after the other as `files/list_folder` says."""
        items: dict[str, SourceItem] = {}
        gone: dict[str, None] = {}
        left_out: Counter[str] = Counter()
        for entry in entries:
            key, tag, item = entry.get("path_lower"), entry[".tag"], None
            if not key:
                continue  # it is not in this Dropbox
            if tag == "file":
                path = str(entry.get("path_display") or key)
                item = item_of(entry, key, path.split("/")[self._root.count("/") + 1 : -1], page_of(path))
            if item:
                items[key] = item
                continue
            if tag == "file":
                left_out[kind_of(entry["name"])] += 1
            if changes or tag == "deleted":
                # A folder takes the place of a file, any other file that of a folder with all that was below it.
                over = {"folder": (key,), "file": (f"{key}/",)}.get(tag, (key, f"{key}/"))
                gone |= dict.fromkeys(over)
                for one in [one for one in items if one in over or (tag != "folder" and one.startswith(over[-1]))]:
                    del items[one]
        return tuple(items.values()), tuple(gone), left_out

    def gone(self, keys: Sequence[str]) -> set[str]:
        """Those that their folders, listed once more, do not have."""
        return self._gone(keys, self._root.lower(), lambda _, entry: str(entry.get("path_lower")))

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """Write a photo's bytes."""
        try:
            self._download("files/download", {"path": item.key}, item, target, limit)
        except NotThereError:
            raise PhotoError(Status.MISSING, f"{item.name} is not there any more.") from None


def settings_of(address: str) -> dict[str, str] | None:
    """The settings that an address means: of a shared link, or of a folder on Dropbox's site.

    Examples
    --------
    >>> from facekit.sources.dropbox.connector import settings_of
    >>> settings_of("https://www.dropbox.com/home/Photos/2019")
    {'path': '/Photos/2019'}
    >>> settings_of("https://www.dropbox.com/sh/s6fvw6ol7rmqo1x/AAAgWRSbj?dl=0")
    {'link': 'https://www.dropbox.com/sh/s6fvw6ol7rmqo1x/AAAgWRSbj'}
    """
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or (parts.hostname or "") not in _SITES:
        return None
    _, first, *folders = (parts.path or "/").split("/")
    if first == "home":
        return {"path": "/" + unquote("/".join(folders)).strip("/")}
    if not parts.path.startswith(("/s/", "/sh/", "/scl/fi/", "/scl/fo/")):
        return None
    opens = parse_qs(parts.query).get("rlkey")  # what else there is says how to show it
    query = f"?{urlencode({'rlkey': opens[0]})}" if opens else ""
    return {"link": f"https://www.dropbox.com{parts.path.rstrip('/')}{query}"}


def connect(settings: Mapping[str, str], tools: Tools) -> Connector:
    """What talks to a folder or to a link. Raises RefusedError."""
    path, link = settings.get("path", "").strip(), settings.get("link", "").strip()
    if not link:
        return DropboxFolder(path, tools)
    said = settings_of(link) or {}
    if path or "link" not in said:
        message = "A path and a link are two sources." if path else f"{link.partition('?')[0]} is no shared link."
        raise RefusedError(message, "A shared link begins with https://www.dropbox.com/scl/, /sh/ or /s/.")
    return DropboxLink(said["link"], tools)


KIND = SourceKind(
    name="dropbox",
    words="Dropbox",
    hosts=HOSTS,
    connect=connect,
    settings_of=settings_of,
    settings={
        "path": "A folder of your Dropbox, such as /Photos; all of it where there is none.",
        "link": "A shared link instead: https://www.dropbox.com/scl/fo/...",
    },
    sign_in=SignIn(
        authorize="https://www.dropbox.com/oauth2/authorize",
        token=f"{API}/oauth2/token",
        scopes=("files.metadata.read", "files.content.read", "sharing.read"),
        client="FACEKIT_DROPBOX_CLIENT_ID",
        more={"token_access_type": "offline"},
        address="FACEKIT_DROPBOX_API",
        redirect="http://127.0.0.1:53683/",  # one to register: Dropbox compares ports; this one nobody has at IANA
    ),
    needs_token=True,
    is_page=lambda text: is_at(text, "dropbox.com"),
    addresses="Give a shared link, https://www.dropbox.com/scl/fo/..., or a folder: https://www.dropbox.com/home/Photos.",
)
