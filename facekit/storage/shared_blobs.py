"""Where the thumbnails of a library on servers are: a folder that all machines see, or a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from facekit.catalog.rows import PhotoRow
from facekit.errors import LibraryError
from facekit.images.blobs import FolderBlobs, open_blobs
from facekit.storage.servers import is_store
from facekit.storage.settings import FILE
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facekit.catalog import Catalog
    from facekit.images.blobs import Blobs


class _SharedFolder(FolderBlobs):
    """Thumbnails in a folder that all machines see: where it is away, none is written into its place."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, for_group=True)
        self._shared = folder

    @override
    def is_there(self) -> bool:
        return self._shared.is_dir()

    @override
    def put(self, blobs: Mapping[str, bytes]) -> None:
        if not self.is_there():
            message = f"The thumbnails' folder {self._shared} is not on this machine."
            remedy = f"Mount it; where it is called otherwise here, say so: blobs in [storage] of {FILE}."
            raise LibraryError(message, remedy)
        super().put(blobs)


def blobs_at(where: str) -> Blobs:
    """The thumbnails at a folder or an address. Raises LibraryError."""
    return open_blobs(where) if is_store(where) else _SharedFolder(Path(where))


def photos_with_thumbnails(catalog: Catalog) -> set[str]:
    """The ids of the photos that have one where all is well."""
    return {row.photo_id for row in catalog.rows(PhotoRow) if row.status in {Status.OK, Status.NO_FACE}}


def check_thumbnails(catalog: Catalog, where: str, before: str) -> None:
    """Refuse a place where the thumbnails of a library are not; what the place before lacks may lack here, too.

    Raises
    ------
    LibraryError
        If some are missing there, or where the place before is not on this machine, all.
    """
    due = photos_with_thumbnails(catalog)
    old, new = blobs_at(before), blobs_at(where)
    here = old.is_there()
    if here and due:
        due &= old.kept().keys()
    missing = due - new.kept().keys() if due else set()
    if missing and (here or len(missing) == len(due)):
        message = f"{len(missing)} of {len(due)} thumbnails are not in {new.place}, and nothing was changed."
        raise LibraryError(message, f"Copy {old.place} there first, and do this again.")
