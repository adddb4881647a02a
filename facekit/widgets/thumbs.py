"""Small pictures, read several at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

from loguru import logger

from facekit.errors import FacekitError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_READERS = 8  # threads: from a service, each picture takes a request
_NOT_ABOUT_ONE = {0, 401, 429}  # no answer, not signed in any more, too often: the next one would fare no better
_READING_FAILED = (FacekitError, OSError)  # a thumbnail that can't be had leaves its place empty

Reading: TypeAlias = "tuple[str, Callable[[], bytes | None]]"
"""What a picture is called on the console, and what reads it."""


def read_thumbnails(wanted: Sequence[Reading]) -> list[bytes]:
    """Small JPEGs in the order in which they are wanted, empty where there is none.

    Raises
    ------
    ServiceError
        If the service does not answer, or wants somebody to sign in: that is not about one picture.
    """
    if not wanted:
        return []
    with ThreadPoolExecutor(min(_READERS, len(wanted))) as readers:
        return list(readers.map(_read, wanted))


def _read(one: Reading) -> bytes:
    name, read = one
    try:
        return read() or b""
    except _READING_FAILED as error:
        if isinstance(error, ServiceError) and error.status in _NOT_ABOUT_ONE:
            raise
        said = logger.bind(console=f"No thumbnail of {name}: {error}")
        said.warning("A thumbnail can't be read: {}", type(error).__name__)
        return b""
