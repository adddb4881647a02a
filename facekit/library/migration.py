"""Moving a library: from its folder to servers, and back."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from facekit.errors import LibraryError
from facekit.ingest.progress import Progress, check_progress, show_progress
from facekit.storage.migration import Migration, migrate
from facekit.storage.place import backend_at, is_there, named_place, whole_place
from facekit.storage.servers import Servers
from facekit.storage.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.storage.backend import Backend
    from facekit.storage.place import Place


def migrate_library(
    source: Place | str | os.PathLike[str],
    target: Place | str | os.PathLike[str],
    *,
    catalog: str = "",
    index: str = "",
    blobs: str = "",
    broker: str = "",
    progress: Progress = True,
    also: Callable[[Backend, Backend], None] | None = None,
) -> Migration:
    """Copy a library into an empty one, and compare both.

    The old library stays as it is. Nobody else may have it open, where it is in a folder, or change it, where it is on
    servers. Stopped by Ctrl-C or worse, it goes on where it was when it is called again; until it is done, the new
    library can't be opened.

    Parameters
    ----------
    source : path or str
        The library's folder, or the address of its catalog.
    target : path or str
        The folder of the new one, or the address of its catalog. It is made where there is none.
    catalog, index, blobs, broker : str
        The servers of a new library, see `facekit.open`; without them it is in its folder.
    progress : bool or callable
        See `facekit.library.base.Library.ingest`; it counts rows and thumbnails.
    also : callable, optional
        See `facekit.storage.migration.migrate`; `facekit.server.account_copy.copy_accounts_of` copies accounts.

    Returns
    -------
    Migration
        What was copied.

    Raises
    ------
    LibraryError
        If there is no such library, or the target is not empty, or has other models, or differs in the end.
    LibraryLockedError
        If somebody has one of them open.
    """
    check_progress(progress)
    old, new = (whole_place(named_place(os.fspath(place))) for place in (source, target))
    if not is_there(old):
        message = f"There is no library in {old}."
        raise LibraryError(message, "Name the library that is to be copied.")
    if old == new:
        message = f"The library {old} was named as the old one and as the new one."
        raise LibraryError(message, "Name an empty one to copy it into.")
    servers = Servers(catalog, index, blobs, broker)
    with closing(Storage(backend_at(old))) as source_storage:
        models = {"detector": source_storage.settings.detector, "embedder": source_storage.settings.embedder}
        backend = backend_at(new, servers if servers.known else None)
        with closing(Storage(backend, **models, filling=True)) as target_storage:
            shown = 0
            total = source_storage.catalog.row_count + len(source_storage.blobs.kept())
            with show_progress(total, progress, "migrate", "row") as advance:

                def tell(done: int, _total: int) -> None:
                    nonlocal shown
                    advance(done - shown)
                    shown = done

                return migrate(source_storage, target_storage, tell, also)
