"""The key that tokens are encrypted with. It lies apart from every library: what is copied with one opens nothing.

It is in the system's keyring where there is a real one, else in a file of the user's configuration that only its owner
can read. ``FACEKIT_TOKEN_KEY_FILE`` names another file, for services.
"""

from __future__ import annotations

import os
from concurrent.futures import TimeoutError as NotInTimeError
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import RefusedError, SourceError
from facekit.system.disk_space import remedy_for
from facekit.system.files import atomic_file
from facekit.system.permissions import OTHERS, PRIVATE_FILE, make_private_folder
from facekit.system.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "FACEKIT_TOKEN_KEY_FILE"
_SERVICE, _USER = "facekit", "key of the tokens of connected places"  # as they stand in the keyring
_RECOMMENDED = 1  # a backend's priority from which on keyring takes it by itself: plaintext files and none have less
_UNLOCK_SECONDS = 90.0  # ours: for the user to unlock the keyring
_FILE_BYTES = 4096  # a key has 44

_threads = Threads(1, "facekit-keyring")
_silent: set[str] = set()  # whether the keyring did not answer before


class KeyPlace(StrEnum):
    """Where a key lies."""

    KEYRING = "keyring"
    FILE = "file"


def key_file() -> Path:
    """The file that a key is in, or would be."""
    from platformdirs import user_config_path

    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else user_config_path("facekit", appauthor=False) / "token.key"


def key_to_write_with(library: Path) -> tuple[KeyPlace, bytes]:
    """The key for new tokens, and where it lies; it is made where there is none. Another process may be doing the same.

    Raises
    ------
    SourceError
        If it can't be read or written.
    RefusedError
        If the variable names a file in the library's own folder.
    """
    if not os.environ.get(VARIABLE):
        key = _of_keyring(_get_or_make)
        if key:
            return KeyPlace.KEYRING, key
    path = key_file()
    if path.resolve().is_relative_to(library.resolve()):
        message = "The key of the tokens would lie in the library's own folder, and be copied with it."
        raise RefusedError(message, f"Let {VARIABLE} name a file elsewhere.")
    key = key_to_read_with(KeyPlace.FILE)
    if key is None:
        try:
            key = _made(path)
        except OSError as error:
            message = f"The file with the key of the tokens can't be written: {error.strerror or error}."
            raise SourceError(message, f"{remedy_for(error)} {VARIABLE} can name another file.") from error
    return KeyPlace.FILE, key


def key_to_read_with(place: KeyPlace) -> bytes | None:
    """The key that lies at a place; None where there is none, or where it can't be had."""
    if place is KeyPlace.KEYRING:
        return _of_keyring(_get)
    try:
        with key_file().open("rb") as file:
            return file.read(_FILE_BYTES).strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"The file with the key of the tokens can't be read: {error.strerror or error}."
        raise SourceError(message, f"See to it that you may read it; {VARIABLE} names it, or can.") from error


def _made(path: Path) -> bytes:
    """A new key in a file, or the one that another process was quicker to write."""
    from cryptography.fernet import Fernet
    from filelock import FileLock

    make_private_folder(path.parent)
    with FileLock(path.with_name(f"{path.name}.lock"), mode=PRIVATE_FILE, timeout=_UNLOCK_SECONDS):
        key = key_to_read_with(KeyPlace.FILE)
        if key is None:
            key = Fernet.generate_key()
            with atomic_file(path, mode=PRIVATE_FILE) as file:
                file.write(key)
            if os.name != "nt" and path.stat().st_mode & OTHERS:  # there was an empty one
                path.chmod(PRIVATE_FILE)
    return key


# -- the keyring -------------------------------------------------------------------------------------------------------


def _of_keyring(ask: Callable[[], bytes | None]) -> bytes | None:
    """What the keyring answers; None where there is no real one, or it can't be asked: who it belongs to is away."""
    if _silent:
        return None
    future = _threads.submit(ask)
    try:
        return future.result(_UNLOCK_SECONDS)
    except NotInTimeError:  # it waits for somebody to unlock it
        _silent.add("")
        _threads.leave([future])
    except Exception:  # noqa: BLE001, S110 - each backend has errors of its own, and they may name what it holds
        pass
    return None


def _get() -> bytes | None:
    import keyring

    if not _is_real(keyring.get_keyring()):
        return None
    found = keyring.get_password(_SERVICE, _USER)
    return found.encode() if found else None


def _get_or_make() -> bytes | None:
    import keyring
    from cryptography.fernet import Fernet

    found = _get()
    if found is None and _is_real(keyring.get_keyring()):
        keyring.set_password(_SERVICE, _USER, Fernet.generate_key().decode())
        found = _get()  # what is there now: another process may have written one, too
    return found


def _is_real(backend: object) -> bool:
    """Whether a keyring keeps secrets as one: the packages of keyring give none and plaintext ones low priorities."""
    try:
        return bool(getattr(backend, "priority", 0) >= _RECOMMENDED)
    except Exception:  # noqa: BLE001 - one that can't work here says so by an error
        return False
