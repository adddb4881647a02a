"""What lets facekit into connected places: the token to use, renewed where it has to be."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from facekit.errors import SignInError
from facekit.sources.kinds import kind_named
from facekit.sources.signing_in.oauth import renew
from facekit.sources.signing_in.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.catalog.sources import SourceRow
    from facekit.sources.item import Access, Token

_EARLY = 60.0  # seconds, ours: a token that is about to end is renewed, so that it does not end under way


class Tokens:
    """The tokens of a library's places, as this machine keeps them.

    Parameters
    ----------
    folder : Path
        What this machine keeps of the library.
    """

    def __init__(self, folder: Path) -> None:
        self._vault = Vault(folder)
        self._unwritten: dict[str, Token] = {}  # renewed, when the disk was full: those before are good no longer

    def access(self, row: SourceRow) -> Access:
        """What gives a place's connector its token; see `facekit.sources.item.Access`."""
        return lambda refused: self._token_of(row, refused)

    def put(self, name: str, token: Token) -> None:
        """Keep a token in place of the one before. Raises SourceError, and RefusedError without the packages."""
        with self._vault.alone():
            self._unwritten.pop(name, None)
            self._vault.put(name, token)

    def get(self, name: str) -> Token | None:
        """The token of a place, None where none is kept here. Raises SourceError, and SignInError for a lost one."""
        return self._unwritten.get(name) or self._vault.get(name)

    def forget(self, name: str) -> None:
        """Forget the token of a place. Raises SourceError."""
        self._unwritten.pop(name, None)
        self._vault.forget(name)

    def _token_of(self, row: SourceRow, refused: str | None) -> str | None:
        kind, token = kind_named(row.kind), self.get(row.name)
        if token is None and refused is None and not kind.needs_token:
            return None
        if token is not None and _is_good(token, refused) and row.name not in self._unwritten:
            return token.access
        with self._vault.alone():  # of two that want it renewed, in two processes, the second finds it done
            token = self.get(row.name)
            if token is None:
                message = f"This machine has no token of {row.name}."
                raise SignInError(message, f"Sign in, or give one: facekit sources reconnect {row.name}.")
            if not _is_good(token, refused):
                if token.refresh is None or kind.sign_in is None:
                    message = f"{kind.words} takes the token of {row.name} no longer."
                    raise SignInError(message, f"Give it another: facekit sources reconnect {row.name}.")
                token = renew(kind.sign_in, token)
                self._unwritten[row.name] = token
            if row.name in self._unwritten:
                self._vault.put(row.name, token)  # before it is used: the one before may be good no longer
                del self._unwritten[row.name]
        return token.access


def _is_good(token: Token, refused: str | None) -> bool:
    """Whether to try a token. One that can't be renewed is tried in any case: it is the service's clock that counts."""
    ended = token.expires_at is not None and token.expires_at < time() + _EARLY
    return token.access != refused and not (ended and token.refresh)
