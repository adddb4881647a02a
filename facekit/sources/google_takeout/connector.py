"""Google Photos by Google Takeout: the export's zip files as they come, or a folder with them or what was in them."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import PhotoError, RefusedError, SourceError
from facekit.sources.google_takeout.archives import BROKEN, Export, Opener, looks_like_export, read_export
from facekit.sources.google_takeout.sidecars import MOST_BYTES, NOTHING, Said, Sidecars, read_sidecar
from facekit.sources.item import Check, ItemPage, SourceItem, SourceKind
from facekit.sources.network.rate import pause
from facekit.system.files import user_path
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from facekit.sources.google_takeout.archives import Member
    from facekit.sources.item import Cursor, Tools

_PAGE = 500  # photos; ours
_PIECE = 2**18  # bytes
_ASK_FOR_ZIP = "Ask Google for .zip files, or unpack it and name the folder."


class GoogleTakeout:
    """An export of Google Photos; see `facekit.sources.item.Connector`.

    A photo in the folder of its year and in albums is listed at each of its places; its bytes are the same, so it is
    one photo. Folders of years, ``Photos from 2019``, are albums as all others are. An edited photo comes beside its
    original and has the same sidecar. ``taken_at`` is in UTC: an export does not tell what the camera's clock showed.
    What sidecars say of people, and descriptions, is not read.

    Parameters
    ----------
    path : Path
        A folder, or one zip file, which stands for all parts of its export that lie beside it.
    tools : Tools
    """

    def __init__(self, path: Path, tools: Tools) -> None:
        self._path = path
        self._tools = tools
        self._opener = Opener()
        tools.opened.callback(self._opener.close)
        self._read: Export | None = None
        self._sidecars: dict[str, Sidecars] = {}

    @property
    def whose(self) -> str:
        """The name of the folder or file."""
        return self._path.name

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """List the photos, by their paths in the export; an empty cursor lists all again."""
        after = str(cursor.get("after", "")) if cursor else ""
        export = self._listed()
        keys = sorted(export.pictures)
        start = bisect_right(keys, after) if after else 0
        left_out = Counter() if after else Counter(export.left_out)
        while True:
            chosen, items = keys[start : start + _PAGE], []
            start += len(chosen)
            for key in chosen:
                self._look()
                said = self._said_of(key, export)
                if said.trashed:
                    left_out["in the bin"] += 1
                else:
                    items.append(_item(key, export.pictures[key], said))
            last = start >= len(keys)
            yield ItemPage(
                items=tuple(items),
                cursor={} if last else {"after": chosen[-1]},
                last=last,
                whole=export.whole,
                begins=not after,
                left_out=dict(left_out),
            )
            if last:
                return
            after, left_out = chosen[-1], Counter()

    def gone(self, keys: Sequence[str]) -> set[str]:
        """Those that are not in the export, where all of it is there."""
        export = self._read or self._listed()
        if not export.whole:
            return set()
        return {key for key in keys if key not in export.pictures or self._said_of(key, export).trashed}

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """Write a photo's bytes, unpacked as they are read; see `Connector.fetch`."""
        export = self._read or self._listed()
        member = export.pictures.get(item.key)
        if member is None:
            raise PhotoError(Status.MISSING, f"{item.name} is not in the export any more.")
        too_large = f"{item.name} has more than {limit} bytes, and is not read."
        if member.size > limit:
            raise PhotoError(Status.TOO_LARGE, too_large)
        got = 0
        for piece in self._pieces(item, member):
            got += len(piece)
            if got > limit:  # more than the archive says it is
                break
            target.write(piece)
        if got > limit:
            raise PhotoError(Status.TOO_LARGE, too_large)

    def check(self) -> Iterator[Check]:
        """Find the export, list it, find the sidecars, and read a photo."""
        try:
            export = self._listed()
        except SourceError as error:
            yield Check("find the export", works=False, found=error.message)
            return
        lacking = ", ".join(f"{count} {what}" for what, count in sorted(export.left_out.items()))
        what = f"{export.archives} archives" if export.archives else "a folder"
        yield Check(
            "find the export", export.whole, f"{what}; {len(export.pictures)} photos; left out: {lacking or 'nothing'}"
        )
        sidecars = [(key, self._folder_of(key, export)) for key in export.pictures]
        having = sum(folder.of(_name(key)) is not None for key, folder in sidecars)
        edited = sum(folder.is_edited(_name(key)) for key, folder in sidecars)
        words = f"{having} of {len(sidecars)} photos have one; {edited} are edited twins, which have their original's"
        yield Check("find the sidecars", having > 0, words)
        key = min(export.pictures)
        try:
            with tempfile.TemporaryFile() as file:
                self.fetch(_item(key, export.pictures[key], NOTHING), file, 2**30)
                found = f"{_name(key)}: {file.tell()} bytes"
        except PhotoError as error:
            yield Check("read a photo", works=False, found=error.message)
        else:
            yield Check("read a photo", works=True, found=found)

    def revoke(self) -> bool:
        """There is nothing to forget."""
        return False

    def _look(self) -> None:
        pause(0, self._tools.stop)

    def _listed(self) -> Export:
        """The export as it is now."""
        self._opener.close()
        self._sidecars = {}
        try:
            export = read_export(self._path, self._look)
        except OSError as error:
            message = f"The export {self.whose} can't be read: {error.strerror or 'it is not there'}."
            raise SourceError(message, "Connect the disk that it lies on; what is in the library stays.") from None
        if not export.pictures and export.whole:
            message = f"In {self.whose} there are no photos of a Google Photos export."
            raise SourceError(message, "Name the folder that the export's zip files lie in, or its folder Takeout.")
        if not export.pictures:
            lacking = ", ".join(export.left_out)
            message = f"In {self.whose} no photos of a Google Photos export can be read: {lacking}."
            raise SourceError(message, "Fetch the export's files from Google once more.")
        self._read = export
        return export

    def _folder_of(self, key: str, export: Export) -> Sidecars:
        album = _album(key)
        if album not in self._sidecars:
            self._sidecars[album] = Sidecars(export.folders[album])
        return self._sidecars[album]

    def _said_of(self, key: str, export: Export) -> Said:
        name = self._folder_of(key, export).of(_name(key))
        if name is None:
            return NOTHING
        try:
            with self._opener(export.folders[_album(key)][name]) as file:
                return read_sidecar(file.read(MOST_BYTES + 1)[:MOST_BYTES])
        except (*BROKEN, OSError):
            return NOTHING

    def _pieces(self, item: SourceItem, member: Member) -> Iterator[bytes]:
        try:
            with self._opener(member) as file:
                while piece := file.read(_PIECE):
                    self._look()
                    yield piece
        except (*BROKEN, OSError) as error:
            raise self._failed(item, member, error) from None

    def _failed(self, item: SourceItem, member: Member, error: Exception) -> Exception:
        """Whether it is one photo that can't be read, or the place it lies in that is not there any more."""
        place = Path(member.archive) if member.archive else self._path
        if not place.exists():
            message = f"The export's {place.name} is not there any more."
            return SourceError(message, "Connect the disk that it lies on; what is in the library stays.")
        if isinstance(error, FileNotFoundError | KeyError):
            return PhotoError(Status.MISSING, f"{item.name} is not in the export any more.")
        why = error.strerror if isinstance(error, OSError) and error.strerror else f"{place.name} is damaged there"
        return PhotoError(Status.IO_ERROR, f"{item.name} can't be read: {why}.")


def _item(key: str, member: Member, said: Said) -> SourceItem:
    modified = None
    if not member.archive:
        modified = datetime.fromtimestamp(int(member.mark, 16) / 1e9, UTC)
    return SourceItem(
        key=key,
        version=member.version,
        name=_name(key),
        album=_album(key),
        size=member.size,
        link=said.link,
        modified=modified,
        taken_at=said.taken_at,
        latitude=said.latitude,
        longitude=said.longitude,
    )


def _album(key: str) -> str:
    return key.rpartition("/")[0]


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _connect(settings: Mapping[str, str], tools: Tools) -> GoogleTakeout:
    said = settings.get("path", "")
    if not said or "\0" in said:
        message = "No folder and no file of an export is named."
        raise RefusedError(message, "Name it: path=/downloads/takeout-20240101T120000Z-001.zip.")
    path = Path(os.path.abspath(user_path(said)))  # noqa: PTH100 - links stay as they are
    if path.name.lower().endswith((".tgz", ".tar.gz")):
        message = "A .tgz file can only be read from its beginning to its end, so no photo can be fetched by itself."
        raise RefusedError(message, _ASK_FOR_ZIP)
    return GoogleTakeout(path, tools)


def _settings_of(text: str) -> dict[str, str] | None:
    if not text or "\0" in text or "://" in text:
        return None
    path = os.path.abspath(user_path(text))  # noqa: PTH100 - links stay as they are
    return {"path": path} if looks_like_export(Path(path)) else None


KIND = SourceKind(
    name="takeout",
    words="Google Takeout",
    hosts=(),
    connect=_connect,
    settings_of=_settings_of,
    settings={"path": "The folder that an export's zip files lie in, one of them, or the unpacked folder Takeout."},
)
