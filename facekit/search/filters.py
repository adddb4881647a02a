"""Which faces a search looks at: of photos from a source, in a folder or an album, taken in a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.arguments import checked_place_name
from facekit.catalog.records import EVERYWHERE, Within, folder_of
from facekit.errors import NoFolderError, RefusedError
from facekit.index import IndexFilter
from facekit.search.find import moment

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from datetime import date

    from facekit.catalog import Catalog
    from facekit.sources.mounts import Mounts

_LISTED = 20  # names in an error


def index_filter(
    catalog: Catalog, within: Within, after: date | str | None, before: date | str | None, *, usable_only: bool
) -> IndexFilter:
    """What a search is narrowed to, for the index; see `facekit.library.base.Library.search`.

    Raises
    ------
    FacekitError
        If a date can't be read.
    """
    also = catalog.faces_at_second_places(within) if within else ()
    return IndexFilter(usable_only, within, moment(after), moment(before), also)


def places_meant(
    catalog: Catalog,
    mounts: Mounts,
    *,
    source: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    album: str | None = None,
) -> Within:
    """Where photos are to lie; the parameters are those of `facekit.library.base.Library.search`.

    Raises
    ------
    NoFolderError
        If no photo of the catalog lies in the folder or below it.
    RefusedError
        If there is no such source or album.
    """
    if source is None and folder is None and album is None:
        return EVERYWHERE
    sources = _sources_meant(catalog, mounts, source)
    folders = () if album is None else _albums_meant(catalog, album, sources)
    if folder is not None:
        prefix = _folder_meant(catalog, mounts, folder)
        # Of an album and a folder in it, or the other way round, the inner one counts.
        both = [max(one, prefix) for one in folders if one.startswith(prefix) or prefix.startswith(one)]
        if folders and not both:
            message = f"The library holds no photo of the album {album} in {folder} or below it."
            raise NoFolderError(message, "Name one of the two.")
        folders = tuple(both) or (prefix,)
    return Within(sources, folders)


def _sources_meant(catalog: Catalog, mounts: Mounts, source: str | None) -> tuple[str, ...]:
    """A source by its name, or all of a kind; none for all."""
    if source is None:
        return ()
    name = checked_place_name(source, "source")
    kinds = catalog.sources.kinds()
    if name == "local" or name in kinds or name in mounts.roots or catalog.has_files_of(name):
        return (name,)
    if alike := tuple(one for one, kind in kinds.items() if kind == name.replace("_", "-")):
        return alike
    message = f"There is no source {name!r}."
    raise RefusedError(message, f"There are {_listed(source_names(catalog, mounts))}.")


def source_names(catalog: Catalog, mounts: Mounts) -> list[str]:
    """All sources: folders, mounts, connected places, and what photos are from although it was removed."""
    return sorted({"local", *mounts.roots, *catalog.sources.kinds(), *catalog.sources.named_in_files()})


def _albums_meant(catalog: Catalog, album: str, sources: Sequence[str]) -> tuple[str, ...]:
    """The folders of an album, one in each source that has it.

    An album that lies in others is meant by its whole path, by what is above it, or by a part of the path.
    """
    asked = folder_of(f"/{checked_place_name(album, 'album').strip('/')}/")
    named = [f"{source}:{asked}" for source in sources or catalog.sources.kinds()]
    if found := [folder for folder in named if catalog.has_photos(folder)]:
        return tuple(found)
    albums = [(source, name) for source, name in catalog.sources.albums() if not sources or source in sources]
    paths = [(source, folder_of(f"/{name}/")) for source, name in albums]
    inner = {f"{source}:{path[: path.index(asked)]}{asked}" for source, path in paths if asked in path}
    if inner:
        return tuple(sorted(inner))
    where = f" in {', '.join(sources)}" if sources else ""
    message = f"There is no album {album!r}{where}."
    names = list(dict.fromkeys(name for _, name in albums))
    raise RefusedError(message, f"There are {_listed(names)}." if names else "Folders are chosen by folder=.")


def _folder_meant(catalog: Catalog, mounts: Mounts, folder: str | os.PathLike[str]) -> str:
    """A folder as the catalog has it, with its slash. Raises NoFolderError where no photo lies in it or below."""
    prefixes = [place.prefix for place in mounts.places(folder)]
    prefix = next((one for one in prefixes if catalog.has_photos(one)), None)
    if prefix is None:
        message = f"The library holds no photo in {folder} or below it."
        raise NoFolderError(message, "lib.folders() lists the folders; lib.ingest(folder) brings photos in.")
    return prefix


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
