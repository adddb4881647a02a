"""Pictures for the screen, drawn in other processes: a photo that crashes its decoder crashes nothing else."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from facekit.errors import FacekitError, LibraryError, PhotoError, WorkerCrashError, WorkerTimeoutError
from facekit.images.crops import face_picture
from facekit.images.decode import read_image, thumbnail
from facekit.images.files import display_name, read_bytes
from facekit.images.orientation import turned
from facekit.system.workers import Failed, WorkerPool
from facekit.types.photos import Box, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from facekit.types.arrays import Image

T = TypeVar("T")

_AT_ONCE = 2
_SECONDS = 60.0  # the largest photos that an ingest takes need some 10 s
_LARGE = 64_000_000  # pixels: more than phones make by default (50); of larger ones there is one at a time


class Drawing:
    """Draws in worker processes, which start when they are first needed: in under a second."""

    def __init__(self) -> None:
        self._pool: WorkerPool | None = None
        self._changing = Lock()
        self._large = Lock()
        self._closed = False

    def close(self) -> None:
        """End the processes."""
        with self._changing:
            self._closed = True
            if self._pool is not None:
                self._pool.close()

    def photo(self, path: Path, side: int, pixels: int, turn: int) -> bytes:
        """A photo of so many pixels as a JPEG, turned clockwise by ``turn`` degrees, its longer side at most ``side``.

        Raises
        ------
        PhotoError
            If it can't be read.
        WorkerTimeoutError
            If that takes longer than a minute.
        """
        return self._draw(_photo, (path, side, turn), path, pixels)

    def face(
        self,
        box: Box,
        small: bytes | None,
        size: tuple[int, int],
        path: Path | None,
        turns: tuple[int, int] = (0, 0),
    ) -> bytes | None:
        """See `facekit.images.crops.face_picture`; what can't be read of the photo is taken from its thumbnail.

        ``turns`` are those, clockwise, of the photo, in which the box and the size are given, and of the face after
        it.
        """
        try:
            return self._draw(_face, (box, small, size, path, turns), path, size[0] * size[1])
        except (PhotoError, WorkerTimeoutError):
            return None if path is None else self.face(box, small, size, None, turns)

    def _draw(self, draw: Callable[..., T], task: tuple[object, ...], path: Path | None, pixels: int) -> T:
        name = "the thumbnail" if path is None else display_name(path)
        with self._large if pixels > _LARGE else nullcontext():
            result = next(self._started().imap(draw, [task], window=1))
        if not isinstance(result, Failed):
            return result.value
        if isinstance(result.error, WorkerCrashError):
            raise PhotoError(Status.CORRUPT, f"{name} can't be drawn: {result.error.message}") from result.error
        if isinstance(result.error, WorkerTimeoutError):
            message = f"{name} can't be drawn in {_SECONDS:g} seconds."
            raise WorkerTimeoutError(message, "Try again when the machine has less to do.") from result.error
        if isinstance(result.error, FacekitError):
            raise result.error
        raise PhotoError(Status.CORRUPT, f"{name} can't be drawn: {result.error}") from result.error

    def _started(self) -> WorkerPool:
        with self._changing:
            if self._closed:
                message = "The library is closed."
                raise LibraryError(message, "Open it again with facekit.open.")
            if self._pool is None:
                self._pool = WorkerPool(_AT_ONCE, timeout=_SECONDS)
            return self._pool


# What follows runs in the worker processes.


def _photo(path: Path, side: int, turn: int) -> bytes:
    return thumbnail(turned(read_image(path, max_side=side), turn), side, quality=85)


def _face(
    box: Box,
    small: bytes | None,
    size: tuple[int, int],
    path: Path | None,
    turns: tuple[int, int],
) -> bytes | None:
    def read(side: int) -> Image | None:
        try:
            return None if path is None else turned(read_image(read_bytes(path), max_side=side), turns[0])
        except PhotoError:
            return None

    return face_picture(box, small, size, read, turn=turns[1])
