"""What galleries are made of: pages of photos and faces, and pictures of them, wherever the library is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from facekit.text.keywords import KeywordsChecked

if TYPE_CHECKING:
    import os

    from facekit.people.who import Who
    from facekit.types.photos import FacePage, Folder, Photo, PhotoPage, Status

PICTURE_SIDE = 2048
"""Longest side of `Library.picture` in pixels: sharp on a large screen, and well under a megabyte."""


class GallerySource(KeywordsChecked, ABC):
    """The verbs of a `Library` that show some of it at a time."""

    @abstractmethod
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
        """Some of the photos, ordered by path: those with a status, in a folder or below it, of a person, or all.

        A page costs the same whatever the size of the library.

        Parameters
        ----------
        status : Status or str, optional
            Only photos of this category.
        folder : path, optional
            Only photos in this folder or below it.
        source, album : str, optional
            Only photos from this source, or of this album, as for `Library.search`.
        person : Person or str, optional
            Only photos that show this person: a name, or an id.
        offset, limit : int
            Where to begin, from 0, and how many; ``limit`` is 1 to 200.

        Raises
        ------
        UnknownIdError
            If there is no such person.
        FacekitError
            If there is no such category, source or album, no photo in the folder, or a number is out of its range.
        """

    @abstractmethod
    def face_page(self, *, include_poor: bool = False, offset: int = 0, limit: int = 60) -> FacePage:
        """Some of the faces, ordered by photo and within it from left to right.

        Parameters
        ----------
        include_poor : bool
            Also faces marked as too small, blurred or turned away.
        offset, limit : int
            As for `photo_page`.

        Raises
        ------
        FacekitError
            If a number is out of its range.
        """

    @abstractmethod
    def photo(self, photo_id: str) -> Photo:
        """One photo with its faces.

        Raises
        ------
        UnknownIdError
            If the library has no such photo.
        """

    @abstractmethod
    def folders(self) -> tuple[Folder, ...]:
        """The folders that hold photos, and those above them up to the one that holds all; ordered by name.

        Albums of connected places are among them, as ``vk-anna:/Summer/``.
        """

    @abstractmethod
    def thumbnail(self, photo_id: str) -> bytes | None:
        """A photo as a JPEG of at most 512 pixels, upright; None where none is kept."""

    @abstractmethod
    def face_thumbnail(self, face_id: str) -> bytes | None:
        """A face with some of what surrounds it, as a square JPEG of 160 pixels; None where no picture is kept.

        Raises
        ------
        UnknownIdError
            If the library has no such face.
        """

    @abstractmethod
    def picture(self, photo_id: str) -> bytes:
        """A photo as a JPEG for the screen, upright, its longer side at most 2048 pixels.

        Raises
        ------
        UnknownIdError
            If the library has no such photo.
        PhotoError
            If its file is gone or can't be read.
        """
