"""Opening a library: a folder, which this process then owns, or the service that owns it, or servers."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import DeviceError, LibraryError, LibraryLockedError, ModelMismatchError
from facekit.storage.servers import Servers, is_store
from facekit.storage.settings import check_models, read_settings
from facekit.system.files import user_path
from facekit.text.keywords import keywords_checked

if TYPE_CHECKING:
    from facekit.library.base import Library
    from facekit.library.local import LocalLibrary
    from facekit.storage.place import Place

_open: weakref.WeakValueDictionary[Place, LocalLibrary] = weakref.WeakValueDictionary()


@keywords_checked
def open_library(  # noqa: PLR0913 - all but the first are named, and most are for new libraries
    path: str | os.PathLike[str],
    *,
    detector: str | None = None,
    embedder: str | None = None,
    device: str = "auto",
    engine: str = "auto",
    api_key: str | None = None,
    catalog: str = "",
    index: str = "",
    blobs: str | os.PathLike[str] = "",
    broker: str = "",
) -> Library:
    """Open a library, or make one where there is none.

    Opening the same folder again in the same process gives the same library, so that a notebook's cell can be run
    twice. Where a facekit service on this machine has the folder open, the library is used through that service.

    Parameters
    ----------
    path : path or URL
        The library's folder. Photos are never put into it; it holds the catalog, the vectors, thumbnails and logs.
        Or the address of a service, ``http://...`` or ``https://...``; or of the catalog of a library on servers,
        ``postgresql://...``, which needs no folder.
    detector, embedder : str, optional
        Names of models (`facekit models list`). A new library is bound to them; by default to "retinaface" and
        "facenet512" where their weights are on this machine, otherwise to "yunet" and "sface". `Library.reembed`
        changes them.
    device : {"auto", "cpu", "cuda", "coreml"}
        What the models run on; "auto" takes a CUDA GPU where there is one. A service has made its own choice.
    engine : {"auto", "onnxruntime", "openvino", "openvino-bf16", "tensorflow"}
        What the models run in; "auto" takes the faster one of those installed. It may differ from one opening to the
        next: the engines' vectors are the same (bfloat16's nearly).
    api_key : str, optional
        For a service with accounts: an API key; by default the environment's ``FACEKIT_API_KEY``.
    catalog : str, optional
        Keep a new library on servers, which many processes and machines may use at once, and its address in the folder:
        ``postgresql://USER@HOST/DATABASE?library=NAME``. Where it is there already, the folder leads to it. Passwords
        don't belong here: PGPASSWORD, PGPASSFILE or ``~/.pgpass`` may hold the catalog's.
    index : str, optional
        Where a library on servers keeps its vectors: a Milvus server, ``http://HOST:19530``, or "postgresql" for its
        catalog's database (with the extension pgvector). ``FACEKIT_INDEX_TOKEN`` may hold the server's token.
    blobs : path or str, optional
        Where a library on servers keeps its thumbnails: a folder that all machines see, or an address such as
        ``s3://...``; by default the library's folder.
    broker : str, optional
        ``redis://...``, which tells workers of new work sooner.

    Raises
    ------
    LibraryLockedError
        If another process, which is not a service, has it open; the error names that process.
    ModelMismatchError
        If it was made by other models than those named.
    LibraryError
        If the folder holds something else, or can't be used.
    DeviceError
        If the device or the engine is not there, or a service is asked for one.
    ServiceError
        If a service does not answer, or does not let you in.

    Examples
    --------
    >>> with fk.open("faces") as lib:
    ...     lib.stats()["faces"]
    24
    >>> new = fk.open("other-faces", detector="yunet", embedder="sface")
    >>> new.close()
    """
    if isinstance(path, str) and path.startswith(("http://", "https://")):
        _refuse_where(path, device, engine)
        return _open_service(path, detector, embedder, api_key)
    place, servers = _named(path, catalog, index, blobs, broker)
    return _open_here(place, servers if servers.known else None, detector, embedder, device, engine)


def init_library(
    path: str | os.PathLike[str],
    *,
    catalog: str,
    index: str = "",
    blobs: str | os.PathLike[str] = "",
    broker: str = "",
    detector: str | None = None,
    embedder: str | None = None,
) -> LocalLibrary:
    """Make a library on servers, let a folder lead to one, or change its addresses; see `open_library`.

    Where the folder leads to the library already, and another index, another place of the thumbnails or another broker
    is named, the library has it from then on, for all who open it. The new index is filled from the catalog.

    Raises
    ------
    LibraryError
        See `open_library`; or if the new index can't be reached, or thumbnails are not at their new place.
    """
    from facekit.library.local import LocalLibrary

    place, servers = _named(path, catalog, index, blobs, broker)
    return LocalLibrary(place, servers=servers, moves=True, detector=detector, embedder=embedder)


def _named(
    path: str | os.PathLike[str], catalog: str, index: str, blobs: str | os.PathLike[str], broker: str
) -> tuple[Place, Servers]:
    """Where a library is that was named, and its servers. Raises LibraryError."""
    from facekit.storage.place import named_place

    thumbnails = os.fspath(blobs)
    if thumbnails and not is_store(thumbnails):
        thumbnails = str(user_path(thumbnails).absolute())
    servers = Servers(catalog, index, thumbnails, broker)
    place = named_place(path) if isinstance(path, str) else path
    if not isinstance(place, str):
        place = _library_folder(path)
    if servers.known and not catalog and isinstance(place, Path):
        message = f"A library on servers needs a catalog, and only {', '.join(servers.known)} was named."
        raise LibraryError(message, 'Name it: catalog="postgresql://USER@HOST/DATABASE".')
    return place, servers


def _library_folder(path: str | os.PathLike[str]) -> Path:
    """The folder that was named, absolute; it may be missing. Raises LibraryError."""
    try:
        folder = user_path(path).resolve()
        there = bool(folder.stat())
    except FileNotFoundError:
        return folder
    except (OSError, RuntimeError) as error:  # a name that is too long, links in a circle
        message = f"{os.fsdecode(path)} can't be opened: {getattr(error, 'strerror', None) or error}."
        raise LibraryError(message, "Name the library's folder; where there is none, it is made.") from error
    if there and not folder.is_dir():
        message = f"{folder} is a file, and a library is a folder."
        raise LibraryError(message, "Name a folder; photos come in with lib.ingest, and lib.search takes a picture.")
    return folder


def _open_service(url: str, detector: str | None, embedder: str | None, api_key: str | None) -> Library:
    from facekit.library.remote import RemoteLibrary

    library = RemoteLibrary(url, api_key=api_key)
    if detector is not None or embedder is not None:
        stats = library.stats()
        for asked, made in ((detector, stats["detector"]), (embedder, stats["embedder"])):
            if asked not in {None, made}:
                message = f"The library at {url} was made with {made}, not with {asked}; vectors don't mix."
                raise ModelMismatchError(message, "Open it without naming models, or use lib.reembed(...).")
    return library


def _open_here(
    place: Place, servers: Servers | None, detector: str | None, embedder: str | None, device: str, engine: str
) -> Library:
    from facekit.library.local import LocalLibrary

    library = _open.get(place)
    if library is None or library.closed:
        try:
            library = LocalLibrary(
                place, servers=servers, detector=detector, embedder=embedder, device=device, engine=engine
            )
        except LibraryLockedError as error:
            if error.service is None or not isinstance(place, Path):
                raise
            from facekit.library.remote import RemoteLibrary

            _refuse_where(error.service.url, device, engine)
            remote = RemoteLibrary(error.service.url, api_key=error.service.key)
            check_models(read_settings(place), place, detector, embedder)
            return remote
        _open[place] = library
    else:
        if servers is not None:
            from facekit.storage.place import backend_at

            backend_at(place, servers)  # refuses others
        check_models(library.settings, library.place, detector, embedder)
        library.check_where(device, engine)
    return library


def _refuse_where(url: str, device: str, engine: str) -> None:
    """A service has made its own choice of device and engine: somebody else's would be ignored. Raises DeviceError."""
    for asked in (device, engine):
        if asked != "auto":
            message = f"The service at {url} chooses where models run; {asked!r} can't be asked of it."
            raise DeviceError(message, "Leave it out, or start the service with --device and --engine.")
