"""What galleries are made of, from a library in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from facekit.library.gallery_source import PICTURE_SIDE, GallerySource
from facekit.people.who import person_meant
from facekit.search.filters import places_meant

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from facekit.people.who import Who
    from facekit.storage.storage import Storage
    from facekit.types.photos import Face, FacePage, Folder, Photo, PhotoPage, Status


class LocalGallery(GallerySource):
    """The part of a `LocalLibrary` that shows some of it at a time."""

    _storage: Storage

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
        self._storage.alive()
        catalog = self._storage.catalog
        within = places_meant(catalog, self._storage.mounts, source=source, folder=folder, album=album)
        person_id = None if person is None else catalog.people.find(person_meant(person)).person_id
        return catalog.pages.photos(status, within, offset, limit, person_id)

    @override
    def face_page(self, *, include_poor: bool = False, offset: int = 0, limit: int = 60) -> FacePage:
        self._storage.alive()
        return self._storage.catalog.pages.faces(offset, limit, include_poor=include_poor)

    @override
    def photo(self, photo_id: str) -> Photo:
        self._storage.alive()
        return self._storage.catalog.pages.photo(photo_id)

    def face(self, face_id: str) -> Face:
        """A face; raises `UnknownIdError`."""
        self._storage.alive()
        return self._storage.catalog.pages.face(face_id)

    @override
    def folders(self) -> tuple[Folder, ...]:
        self._storage.alive()
        return self._storage.catalog.pages.folders()

    @override
    def thumbnail(self, photo_id: str) -> bytes | None:
        """See `GallerySource.thumbnail`. A closed library's thumbnails can be read too: results outlive it."""
        return self._storage.pictures.thumbnail(photo_id)

    @override
    def face_thumbnail(self, face_id: str) -> bytes | None:
        self._storage.alive()
        return self._storage.pictures.face(face_id)

    @override
    def picture(self, photo_id: str) -> bytes:
        self._storage.alive()
        return self._storage.pictures.photo(photo_id, PICTURE_SIDE)

    def file(self, photo_id: str) -> Path:
        """Where a photo lies; see `facekit.storage.pictures.Pictures.file`."""
        self._storage.alive()
        return self._storage.pictures.file(photo_id)
