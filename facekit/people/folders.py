"""Folders of links: names of people as names of folders, and links that never take the place of anything."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from itertools import count
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from facekit.errors import FacekitError
from facekit.images.files import display_name

if TYPE_CHECKING:
    from collections.abc import Mapping

# What Windows reserves: characters, names of devices, dots and spaces at the end ("Naming Files, Paths, and
# Namespaces"). Folders travel between systems, so that it is kept to everywhere.
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³")}
_LONGEST_FILE = 255  # bytes of a file's name: ext4, APFS, NTFS (there UTF-16 units)
_LONGEST_ENDING = 16  # bytes; what is longer is no ending
_LONGEST = 200  # bytes: file systems allow 255, and an id may be added


def safe_name(name: str) -> str:
    """A name of somebody as the name of a folder on any system, not hidden, and in any script."""
    text = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).strip().rstrip(". ")
    text = re.sub(r"^\.+", lambda dots: "_" * len(dots[0]), text)
    if text.partition(".")[0].rstrip().casefold() in _DEVICES:
        text = "_" + text
    return text.encode()[:_LONGEST].decode(errors="ignore").rstrip(". ") or "_"


def folder_names(people: Mapping[str, str]) -> dict[str, str]:
    """A folder for each person, by id; where two would share one, those whose name had to be changed get their id.

    Parameters
    ----------
    people : mapping of str to str
        Names by person id.
    """
    wanted = {person_id: safe_name(name) for person_id, name in people.items()}
    taken = [folder.casefold() for folder in wanted.values()]
    return {
        person_id: f"{folder} ({person_id[:6]})"
        if taken.count(folder.casefold()) > 1 and folder != unicodedata.normalize("NFC", people[person_id])
        else folder
        for person_id, folder in wanted.items()
    }


def link(photo: Path, folder: Path, *, copy: bool) -> bool:
    """Put a link to a photo, or a copy of it, into a folder that exists; under a number if its name is taken.

    Returns whether there was none yet.

    Raises
    ------
    FacekitError
        If the system makes no links there.
    OSError
        If the folder can't be written, or the photo can't be read.
    """
    for number in count(1):
        target = folder / _numbered(photo, number)
        if not os.path.lexists(target):
            break
        if _is_of(target, photo):
            return False
    if copy:
        _copy(photo, target)
        return True
    try:
        target.symlink_to(photo)
    except (OSError, NotImplementedError) as error:
        if not os.access(folder, os.W_OK):
            raise
        message = f"No links can be made in {display_name(folder)}: {error}."
        raise FacekitError(message, "Let the photos be copied instead: copy=True.") from error
    return True


def _numbered(photo: Path, number: int) -> str:
    """A photo's name, from the second on with a number, and so much shorter that file systems allow it."""
    if number == 1:
        return photo.name
    ending = photo.suffix if len(os.fsencode(photo.suffix)) <= _LONGEST_ENDING else ""
    stem = photo.name.removesuffix(ending)
    rest = f" ({number}){ending}"
    room = _LONGEST_FILE - len(os.fsencode(rest))
    if len(os.fsencode(stem)) > room:
        stem = os.fsencode(stem)[:room].decode(errors="ignore").rstrip(". ")
    return stem + rest


def _copy(photo: Path, target: Path) -> None:
    """Copy a photo, whole or not at all, by way of a file that takes the place of nothing."""
    with NamedTemporaryFile(dir=target.parent, prefix=".", suffix=".part", delete=False) as file:
        part = Path(file.name)
    try:
        shutil.copy2(photo, part)
        part.rename(target)
    except BaseException:  # Ctrl-C, too
        part.unlink(missing_ok=True)
        raise


def _is_of(target: Path, photo: Path) -> bool:
    """Whether a file in a person's folder is a link to a photo, or a copy of it."""
    if target.is_symlink():
        return target.readlink() == photo
    there, here = target.stat(), photo.stat()
    return (there.st_size, there.st_mtime_ns // 10**9 // 2) == (here.st_size, here.st_mtime_ns // 10**9 // 2)
