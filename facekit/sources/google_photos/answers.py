"""What Google's Picker API answers: its errors, durations, and picked photos as items.

https://developers.google.com/photos/picker/reference/rest; errors are those of https://google.aip.dev/193.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from math import isfinite
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from facekit.errors import SourceError
from facekit.images.formats import PICTURE_EXTENSIONS
from facekit.sources.item import SourceItem
from facekit.sources.network.answers import Answer, Ending, Trouble, wait_asked_for

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOO_MANY = timedelta(hours=1)
"""Ours: until some of too many sessions have ended; Google does not say how many there may be."""


class NoSessionError(SourceError):
    """There is no such session: it has ended, or was deleted."""

    def __init__(self) -> None:
        super().__init__("Google Photos ended the picking.", "Sync it again.")


class NotPickedError(SourceError):
    """Nobody has finished picking yet."""

    def __init__(self) -> None:
        super().__init__("Nobody has picked in Google Photos yet.", "Sync it again.")


class WrongPageError(SourceError):
    """A page's token is of no use any more."""

    def __init__(self) -> None:
        super().__init__("Google Photos does not go on with its list.", "Sync it again.")


class ExpiredError(SourceError):
    """A photo's address does not work any more."""

    def __init__(self) -> None:
        super().__init__("Google Photos does not give a photo any more.", "Sync it again.")


def judged(answer: Answer) -> Trouble | None:
    """What an answer leads to."""
    _, reason, words = _error_of(answer)
    match answer.status:
        case 400:
            return Trouble(Ending.STOP, f"Google Photos takes what it was asked for wrong: {words}")
        case 401:
            return Trouble(Ending.RECONNECT, "Google does not take the token any more.")
        case 403:
            return _judged_right(reason, words)
        case 429:
            return Trouble(Ending.RETRY, "Google Photos wants fewer requests.", wait=wait_asked_for(answer.headers))
    return None


def judged_opening(answer: Answer) -> Trouble | None:
    """As `judged`, where a session is to be opened."""
    if _error_of(answer)[0] == "RESOURCE_EXHAUSTED":
        message = "Google Photos has too many picking sessions of this account open."
        later = datetime.now(UTC) + _TOO_MANY
        return Trouble(Ending.STOP, message, "They end by themselves; try again later.", resume_at=later)
    return judged(answer)


def judged_session(answer: Answer) -> Trouble | None:
    """As `judged`, of a session. Raises NoSessionError."""
    if answer.status == HTTPStatus.NOT_FOUND:
        raise NoSessionError
    return judged(answer)


def judged_list(answer: Answer) -> Trouble | None:
    """As `judged`, of what was picked in a session. Raises NoSessionError, NotPickedError and WrongPageError."""
    word = _error_of(answer)[0]
    if word == "FAILED_PRECONDITION":
        raise NotPickedError
    if word == "INVALID_ARGUMENT":
        raise WrongPageError
    return judged_session(answer)


def judged_photo(answer: Answer) -> Trouble | None:
    """As `judged`, of a photo's bytes. Raises ExpiredError."""
    if answer.status in {403, 404, 410}:
        raise ExpiredError
    return None


def _judged_right(reason: str, words: str) -> Trouble:
    if reason == "SERVICE_DISABLED":
        message = "The Google Photos Picker API is not enabled for the application."
        return Trouble(Ending.STOP, message, "Enable it in the Google Cloud console, under APIs and services.")
    if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT" or "scope" in words.lower():
        return Trouble(Ending.RECONNECT, "The token does not let facekit see what was picked in Google Photos.")
    return Trouble(Ending.STOP, f"Google Photos does not let this account do that: {words}")


def _error_of(answer: Answer) -> tuple[str, str, str]:
    """The status' word, the reason, and words for people; of those without an address."""
    said = None if answer.good else answer.json()
    error = said.get("error") if isinstance(said, dict) else None
    error = error if isinstance(error, dict) else {}
    details = error.get("details")
    reasons = [str(one["reason"]) for one in details or () if isinstance(one, dict) and "reason" in one]
    words = str(error.get("message") or f"HTTP status {answer.status}").split("http", 1)[0].strip()
    return str(error.get("status", "")), next(iter(reasons), ""), words[:200]


def seconds_of(duration: object, otherwise: float) -> float:
    """A Duration of Google's: ``"3.5s"``."""
    try:
        found = float(str(duration).removesuffix("s"))
    except ValueError:
        return otherwise
    return max(found, 0.0) if isfinite(found) else otherwise


def item_of(picked: Mapping[str, Any]) -> SourceItem | str:
    """A PickedMediaItem as an item; what it is, where it is no photo that facekit reads."""
    file = picked["mediaFile"]
    mime = str(file.get("mimeType") or "")
    if picked.get("type") == "VIDEO" or mime.startswith("video/"):
        return "video"
    name = str(file.get("filename") or picked["id"])
    suffix = PurePosixPath(name.lower()).suffix
    if suffix and suffix not in PICTURE_EXTENSIONS:
        return "other"
    # It has an id for good, and bytes for good: one that is edited in Google Photos is fetched again by nobody.
    # When it was made is told in UTC, whatever the camera's clock said.
    return SourceItem(key=str(picked["id"]), version="picked", name=name, modified=_moment(picked.get("createTime")))


def _moment(text: object) -> datetime | None:
    """A Timestamp: ``2014-10-02T15:01:23.045123456Z``, with none to nine digits of a second."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
