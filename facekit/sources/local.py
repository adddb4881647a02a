"""Photos in a folder of this machine."""

# Paths are bytes here, because a name need not be valid UTF-8, and pathlib takes no bytes.
# ruff: noqa: PTH100, PTH118, PTH120, PTH208, PTH116, PTH122

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.errors import FacekitError
from facekit.images.files import READ_FLAGS, display_name, read_bytes
from facekit.images.formats import PICTURE_EXTENSIONS, SNIFF_BYTES, sniff
from facekit.sources.left_out import EXCLUDED, Exclusion, is_library, kind_of
from facekit.system.files import user_path
from facekit.types.photos import FoundFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from facekit.images.files import Limits

_SKIPPED_FILES = frozenset({b"thumbs.db", b"ehthumbs.db", b"desktop.ini", b"icon\r"})
"""Lower-case names of files that Windows and macOS leave in photo folders; hidden files are skipped anyway."""

_SEPARATOR = os.fsencode(os.sep)


class LocalSource:
    """A folder with photos, or a single photo.

    Listed is every regular file whose content is a picture of a known format, whatever its name, and every file
    whose name ends like a picture's, whatever its content: an empty or a mislabelled one is to be reported, not
    passed over. Hidden files and folders are passed over; folders that hold no photos of the user's, such as other
    programs' previews, and what is excluded are named in `skipped`; everything else is counted in `ignored`. Pipes,
    sockets and devices are never opened. A root is looked into whatever it is called, unless it is a facekit library.

    Parameters
    ----------
    root : str, bytes or PathLike
        A folder, or one file, which is listed whatever it is; ``~`` is the home folder.
    follow_links : bool, optional
        Whether to go through symbolic links to files and folders; each folder is visited once at most.
    must_exist : bool, optional
        False to name a place that may be gone, which can be compared with paths but not scanned.
    exclude : iterable of str, optional
        Patterns of files and folders to leave out; see `facekit.sources.left_out.Exclusion`.
    without : iterable of bytes, optional
        Folders, absolute, that are no part of it wherever they lie in it.

    Attributes
    ----------
    problems : list of (str, str)
        Folders and files that the last scan could not look into, and what the system said.
    ignored : int
        How many files the last scan found not to be pictures.
    skipped : dict of bytes to str
        Folders and files that the last scan left out, and what they are.

    Raises
    ------
    FacekitError
        If there is no such file or folder, the path is empty or none at all, or it is a facekit library.
    """

    name = "local"

    def __init__(
        self,
        root: str | bytes | os.PathLike[Any],
        *,
        follow_links: bool = False,
        must_exist: bool = True,
        exclude: Iterable[str] = (),
        without: Iterable[bytes] = (),
    ) -> None:
        self._path = as_stored(os.path.abspath(os.fsencode(user_path(root))))
        self._exclusion = Exclusion(exclude)
        self._follow_links = follow_links
        self._without = [one for one in without if one != self._path and below(one, self._path) is not None]
        self.problems: list[tuple[str, str]] = []
        self.ignored = 0
        self.skipped: dict[bytes, str] = {}
        if must_exist:
            self._check_root()

    @property
    def left_out_by_kind(self) -> Mapping[str, int]:
        """How many folders and files the last scan left out, by what they are."""
        return Counter(self.skipped.values())

    @property
    def root(self) -> str:
        """The absolute path, for people."""
        return self._shown(self._path)

    @property
    def prefix(self) -> str:
        """The path for people, with forward slashes, also at the end, and composed letters: how its folders begin."""
        return unicodedata.normalize("NFC", self.root.replace(os.sep, "/").rstrip("/") + "/")

    def called(self, path: bytes) -> LocalSource:
        """The place of this kind that the library knows by another path; it may be gone."""
        return LocalSource(path, must_exist=False, without=self._without)

    def scan(self) -> Iterator[FoundFile]:
        """List the photos, sorted by path byte by byte, without reading more than the first bytes of a file.

        Raises
        ------
        FacekitError
            If the root has vanished or can't be listed: that must not be mistaken for an empty folder.
        """
        self.problems.clear()
        self.ignored = 0
        self.skipped.clear()
        if self._check_root():
            yield from self._walk()
        else:
            yield self._found(self._path, os.stat(self._path))

    def holds(self, path: bytes) -> bool:
        """Whether a path is the root's or lies in it."""
        return below(path, self._path) is not None and self._is_own(path)

    def moved(self, path: bytes, root: bytes) -> bytes:
        """Where a path of this place lies when the place is called ``root``."""
        return joined(root, below(path, self.path) or b"")

    @property
    def path(self) -> bytes:
        """The absolute path, as the file system has it: what the library knows it by."""
        return self._path

    def left_out(self, path: bytes) -> str | None:
        """What a path is, or lies in, that the last scan left out for a reason of its own; None for all others."""
        above = path
        while len(above) > len(self._path):
            if above in self.skipped:
                return self.skipped[above]
            above = os.path.dirname(above)
        return EXCLUDED if path != self._path and self._exclusion.means(path, self._path) else None

    def gone(self, path: bytes) -> bool:
        """Whether the system says that there is no such file; one that can't be looked at may well be there."""
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False

    def read(self, file: FoundFile, limits: Limits) -> bytes:
        """Read a photo's bytes; see `facekit.images.files.read_bytes`."""
        return read_bytes(file.path, limits)

    def _check_root(self) -> bool:
        """Whether the root is a folder (and not a file)."""
        try:
            mode = os.stat(self._path).st_mode
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            message = f"{display_name(self._path)} can't be opened: {_words(error)}."
            raise FacekitError(message, "Check the spelling, and that the disk it is on is connected.") from error
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            message = f"{display_name(self._path)} is neither a folder nor a file."
            raise FacekitError(message, "Give a folder with photos, or a photo.")
        if stat.S_ISDIR(mode) and is_library(self._path):
            message = f"{display_name(self._path)} is a facekit library; what lies in it was made from photos."
            raise FacekitError(message, "Give the folder that holds the photos themselves.")
        return stat.S_ISDIR(mode)

    def _walk(self) -> Iterator[FoundFile]:
        visited: set[tuple[int, int]] = set()
        waiting = [(self._path, True)]
        while waiting:
            path, is_folder = waiting.pop()
            if is_folder:
                waiting.extend(reversed(self._children(path, visited)))
            elif found := self._examine(path):
                yield found

    def _children(self, folder: bytes, visited: set[tuple[int, int]]) -> list[tuple[bytes, bool]]:
        """Files and folders worth a look, each with whether it is a folder, in the order of the full paths."""
        try:
            if self._follow_links and not _first_visit(folder, visited):
                return []
            with os.scandir(folder) as listed:
                entries = list(listed)
            kind = None if folder == self._path else kind_of(folder, {entry.name for entry in entries})
            if kind is not None:
                self.skipped[folder] = kind
                logger.debug("A folder is left out: {}", kind)
                return []
            kinds = [(entry.path, self._is_folder(entry)) for entry in entries]
        except OSError as error:
            if folder == self._path:
                message = f"{display_name(self._path)} can't be listed: {_words(error)}."
                raise FacekitError(message, "Check that you may read the folder and that its disk is well.") from error
            self._problem(folder, error)
            return []
        children = [(path, is_folder) for path, is_folder in kinds if is_folder is not None]
        return sorted(children, key=lambda child: child[0] + _SEPARATOR if child[1] else child[0])

    def _is_folder(self, entry: os.DirEntry[bytes]) -> bool | None:
        """Whether it is a folder or a file; None for what is to be left alone."""
        name = entry.name.lower()
        if name.startswith(b"."):
            return None
        try:
            if entry.is_dir(follow_symlinks=self._follow_links):
                return None if entry.path in self._without or self._excluded(entry.path) else True
            if entry.is_file(follow_symlinks=self._follow_links):
                return None if name in _SKIPPED_FILES or self._excluded(entry.path) else False
        except OSError:  # a link that leads nowhere or to itself
            pass
        self.ignored += 1
        return None

    def _excluded(self, path: bytes) -> bool:
        if not self._exclusion.means(path, self._path):
            return False
        self.skipped[path] = EXCLUDED
        return True

    def _examine(self, path: bytes) -> FoundFile | None:
        """The file, if it is a picture or is named like one."""
        named_like_a_picture = os.fsdecode(os.path.splitext(path)[1]).lower() in PICTURE_EXTENSIONS
        try:
            status = os.stat(path)
            if named_like_a_picture or (status.st_size and sniff(_head(path))):
                return self._found(path, status)
        except FileNotFoundError:  # deleted while we were on our way
            return None
        except OSError as error:
            if named_like_a_picture:  # listed all the same: reading it will tell what is wrong
                return FoundFile(self.name, self._key(path), self._shown(path), size=0, mtime_ns=0)
            self._problem(path, error)
            return None
        self.ignored += 1
        return None

    def _found(self, path: bytes, status: os.stat_result) -> FoundFile:
        return FoundFile(self.name, self._key(path), self._shown(path), status.st_size, status.st_mtime_ns)

    def _is_own(self, path: bytes) -> bool:
        """Whether an absolute path lies in none of the folders that are no part of it."""
        return all(below(path, one) is None for one in self._without)

    def _key(self, path: bytes) -> bytes:
        """How the library knows what lies at an absolute path."""
        return path

    def _shown(self, path: bytes) -> str:
        """What people call what lies at an absolute path."""
        return display_name(path)

    def _problem(self, path: bytes, error: OSError) -> None:
        name, reason = self._shown(path), _words(error)
        self.problems.append((name, reason))
        logger.bind(console=f"{name} is skipped: {reason}").warning("A file or folder is skipped: {}", reason)


def as_stored(path: bytes) -> bytes:
    """An absolute path as the file system has it: names that are written with other characters mean the same letters.

    macOS gives decomposed letters (e and an accent), keyboards give composed ones. What is not there stays as it is.
    """
    if path.isascii() or os.path.lexists(path):
        return path
    above, name = os.path.split(path)
    if not name:
        return path
    above = as_stored(above)
    straight = os.path.join(above, name)
    if os.path.lexists(straight):
        return straight
    wanted = composed_path(name)
    try:
        same = sorted(one for one in os.listdir(above) if composed_path(one) == wanted)
    except OSError:
        same = []
    return os.path.join(above, same[0]) if same else straight


def below(path: bytes, root: bytes) -> bytes | None:
    """The path from a folder on, "" for the folder itself; None for a path that does not lie in it."""
    top = root.rstrip(_SEPARATOR)
    if path in {root, top}:
        return b""
    if not root:  # of paths in a mount, the mount
        return path
    return path[len(top) + 1 :] if path.startswith(top + _SEPARATOR) else None


def joined(root: bytes, inside: bytes) -> bytes:
    """The other way round: the path of what `below` said."""
    return os.path.join(root, inside) if inside else root


def composed_path(path: bytes) -> str:
    """What equal paths have in common, however their letters are written."""
    return unicodedata.normalize("NFC", os.fsdecode(path))


def _first_visit(folder: bytes, visited: set[tuple[int, int]]) -> bool:
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in visited:
        return False
    visited.add(identity)
    return True


def _head(path: bytes) -> bytes:
    descriptor = os.open(path, READ_FLAGS)
    try:
        return os.read(descriptor, SNIFF_BYTES)
    finally:
        os.close(descriptor)


def _words(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
