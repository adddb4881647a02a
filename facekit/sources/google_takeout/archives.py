"""What lies in a Google Takeout export: in its zip files as they came, and in what somebody unpacked of them."""

from __future__ import annotations

import lzma
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING

from facekit.images.formats import PICTURE_EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    _Found: TypeAlias = "dict[str, list[tuple[tuple[str, ...], Member]]]"  # by product: path below its folder, file

BROKEN = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError,
    NotImplementedError, OverflowError, RuntimeError, KeyError,
)  # fmt: skip
"""What `zipfile` raises of an archive that is none, is cut, encrypted, or packed in a way that it does not know."""

_PART = re.compile(r"(takeout-.+)-(\d{3,})(?: ?\(\d+\))?(\.zip|\.tgz|\.tar\.gz|)", re.IGNORECASE)
"""``takeout-20240101T120000Z-001.zip``, also as browsers call a second download, and as a folder."""
_TAR = (".tgz", ".tar.gz")
_ROOT = "takeout"  # in every language
_SIDECAR = re.compile(r"\.(?:{})\b[^/]*\.json".format("|".join(sorted(one[1:] for one in PICTURE_EXTENSIONS))))
_VIDEOS = {".mp4", ".mov", ".m4v", ".avi", ".3gp", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".mp"}
_OPEN_AT_ONCE = 4  # archives; ours: what is known of a member of one takes a kilobyte
_MOST_MEMBERS = 1_000_000  # of an archive; ours: Google's have 50 GB at most
_ENCRYPTED, _UTF_8 = 0x1, 0x800  # flags of a member: APPNOTE.TXT, 4.4.4


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an export. ``archive`` is the zip file's path, empty for one that is unpacked, whose path is ``name``.

    ``mark`` changes when its bytes do, as far as can be told without reading them: a checksum, or when it was changed.
    """

    archive: str
    name: str
    size: int
    mark: str

    @property
    def version(self) -> str:
        """For `SourceItem`."""
        return f"{self.size:x}-{self.mark}"


@dataclass
class Export:
    """What an export holds of Google Photos.

    Attributes
    ----------
    pictures : dict of str to Member
        By their path below Google Photos' folder, ``Photos from 2019/IMG_1.jpg``: it is the same however it was split.
    folders : dict of str to dict of str to Member
        All files of each folder by their names, sidecars too.
    left_out : Counter of str
        What is no photo, and what could not be read.
    whole : bool
        Whether nothing is missing, as far as the names of the parts tell.
    archives : int
        How many could be read.
    """

    pictures: dict[str, Member] = field(default_factory=dict)
    folders: dict[str, dict[str, Member]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    whole: bool = True
    archives: int = 0

    def add(self, path: tuple[str, ...], member: Member) -> None:
        """A file at a path below Google Photos' folder. Of two at the same path, the last counts."""
        key, name = "/".join(path), path[-1]
        self.folders.setdefault("/".join(path[:-1]), {})[name] = member
        ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name, no path
        if ending in PICTURE_EXTENSIONS:
            self.pictures[key] = member
        elif ending not in {".json", ".html"}:
            self.left_out["video" if ending in _VIDEOS else "other"] += 1

    def lacks(self, what: str) -> None:
        """Something of it could not be had."""
        self.left_out[what] += 1
        self.whole = False


def looks_like_export(path: Path) -> bool:
    """Whether a file or folder seems to be an export, or to hold one. Raises nothing."""
    try:
        if path.is_file():
            return bool(_PART.fullmatch(path.name)) or (path.suffix.lower() == ".zip" and _has_photos(path))
        if path.parent.name.lower() == _ROOT:
            return "google" in path.name.lower()
        if path.name.lower() != _ROOT:
            return any(_PART.fullmatch(one.name) or looks_like_export(one) for one in _exports_in(path))
        return any("google" in one.name.lower() or one.name == "archive_browser.html" for one in path.iterdir())
    except (OSError, ValueError):
        return False


def _exports_in(path: Path) -> list[Path]:
    return [one for one in path.iterdir() if one.name.lower() == _ROOT or _PART.fullmatch(one.name)]


def read_export(root: Path, look: Callable[[], None]) -> Export:
    """List what there is.

    Parameters
    ----------
    root : Path
        A folder with zip files, with what was unpacked of them, or both; or one of the zip files, which stands for all
        parts of its export beside it.
    look : callable
        Called now and then: it raises what ends the work.

    Raises
    ------
    OSError
        If there is no such file or folder.
    """
    export = Export()
    found: _Found = {}
    for path in _archives(root, export):
        _read_archive(path, found, export, look)
    if root.is_dir():
        _read_folder(root, found, export, look)
    else:
        root.stat()
    for product in _products(found):
        for path_in_it, member in found[product]:
            export.add(path_in_it, member)
    return export


class Opener:
    """Opens members; some archives stay open. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[str, zipfile.ZipFile] = OrderedDict()

    @contextmanager
    def __call__(self, member: Member) -> Iterator[IO[bytes]]:
        """A member's bytes, unpacked as they are read. Raises OSError, and what is `BROKEN`."""
        if member.archive:
            with self._in_archive(member) as file:
                yield file
        else:
            opened = os.open(member.name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            with open(opened, "rb") as file:  # noqa: PTH123 - what was opened just now
                yield file

    def _in_archive(self, member: Member) -> IO[bytes]:
        with self._lock:
            archive = self._open.pop(member.archive, None) or zipfile.ZipFile(member.archive)
            self._open[member.archive] = archive
            if len(self._open) > _OPEN_AT_ONCE:
                self._open.popitem(last=False)[1].close()  # members of it that are open stay so
            return archive.open(member.name)

    def close(self) -> None:
        """Close all archives; the next member opens its own."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()


def _archives(root: Path, export: Export) -> list[Path]:
    """The zip files, of a later export last. What lacks among the parts is noted."""
    if root.is_dir():
        beside = sorted(root.iterdir())
    else:
        mine = _PART.fullmatch(root.name)
        beside = sorted(root.parent.iterdir()) if mine else [root]
        beside = [one for one in beside if one == root or (mine and _export_of(one) == mine[1].lower())]
    parts: dict[str, set[int]] = {}
    for path in beside:
        found = _PART.fullmatch(path.name)
        if found:
            parts.setdefault(found[1].lower(), set()).add(int(found[2]))
        if found and found[3].lower() in _TAR:
            export.lacks(f"tar archive {path.name}")
    for name, numbers in sorted(parts.items()):
        for number in sorted(set(range(1, min(max(numbers), 10_000) + 1)) - numbers):
            export.lacks(f"missing part {name}-{number:03d}")
    return [one for one in beside if one.suffix.lower() == ".zip" and one.is_file()]


def _export_of(path: Path) -> str | None:
    found = _PART.fullmatch(path.name)
    return found[1].lower() if found else None


def _read_archive(path: Path, found: _Found, export: Export, look: Callable[[], None]) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (*BROKEN, OSError):
        export.lacks(f"broken archive {path.name}")
        return
    if len(infos) > _MOST_MEMBERS:
        export.lacks(f"broken archive {path.name}")
        return
    export.archives += 1
    for number, info in enumerate(infos):
        if number % 1000 == 0:
            look()
        if info.filename.endswith("/"):
            continue
        place = _placed(_name_of(info))
        if place is None:
            export.left_out["unsafe name"] += 1
        elif stat.S_ISLNK(info.external_attr >> 16):
            export.left_out["link"] += 1
        elif info.flag_bits & _ENCRYPTED:
            export.left_out["encrypted"] += 1
        elif place[0]:
            member = Member(str(path), info.filename, info.file_size, f"{info.CRC:08x}")
            found.setdefault(place[0], []).append((place[1], member))


def _read_folder(root: Path, found: _Found, export: Export, look: Callable[[], None]) -> None:
    above = root.resolve().parts[1:]
    # Of the folders above, only those count in which the root lies as a part of an export.
    begin = next((n for n in reversed(range(len(above))) if above[n].lower() == _ROOT), len(above))
    for folder, names, files in os.walk(root, onerror=lambda _: export.lacks("folder that can't be read")):
        look()
        names[:] = sorted(one for one in names if not one.startswith("."))
        inside = Path(folder).relative_to(root).parts
        for name in sorted(files):
            path = os.path.join(folder, name)  # noqa: PTH118 - there are many
            try:
                told = os.lstat(path)
            except OSError:
                continue  # it went just now
            if stat.S_ISLNK(told.st_mode):
                export.left_out["link"] += 1
                continue
            if name.startswith(".") or not stat.S_ISREG(told.st_mode) or (not inside and name.lower().endswith(".zip")):
                continue
            place = _placed("/".join((*above[begin:], *inside, name)))
            if place is None:
                export.left_out["unsafe name"] += 1
            else:
                member = Member("", path, told.st_size, f"{told.st_mtime_ns:x}")
                found.setdefault(place[0], []).append((place[1], member))


def _products(found: _Found) -> list[str]:
    """Google Photos' own folder, which is called otherwise in every language: the one whose photos have sidecars."""
    told = [product for product, files in found.items() if any(_SIDECAR.search(path[-1].lower()) for path, _ in files)]
    return told or [product for product in found if "google" in product.lower()]


def _placed(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Google's product that a path is of, and the path below its folder; ``""`` for one that is of none.

    None for a path that would lead out of the folder, were it unpacked, and for one that is no text.
    """
    parts = tuple(unicodedata.normalize("NFC", name).replace("\\", "/").split("/"))
    odd = any(part in {"", ".", ".."} or "\0" in part for part in parts) or ":" in parts[0]
    if odd or any("\ud800" <= letter <= "\udfff" for letter in name):  # bytes that are no text
        return None
    root = next((n for n, part in enumerate(parts[:-2]) if part.lower() == _ROOT), None)
    return ("", parts) if root is None else (parts[root + 1], parts[root + 2 :])


def _name_of(info: zipfile.ZipInfo) -> str:
    """A member's name: one that is not said to be UTF-8 mostly is so all the same."""
    if info.flag_bits & _UTF_8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _has_photos(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = (_placed(name) for name in archive.namelist())
            return any(place and "google" in place[0].lower() for place in names)
    except (*BROKEN, OSError):
        return False
