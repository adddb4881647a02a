"""Folders that machines have at different places: files in them are known by the mount's name and the path in it."""

# Paths are bytes here, because a name need not be valid UTF-8, and pathlib takes no bytes.
# ruff: noqa: PTH100, PTH111, PTH117

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from facekit.errors import FacekitError, PhotoError, RefusedError
from facekit.images.files import display_name, read_bytes
from facekit.sources.local import LocalSource, as_stored, below, composed_path, joined
from facekit.system.files import user_path
from facekit.types.photos import FoundFile, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from facekit.images.files import Limits

VARIABLE = "FACEKIT_MOUNTS"

_NAME = re.compile(r"[^\W_][\w-]{1,63}")  # two letters at least: C: is a drive
_FORM = re.compile(r"([^\W_][\w-]{1,63}):((?:/(?!/).*)?)", re.DOTALL)
_SEPARATOR = os.fsencode(os.sep)

T = TypeVar("T")

AnyPath = str | bytes | os.PathLike[Any]


class Mounts:
    """The folders of this machine that have a name, under which other machines know them, too.

    A file in one of them is known by ``(name, path in it)``, composed letters, and shown as ``family:/2019/a.jpg``; all
    others by ``("local", absolute path)``. Where one mount lies in another, the inner one counts. Links in a path that
    a user names lead to a mount, too; those in the folder itself are as `LocalSource` takes them.

    Parameters
    ----------
    roots : mapping of str to path, optional
        The folders, absolute, by the mounts' names: letters, digits, ``_`` and ``-``.

    Raises
    ------
    FacekitError
        If a name can't be one, a folder is not absolute, or two mounts are the same folder.
    """

    def __init__(self, roots: Mapping[str, AnyPath] | None = None) -> None:
        self._roots: dict[str, bytes] = {}
        for name, root in (roots or {}).items():
            self._roots[checked_name(name)] = _folder(name, root)
        folders = list(self._roots.values())
        if twice := next((root for root in folders if folders.count(root) > 1), None):
            message = f"Two mounts are the same folder: {display_name(twice)}."
            raise FacekitError(message, "Give the folder one name.")

    @classmethod
    def here(cls, kept: Mapping[str, str]) -> Mounts:
        """The mounts of a library's settings, and what ``FACEKIT_MOUNTS`` says of this machine: it comes first.

        Raises
        ------
        FacekitError
            See `Mounts`.
        """
        try:
            named = mounts_named(os.environ.get(VARIABLE, ""))
            cls({name: root for name, root in named.items() if root})
        except FacekitError as error:
            message = f"{VARIABLE} can't be read: {error.message}"
            raise FacekitError(message, f'{error.remedy} For example: {VARIABLE}="family=/mnt/photos".') from error
        roots: dict[str, AnyPath] = dict(kept) | named
        return cls({name: root for name, root in roots.items() if root})

    @property
    def roots(self) -> dict[str, bytes]:
        """The folders by the mounts' names."""
        return dict(self._roots)

    def has(self, source: str) -> bool:
        """Whether this machine has the folder of a mount now: one that is empty is a disk that is not there."""
        root = self._roots.get(source)
        if root is None:
            return False
        try:
            with os.scandir(root) as inside:
                return next(inside, None) is not None
        except OSError:
            return False

    def file(self, source: str, path: bytes) -> bytes | None:
        """Where a file lies on this machine, however its letters are written; None where the machine lacks its mount.

        Parameters
        ----------
        source, path
            How the file is known, see `FoundFile`.
        """
        if source == LocalSource.name:
            return path
        root = self._roots.get(source)
        if root is None or path.startswith(b"/") or b".." in path.split(b"/"):
            return None
        return as_stored(joined(root, path))

    def known(self, path: bytes) -> tuple[str, bytes]:
        """How a file is known that lies at an absolute path of this machine: its source, and its path there."""
        found = _innermost(path, self._roots)
        return (LocalSource.name, path) if found is None else (found[0], self._composed(*found))

    def place(self, path: AnyPath, *, must_exist: bool = True, exclude: Iterable[str] = ()) -> LocalSource:
        """A folder or a file as a source, see `LocalSource`: of this machine, or ``family:/2019``.

        Raises
        ------
        FacekitError
            If it has to exist and does not, or this machine lacks its mount.
        """
        found = self._found(path)
        if found is None:
            inner = tuple(self._roots.values())
            return LocalSource(path, must_exist=must_exist, exclude=exclude, without=inner)
        return MountedSource(self, *found, must_exist=must_exist, exclude=exclude)

    def path(self, path: str) -> str:
        """A path as it is, or where ``family:/2019`` lies on this machine. Raises FacekitError where it lacks it."""
        named = named_mount(path, self._roots)
        if named is None:
            return path
        here = self.file(*named)
        if here is None:
            raise lacking(named[0])
        return os.fsdecode(here)

    def picture(self, given: T) -> T | str:
        """A picture that somebody gave, where it is a path as `path` has it. Raises FacekitError."""
        return self.path(given) if isinstance(given, str) else given

    def places(self, path: AnyPath) -> list[LocalSource]:
        """All that a path may be known as: on a mount, and as it was before there was this mount. It may be gone."""
        place = self.place(path, must_exist=False)
        if not isinstance(place, MountedSource):
            return [place]
        before = self.file(place.name, place.path) if named_mount(path, self._roots) else path
        return [place] if before is None else [place, LocalSource(before, must_exist=False)]

    def sources(self, path: AnyPath, exclude: Iterable[str] = ()) -> list[LocalSource]:
        """A folder, and the mounts that lie in it, as sources to be ingested.

        Raises
        ------
        FacekitError
            See `place`.
        """
        exclude = tuple(exclude)
        place = self.place(path, exclude=exclude)
        return [place, *(MountedSource(self, name, b"", exclude=exclude) for name in self._inside(place))]

    def all_at(self, path: AnyPath) -> list[LocalSource]:
        """See `places`; with the mounts that lie in it."""
        places = self.places(path)
        inner = (MountedSource(self, name, b"", must_exist=False) for name in self._inside(places[0]))
        return [*places, *inner]

    def reader(self, source: str) -> LocalSource:
        """A source that reads all files of a name."""
        if source == LocalSource.name:
            return LocalSource(os.sep, must_exist=False)
        return MountedSource(self, source, b"", must_exist=False)

    def _inside(self, place: LocalSource) -> list[str]:
        """The mounts that lie in a place."""
        here = self.file(place.name, place.path)
        if here is None:
            return []
        return [name for name, root in sorted(self._roots.items()) if root != here and below(root, here) is not None]

    def _found(self, path: AnyPath) -> tuple[str, bytes] | None:
        if named := named_mount(path, self._roots):
            name, inside = named
            return name, self._composed(name, inside)
        if not self._roots:
            return None
        straight = as_stored(os.path.abspath(os.fsencode(user_path(path))))
        found = _innermost(straight, self._roots)
        if found is None:
            real = {name: os.path.realpath(root) for name, root in self._roots.items()}
            found = _innermost(os.path.realpath(straight), real)
        return None if found is None else (found[0], self._composed(*found))

    def _composed(self, name: str, inside: bytes) -> bytes:
        """A path with composed letters, as all machines have it, unless another file is called so."""
        composed = os.fsencode(composed_path(inside))
        root = self._roots.get(name)
        if composed == inside or root is None:
            return composed
        straight, other = joined(root, inside), joined(root, composed)
        return inside if os.path.lexists(other) and not _same(straight, other) else composed


class MountedSource(LocalSource):
    """A folder or a file on a mount, see `LocalSource`; `Mounts` makes them."""

    def __init__(
        self, mounts: Mounts, name: str, inside: bytes, *, must_exist: bool = True, exclude: Iterable[str] = ()
    ) -> None:
        self._mounts = mounts
        self.name = name
        self._inside = inside
        root = mounts.roots.get(name)
        self._there = root is not None
        self._root = root or joined(_SEPARATOR, os.fsencode(name) + b":")  # that nobody looks into
        if must_exist and not self._there:
            raise lacking(name)
        inner = [other for other in mounts.roots.values() if other != root]
        super().__init__(joined(self._root, inside), must_exist=must_exist, exclude=exclude, without=inner)

    @property
    @override
    def root(self) -> str:
        """``family:/2019``."""
        return display_of(self.name, self._inside)

    @property
    @override
    def path(self) -> bytes:
        """The path in the mount."""
        return self._inside

    @override
    def called(self, path: bytes) -> MountedSource:
        return MountedSource(self._mounts, self.name, path, must_exist=False)

    @override
    def holds(self, path: bytes) -> bool:
        return below(path, self._inside) is not None and self._is_own(joined(self._root, path))

    @override
    def left_out(self, path: bytes) -> str | None:
        return super().left_out(self._mounts.file(self.name, path) or joined(self._root, path))

    @override
    def gone(self, path: bytes) -> bool:
        here = self._mounts.file(self.name, path)
        return here is not None and self._mounts.has(self.name) and super().gone(here)

    @override
    def read(self, file: FoundFile, limits: Limits) -> bytes:
        here = self._mounts.file(file.source, file.path)
        if here is None:
            raise PhotoError(Status.IO_ERROR, f"{file.display} can't be read: {lacking(file.source).message}")
        return read_bytes(here, limits, file.display)

    @override
    def _check_root(self) -> bool:
        if not self._there:
            raise lacking(self.name)
        return super()._check_root()

    @override
    def _key(self, path: bytes) -> bytes:
        return self._mounts._composed(self.name, below(path, self._root) or b"")  # noqa: SLF001 - of this module

    @override
    def _shown(self, path: bytes) -> str:
        return display_of(self.name, self._key(path))


def display_of(source: str, path: bytes) -> str:
    """A file for people: ``family:/2019/a.jpg`` on a mount, else its path; see `display_name`."""
    return display_name(path) if source == LocalSource.name else f"{source}:/{display_name(path)}"


def named_mount(path: AnyPath, roots: Iterable[str] = ()) -> tuple[str, bytes] | None:
    """The mount's name and the path in it of what is written as ``family:/2019``; None for any other path.

    Parameters
    ----------
    path : path
        What somebody wrote. ``..`` leads to nothing outside the mount.
    roots : iterable of str
        The mounts of this machine. Of another's name, a file of this machine that is called so comes first.
    """
    if not isinstance(path, str | bytes | os.PathLike):
        return None
    text = os.fsdecode(path)
    found = _FORM.fullmatch(text)
    if found is None or "\0" in text:
        return None
    name = unicodedata.normalize("NFC", found[1])
    if name == LocalSource.name or (name not in roots and os.path.lexists(text)):
        return None
    inside = os.path.normpath(os.fsencode(found[2]) or b"/").lstrip(b"/")
    return name, inside


def mounts_named(text: str) -> dict[str, AnyPath]:
    """What ``FACEKIT_MOUNTS`` says: ``family=/mnt/photos;archive=/data/a``; without a folder the mount is not here.

    Raises
    ------
    FacekitError
        If it can't be read so.
    """
    found: dict[str, AnyPath] = {}
    for part in filter(str.strip, text.split(";")):
        name, equals, root = part.partition("=")
        if not equals:
            message = f"{part.strip()!r} names no folder."
            raise FacekitError(message, "Write a name, = and a folder, with ; between two.")
        found[checked_name(name.strip())] = root.strip()
    return found


def lacking(name: str) -> FacekitError:
    """The error of a mount that this machine does not have."""
    message = f"This machine has no mount {name!r}."
    remedy = f'Name its folder in [mounts] of library.toml, or for this machine: {VARIABLE}="{name}=/mnt/photos".'
    return FacekitError(message, remedy)


def checked_name(name: str, what: str = "a mount's name") -> str:
    """A name as files are known by it, ``family`` of ``family:/2019``. Raises RefusedError for what can be none."""
    composed = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(composed) or composed == LocalSource.name:
        message = f"{name!r} can't be {what}."
        raise RefusedError(message, "Take two letters or more, with digits, - and _ if you like, such as family.")
    return composed


def _folder(name: str, root: AnyPath) -> bytes:
    path = os.path.expanduser(os.fsencode(root))
    if not os.path.isabs(path) or b"\0" in path:
        message = f"The folder of the mount {name} is {display_name(path)!r}."
        raise FacekitError(message, "Give it from / on, such as /mnt/photos.")
    return _SEPARATOR + os.path.normpath(path).lstrip(_SEPARATOR)


def _innermost(path: bytes, roots: Mapping[str, bytes]) -> tuple[str, bytes] | None:
    """The mount that a path lies in, the innermost, and the path in it."""
    inside = {name: rest for name, root in roots.items() if (rest := below(path, root)) is not None}
    if not inside:
        return None
    name = min(inside, key=lambda name: len(inside[name]))
    return name, inside[name]


def _same(one: bytes, other: bytes) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except OSError:
        return False
