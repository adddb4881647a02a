"""Folders and files in which no photos of the user's lie: previews of other programs, and what the user excludes."""

# Paths are bytes here, because a name need not be valid UTF-8, and pathlib takes no bytes.
# ruff: noqa: PTH118, PTH119

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase, translate
from typing import TYPE_CHECKING, NamedTuple

from facekit.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

LIBRARY = "facekit library"
EXCLUDED = "excluded"
LIBRARY_FILE = b"library.toml"

_SET = re.compile(r"\[!?+\]?+[^\]]*\]")  # as fnmatch reads it: [abc], [!abc], []abc]
MOST_PATTERNS, _LONGEST_PATTERN = 200, 1000


class _Rule(NamedTuple):
    """What a folder is that is called so (a glob, lower case), in a folder called so, with such a file in it."""

    kind: str
    name: bytes = b"*"
    parent: bytes = b"*"
    holds: bytes | None = None


_RULES = (
    _Rule(LIBRARY, holds=LIBRARY_FILE),  # facekit.storage.settings.FILE
    # Android, MediaStore.MEDIA_IGNORE_FILENAME: media "in the containing directory and its subdirectories" is ignored.
    _Rule(".nomedia", holds=b".nomedia"),
    # Apple Photos: derivatives and renders; the photos lie in `originals`, those of before macOS 10.15 in `Masters`.
    _Rule("Apple Photos previews", b"resources", b"*.photoslibrary"),
    # iPhoto and Aperture libraries: photos lie in `Masters`.
    *(
        _Rule("iPhoto and Aperture previews", name, bundle)
        for name in (b"previews", b"thumbnails", b"data.noindex")
        for bundle in (b"*.photolibrary", b"*.migratedphotolibrary", b"*.aplibrary")
    ),
    # Adobe Lightroom Classic: "NAME Previews.lrdata", "NAME Smart Previews.lrdata", "NAME Helper.lrdata".
    _Rule("Lightroom previews", b"*.lrdata"),
    # Immich writes `.immich` into each of its folders (docs, "System Integrity"); these three hold what it derives.
    *(_Rule("Immich previews", name, holds=b".immich") for name in (b"thumbs", b"encoded-video", b"profile")),
    # Nextcloud: `appdata_` and the instance's id (OC\Files\AppData); previews are made by the server.
    _Rule("Nextcloud previews", b"preview", b"appdata_*"),
    # PhotoPrism marks its storage folder so (internal/config, CreateDirectories), "so that it is not ... indexed".
    _Rule("PhotoPrism previews", holds=b".ppstorage"),
    # Synology DSM: thumbnails, wastebasket, snapshots.
    *(_Rule("system folders", name) for name in (b"@eadir", b"#recycle", b"#snapshot")),
    *(_Rule("system folders", name) for name in (b"@recycle", b"@recently-snapshot")),  # QNAP QTS
    *(_Rule("system folders", name) for name in (b"$recycle.bin", b"system volume information")),  # Windows
    *(_Rule("system folders", name) for name in (b"__macosx", b"lost+found")),  # archives, file system checks
)
"""Folders that are left out wherever they lie below a root, each with the source of its rule. Hidden folders (among
them `.thumbnails`, `.Trash`, digiKam's `.dtrash`) are passed over anyway."""


def kind_of(folder: bytes, names: AbstractSet[bytes]) -> str | None:
    """What a folder is that holds no photos of the user's; None for any other.

    Parameters
    ----------
    folder : bytes
        Its path.
    names : set of bytes
        What lies in it.
    """
    above, name = os.path.split(folder.lower())
    parent = os.path.basename(above)
    for rule in _RULES:
        if rule.holds is not None and rule.holds not in names:
            continue
        if fnmatchcase(name, rule.name) and fnmatchcase(parent, rule.parent):
            return rule.kind
    return None


def is_library(folder: bytes) -> bool:
    """Whether a folder is a facekit library, or the thumbnails in one."""
    real = os.path.realpath(folder)
    while True:
        if os.path.lexists(os.path.join(real, LIBRARY_FILE)):
            return True
        real, name = os.path.split(real)
        if name != b"thumbnails" and os.path.basename(real) != b"thumbnails":
            return False


class Exclusion:
    """The patterns of what a user excludes.

    A pattern without a slash stands for the name of a file or folder, wherever it lies. One with a slash stands for a
    path, from the root that is ingested on or from ``/`` on; its ``*`` also stands for slashes. A folder that a pattern
    means is left out with all that is in it. Upper and lower case, and composed and decomposed letters, are the same.

    Parameters
    ----------
    patterns : iterable of str
        Globs: ``*``, ``?``, ``[abc]``.

    Raises
    ------
    FacekitError
        If one is empty, too long, holds characters that no path can have, or a ``[`` that is never closed.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = checked(patterns)
        plain = [_plain(one) for one in self.patterns]
        self._names = _any([one.strip("/") for one in plain if "/" not in one.strip("/")])
        # "2019/*" means what lies in 2019 of the root: as a path it begins with a slash, as that from the root on does.
        self._paths = _any([one if one[0] in "/*" else "/" + one for one in plain if "/" in one.strip("/")])

    def means(self, path: bytes, root: bytes) -> bool:
        """Whether a path below a root is left out."""
        if self._names is None and self._paths is None:
            return False
        whole = _plain(os.fsdecode(path))
        inside = whole.removeprefix(_plain(os.fsdecode(root)).rstrip("/"))
        parts = inside.strip("/").split("/")
        if self._names is not None and any(map(self._names.match, parts)):
            return True
        if self._paths is None:
            return False
        top = whole[: len(whole) - len(inside)]
        above = ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]
        return any(self._paths.match(some + end) for one in above for some in (one, top + one) for end in ("", "/"))


def checked(patterns: Iterable[str]) -> tuple[str, ...]:
    """Patterns as they are kept: each once. Raises `FacekitError`, see `Exclusion`."""
    if not isinstance(patterns, Iterable):
        message = f"exclude={patterns!r} is no list of patterns."
        raise RefusedError(message, "Give globs such as Screenshots, *.png or */Exports/*.")
    given = [patterns] if isinstance(patterns, str) else list(patterns)
    bad = next((one for one in given if not _is_good(one)), None)
    if bad is not None or len(given) > MOST_PATTERNS:
        what = (
            f"{len(given)} patterns are too many." if bad is None else f"{str(bad)[:100]!r} is no pattern to exclude."
        )
        bracket = " A [ that begins no set such as [abc] is written [[]." if isinstance(bad, str) and "[" in bad else ""
        globs = "globs such as Screenshots, *.png or */Exports/*"
        raise RefusedError(what, f"Give at most {MOST_PATTERNS} {globs}.{bracket}")
    return tuple(dict.fromkeys(given))


def _is_good(pattern: object) -> bool:
    if not isinstance(pattern, str) or not 0 < len(pattern) <= _LONGEST_PATTERN or not pattern.strip("/ "):
        return False
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in pattern):  # as in names of people
        return False
    return "[" not in _SET.sub("", pattern)


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", path.replace(os.sep, "/")).casefold()


def _any(patterns: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(translate(one) for one in patterns)) if patterns else None
