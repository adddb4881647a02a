"""Photos in any storage: S3, Google's, SFTP, WebDAV, SMB, web servers, zip files, and all else that fsspec reaches."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from facekit.errors import PhotoError, RefusedError, SourceError
from facekit.sources.item import Check, ItemPage, SourceItem, SourceKind
from facekit.sources.left_out import kind_of
from facekit.sources.network.answers import Ending, Trouble
from facekit.sources.network.rate import pause, rate_of
from facekit.sources.network.retries import Retries
from facekit.sources.network.transport import FailedError
from facekit.sources.storage.address import WEB, is_known, read
from facekit.sources.storage.files import Entry, Files, FsspecFiles, is_picture
from facekit.sources.storage.web import WebFiles
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from facekit.sources.item import Cursor, Tools
    from facekit.sources.storage.address import Address

# All ours.
_PAGE = 500  # photos
_DEEPEST = 64  # folders within each other: what goes on for ever is a loop
_PER_SECOND = 25.0  # what a storage is asked


@dataclass
class _Walk:
    """How far a listing is: what it found since the last page, and whether it could look everywhere."""

    whole: bool = True
    left_out: Counter[str] = field(default_factory=Counter)


class Storage:
    """The photos of a storage; see `facekit.sources.item.Connector`.

    A photo is a file whose name ends as a picture's does. Listed are all of a folder and of those in it, by their
    names; hidden ones and other programs' previews are passed over. A photo's key is its path below the address.
    Its version is the storage's own mark, such as an ETag, else its time and size: of a web server that tells neither,
    a photo that is replaced by another under the same name is not noticed.

    Parameters
    ----------
    address : Address
    tools : Tools
        Its token is the password that belongs to the address's user.
    """

    def __init__(self, address: Address, tools: Tools) -> None:
        self._address = address
        self._tools = tools
        self._rate = rate_of(f"{address.scheme}://{address.host}:{address.port}", "files", _PER_SECOND)
        self._web = WebFiles(address, tools, self._rate) if address.scheme in WEB else None
        self._files: Files = self._web or FsspecFiles(address, tools.opened)
        self._retried: Retries[Any] = Retries(tools)

    @property
    def whose(self) -> str:
        """The address, without a password; of a zip file on this machine, its name."""
        return self._address.shown if self._address.scheme == "file" else unquote(self._address.url)

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """List the photos, in the order of their paths; an empty cursor lists all again."""
        after = [str(part) for part in cursor.get("after", ())] if cursor else []
        walk = _Walk(whole=not cursor or cursor.get("whole") is not False)
        begins = not after
        items: list[SourceItem] = []
        self._files.again()
        for folder, entry in self._found(after, walk):
            if len(items) == _PAGE:
                last = {"after": items[-1].key.split("/"), "whole": walk.whole}
                yield ItemPage(tuple(items), last, last=False, begins=begins, left_out=+walk.left_out)
                items, begins = [], False
                walk.left_out.clear()
            items.append(self._item(folder, entry))
        yield ItemPage(tuple(items), {}, last=True, whole=walk.whole, begins=begins, left_out=+walk.left_out)

    def gone(self, keys: Sequence[str]) -> set[str]:
        """Those of which the storage says that there is no such file, while there are others."""
        if not self._once("", self._files.folder):
            return set()  # it looks as a disk that is not there does
        found = set()
        for key in keys:
            try:
                self._once(key, self._files.entry, key)
            except PhotoError as error:
                found |= {key} if error.status is Status.MISSING else set()
        return found

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """Write a photo's bytes, in pieces; see `Connector.fetch`."""
        too_large = f"{item.name} has more than {limit} bytes, and is not fetched."
        if item.size is not None and item.size > limit:
            raise PhotoError(Status.TOO_LARGE, too_large)
        begin, path = target.tell(), self._path(item.key)

        def once(secret: str | None) -> bool:
            target.seek(begin)
            target.truncate()
            got = 0
            for piece in self._files.pieces(path, secret):
                pause(0, self._tools.stop)
                got += len(piece)
                if got > limit:
                    return False
                target.write(piece)
            if item.size is not None and got != item.size:
                message = f"{self._address.shown} gives {got} bytes in place of {item.size}."
                raise FailedError(Trouble(Ending.RETRY, message), of_content=True)
            return True

        if not self._retried(once, self._rate, item.name):
            raise PhotoError(Status.TOO_LARGE, too_large)

    def check(self) -> Iterator[Check]:
        """List the folder, and what lies in it until a photo is found; read that."""
        try:
            here = self._once("", self._files.folder) if not self._single() else [self._single()]
            yield Check("list the folder", works=True, found=f"{self.whose}: {len(here)} files and folders")
            walk = _Walk()
            found = next(self._found([], walk), None)
            if found is None:
                yield Check("find a photo", works=False, found="there is none")
                return
            item = self._item(*found)
            size = "of unknown size" if item.size is None else f"{item.size} bytes"
            yield Check("find a photo", works=True, found=f"{item.key}: {size}, version {item.version}")
            with tempfile.TemporaryFile() as file:
                self.fetch(item, file, 2**30)
                yield Check("read it", works=True, found=f"{file.tell()} bytes")
        except (SourceError, PhotoError) as error:
            yield Check("read the storage", works=False, found=str(error))

    def revoke(self) -> bool:
        """A password can't be taken back from here."""
        return False

    # -- walking -------------------------------------------------------------------------------------------------

    def _found(self, after: list[str], walk: _Walk) -> Iterator[tuple[str, Entry]]:
        """Each photo with the folder that it lies in, of those that come after a path."""
        single = self._single()
        if single:
            yield from [] if after else [("", single)]
        else:
            yield from self._in_folder((), after, walk)

    def _in_folder(self, folder: tuple[str, ...], after: list[str], walk: _Walk) -> Iterator[tuple[str, Entry]]:
        """``after`` is what is left of the path in this folder; the folders along it are listed once more."""
        inside = "/".join(folder)
        for entry in self._listed(folder, walk):
            if after and (entry.name < after[0] or (entry.name == after[0] and len(after) == 1)):
                continue
            if entry.kind == "directory":
                if len(folder) >= _DEEPEST:
                    walk.left_out["folder that lies too deep"] += 1
                    walk.whole = False
                    continue
                rest = after[1:] if after and entry.name == after[0] else []
                yield from self._in_folder((*folder, entry.name), rest, walk)
                continue
            told = self._told(inside, entry, walk) if self._web and entry.size is None else entry
            if told:
                yield inside, told

    def _listed(self, folder: tuple[str, ...], walk: _Walk) -> list[Entry]:
        """What is of use in a folder, sorted; all else is counted."""
        path = "/".join(folder)
        try:
            found = self._once(path, self._files.folder)
        except PhotoError:
            walk.left_out["folder that can't be read"] += 1
            walk.whole = False
            return []
        if folder:
            kind = kind_of(path.encode(), {entry.name.encode() for entry in found if _is_name(entry.name)})
            if kind:
                walk.left_out[kind] += 1
                return []
        return sorted((entry for entry in found if self._is_wanted(entry, walk)), key=lambda entry: entry.name)

    @staticmethod
    def _is_wanted(entry: Entry, walk: _Walk) -> bool:
        if entry.name.startswith(".") and entry.name not in {".", ".."}:
            return False
        if not _is_name(entry.name):
            walk.left_out["unsafe name"] += bool(entry.name)
            return False
        if entry.kind in {"directory", "file"}:
            wanted = entry.kind == "directory" or is_picture(entry.name)
            walk.left_out["other"] += not wanted
            return wanted
        walk.left_out["link" if entry.kind == "link" else "other"] += 1
        return False

    def _told(self, inside: str, entry: Entry, walk: _Walk) -> Entry | None:
        """What a web server says of a photo that it listed by its name only; None where it can't be had."""
        path = f"{inside}/{entry.name}" if inside else entry.name
        try:
            told = self._once(path, self._files.entry, path)
        except PhotoError as error:
            walk.left_out["photo that can't be read"] += 1
            walk.whole = walk.whole and error.status is Status.MISSING
            return None
        return Entry(entry.name, "file", told.size, told.mark, told.modified)

    def _single(self) -> Entry | None:
        """The photo that the address itself leads to, if it leads to one."""
        name = self._address.path.rpartition("/")[2]
        if self._address.archive is not None or not is_picture(name):
            return None
        found: Entry = self._once("", self._files.entry)
        return Entry(name, "file", found.size, found.mark, found.modified) if found.kind == "file" else None

    def _item(self, folder: str, entry: Entry) -> SourceItem:
        key = f"{folder}/{entry.name}" if folder else entry.name
        public = self._web and self._address.scheme == "https" and not self._tools.access(None)
        return SourceItem(
            key=key,
            version=entry.version,
            name=entry.name,
            album=folder,
            size=entry.size,
            link=self._web.address_of(self._path(key)) if self._web and public else None,
            modified=entry.modified,
        )

    def _path(self, key: str) -> str:
        """A photo's path below the address, which may lead to the photo itself."""
        name = self._address.path.rpartition("/")[2]
        is_single = self._address.archive is None and key == name and is_picture(name)
        return "" if is_single else key

    def _once(self, name: str, ask: Any, path: str | None = None) -> Any:  # noqa: ANN401 - a method of the files
        """What the storage says, after as many tries as it takes. Of the address itself, it can't be passed over."""
        place = name if path is None else self._path(path)
        try:
            return self._retried(lambda secret: ask(place, secret), self._rate, name)
        except PhotoError as error:
            if name:
                raise
            raise _stopped(error) from None


def _stopped(error: PhotoError) -> SourceError:
    return SourceError(error.reason, "See whether the address is right; what is in the library stays.")


def _is_name(name: str) -> bool:
    """Whether it can be a part of a key: the storage may name anything."""
    odd = name in {"", ".", ".."} or any(letter in "/\\\0\ufffd" or "\ud800" <= letter <= "\udfff" for letter in name)
    return not odd


def _connect(settings: Mapping[str, str], tools: Tools) -> Storage:
    address, secret = read(settings.get("url", ""))
    if secret is not None:
        message = "A password in a setting would lie in the catalog."
        raise RefusedError(message, "Give the whole address when you connect it, or the password as the token.")
    return Storage(address, tools)


def _settings_of(text: str) -> dict[str, str] | None:
    return {"url": read(text)[0].url} if is_known(text) else None


def _secret_of(text: str) -> str | None:
    return read(text)[1] if is_known(text) else None


KIND = SourceKind(
    name="storage",
    words="Storage",
    hosts=(),
    connect=_connect,
    settings_of=_settings_of,
    settings={"url": "Where it is: s3://bucket/photos, sftp://me@host/photos, webdavs://me@host/path, zip:///a.zip."},
    secret_of=_secret_of,
)
