"""What Yandex Disk's errors come to. Their names are those that yadisk 3.4 has in ``utils.py``, and has recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from facekit.sources.network.http import Answer, Ending, Trouble
from facekit.text.names import one_line, shortened
from facekit.types.photos import Status

_TOO_POPULAR = "DiskResourceDownloadLimitExceededError"
_PASSWORD = "DiskSymlinkPasswordRequiredError"  # noqa: S105 - an error's name
_LIMIT_LASTS = timedelta(hours=24)
_LONGEST_WORDS = 200

_BY_STATUS = {
    HTTPStatus.BAD_REQUEST: (Ending.STOP, "Look whether the link or path is right: open it in a browser."),
    HTTPStatus.UNAUTHORIZED: (Ending.RECONNECT, "Sign in again, or give a new token."),
    HTTPStatus.FORBIDDEN: (Ending.SKIP, ""),
    HTTPStatus.NOT_FOUND: (Ending.SKIP, ""),
    HTTPStatus.GONE: (Ending.SKIP, ""),
    HTTPStatus.LOCKED: (Ending.RETRY, "Something is being done with it there: try again later."),
    HTTPStatus.INSUFFICIENT_STORAGE: (Ending.STOP, "Make room at disk.yandex.ru, then sync again."),
}
_MISSING = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


def judge(answer: Answer) -> Trouble | None:
    """Of the API; None leaves it to the status."""
    error = _error_of(answer)
    if error.get("error") == _PASSWORD:
        message = "The link is protected by a password, and Yandex Disk takes none from programs."
        remedy = "Ask for a link without one; or open it, save the folder to your own disk, and connect that."
        return Trouble(Ending.STOP, message, remedy)
    if is_too_popular(answer):
        return too_popular(Ending.STOP)
    if not error or answer.status not in _BY_STATUS:
        return None
    ending, remedy = _BY_STATUS[HTTPStatus(answer.status)]
    words = shortened(one_line(str(error.get("description") or error.get("message"))), _LONGEST_WORDS)
    status = Status.MISSING if answer.status in _MISSING else Status.IO_ERROR
    return Trouble(ending, f"Yandex Disk says: {words.rstrip('.')}.", remedy, status=status)


def judge_of_known(answer: Answer) -> Trouble | None:
    """Of an address that a listing gave, which is good for some hours: whatever is wrong, another is asked for."""
    if answer.good or answer.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}:
        return None
    return Trouble(Ending.SKIP, "The address is no good any more.")


def is_too_popular(answer: Answer) -> bool:
    """Whether something was downloaded by too many: it can be again a day later, and other things at once."""
    return _error_of(answer).get("error") == _TOO_POPULAR


def too_popular(ending: Ending) -> Trouble:
    """What that comes to."""
    return Trouble(
        ending,
        "Yandex Disk gives out what is shared only so often a day, and it was wanted more often.",
        "Sync again tomorrow. Whoever saves it to their own disk gets it from there at once.",
        resume_at=datetime.now(UTC) + _LIMIT_LASTS,
    )


def _error_of(answer: Answer) -> Mapping[str, object]:
    error = answer.json() if answer.status >= HTTPStatus.BAD_REQUEST else None
    return error if isinstance(error, Mapping) else {}
