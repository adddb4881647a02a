"""Pictures of a library's photos and faces, from their files and from the thumbnails that are kept."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.catalog.rows import box_of
from facekit.errors import PhotoError
from facekit.images.drawing import Drawing
from facekit.images.orientation import SIDEWAYS, turn_upright, turned_box
from facekit.sources.mounts import lacking
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.catalog import Catalog
    from facekit.catalog.rows import FacePictureRow, PictureRow
    from facekit.images.blobs import Blobs
    from facekit.sources.connections import Connections
    from facekit.sources.mounts import Mounts


class Pictures:
    """Reads pictures of what a catalog knows; see the methods of `facekit.library.base.Library` with the same names."""

    def __init__(self, catalog: Catalog, blobs: Blobs, mounts: Mounts, connections: Connections) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._mounts = mounts
        self._connections = connections
        self._drawing = Drawing()

    def close(self) -> None:
        """End the processes that draw."""
        self._drawing.close()

    def thumbnail(self, photo_id: str) -> bytes | None:
        """A photo as a small JPEG; None where none is kept."""
        return self._blobs.get(photo_id)

    def face(self, face_id: str) -> bytes | None:
        """A face with some of what surrounds it, as a square JPEG; None where no picture is kept."""
        rows = self._catalog.pages.face_picture(face_id)
        face, turn = rows[0], rows[0].turn or 0
        size = (face.width or 1, face.height or 1)
        if turn in SIDEWAYS:
            size = size[::-1]
        # Poor landmarks say nothing of how the face lies.
        more = turn_upright(face.roll) - turn if face.reason is None else 0
        path = self._there(rows, fetch=False)
        box = turned_box(box_of(face), turn)
        return self._drawing.face(box, self.thumbnail(face.photo_id), size, path, (turn, more))

    def photo(self, photo_id: str, side: int) -> bytes:
        """A photo as a JPEG, upright, its longer side at most so many pixels."""
        rows = self._catalog.pages.picture(photo_id)
        pixels = (rows[0].width or 1) * (rows[0].height or 1)
        return self._drawing.photo(self._file(rows), side, pixels, rows[0].turn or 0)

    def file(self, photo_id: str) -> Path:
        """Where a photo lies.

        Raises
        ------
        UnknownIdError
            If the library has no such photo.
        PhotoError
            If its files are gone, or hold something else by now.
        """
        return self._file(self._catalog.pages.picture(photo_id))

    def _file(self, rows: Sequence[PictureRow]) -> Path:
        """The first file that holds a photo. Raises PhotoError where none does."""
        path = self._there(rows, fetch=True)
        if path is not None:
            return path
        away = [row.source for row in rows if row.version is None and self._mounts.file(row.source, row.path) is None]
        if len(away) == len(rows):
            raise PhotoError(Status.MISSING, f"{rows[0].display} can't be read: {lacking(away[0])}")
        raise PhotoError(Status.MISSING, f"{rows[0].display} is gone, or was changed since it was ingested")

    def _there(self, rows: Sequence[PictureRow | FacePictureRow], *, fetch: bool) -> Path | None:
        """The first file that is as it was when it was ingested; where none is here, one that can be fetched."""
        local = [row for row in rows if row.version is None]
        connected = [row for row in rows if row.version is not None]
        return self._here(local) or self._connected(connected, fetch=False) or self._connected(connected, fetch=fetch)

    def _connected(self, rows: Sequence[PictureRow | FacePictureRow], *, fetch: bool) -> Path | None:
        problem: PhotoError | None = None
        for row in rows:
            try:
                path = self._connections.file(row.source, row.path, row.version, fetch=fetch)
            except PhotoError as error:
                problem = error
            else:
                if path is not None:
                    return path
        if problem is not None:
            raise problem
        return None

    def _here(self, rows: Sequence[PictureRow | FacePictureRow]) -> Path | None:
        for row in rows:
            here = self._mounts.file(row.source, row.path)
            if here is None:
                continue
            path = Path(os.fsdecode(here))
            with suppress(OSError):
                now = path.stat()
                if (now.st_size, now.st_mtime_ns) == (row.bytes, row.mtime_ns):
                    return path
        return None
