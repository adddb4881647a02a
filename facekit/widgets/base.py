"""What all widgets share: their JavaScript and CSS, the language, and how a failure is shown."""

from __future__ import annotations

import asyncio
import json
import re
from functools import cache, wraps
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

import anywidget
import traitlets
from loguru import logger

from facekit.errors import DiskFullError, FacekitError, LibraryBusyError, NoFaceError, PhotoError, ServiceError
from facekit.storage.logs import quiet_console

if TYPE_CHECKING:
    from collections.abc import Callable

_STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r'^import .*? from "\./([\w.]+)".*;\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |(?:async )?function |class )", re.MULTILINE)

UNAUTHORIZED = 401  # RFC 9110, 15.5.2: a service does not know who is asking, or not any more
EXPIRED = "error.expired"

# What a service says, by its kind or else its status; everything else is shown in its own words.
_SERVICE: dict[str | int, str] = {
    0: "error.no_answer",
    UNAUTHORIZED: EXPIRED,
    403: "error.forbidden",
    429: "error.too_often",
    "folder": "error.folder",
    "no_folder": "error.no_folder",
    "disk_full": "error.disk_full",
}

quiet_console()  # loguru's own handler prints the values of variables, among them what somebody types

P = ParamSpec("P")
W = TypeVar("W", bound="Widget")


@cache
def texts() -> dict[str, dict[str, Any]]:
    """The one table of texts: by key and language a text, or its plural forms by CLDR category."""
    table: dict[str, dict[str, Any]] = json.loads((_STATIC / "texts.json").read_text(encoding="utf-8"))
    return table


def script(name: str) -> str:
    """The JavaScript of a widget as the one module that a front end wants.

    ``static/NAME.js`` is a module that imports from ``./shared.js``; a widget's module is loaded without an address,
    so that it can't import: the shared code, and the texts it needs, are put in front.
    """
    own = (_STATIC / f"{name}.js").read_text(encoding="utf-8")
    parts = [_IMPORT.sub("", own)]
    for file in dict.fromkeys(_IMPORT.findall(own)):
        parts.insert(0, _EXPORT.sub("", _IMPORT.sub("", (_STATIC / file).read_text(encoding="utf-8"))))
    wanted = {key: forms for key, forms in texts().items() if key.split(".")[0] in {name, "common", "error"}}
    return "\n".join([f"const TEXTS = {json.dumps(wanted, ensure_ascii=False)};", *parts])


def style(name: str) -> str:
    """The CSS of a widget: the shared rules and its own."""
    return "\n".join((_STATIC / f"{file}.css").read_text(encoding="utf-8") for file in ("shared", name))


class Widget(anywidget.AnyWidget):
    """A widget of facekit.

    ``language`` is "en", "ru", or "" for the browser's; ``problem`` is what went wrong last, as `problem_of` says it.
    """

    language = traitlets.Unicode("").tag(sync=True)
    problem = traitlets.Dict().tag(sync=True)


def problem_of(error: BaseException, reference: str) -> dict[str, Any]:
    """What a person is shown of a failure: the key of a text with its values, and the log's reference."""
    key = _key_of(error)
    if key == EXPIRED:
        return {"key": key, "values": {}}
    if key == "error.said" and isinstance(error, ServiceError):  # its message has the service's own reference
        return {"key": key, "values": {"message": str(error)}}
    values = {"message": str(error)} if key == "error.said" else {}
    if isinstance(error, ServiceError):
        theirs = re.search(r"\(reference (\w+)\)", error.remedy)
        reference = theirs[1] if theirs else reference
        values["seconds"] = "".join(re.findall(r"\d+", error.remedy)[:1])
    return {"key": key, "values": values | {"reference": reference}}


def _key_of(error: BaseException) -> str:
    """The text for a failure."""
    if isinstance(error, ServiceError):
        return _SERVICE.get(error.kind or error.status, "error.said")
    kinds = {
        NoFaceError: "error.no_face",
        DiskFullError: "error.disk_full",
        LibraryBusyError: "error.running",
        FacekitError: "error.said",
    }
    if isinstance(error, PhotoError):
        return f"error.photo.{error.status}"
    return next((key for kind, key in kinds.items() if isinstance(error, kind)), "error.internal")


def handler(method: Callable[Concatenate[W, P], None]) -> Callable[Concatenate[W, P], None]:
    """Make a method the answer to something a person did: what goes wrong is logged, and shown in ``problem``."""

    @wraps(method)
    def run(self: W, /, *args: P.args, **kwargs: P.kwargs) -> None:
        attempt(self, method, self, *args, **kwargs)

    return run


def attempt(widget: Widget, act: Callable[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """Do what a person asked for by a widget: what goes wrong is logged, and shown in the widget's ``problem``."""
    widget.problem = {}  # before, not after: what another attempt, made by this one, has to say stays
    try:
        act(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - a front end would swallow it
        reference = uuid4().hex[:8]
        expected = isinstance(error, FacekitError)
        where = f"{type(widget).__name__} [{reference}]"
        said = logger.bind(console=f"{where} {error}")  # it may name photos
        said.opt(exception=not expected).error("{} {}", where, type(error).__name__)
        widget.problem = problem_of(error, reference)


def in_background(work: Callable[[], None], tell: Callable[[], None], name: str) -> Thread:
    """Start ``work`` in a thread, and ``tell`` of its end: in the kernel's own loop where there is one.

    Both are to catch what goes wrong in them: nobody is there to be told.
    """
    try:
        loop = asyncio.get_running_loop()  # a kernel has one; a script has none
    except RuntimeError:
        loop = None

    def run() -> None:
        work()
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(tell)
        else:
            tell()

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
