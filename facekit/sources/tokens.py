"""What lets facekit into connected places."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.catalog.sources import SourceRow
    from facekit.sources.item import Access, Token


class Tokens:
    """The tokens of a library's places; for as long as this process lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, Token] = {}

    def access(self, row: SourceRow) -> Access:
        """What gives a place's connector its token."""
        return lambda _refused: None if (token := self.get(row.name)) is None else token.access

    def put(self, name: str, token: Token) -> None:
        """Keep a token."""
        self._kept[name] = token

    def get(self, name: str) -> Token | None:
        """The token of a place."""
        return self._kept.get(name)

    def forget(self, name: str) -> None:
        """Forget the token of a place."""
        self._kept.pop(name, None)
