"""Files of pictures: what is read of them, what they are called, and which content is which."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from typing import Any

from facekit.errors import PhotoError
from facekit.types.photos import Status

READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Without O_NONBLOCK opening a named pipe waits for its writer; without O_BINARY Windows translates line ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a photo may be; beyond that it is refused before its pixels are decoded.

    Parameters
    ----------
    max_bytes : int
        Size of the encoded file. The default, 256 MiB, is ours: an uncompressed 16-bit picture of 45 megapixels fits.
    max_pixels : int
        Width times height. The default is where Pillow 13 itself raises `DecompressionBombError`:
        twice its `MAX_IMAGE_PIXELS` of 89,478,485.

    Examples
    --------
    >>> fk.read_image(demo.probe, limits=fk.Limits(max_pixels=10_000))
    Traceback (most recent call last):
    facekit.errors.PhotoError: ...probe.jpg has 390 x 390 pixels; at most 10,000 in all are allowed
    """

    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 178_956_970


DEFAULT_LIMITS = Limits()


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def read_bytes(path: str | bytes | os.PathLike[Any], limits: Limits = DEFAULT_LIMITS, name: str | None = None) -> bytes:
    """Read a regular file whole; a pipe, a socket or a device is refused without waiting for it.

    ``name`` is what people call it, by default its path.

    Raises
    ------
    PhotoError
        With status ``too_large`` before a file over ``limits.max_bytes`` is read, or ``io_error`` with
        what the system said, also when the file changes while it is read.
    """
    name = name or display_name(path)
    try:
        descriptor = os.open(path, READ_FLAGS)
        try:
            return _read_regular(descriptor, name, limits)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        words = getattr(error, "strerror", None) or str(error)
        raise PhotoError(Status.IO_ERROR, f"{name} can't be read: {words}") from error


def _read_regular(descriptor: int, name: str, limits: Limits) -> bytes:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise PhotoError(Status.IO_ERROR, f"{name} can't be read: it is not a regular file")
    if before.st_size > limits.max_bytes:
        reason = f"{name} has {before.st_size:,} bytes; at most {limits.max_bytes:,} are allowed"
        raise PhotoError(Status.TOO_LARGE, reason)
    with open(descriptor, "rb", closefd=False) as stream:
        data = stream.read(before.st_size + 1)
    if len(data) != before.st_size or os.fstat(descriptor).st_mtime_ns != before.st_mtime_ns:
        raise PhotoError(Status.IO_ERROR, f"{name} changed while it was being read")
    return data


def display_name(path: str | bytes | os.PathLike[Any]) -> str:
    """Name a path for people: every byte that is not valid in the file system's encoding becomes U+FFFD."""
    return re.sub("[\ud800-\udfff]", "\ufffd", os.fsdecode(path))


def content_id(data: bytes) -> str:
    """Name a file by its content: BLAKE2b with a digest of 128 bits (RFC 7693), as 32 lower-case hex digits.

    Equal files have equal ids wherever they lie; among 10^9 different files two share an id with
    a probability of about 10^-21 (birthday bound).
    """
    return hashlib.blake2b(data, digest_size=16).hexdigest()
