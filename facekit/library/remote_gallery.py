"""What galleries are made of, from a library that a service owns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from typing_extensions import override

from facekit.arguments import checked_id, checked_page, checked_position, checked_status, is_id, no_picture
from facekit.errors import UnknownIdError
from facekit.library.documents import parse
from facekit.library.gallery_source import GallerySource
from facekit.people.who import person_meant
from facekit.types.photos import FacePage, Folder, Photo, PhotoPage, Status

if TYPE_CHECKING:
    from facekit.library.session import Session
    from facekit.people.who import Who


class RemoteGallery(GallerySource):
    """The part of a `RemoteLibrary` that shows some of it at a time."""

    session: Session

    @override
    def photo_page(
        self,
        status: Status | str | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        source: str | None = None,
        album: str | None = None,
        person: Who | None = None,
        offset: int = 0,
        limit: int = 60,
    ) -> PhotoPage:
        asked = {"status": checked_status(status), "folder": None if folder is None else os.fspath(folder)}
        asked |= {"source": source, "album": album, "person": None if person is None else person_meant(person)}
        return parse(PhotoPage, self.session.get("photos", **asked, **_page(offset, limit)))

    @override
    def face_page(self, *, include_poor: bool = False, offset: int = 0, limit: int = 60) -> FacePage:
        return parse(FacePage, self.session.get("faces", include_poor=include_poor, **_page(offset, limit)))

    @override
    def photo(self, photo_id: str) -> Photo:
        return parse(Photo, self.session.get(f"photos/{checked_id(photo_id, 'photo')}"))

    @override
    def folders(self) -> tuple[Folder, ...]:
        return parse(tuple[Folder, ...], self.session.get("folders"))

    @override
    def thumbnail(self, photo_id: str) -> bytes | None:
        return self.session.content(f"photos/{photo_id}/thumbnail") if is_id(photo_id) else None

    @override
    def face_thumbnail(self, face_id: str) -> bytes | None:
        try:
            return self.session.send("GET", f"/api/v1/faces/{checked_id(face_id, 'face')}/thumbnail").content
        except UnknownIdError as error:
            if error.message != no_picture().message:
                raise
            return None

    @override
    def picture(self, photo_id: str) -> bytes:
        return self.session.send("GET", f"/api/v1/photos/{checked_id(photo_id, 'photo')}/picture").content


def _page(offset: int, limit: int) -> dict[str, int]:
    return {"offset": checked_position(offset), "limit": checked_page(limit)}
