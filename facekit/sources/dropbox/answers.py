"""What Dropbox answers: its errors, and its entries as items.

https://www.dropbox.com/developers/documentation/http/documentation; names are those of
https://github.com/dropbox/dropbox-api-spec. An error of a call has status 409, and a path of tags in ``error_summary``.
"""

from __future__ import annotations

import mimetypes
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from facekit.errors import SourceError
from facekit.images.formats import PICTURE_EXTENSIONS
from facekit.sources.item import SourceItem, as_part
from facekit.sources.network.answers import Answer, Ending, Trouble, wait_asked_for
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_SKIPPED = {
    "not_file": (Status.MISSING, "It is no file any more."),
    "restricted_content": (Status.IO_ERROR, "Dropbox restricts its content, as after a claim of copyright."),
    "unsupported_content_type": (Status.IO_ERROR, "Dropbox does not give files of this kind."),
    "unsupported_file": (Status.IO_ERROR, "Dropbox does not give files of this kind."),
    "locked": (Status.IO_ERROR, "It is locked."),
    "malformed_path": (Status.IO_ERROR, "Dropbox takes its path for none."),
}
"""LookupError and DownloadError: one photo can't be had, the others can."""

_TAGS = {"path", "path_lookup"}  # what follows them says what is wrong with the path


class CursorResetError(SourceError):
    """Dropbox says that a cursor is of no use any more."""

    def __init__(self) -> None:
        super().__init__("Dropbox says that its list has to begin anew.", "Sync it again.")


class NotThereError(SourceError):
    """Dropbox says that there is nothing at a path, or behind a link."""

    def __init__(self) -> None:
        super().__init__("Dropbox has nothing there.", "Sync it again.")


class NotLetInError(SourceError):
    """A shared link wants a password, or another one than was given."""

    def __init__(self) -> None:
        super().__init__("The link wants another password.", "Sync it again.")


def judged(answer: Answer) -> Trouble | None:
    """What an answer leads to. Raises CursorResetError, NotThereError and NotLetInError, for the connector."""
    said = answer.json()
    said = said if isinstance(said, dict) else {}
    tag, _, inner = str(said.get("error_summary", "")).partition("/")
    inner = inner.partition("/")[0]
    error = said.get("error")
    error = error if isinstance(error, dict) else {}
    match answer.status:
        case 400:
            return _judged_request(answer.body.decode(errors="replace"))
        case 401:
            return _judged_token(tag, error)
        case 403 if tag:  # AccessError; otherwise it is about one photo, or somebody else's
            return Trouble(Ending.STOP, f"Dropbox does not let this account do that ({tag}).")
        case 409:
            return _judged_call(tag, inner)
        case 429:
            wait = wait_asked_for(answer.headers)
            if wait is None and isinstance(error.get("retry_after"), int | float):
                wait = float(error["retry_after"])
            return Trouble(Ending.RETRY, "Dropbox wants fewer requests.", wait=wait)
    return None


def _judged_request(words: str) -> Trouble:
    """Status 400: plain words. A token that is no token of Dropbox's at all is answered so too."""
    if "authorization" in words.lower() or "access token" in words.lower():
        return Trouble(Ending.RECONNECT, "Dropbox takes the token for none.")
    return Trouble(Ending.SKIP, f"Dropbox takes what it was asked for wrong: {words[:200]}")


def _judged_token(tag: str, error: Mapping[str, Any]) -> Trouble:
    if tag == "missing_scope":
        right = str(error.get("required_scope") or "that it needs")
        remedy = "Tick it under Permissions of the app at https://www.dropbox.com/developers/apps, then sign in again."
        return Trouble(Ending.RECONNECT, f"The Dropbox app has not the right {right}.", remedy)
    return Trouble(Ending.RECONNECT, f"Dropbox does not take the token ({tag or 'no reason given'}).")


def _judged_call(tag: str, inner: str) -> Trouble:
    what = inner if tag in _TAGS else tag
    if what == "reset":
        raise CursorResetError
    if what in {"not_found", "shared_link_not_found"}:
        raise NotThereError
    if what == "shared_link_access_denied":
        raise NotLetInError
    if what in _SKIPPED:
        status, words = _SKIPPED[what]
        return Trouble(Ending.SKIP, words, status=status)
    if what == "not_folder":
        return Trouble(
            Ending.STOP, "What Dropbox has there is a file, not a folder.", "Connect the folder that it is in."
        )
    return Trouble(Ending.SKIP, f"Dropbox does not do that ({what or 'no reason given'}).")


def item_of(entry: Mapping[str, Any], key: str, folders: list[str], link: str) -> SourceItem | None:
    """A FileMetadata or FileLinkMetadata as an item; None for what is no picture, and for what only its maker opens."""
    name = str(entry["name"])
    if PurePosixPath(name.lower()).suffix not in PICTURE_EXTENSIONS or entry.get("is_downloadable") is False:
        return None
    content = entry.get("content_hash")
    return SourceItem(
        key=key,
        version=str(content or entry["rev"]),
        name=name,
        album="/".join(as_part(one) for one in folders),
        size=entry.get("size"),
        content=f"dropbox:{content}" if content else None,
        link=link,
        modified=_moment(entry.get("client_modified") or entry.get("server_modified")),
    )


def kind_of(name: str) -> str:
    """What a file is that is no photo, from its name: ``video``, ``audio``, ``text``, ``other``."""
    guessed = mimetypes.guess_type(name)[0]
    return guessed.partition("/")[0] if guessed else "other"


def page_of(path: str) -> str:
    """The page that shows one's own file, as Dropbox's site has it: its folder, with the file opened."""
    folder, _, name = path.rpartition("/")
    return f"https://www.dropbox.com/home{quote(folder)}?{urlencode({'preview': name}, quote_via=quote)}"


def _moment(text: object) -> datetime | None:
    """A DropboxTimestamp: ``2015-05-12T15:50:38Z``."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
