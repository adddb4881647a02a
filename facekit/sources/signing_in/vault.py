"""Tokens of connected places, encrypted, in a file of the library's folder that only its owner can read.

The key lies elsewhere, see `token_key` beside this. Nothing but this file holds a token: no catalog, log, export,
job, backup or error. It stays with the folder: a library that was moved, or restored beside it, is signed in anew.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict
from threading import Lock
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from facekit.errors import RefusedError, SignInError, SourceError
from facekit.sources.item import Token
from facekit.sources.signing_in.token_key import KeyPlace, key_to_read_with, key_to_write_with
from facekit.system.disk_space import remedy_for
from facekit.system.files import atomic_file
from facekit.system.forks import give_up_in_forks
from facekit.system.permissions import OTHERS, PRIVATE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.fernet import Fernet

FILE = "tokens.json"
LOCK = "tokens.lock"
_FORMAT = 1
_LOCK_SECONDS = 600.0  # ours: longer than any renewal takes, with all its tries


class Vault:
    """Keeps tokens by the names of their places, for all processes of this machine that use the library.

    Parameters
    ----------
    folder : Path
        What this machine keeps of the library.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / FILE
        self._mutex, self._lock = Lock(), FileLock(folder / LOCK, mode=PRIVATE_FILE)
        give_up_in_forks(folder / LOCK)
        self._seen: tuple[int, int, int] | None = None  # of the file that was read last
        self._sealed: dict[str, dict[str, str]] = {}
        self._open: dict[str, tuple[str, Token]] = {}  # by name: what was read, and what it says

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes a token meanwhile, in this process or another. It may be entered again inside.

        Raises
        ------
        SourceError
            If another process does not come to its end, or the folder can't be written.
        """
        try:
            self._lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout as error:
            message = "Another process has been changing the tokens of this library for long."
            raise SourceError(message, "Try again later.") from error
        except OSError as error:
            raise _not_written(error) from error
        try:
            yield
        finally:
            self._lock.release()

    def get(self, name: str) -> Token | None:
        """The token of a place, None where none is kept.

        Raises
        ------
        SignInError
            If it can't be read any more: its key is lost, or the file is damaged.
        SourceError
            If the file can't be read for now, or a newer facekit wrote it.
        """
        with self._mutex:
            self._look(name)
            sealed = self._sealed.get(name)
            if sealed is None:
                return None
            known = self._open.get(name)
            if known is None or known[0] != sealed["token"]:
                known = self._open[name] = (sealed["token"], _opened(name, sealed))
            return known[1]

    def put(self, name: str, token: Token) -> None:
        """Keep a token; it is on disk when this returns. Raises SourceError, and RefusedError without the packages."""
        place, key = key_to_write_with(self._folder)
        said = json.dumps({"place": name, **asdict(token)}).encode()
        sealed = {"key": place.value, "token": _cipher(key).encrypt(said).decode()}
        with self.alone(), self._mutex:
            self._look(None)
            self._write(self._sealed | {name: sealed})

    def forget(self, name: str) -> None:
        """Forget a token: the file does not hold it any more, in no form. Raises SourceError."""
        if not self._path.exists():
            return
        with self.alone(), self._mutex:
            self._look(None)
            self._write({key: value for key, value in self._sealed.items() if key != name})

    def _look(self, name: str | None) -> None:
        """Read the file if it is another one than before; a damaged one is a new one, to whoever is about to write."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return
            self._sealed = _entries(json.loads(self._path.read_bytes()))
            self._seen = seen
        except FileNotFoundError:
            self._sealed, self._seen = {}, None
        except OSError as error:
            message = f"The tokens of this library can't be read: {error.strerror or error}."
            raise SourceError(message, f"See to it that you may read {FILE} in its folder.") from error
        except (ValueError, TypeError, KeyError, AttributeError):
            self._sealed, self._seen = {}, None
            if name is not None:
                raise _lost(name, f"The file {FILE} in the library's folder is damaged") from None

    def _write(self, sealed: dict[str, dict[str, str]]) -> None:
        self._seen = None  # whatever happens, it is read again
        self._open = {name: known for name, known in self._open.items() if name in sealed}
        try:
            if not sealed:
                self._path.unlink(missing_ok=True)
                return
            if os.name != "nt" and self._path.exists() and self._path.stat().st_mode & OTHERS:
                self._path.chmod(PRIVATE_FILE)
            with atomic_file(self._path, mode=PRIVATE_FILE) as file:
                file.write(json.dumps({"format": _FORMAT, "tokens": sealed}, indent=1).encode())
        except OSError as error:
            raise _not_written(error) from error


def _entries(document: Any) -> dict[str, dict[str, str]]:  # noqa: ANN401 - JSON
    if int(document["format"]) > _FORMAT:
        message = "A newer facekit wrote the tokens of this library."
        raise SourceError(message, "Upgrade facekit.")
    return {str(name): {"key": str(one["key"]), "token": str(one["token"])} for name, one in document["tokens"].items()}


def _opened(name: str, sealed: dict[str, str]) -> Token:
    """A token as it was. Raises SignInError."""
    try:
        place = KeyPlace(sealed["key"])
    except ValueError:
        raise _lost(name, f"The token of {name} was kept by another facekit") from None
    key = key_to_read_with(place)
    if key is None:
        where = "the system's keyring" if place is KeyPlace.KEYRING else "a file"
        raise _lost(name, f"The token of {name} can't be read: its key was in {where}, and can't be had from there")
    cipher, said = _cipher(key), None
    from cryptography.fernet import InvalidToken

    with suppress(InvalidToken, ValueError):
        said = json.loads(cipher.decrypt(sealed["token"].encode()))
    if not isinstance(said, dict) or said.pop("place", None) != name:
        raise _lost(name, f"The token of {name} can't be read: its key is not the one that it was kept with")
    return Token(**said)


def _cipher(key: bytes) -> Fernet:
    """What encrypts and decrypts. Raises RefusedError without the package, SourceError for what is no key."""
    try:
        from cryptography.fernet import Fernet
    except ModuleNotFoundError as error:
        raise without_packages() from error
    try:
        return Fernet(key)
    except ValueError:
        pass
    message = "What should be the key of the tokens is none."
    raise SourceError(message, "Delete the file that holds it, then sign in anew: facekit sources reconnect NAME.")


def without_packages() -> RefusedError:
    """The error where the packages that keep and get tokens are missing."""
    message = "Signing in takes the packages cryptography, keyring and oauthlib."
    return RefusedError(message, 'Install them: pip install "facekit[sources]".')


def _lost(name: str, message: str) -> SignInError:
    return SignInError(f"{message}.", f"Sign in again: facekit sources reconnect {name}.")


def _not_written(error: OSError) -> SourceError:
    message = f"The tokens of this library can't be written: {error.strerror or error}."
    return SourceError(message, remedy_for(error))
