"""Opening a library: a folder, which this process then owns, or the service that owns it."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from facekit.errors import DeviceError, LibraryError, LibraryLockedError, ModelMismatchError
from facekit.storage.settings import check_models, read_settings
from facekit.system.files import user_path
from facekit.text.keywords import keywords_checked

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.library.base import Library
    from facekit.library.local import LocalLibrary

_open: weakref.WeakValueDictionary[Path, LocalLibrary] = weakref.WeakValueDictionary()


@keywords_checked
def open_library(
    path: str | os.PathLike[str],
    *,
    detector: str | None = None,
    embedder: str | None = None,
    device: str = "auto",
    engine: str = "auto",
    api_key: str | None = None,
) -> Library:
    """Open a library, or make one where there is none.

    Opening the same folder again in the same process gives the same library, so that a notebook's cell can be run
    twice. Where a facekit service on this machine has the folder open, the library is used through that service.

    Parameters
    ----------
    path : path or URL
        The library's folder. Photos are never put into it; it holds the catalog, the vectors, thumbnails and logs.
        Or the address of a service, ``http://...`` or ``https://...``.
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
    return _open_folder(_library_folder(path), detector, embedder, device, engine)


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


def _open_folder(folder: Path, detector: str | None, embedder: str | None, device: str, engine: str) -> Library:
    from facekit.library.local import LocalLibrary

    library = _open.get(folder)
    if library is None or library.closed:
        try:
            library = LocalLibrary(folder, detector=detector, embedder=embedder, device=device, engine=engine)
        except LibraryLockedError as error:
            if error.service is None:
                raise
            from facekit.library.remote import RemoteLibrary

            _refuse_where(error.service.url, device, engine)
            remote = RemoteLibrary(error.service.url, api_key=error.service.key)
            check_models(read_settings(folder), folder, detector, embedder)
            return remote
        _open[folder] = library
    else:
        check_models(library.settings, folder, detector, embedder)
        library.check_where(device, engine)
    return library


def _refuse_where(url: str, device: str, engine: str) -> None:
    """A service has made its own choice of device and engine: somebody else's would be ignored. Raises DeviceError."""
    for asked in (device, engine):
        if asked != "auto":
            message = f"The service at {url} chooses where models run; {asked!r} can't be asked of it."
            raise DeviceError(message, "Leave it out, or start the service with --device and --engine.")
