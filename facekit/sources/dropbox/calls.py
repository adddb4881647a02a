"""Dropbox's calls, and what its folders and shared links have in common."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

from facekit.errors import PhotoError, SourceError
from facekit.images.formats import SNIFF_BYTES, sniff
from facekit.sources.dropbox.answers import CursorResetError, NotThereError, judged
from facekit.sources.item import Check
from facekit.sources.network.http import Http, endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import BinaryIO

    from facekit.sources.item import Cursor, ItemPage, SourceItem, Tools

API, _CONTENT = "https://api.dropboxapi.com", "https://content.dropboxapi.com"
HOSTS = ("api.dropboxapi.com", "content.dropboxapi.com")
PER_SECOND = 10.0
"""Ours: Dropbox names no number, and asks for a wait where it was too much."""
_PAGE = 2000  # the most that ListFolderArg.limit may be
_MOST_RESETS = 3  # in one listing; ours
_CHECKED_BYTES = 200 * 10**6  # the largest photo that `check` fetches; ours
_CHECKED_PAGES = 5  # that `check` looks for a photo in; ours

KeyOf: TypeAlias = "Callable[[str, Mapping[str, Any]], str]"
"""The key of an entry of a folder: its path, as the folder or the link names photos."""


class DropboxCalls:
    """Asks Dropbox; a subclass says what for. See `facekit.sources.item.Connector`."""

    def __init__(self, tools: Tools) -> None:
        to = endpoint("FACEKIT_DROPBOX_API", API)
        self._content = to.base if to.trusted else _CONTENT
        self._tools = tools
        self._http = Http(
            "Dropbox", to, hosts=HOSTS, per_second=PER_SECOND, judge=judged, tools=tools, signed_hosts=HOSTS
        )

    @property
    def whose(self) -> str:
        """Which folder or link."""
        raise NotImplementedError

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """List the photos."""
        raise NotImplementedError

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """Write a photo's bytes."""
        raise NotImplementedError

    def check(self) -> Iterator[Check]:
        """List, and fetch one photo into memory."""
        step = "sign in"
        try:
            if self._tools.access(None) is None:
                yield Check(step, works=False, found="There is no token: facekit sources reconnect NAME")
                return
            yield Check(step, works=True, found="There is a token.")
            step = "list"
            photos, others, whole = self._beginning()
            where = "in all" if whole else "at the beginning"
            yield Check(step, works=True, found=f"{self.whose}: {len(photos)} photos, {others} other files {where}.")
            if not photos:
                return
            step = "fetch"
            target = BytesIO()
            self.fetch(photos[0], target, _CHECKED_BYTES)
            kind = sniff(target.getvalue()[:SNIFF_BYTES]) or "no picture"
            right = ", its hash is right" if photos[0].content else ""
            yield Check(step, works=True, found=f"{photos[0].name}: {target.tell():,} bytes, {kind}{right}.")
        except (SourceError, PhotoError) as error:
            yield Check(step, works=False, found=str(error))

    def _beginning(self) -> tuple[list[SourceItem], int, bool]:
        """The first photos, how many other files are among them, and whether that is all."""
        photos: list[SourceItem] = []
        others = 0
        for number, page in enumerate(self.pages(None), 1):
            photos.extend(page.items)
            others += sum((page.left_out or {}).values())
            if page.last or photos or number == _CHECKED_PAGES:
                return photos, others, page.last
        return photos, others, True

    def revoke(self) -> bool:
        """Have Dropbox forget the token, and all that were made of it."""
        try:
            self._http.ask("POST", "/2/auth/token/revoke")
        except (SourceError, PhotoError):
            return False
        return True

    def _said(self, call: str, **asked: object) -> dict[str, Any]:
        """What a call answers: an object. Where a photo would be skipped, a listing ends."""
        try:
            answer = self._http.ask("POST", f"/2/{call}", json=asked)
        except PhotoError as error:
            raise SourceError(error.reason) from None
        if not isinstance(answer, dict):
            message = "Dropbox answers something else than it says in its documentation."
            raise SourceError(message, "Try again later.")
        return answer

    def _listed(
        self, path: str, at: str | None, seen: set[str | None], **how: object
    ) -> tuple[list[dict[str, Any]], str, bool]:
        """A page of a folder's list: entries, the cursor after them, and whether there is more.

        ``seen`` are the cursors of the listing so far, and gets this one.

        Raises
        ------
        CursorResetError, NotThereError
            As `judged`.
        """
        if at is None:
            answer = self._said("files/list_folder", path=path, limit=_PAGE, **how)
        else:
            answer = self._said("files/list_folder/continue", cursor=at)
        entries, cursor, more = answer.get("entries"), answer.get("cursor"), bool(answer.get("has_more"))
        if not isinstance(entries, list) or not isinstance(cursor, str) or (more and cursor in seen):
            message = "Dropbox answers no list that goes on."
            raise SourceError(message, "Try again later.")
        seen.add(cursor)
        return [one for one in entries if isinstance(one, dict) and {".tag", "name"} <= one.keys()], cursor, more

    def _gone(self, keys: Iterable[str], root: str, key_of: KeyOf, **how: object) -> set[str]:
        """Those keys that their folders, listed once more, do not have. Raises SourceError where ``root`` is gone."""
        by_folder: dict[str, list[str]] = {}
        for key in keys:
            by_folder.setdefault(key.rpartition("/")[0], []).append(key)
        found: set[str] = set()
        for folder, here in by_folder.items():
            try:
                there = {key_of(folder, one) for one in self._files(folder, **how)}
            except NotThereError:
                if folder == root:
                    raise vanished(self.whose) from None
                there = set()
            found.update(key for key in here if key not in there)
        return found

    def _files(self, path: str, **how: object) -> Iterator[dict[str, Any]]:
        """All files of one folder. Raises NotThereError."""
        at, more, resets, seen = None, True, 0, set[str | None]()
        while more:
            try:
                entries, at, more = self._listed(path, at, seen, **how)
            except CursorResetError:
                resets, at = once_more(resets), None
                continue
            yield from (one for one in entries if one[".tag"] == "file")

    def _download(self, call: str, asked: Mapping[str, str], item: SourceItem, target: BinaryIO, limit: int) -> None:
        self._http.download(
            f"{self._content}/2/{call}",
            target,
            limit,
            name=item.name,
            method="POST",
            # A header is ASCII, as what json writes is; only DEL has to be escaped besides.
            headers={"Dropbox-API-Arg": json.dumps(asked).replace("\x7f", "\\u007f")},
            size=item.size,
            content=item.content,
            signed=True,
        )


def once_more(resets: int) -> int:
    """Count how often a listing had to begin anew. Raises SourceError where that has no end."""
    if resets == _MOST_RESETS:
        message = "Dropbox says again and again that its list has to be begun anew."
        raise SourceError(message, "Try again later.")
    return resets + 1


def vanished(whose: str) -> SourceError:
    """The error for a place that is not there, for a moment or because it was moved: that deletes no photo."""
    return SourceError(f"There is no {whose} any more.", "If it was moved, connect it anew; no photo was taken away.")
