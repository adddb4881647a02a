"""Hashes of contents, as the services give them."""

from __future__ import annotations

import hashlib
from typing import Protocol

_BLOCK = 4 * 2**20  # bytes; Dropbox: https://www.dropbox.com/developers/reference/content-hash


class Hash(Protocol):
    """As `hashlib` has them."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """The hash of all that was added."""


class DropboxHash:
    """Dropbox's ``content_hash``: the SHA-256 of the SHA-256s of each 4 MiB."""

    def __init__(self) -> None:
        self._all = hashlib.sha256()
        self._block = hashlib.sha256()
        self._room = _BLOCK

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        view = memoryview(data)
        while view:
            part, view = view[: self._room], view[self._room :]
            self._block.update(part)
            self._room -= len(part)
            if not self._room:
                self._end_block()

    def _end_block(self) -> None:
        self._all.update(self._block.digest())
        self._block, self._room = hashlib.sha256(), _BLOCK

    def hexdigest(self) -> str:
        """The hash of all that was added."""
        whole = self._all.copy()
        if self._room < _BLOCK:
            whole.update(self._block.digest())
        return whole.hexdigest()


def hash_of(content: str | None) -> Hash | None:
    """What makes a hash of the kind that `SourceItem.content` has; None where there is none, or of another kind."""
    kind = (content or "").partition(":")[0]
    if kind == "sha256":
        return hashlib.sha256()
    if kind == "md5":
        return hashlib.md5(usedforsecurity=False)
    return DropboxHash() if kind == "dropbox" else None


def is_hash(content: str, made: Hash) -> bool:
    """Whether a hash that was made is the one that a service gave."""
    return made.hexdigest() == content.partition(":")[2].lower()
