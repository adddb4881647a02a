"""How many files a process may have open at a time: too few, and libraries' own threads stand still or die."""

from __future__ import annotations

import os
from contextlib import suppress

from facekit.errors import FacekitError

_FILES = 64
"""Of an open library that ingests, besides its workers' and those open before: catalog, index with its connections,
log, photos. At most 25 were seen with a small library; a large one has more segments of its index open."""

_FILES_A_WORKER = 5
"""Pipes and what tells of its end; while it starts, both ends of the pipes."""


def allow_files(workers: int) -> None:
    """See to it that a library with so many workers may open the files that it needs.

    The soft limit is raised for this process where the hard one permits.

    Raises
    ------
    FacekitError
        If it does not.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _open_now() + _FILES + _FILES_A_WORKER * workers
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            return
    message = f"This process may have {soft} files open at a time; a library needs {needed} here."
    raise FacekitError(message, f"Run `ulimit -n {max(1024, needed)}` first, or ask who runs this machine for more.")


def _open_now() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208 - names are enough
    return 16
