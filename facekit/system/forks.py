"""Forks of this process: they have none of its threads, and a copy of everything that is the parent's to use.

A native call in a fork waits for threads that are not there, and what is closed or destroyed in a fork is closed under
the parent: its lock, its database. So a fork is refused what the parent opened, and leaves it alone.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

from facekit.errors import ForkError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refuse_fork(process: int, what: str) -> None:
    """Refuse what another process opened.

    Parameters
    ----------
    process : int
        The id of the process that opened it.
    what : str
        What that is, as a sentence begins with it.

    Raises
    ------
    ForkError
        If this is another process, a fork of that one.
    """
    if os.getpid() != process:
        message = f"{what} was opened in process {process}, of which this one ({os.getpid()}) is a fork."
        raise ForkError(message, "Start processes with multiprocessing.get_context('spawn'), and open it there.")


def in_forks(function: Callable[[], None]) -> None:
    """Have a function called in every fork of this process, first of all."""
    if hasattr(os, "register_at_fork"):  # Windows has no forks
        os.register_at_fork(after_in_child=function)


def never_destroy(value: object) -> None:
    """Keep an object, with all that it refers to, to the very end of this process, and through it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


_held: set[Path] = set()


def give_up_in_forks(path: Path) -> None:
    """Let go, in forks, of a lock file that this process holds open, or it would stay locked when this one has died."""
    _held.add(path)


@in_forks
def _give_up() -> None:
    files = set()
    for path in _held:
        with suppress(OSError):
            files.add(_identity(path.stat()))
    if not files:
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - names, not paths
        with suppress(OSError):  # the listing's own is closed again
            if _identity(os.fstat(number)) in files:
                os.dup2(nothing, number, inheritable=False)  # whoever closes the number later closes nothing else's
    os.close(nothing)
    _held.clear()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


_networks: WeakSet[object] = WeakSet()


def keep_in_forks(network: object) -> None:
    """An open network is never destroyed in a fork: its destructor may wait for the network's threads for ever."""
    _networks.add(network)


@in_forks
def _keep_networks() -> None:
    for network in list(_networks):
        never_destroy(network)
