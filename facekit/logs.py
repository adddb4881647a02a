"""Logging: everything into a rotating file of the library, warnings only onto the console."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from loguru import logger

from facekit.texts import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from loguru import Record

_state = {"quiet": False}
_WHERE = "{time:YYYY-MM-DD HH:mm:ss.SSS} | {level: <8} | {name}:{function}:{line}"
_TAG = re.compile(r"\\?</?(?:[fb]g\s)?[^<>\s]*>")  # what loguru takes for a colour


def quiet_console() -> None:
    """Show only facekit's warnings and notices on stderr, once; what other packages log is shown as before.

    A notice is what a user should see although all is well, such as a download: ``logger.bind(notice=True).info(...)``.
    """
    if _state["quiet"]:
        return
    _state["quiet"] = True
    with suppress(ValueError):  # loguru's own handler is gone when somebody has set up logging: theirs to decide
        logger.remove(0)
        logger.add(sys.stderr, filter=_for_console, format=_console_line, level="DEBUG", diagnose=False)


def _for_console(record: Record) -> bool:
    ours = (record["name"] or "").startswith("facekit")
    return not ours or record["level"].no >= logger.level("WARNING").no or bool(record["extra"].get("notice"))


def _console_line(record: Record) -> str:
    return f"<level>{{level: <8}}</level> {_message(record)}\n{{exception}}"


def _file_line(record: Record) -> str:
    return f"{_WHERE} - {_message(record)}\n{{exception}}"


def _message(record: Record) -> str:
    """The message on one line, for loguru's format: a name in it can't begin a line of its own, nor colour one."""
    text = one_line(record["message"]).replace("{", "{{").replace("}", "}}")
    return _TAG.sub(r"\\\g<0>", text)


def log_only_into(path: Path) -> None:
    """Log facekit's doings into one file and nothing anywhere else: a web page's visitor sees what a kernel prints."""
    logger.remove()
    _state["quiet"] = True
    logger.add(
        path,
        filter="facekit",
        format=_file_line,
        level="INFO",
        encoding="utf-8",
        errors="backslashreplace",
        diagnose=False,
    )


def log_into(folder: Path) -> int:
    """Log facekit's doings into ``logs/facekit.log`` (10 MB a file, five kept). Returns the sink's number."""
    return logger.add(
        folder / "logs" / "facekit.log",
        filter="facekit",
        format=_file_line,
        level="DEBUG",
        rotation="10 MB",
        retention=5,
        encoding="utf-8",
        errors="backslashreplace",
        diagnose=False,  # the values of variables may be passwords
    )
