"""Asking for an ingest in the background."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from facekit.arguments import checked_roots
from facekit.errors import FacekitError
from facekit.sources.left_out import checked
from facekit.types.work import Options

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from facekit.library.local import LocalLibrary
    from facekit.types.photos import Detail
    from facekit.workers.bell import Bell


def ingest_in_background(
    library: LocalLibrary,
    *roots: str | bytes | os.PathLike[str],
    detail: Detail = "normal",
    exclude: Iterable[str] | None = None,
    priority: int = 0,
    bell: Bell | None = None,
    work_id: str | None = None,
) -> str:
    """Have workers bring folders (or single files) into a library; see `Library.ingest`.

    Parameters
    ----------
    library : LocalLibrary
        One on servers.
    *roots : path
        Folders or files. Workers see them under the same path, or on a mount of the same name.
    detail, exclude
        See `Library.ingest`.
    priority : int
        What has a higher one is done first; the rest in the order in which it was asked for.
    bell : Bell, optional
        Tells the workers at once.
    work_id : str, optional
        An id for the work, 32 hexadecimal digits that nothing else has.

    Returns
    -------
    str
        The id of the work.

    Raises
    ------
    FacekitError
        If a root does not exist here, or is a facekit library.
    LibraryError
        If the library is one in a folder, which has no workers.
    """
    storage = library.storage
    work = storage.catalog.work
    patterns = library.settings.exclude if exclude is None else checked(exclude)
    sources = [one for root in checked_roots(roots) for one in storage.mounts.sources(root, patterns)]
    for source in sources:
        named = storage.mounts.place(source.root, must_exist=False)
        if (named.name, named.path) != (source.name, source.path):
            message = f"{source.root} can't be named to workers: it is no text."
            raise FacekitError(message, "Name the folder above it.")
    if patterns != library.settings.exclude:
        with storage.changing("Setting what is excluded"):
            storage.save_settings(replace(library.settings, exclude=patterns))
    work_id, listing = work.add([source.root for source in sources], Options(detail, patterns), priority, work_id)
    if bell is not None:
        bell.ring([listing])
    return work_id
