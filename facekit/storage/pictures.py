"""Pictures of a library's photos and faces, from their files and from the thumbnails that are kept."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.catalog.pages import known_id
from facekit.errors import PhotoError
from facekit.images.drawing import Drawing
from facekit.images.orientation import SIDEWAYS, turn_upright, turned_box
from facekit.images.thumbnails import thumbnail_path
from facekit.types.photos import Status

if TYPE_CHECKING:
    from facekit.catalog import Catalog


class Pictures:
    """Reads pictures of what a catalog knows; see the methods of `facekit.library.base.Library` with the same names."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._folder = folder
        self._drawing = Drawing()

    def close(self) -> None:
        """End the processes that draw."""
        self._drawing.close()

    def thumbnail(self, photo_id: str) -> bytes | None:
        """A photo as a small JPEG; None where none is kept."""
        try:
            return thumbnail_path(self._folder, photo_id).read_bytes()
        except OSError:  # they may be deleted at any time
            return None

    def face(self, face_id: str) -> bytes | None:
        """A face with some of what surrounds it, as a square JPEG; None where no picture is kept."""
        face = self._catalog.pages.face(face_id)
        photo = self._catalog.pages.photo(face.photo_id)

        size = (photo.width or 1, photo.height or 1)
        if photo.turn in SIDEWAYS:
            size = size[::-1]
        # Poor landmarks say nothing of how the face lies.
        more = turn_upright(face.quality.roll) - photo.turn if face.quality.usable else 0
        try:
            path: Path | None = self.file(face.photo_id)
        except PhotoError:
            path = None
        box = turned_box(face.box, photo.turn)
        return self._drawing.face(box, self.thumbnail(face.photo_id), size, path, (photo.turn, more))

    def photo(self, photo_id: str, side: int) -> bytes:
        """A photo as a JPEG, upright, its longer side at most so many pixels."""
        path, photo = self.file(photo_id), self._catalog.pages.photo(photo_id)
        return self._drawing.photo(path, side, (photo.width or 1) * (photo.height or 1), photo.turn)

    def file(self, photo_id: str) -> Path:
        """Where a photo lies.

        Raises
        ------
        UnknownIdError
            If the library has no such photo.
        PhotoError
            If its files are gone, or hold something else by now.
        """
        rows = self._catalog.places([known_id(photo_id)]).get(photo_id)
        if rows is None:
            self._catalog.pages.photo(photo_id)
        for row in rows or ():
            path = Path(os.fsdecode(row.path))
            with suppress(OSError):
                now = path.stat()
                if (now.st_size, now.st_mtime_ns) == (row.bytes, row.mtime_ns):
                    return path
        name = rows[0].display if rows else photo_id
        raise PhotoError(Status.MISSING, f"{name} is gone, or was changed since it was ingested")
