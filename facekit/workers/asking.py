"""Asking for an ingest, or a change of models, in the background."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from facekit.arguments import checked_roots
from facekit.errors import FacekitError
from facekit.ingest.new_models import NewModels
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
        Folders or files: on a mount that workers have, too, or of this machine, whose workers see them.
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
        If the library is one in a folder, which has no workers, or knows photos by the paths of another machine.
    """
    storage = library.storage
    work = storage.catalog.work
    patterns = library.settings.exclude if exclude is None else checked(exclude)
    sources = [one for root in checked_roots(roots) for one in storage.mounts.sources(root, patterns)]
    storage.may_be_known(sources)
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


def reembed_in_background(
    library: LocalLibrary,
    detector: str | None = None,
    embedder: str | None = None,
    *,
    detail: Detail = "normal",
    skip_unreadable: bool = False,
    priority: int = 0,
    bell: Bell | None = None,
) -> str:
    """Have workers change a library's models; see `Library.reembed`. Photos may be added and removed meanwhile.

    Photos that can't be read are given up, with the reason, and keep the library at its models, unless
    ``skip_unreadable``.

    Parameters
    ----------
    library : LocalLibrary
        One on servers.
    detector, embedder, detail, skip_unreadable
        See `Library.reembed`.
    priority : int
        What has a higher one is done first; the rest in the order in which it was asked for.
    bell : Bell, optional
        Tells the workers at once.

    Returns
    -------
    str
        The id of the work.

    Raises
    ------
    FacekitError
        If there is no such model.
    LibraryBusyError
        If workers are changing the models already.
    LibraryError
        If the library is one in a folder, which has no workers.
    """
    storage = library.storage
    work = storage.catalog.work
    models = NewModels(storage, detector, embedder, detail)
    options = Options(detail, models=models.settings.models, skip_unreadable=skip_unreadable)
    work_id, listing = work.add([], options, priority)
    if bell is not None:
        bell.ring([listing])
    return work_id
