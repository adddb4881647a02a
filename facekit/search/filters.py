"""Which faces a search looks at: of photos from a source, in a folder, taken in a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.errors import NoFolderError, RefusedError
from facekit.index import IndexFilter
from facekit.search.find import moment

if TYPE_CHECKING:
    import os
    from datetime import date

    from facekit.catalog import Catalog
    from facekit.sources.mounts import Mounts


def index_filter(
    catalog: Catalog,
    mounts: Mounts,
    source: str | None,
    folder: str | os.PathLike[str] | None,
    after: date | str | None,
    before: date | str | None,
    *,
    usable_only: bool,
) -> IndexFilter:
    """What a search is narrowed to, for the index; the parameters are those of `facekit.library.base.Library.search`.

    Raises
    ------
    NoFolderError
        If no photo of the catalog lies in the folder or below it.
    FacekitError
        If a date can't be read, or there is no such source.
    """
    prefix = folder_prefix(catalog, mounts, folder)
    if source is not None and not str(source).isprintable():
        message = f"There is no source {source!r}."
        raise RefusedError(message, 'Photos in folders are from "local", or from a mount.')
    source = source if source is None else str(source)
    also = () if source is None and prefix is None else catalog.faces_at_second_places(source, prefix)
    return IndexFilter(usable_only, source, prefix, moment(after), moment(before), also)


def folder_prefix(catalog: Catalog, mounts: Mounts, folder: str | os.PathLike[str] | None) -> str | None:
    """A folder as the catalog has it, with its slash. Raises NoFolderError where no photo lies in it or below."""
    if folder is None:
        return None
    prefixes = [place.prefix for place in mounts.places(folder)]
    prefix = next((one for one in prefixes if catalog.has_photos(one)), None)
    if prefix is None:
        message = f"The library holds no photo in {folder} or below it."
        raise NoFolderError(message, "lib.folders() lists the folders; lib.ingest(folder) brings photos in.")
    return prefix
