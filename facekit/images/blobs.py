"""Where thumbnails are kept, by the ids of their photos: in a library's folder, or in a store that has an address."""

from __future__ import annotations

import math
import os
import re
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from facekit.arguments import is_id
from facekit.errors import LibraryError
from facekit.system.permissions import let_group_in, make_private_folder, may_group_write, private_opener
from facekit.system.threads import Threads
from facekit.system.waiting import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

THUMBNAILS = "thumbnails"

_AT_ONCE = 8  # requests to a store that are under way together: each waits for the network
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


class Stored(NamedTuple):
    """A blob that is kept: its size in bytes, and when it was written, in seconds since 1970 (infinity: not known)."""

    bytes: int
    changed: float


class Blobs(Protocol):
    """Small files by the ids of photos. Whoever reads one sees all of it, or none."""

    @property
    def place(self) -> str:
        """Where they are kept, for people."""

    def is_there(self) -> bool:
        """Whether this machine can write some, as far as it knows without trying."""

    def get(self, photo_id: str) -> bytes | None:
        """A blob; None where none is kept: it may be deleted at any time. Raises LibraryError."""

    def file(self, photo_id: str) -> Path | None:
        """The file of this machine that a blob is, whether or not it exists; None where it is none."""

    def has(self, photo_id: str) -> bool:
        """Whether a blob is kept. Raises LibraryError."""

    def put(self, blobs: Mapping[str, bytes]) -> None:
        """Write blobs; what was there is replaced. Raises LibraryError, or OSError where a disk is at fault."""

    def delete(self, photo_ids: Iterable[str]) -> None:
        """Delete blobs; those that are not kept are passed over. Raises LibraryError."""

    def kept(self) -> dict[str, Stored]:
        """All that are kept. Raises LibraryError."""


class FolderBlobs:
    """Blobs as files in a folder.

    Parameters
    ----------
    folder : Path
        A library's folder; they lie in ``thumbnails`` in it.
    for_group : bool
        Whether a folder into which its group may write gives that group its thumbnails, too; else they are for this
        user alone.
    """

    def __init__(self, folder: Path, *, for_group: bool = False) -> None:
        self._parent, self._folder = folder, folder / THUMBNAILS
        self._for_group = for_group

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def is_there(self) -> bool:
        """See `Blobs.is_there`."""
        return True

    def get(self, photo_id: str) -> bytes | None:
        """See `Blobs.get`."""
        try:
            return self.file(photo_id).read_bytes()
        except OSError:
            return None

    def file(self, photo_id: str) -> Path:
        """See `Blobs.file`."""
        return self._folder / _name(photo_id)

    def has(self, photo_id: str) -> bool:
        """See `Blobs.has`."""
        return self.file(photo_id).exists()

    def put(self, blobs: Mapping[str, bytes]) -> None:
        """See `Blobs.put`."""
        group = self._for_group and may_group_write(self._parent)
        for photo_id, data in blobs.items():
            path = self.file(photo_id)
            if not path.parent.exists():
                for folder in (path.parents[1], path.parent):
                    make_private_folder(folder, for_group=group)
            part = path.with_suffix(".part")
            with open(part, "wb", opener=private_opener) as stream:
                stream.write(data)
            if group:
                let_group_in(part)
            os.replace(part, path)  # noqa: PTH105 - Path.replace is the same; this is the one that says it is atomic

    def delete(self, photo_ids: Iterable[str]) -> None:
        """See `Blobs.delete`."""
        for photo_id in photo_ids:
            self.file(photo_id).unlink(missing_ok=True)

    def kept(self) -> dict[str, Stored]:
        """See `Blobs.kept`."""
        found = {}
        for path in self._folder.glob("*/*.jpg"):
            if path.relative_to(self._folder).as_posix() == _name(path.stem):
                with suppress(FileNotFoundError):  # removed just now
                    status = path.stat()
                    found[path.stem] = Stored(status.st_size, status.st_mtime)
        return found


class StoreBlobs:
    """Blobs as objects of a store that fsspec knows, such as ``s3://bucket/family``.

    Meant are stores of whole objects (S3 and what speaks its protocol, Google's, Azure's, ``memory://``): there, what
    is being written is not seen before it is written whole. Credentials come from where the store's package looks for
    them, such as ``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT_URL`` in the environment.

    Parameters
    ----------
    address : str
        The store and the folder in it.

    Raises
    ------
    LibraryError
        If the address names a password, or no store, or the store's package is not installed.
    """

    def __init__(self, address: str) -> None:
        host = address.partition("://")[2].partition("/")[0]
        if "@" in host:
            message = "The address of the thumbnails holds a name or a password."
            raise LibraryError(message, "Leave it out: credentials come from the environment.")
        self._address = address.rstrip("/")
        try:
            from fsspec.core import url_to_fs

            # What another process wrote is to be seen at once.
            self._store, root = url_to_fs(self._address, use_listings_cache=False)
        except ImportError as error:
            message = f"Thumbnails in {self._address} need a package that is not installed: {_words(error)}."
            raise LibraryError(message, 'Install it: pip install "facekit[blobs]" has those for S3.') from error
        except Exception as error:
            message = f"Thumbnails can't be kept in {self._address}: {_words(error)}."
            raise LibraryError(message, "Name a folder, or an address such as s3://bucket/family.") from error
        self._root = str(root).rstrip("/")

    @property
    def place(self) -> str:
        """The address."""
        return self._address

    def is_there(self) -> bool:
        """See `Blobs.is_there`."""
        return True

    def get(self, photo_id: str) -> bytes | None:
        """See `Blobs.get`."""
        with self._asked("read"):
            try:
                return bytes(self._store.cat_file(self._path(photo_id)))
            except FileNotFoundError:
                return None

    def file(self, _photo_id: str) -> Path | None:
        """None: they are no files of this machine."""
        return None

    def has(self, photo_id: str) -> bool:
        """See `Blobs.has`."""
        with self._asked("read"):
            return bool(self._store.exists(self._path(photo_id)))

    def put(self, blobs: Mapping[str, bytes]) -> None:
        """See `Blobs.put`."""
        self._all("written", lambda one: self._store.pipe_file(self._path(one), blobs[one]), blobs)

    def delete(self, photo_ids: Iterable[str]) -> None:
        """See `Blobs.delete`."""

        def delete(photo_id: str) -> None:
            with suppress(FileNotFoundError):
                self._store.rm_file(self._path(photo_id))

        self._all("deleted", delete, photo_ids)

    def kept(self) -> dict[str, Stored]:
        """See `Blobs.kept`."""
        found = {}
        with self._asked("listed"):
            for path, about in self._store.find(self._root, detail=True).items():
                photo_id = path.rpartition("/")[2].removesuffix(".jpg")
                if is_id(photo_id) and path.endswith("/" + _name(photo_id)):
                    found[photo_id] = Stored(int(about["size"]), _changed(about))
        return found

    def _path(self, photo_id: str) -> str:
        return f"{self._root}/{THUMBNAILS}/{_name(photo_id)}"

    def _all(self, what: str, work: Callable[[str], None], photo_ids: Iterable[str]) -> None:
        with self._asked(what), Threads(_AT_ONCE, "facekit-blobs") as threads:
            for future in [threads.submit(work, one) for one in photo_ids]:
                result_of(future, f"{self._address}: its answer")

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        try:
            yield
        except LibraryError:
            raise
        except Exception as error:  # each store has errors of its own
            message = f"The thumbnails in {self._address} can't be {what}: {_words(error)}."
            raise LibraryError(message, "Check that the store can be reached, and the credentials for it.") from error


def open_blobs(where: str | os.PathLike[str]) -> Blobs:
    """The blobs at a place.

    Parameters
    ----------
    where : str or path
        A folder, absolute, or an address such as ``s3://bucket/family``.

    Raises
    ------
    LibraryError
        See `StoreBlobs`.
    """
    found = _ADDRESS.match(str(where))
    if found and found[1].lower() not in {"file", "local"}:
        return StoreBlobs(str(where))
    return FolderBlobs(Path(str(where)[found.end() :] if found else where))


def _name(photo_id: str) -> str:
    return f"{photo_id[:2]}/{photo_id}.jpg"


def _changed(about: Mapping[str, Any]) -> float:
    """When an object was written, by what stores call that."""
    said = next(
        (about[key] for key in ("LastModified", "last_modified", "mtime", "updated", "created") if about.get(key)), None
    )
    if isinstance(said, str):
        with suppress(ValueError):
            said = datetime.fromisoformat(said)
    return (
        said.timestamp() if isinstance(said, datetime) else float(said) if isinstance(said, int | float) else math.inf
    )


def _words(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(".")
