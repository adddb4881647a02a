"""What a service answers, and what it leads to: another try, the next photo, the end for now, or signing in again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST_WAIT = 7 * 86400.0  # seconds; ours: what a service asks beyond it is taken for a week


class Ending(StrEnum):
    """What an answer that is no good leads to."""

    RETRY = "retry"
    SKIP = "skip"
    STOP = "stop"
    RECONNECT = "reconnect"


@dataclass(frozen=True, slots=True)
class Trouble:
    """An answer that is no good.

    Parameters
    ----------
    ending : Ending
    message : str
        One sentence, for people. It holds no token and no address that works without one.
    remedy : str
        What to do next, where something can be done.
    wait : float, optional
        Seconds that the service asks for.
    resume_at : datetime, optional
        When the service can be asked again, with a zone.
    status : Status
        Of a photo that is skipped.
    """

    ending: Ending
    message: str
    remedy: str = ""
    wait: float | None = None
    resume_at: datetime | None = None
    status: Status = Status.IO_ERROR


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. The names of its ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever a service answers
        """What it says; None where that is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def good(self) -> bool:
        """Whether its status says so."""
        return 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110


Judge: TypeAlias = "Callable[[Answer], Trouble | None]"
"""What a service's answer means, where it says more than the status; None: nothing more, the status decides."""

_RECONNECT = {401}
_SKIP = {403: Status.IO_ERROR, 404: Status.MISSING, 410: Status.MISSING}
_RETRY = {408, 425, 429}


def judged_by_status(service: str, answer: Answer) -> Trouble | None:
    """What a status leads to: RFC 9110, as far as it concerns whoever only reads."""
    status = answer.status
    message = f"{service} answers with HTTP status {status}."
    wait = wait_asked_for(answer.headers)
    if answer.good:
        return None
    if status in _RECONNECT:
        return Trouble(Ending.RECONNECT, message)
    if status in _RETRY or not 400 <= status < 500:  # noqa: PLR2004
        return Trouble(Ending.RETRY, message, wait=wait)
    return Trouble(Ending.SKIP, message, status=_SKIP.get(status, Status.IO_ERROR))


def wait_asked_for(headers: Mapping[str, str]) -> float | None:
    """Seconds that the header ``Retry-After`` asks for: a number, or a date; None where it says neither."""
    said = headers.get("retry-after", "").strip()
    try:
        seconds = float(said)
    except ValueError:
        try:
            when = parsedate_to_datetime(said)
        except (ValueError, OverflowError):
            return None
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    return min(max(seconds, 0.0), _LONGEST_WAIT) if isfinite(seconds) else None


def is_page(content_type: str) -> bool:
    """Whether something is a web page, such as a proxy's or a network's that wants one to sign in."""
    return content_type.partition(";")[0].strip().lower() in {"text/html", "application/xhtml+xml"}


_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^\s/?#@]*@)?([^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)


def without_secrets(text: str, token: str | None) -> str:
    """A text without the token, and without what stands behind the question mark of an address."""
    if token:
        text = text.replace(token, "…")
    return _ADDRESS.sub(r"\1\2", text)
