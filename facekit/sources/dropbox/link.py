"""Photos that somebody shared in Dropbox by a link."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any

from facekit.errors import PhotoError, SourceError
from facekit.sources.dropbox.answers import CursorResetError, NotLetInError, NotThereError, item_of, kind_of
from facekit.sources.dropbox.calls import DropboxCalls, once_more, vanished
from facekit.sources.item import ItemPage, Prompt
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from facekit.sources.item import Cursor, SourceItem, Tools

_DEEPEST = 100  # folders in folders; ours, against a tree without an end
_PASSWORDS = 3  # that are asked for; ours


class DropboxLink(DropboxCalls):
    """Talks to what somebody shared by a link: a folder, or one file.

    A photo's key is its path below the link, or the id of the link's only file.

    Parameters
    ----------
    link : str
        As `facekit.sources.dropbox.connector.settings_of` gives it.
    tools : Tools
    """

    def __init__(self, link: str, tools: Tools) -> None:
        super().__init__(tools)
        self._link = link
        self._password = ""
        self._opened: dict[str, Any] | None = None
        self._lock = Lock()

    @property
    def whose(self) -> str:
        """The link, without the key in it that opens it."""
        return self._link.partition("?")[0]

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """List the photos, always all: Dropbox lists a link's folders one by one only."""
        opened = self._open()
        if opened.get(".tag") != "folder":
            item = item_of(opened, str(opened.get("id") or opened["name"]), [], self._link)
            left_out = None if item else {kind_of(opened["name"]): 1}
            yield ItemPage((item,) if item else (), {}, last=True, begins=True, left_out=left_out)
            return
        state: Cursor = cursor or {}
        begins, resets, seen = "folders" not in state, 0, set[str | None]()
        folders, at = list(state.get("folders", [""])), state.get("at")
        while folders:
            folder = folders.pop()
            try:
                entries, after, more = self._listed(folder, at, seen, **self._shared())
            except CursorResetError:
                resets = once_more(resets)
                folders, at = [*folders, folder], None
                continue
            except NotThereError:
                if not folder:
                    raise vanished(self.whose) from None
                entries, after, more = [], "", False  # deleted meanwhile
            below = [f"{folder}/{one['name']}" for one in entries if one[".tag"] == "folder"]
            if below and folder.count("/") >= _DEEPEST:
                message = f"{self.whose} has more than {_DEEPEST} folders in folders."
                raise SourceError(message, "Share a folder further down.")
            items, left_out = self._read(folder, entries)
            folders += [one for one in below if one not in folders]
            folders, at = ([*folders, folder], after) if more else (folders, None)
            then = {"folders": folders, "at": at} if folders else {}
            yield ItemPage(items, then, last=not folders, begins=begins, left_out=left_out)
            begins = False

    def _read(self, folder: str, entries: Iterable[Mapping[str, Any]]) -> tuple[tuple[SourceItem, ...], Counter[str]]:
        items, left_out = [], Counter[str]()
        for entry in entries:
            if entry[".tag"] != "file":
                continue
            item = item_of(entry, f"{folder}/{entry['name']}", folder.split("/")[1:], self._link)
            if item:
                items.append(item)
            else:
                left_out[kind_of(entry["name"])] += 1
        return tuple(items), left_out

    def gone(self, keys: Sequence[str]) -> set[str]:
        """Those that their folders, listed once more, do not have."""
        if self._open().get(".tag") != "folder":
            return set()
        return self._gone(keys, "", lambda folder, entry: f"{folder}/{entry['name']}", **self._shared())

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """Write a photo's bytes."""
        self._open()
        inside = {"path": item.key} if item.key.startswith("/") else {}
        password = {"link_password": self._password} if self._password else {}
        asked = {"url": self._link, **inside, **password}
        try:
            self._download("sharing/get_shared_link_file", asked, item, target, limit)
        except NotThereError:
            self._open(again=True)  # says so, where it is the link that is not there
            raise PhotoError(Status.MISSING, f"{item.name} is not there any more.") from None
        except NotLetInError:
            raise self._shut() from None

    def _shared(self) -> dict[str, object]:
        password = {"password": self._password} if self._password else {}
        return {"shared_link": {"url": self._link, **password}}

    def _open(self, *, again: bool = False) -> dict[str, Any]:
        """What the link is of. Where it wants a password, somebody is asked for it; it is kept in memory only."""
        with self._lock:
            for left in reversed(range(_PASSWORDS + 1)):
                if self._opened is not None and not again:
                    break
                password = {"link_password": self._password} if self._password else {}
                try:
                    self._opened = self._said("sharing/get_shared_link_metadata", url=self._link, **password)
                    again = False
                except NotThereError:
                    raise vanished(self.whose) from None
                except NotLetInError:
                    if not left:
                        raise self._shut() from None
                    text = f"{self.whose} wants a password. Type it."
                    self._password = self._tools.ask(Prompt(text, answer=True)).strip()
            return self._opened or {}

    def _shut(self) -> SourceError:
        message = f"Dropbox does not open {self.whose} for this account with this password."
        return SourceError(message, "Ask whoever shared it.")
