"""What somebody may read and write on the service's machine: every verb that touches a path asks `Paths.decide`."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from facekit.errors import FacekitError
from facekit.server.refusal import ServiceRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.library.local import LocalLibrary
    from facekit.server.accounts import Identity

Use: TypeAlias = Literal["ingest", "keep", "write", "read", "narrow"]
"""What a path is for: to bring its photos in; to write a backup there; to write files beside its photos; to read those,
or forget them; to name some of the library's photos, of which nothing but what the library has is told."""

_FOLDERS_SECONDS = 5.0  # how long the ingested folders are remembered
_SEES_PATHS = frozenset({"export", "ingest"})  # tables name the photos' paths, and so do jobs


class Paths:
    """Who may do what where.

    Parameters
    ----------
    library : LocalLibrary
        Whose photos are known.
    roots : sequence of Path
        Folders below which those who are not the service's own user may have photos ingested and files written.
    """

    def __init__(self, library: LocalLibrary, roots: Sequence[Path]) -> None:
        self._library = library
        self.roots = tuple(Path(root).expanduser().resolve() for root in roots)
        self._roots_seen: tuple[float, list[str]] = (-_FOLDERS_SECONDS, [])

    def decide(self, given: str | None, identity: Identity, use: Use) -> str | None:
        """The path as the library is to take it, when this person may use it so.

        None, where a verb takes it, is all that the library has; `writable` still says which of it may be written.

        Raises
        ------
        ServiceRefusal
            If they may not, with status 403, or there is nothing of that name for them.
        """
        if use == "narrow":
            return self._known_by(given, identity)
        if use in {"ingest", "keep"}:
            return self._named(given or "", identity, there=use == "ingest")
        if given is not None and ("\0" in given or not self._library.holds(given)):
            # Nobody learns from here what else there is on the service's machine.
            message = "The library has no photo there."
            raise ServiceRefusal(404, message, "GET /api/v1/folders lists the folders.")
        if use == "write" and given is not None and not self.writable(identity)(given):
            message = "Files may not be written into this folder."
            raise ServiceRefusal(403, message, "Whoever runs the service allows folders.", kind="folder")
        return given

    def writable(self, identity: Identity) -> Callable[[str | bytes], bool]:
        """Whether this person may have files written into a folder."""
        return (lambda _path: True) if identity.kind == "owner" else self.below_roots

    def below_roots(self, path: str | bytes) -> bool:
        """Whether a path lies under one of the roots, wherever links lead."""
        real = Path(os.path.realpath(os.fsdecode(path)))
        return any(real.is_relative_to(root) for root in self.roots)

    def _named(self, given: str, identity: Identity, *, there: bool) -> str:
        """The service's own user could use any folder anyway; for all others it lies under one of the roots."""
        try:
            path = Path(self._library.on_this_machine(given))
            if given.startswith("~"):
                path = path.expanduser()
            real = Path(os.path.realpath(path, strict=False))
            allowed = path.is_absolute() and (identity.kind == "owner" or self.below_roots(str(real)))
            missing = allowed and there and not real.exists()
        except (OSError, RuntimeError, ValueError, FacekitError):  # no such user, a name that is too long, a zero byte
            allowed = missing = False
        if not allowed:
            message = "Photos may not come from this folder." if there else "No backup may be written there."
            raise ServiceRefusal(403, message, "Whoever runs the service allows folders.", kind="folder")
        if missing:
            raise ServiceRefusal(404, "There is no such folder.", "Check how it is written.", kind="no_folder")
        return str(real)

    def forget(self) -> None:
        """Read anew which folders were ingested."""
        self._roots_seen = (-_FOLDERS_SECONDS, [])

    # -- what a person may see of paths --------------------------------------------------------------------------

    def shown(self, identity: Identity) -> Callable[[str], str]:
        """What a person is told of a path.

        Who may export or ingest sees all of it; others the part from the ingested folder on: ``Photos/2019/a.jpg``.
        """
        if _SEES_PATHS & identity.scopes:
            return str
        tops = self._tops()

        def below(path: str) -> str:
            plain = unicodedata.normalize("NFC", path.replace(os.sep, "/"))
            top = next((top for top in tops if plain.startswith(top)), None)
            if top is None:
                return "" if plain.endswith("/") else plain.rpartition("/")[2]
            return plain[len(_above(top)) :]

        return below

    def said(self, text: str, identity: Identity) -> str:
        """What a person is told in sentences that may name the library's own files: where it lies is its user's."""
        return text if identity.kind in {"owner", "local"} else text.replace(self._library.place, "the library")

    def _known_by(self, given: str | None, identity: Identity) -> str | None:
        """The folder that a person means: as `shown` gave it."""
        if given is None or _SEES_PATHS & identity.scopes:
            return given
        for top in self._tops():
            name = top[len(_above(top)) :]
            if (given + "/").startswith(name) and ".." not in given.split("/"):
                return _above(top) + given
        raise ServiceRefusal(422, "There is no such folder.", "GET /api/v1/folders lists the folders.")

    def _tops(self) -> list[str]:
        """The folders that were ingested, each with its slash; one inside another comes after it."""
        read, tops = self._roots_seen
        if time.monotonic() - read > _FOLDERS_SECONDS:
            found = [root.replace(os.sep, "/").rstrip("/") + "/" for root in self._library.roots()]
            found += [f"{name}:/" for name in self._library.connected()]  # which is no folder of the machine
            roots = {unicodedata.normalize("NFC", root) for root in found}
            tops = sorted(roots, key=len)
            self._roots_seen = (time.monotonic(), tops)
        return tops


def _above(top: str) -> str:
    """The folder that a folder lies in, with its slash; "" for a mount, which lies in none."""
    above, slash, _ = top.rstrip("/").rpartition("/")
    return above + "/" if slash or top == "/" else ""
