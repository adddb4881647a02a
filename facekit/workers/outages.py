"""What a worker says of servers that are away: once, and once more when they are back."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from facekit.errors import FacekitError


class Outages:
    """Remembers what does not work for now, by names such as "The catalog", and which parts of a worker met it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._met: dict[str, set[str]] = {}

    def failed(self, what: str, error: FacekitError, part: str = "") -> None:
        """Say that something does not work, unless that was said."""
        with self._lock:
            parts = self._met.setdefault(what, set())
            said = bool(parts)
            parts.add(part)
        if not said:
            logger.warning("{} It is tried again until it works.", error)

    def worked(self, what: str, part: str = "") -> None:
        """Say that something works again, if it did not, for all parts."""
        with self._lock:
            parts = self._met.get(what, set())
            again = parts == {part}
            parts.discard(part)
        if again:
            logger.bind(notice=True).info("{} works again.", what)
