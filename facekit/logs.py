"""Logging: everything into a rotating file of the library, warnings only onto the console."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from loguru import logger

from facekit.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loguru import Record

_LOG_ROOM = 2**20  # bytes free, below which nothing is logged
_state = {"quiet": False}


def quiet_console() -> None:
    """Show only facekit's warnings and notices on stderr, once; what other packages log is shown as before.

    A notice is what a user should see although all is well, such as a download: ``logger.bind(notice=True).info(...)``.
    """
    if _state["quiet"]:
        return
    _state["quiet"] = True
    with suppress(ValueError):  # loguru's own handler is gone when somebody has set up logging: theirs to decide
        logger.remove(0)
        line = "<level>{level: <8}</level> {message}"
        logger.add(sys.stderr, filter=_for_console, format=line, level="DEBUG", diagnose=False)


def _for_console(record: Record) -> bool:
    ours = (record["name"] or "").startswith("facekit")
    return not ours or record["level"].no >= logger.level("WARNING").no or bool(record["extra"].get("notice"))


def log_only_into(path: Path) -> None:
    """Log facekit's doings into one file and nothing anywhere else: a web page's visitor sees what a kernel prints."""
    logger.remove()
    _state["quiet"] = True
    logger.add(path, filter="facekit", level="INFO", encoding="utf-8", errors="backslashreplace", diagnose=False)


def forget_in_logs(folder: Path, names: Sequence[str]) -> None:
    """Take the lines out of a library's logs that name something."""
    wanted = [name.encode("utf-8", "backslashreplace") for name in names]
    for path in (folder / "logs").glob("*.log"):
        with path.open("r+b") as stream:  # in place: loguru has it open, and appends
            lines = stream.readlines()
            kept = [line for line in lines if not any(name in line for name in wanted)]
            if len(kept) < len(lines):
                stream.seek(0)
                stream.writelines(kept)
                stream.truncate()


def log_into(folder: Path) -> int:
    """Log facekit's doings into ``logs/facekit.log`` (10 MB a file, five kept). Returns the sink's number."""
    path = folder / "logs" / "facekit.log"

    def wanted(record: Record) -> bool:
        # On a full disk loguru would print a traceback for each line that it can't write.
        return (record["name"] or "").startswith("facekit") and shutil.disk_usage(folder).free > _LOG_ROOM

    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return logger.add(
            path,
            filter=wanted,
            level="DEBUG",
            rotation="10 MB",
            retention=5,
            encoding="utf-8",
            errors="backslashreplace",
            diagnose=False,  # the values of variables may be passwords
        )
    except OSError as error:
        message = f"The library's log {path} can't be written: {error.strerror or error}."
        raise LibraryError(message, f"See that {path.parent} is a folder that you may write, or remove it.") from error
