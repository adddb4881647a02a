"""Logging: everything into a rotating file of the library, warnings only onto the console.

Files that are kept name photos by id, so that what is removed from a library is named nowhere; a console shows names:
``logger.bind(console="a.jpg is damaged").warning("photo 0a1b2c3d4e5f: corrupt")``.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.errors import LibraryError
from facekit.system.permissions import make_private_folder, private_opener
from facekit.text.names import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from loguru import Record

_LOG_ROOM = 2**20  # bytes free, below which nothing is logged
_state = {"quiet": False}
_WHERE = "{time:YYYY-MM-DD HH:mm:ss.SSS} | {level: <8} | {name}:{function}:{line}"
_SHORT = 12  # letters of a photo's id, as many as stand for one photo among millions
_TAG = re.compile(r"\\?</?(?:[fb]g\s)?[^<>\s]*>")  # what loguru takes for a colour


def quiet_console() -> None:
    """Show only facekit's warnings and notices on stderr, once; what other packages log is shown as before.

    A notice is what a user should see although all is well, such as a download: ``logger.bind(notice=True).info(...)``.
    A notebook shows stderr in red, as failures: there, notices are printed.
    """
    if _state["quiet"]:
        return
    _state["quiet"] = True
    with suppress(ValueError):  # loguru's own handler is gone when somebody has set up logging: theirs to decide
        logger.remove(0)
        in_notebook = type(sys.stderr).__module__.startswith("ipykernel")
        shown = _for_console
        if in_notebook:
            logger.add(_print, filter=_is_notice, format=_notice_line, level="DEBUG", diagnose=False)
            shown = _for_stderr_of_notebook
        logger.add(sys.stderr, filter=shown, format=_console_line, level="DEBUG", diagnose=False)


def _print(text: str) -> None:
    sys.stdout.write(text)  # of the cell that runs now


def _is_notice(record: Record) -> bool:
    return bool(record["extra"].get("notice")) and record["level"].no < logger.level("WARNING").no


def _for_console(record: Record) -> bool:
    ours = (record["name"] or "").startswith("facekit")
    return not ours or record["level"].no >= logger.level("WARNING").no or _is_notice(record)


def _for_stderr_of_notebook(record: Record) -> bool:
    return _for_console(record) and not _is_notice(record)


def _console_line(record: Record) -> str:
    return f"<level>{{level: <8}}</level> {_message(record, names=True)}\n{{exception}}"


def _notice_line(record: Record) -> str:
    return f"{_message(record, names=True)}\n{{exception}}"


def _file_line(record: Record) -> str:
    return f"{_WHERE} - {_message(record)}\n{{exception}}"


def _message(record: Record, *, names: bool = False) -> str:
    """The message on one line, for loguru's format: a name in it can't begin a line of its own, nor colour one."""
    text = (
        one_line((names and record["extra"].get("console")) or record["message"]).replace("{", "{{").replace("}", "}}")
    )
    return _TAG.sub(r"\\\g<0>", text)


def short_id(photo_id: str) -> str:
    """What a photo is called in a log."""
    return photo_id[:_SHORT]


def log_only_into(path: Path) -> None:
    """Log facekit's doings into one file and nothing anywhere else: a web page's visitor sees what a kernel prints."""
    logger.remove()
    _state["quiet"] = True
    how: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "opener": private_opener}
    logger.add(path, filter="facekit", format=_file_line, level="INFO", diagnose=False, **how)


def forget_in_logs(folder: Path, names: Sequence[str]) -> None:
    """Take the lines out of a library's logs that name something: facekit's own don't, what a failure said may."""
    spelt = {form for name in names for form in (name, one_line(name), repr(name)[1:-1])}
    # Of many names few folders: a line that names none of these names none of them.
    wanted: dict[bytes, list[bytes]] = {}
    for form in spelt:
        name = form.encode("utf-8", "backslashreplace")
        wanted.setdefault(os.path.dirname(name), []).append(name)  # noqa: PTH120 - bytes
    for path in (folder / "logs").glob("*.log"):
        with path.open("r+b") as stream:  # in place: loguru has it open, and appends
            content = stream.read()
            near = {above: names_in for above, names_in in wanted.items() if above in content}
            lines = content.split(b"\n") if near else []
            kept = [line for line in lines if not _names_any(line, near)]
            if len(kept) < len(lines):
                stream.seek(0)
                stream.write(b"\n".join(kept))
                stream.truncate()


def _names_any(line: bytes, wanted: Mapping[bytes, Sequence[bytes]]) -> bool:
    return any(above in line and any(name in line for name in names) for above, names in wanted.items())


def log_into(folder: Path) -> int:
    """Log facekit's doings into ``logs/facekit.log`` (10 MB a file, five kept). Returns the sink's number."""
    path = folder / "logs" / "facekit.log"

    def wanted(record: Record) -> bool:
        # On a full disk loguru would print a traceback for each line that it can't write.
        return (record["name"] or "").startswith("facekit") and shutil.disk_usage(folder).free > _LOG_ROOM

    try:
        make_private_folder(path.parent)
        return logger.add(
            path,
            filter=wanted,
            format=_file_line,
            level="DEBUG",
            rotation="10 MB",
            retention=5,
            encoding="utf-8",
            errors="backslashreplace",
            opener=private_opener,
            diagnose=False,  # the values of variables may be passwords
        )
    except OSError as error:
        message = f"The library's log {path} can't be written: {error.strerror or error}."
        raise LibraryError(message, f"See that {path.parent} is a folder that you may write, or remove it.") from error


def remove_sink(sink: int) -> None:
    """Log no more into what `log_into` opened."""
    with suppress(ValueError):  # somebody removed all of loguru's sinks
        logger.remove(sink)
