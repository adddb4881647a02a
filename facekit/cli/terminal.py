"""What the command line prints, and the options that several verbs have."""

from __future__ import annotations

import json
import re
import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from facekit.errors import LibraryError, RefusedError
from facekit.text.names import lines, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from facekit.library.base import Library
    from facekit.storage.place import Place


class _Terminal(Console):
    """A console on which what steers a terminal is written out: names of files and people may hold anything."""

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - rich's own
        return super().render_str(lines(text), **options)


out = _Terminal(highlight=False)
note = _Terminal(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, everything else on stderr.")]
Device = Annotated[str, typer.Option(help="Where the models run: auto, cpu, cuda or coreml.")]
EngineName = Annotated[
    str,
    typer.Option("--engine", help="What runs them: auto, onnxruntime, openvino, openvino-bf16 or tensorflow."),
]
Source = Annotated[
    str | None, typer.Option(help="Only photos from this source, by its name, or from all of a kind (vk).")
]
Album = Annotated[str | None, typer.Option(help="Only photos of this album of a connected place, or of those in it.")]


def open_given(context: typer.Context, **options: Any) -> Library:  # noqa: ANN401 - passed on
    """The library that --library names, made where there is none."""
    from facekit.library.opening import open_library

    return open_library(context.obj, **options)


def open_existing(context: typer.Context, **options: Any) -> Library:  # noqa: ANN401 - passed on
    """The library that --library names, which must be there. Raises FacekitError."""
    check_there(context.obj)
    return open_given(context, **options)


def check_there(place: Place) -> None:
    """Refuse a folder in which there is no library. Raises LibraryError."""
    from facekit.storage.place import is_there

    if not is_there(place):
        message = f"There is no library in {place}."
        raise LibraryError(message, f"Make one with: facekit --library {place} ingest DIR")


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=_in_json) + "\n")


def _in_json(value: object) -> str:
    """A time as ISO 8601 has it, with a T; anything else as its text."""
    return value.isoformat() if isinstance(value, date) else str(value)


def print_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output; None is an empty cell. An id stays on one line, to be copied."""
    widest = max((len(str(row[list(names).index("id")])) for row in rows), default=0) if "id" in names else 0
    table = Table(show_header=any(names), header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=name == "id", min_width=widest if name == "id" else None)
    for row in rows:
        table.add_row(*("" if value is None else plain(value) for value in row))
    out.print(table)


# What errors call the verbs of Python, and what they are in a shell; the longer ones first.
_SHELL_WORDS = {
    "lib.people.faces those of a person": "`facekit export people -o FILE` those of people",
    "lib.people.faces lists": "`facekit export people -o FILE` lists",
    "lib.people.journal() lists": "`facekit undo --list` lists",
    "lib.people.runs() lists": "`facekit runs` lists",
    "lib.people.undo()": "facekit undo",
    "lib.people.cluster()": "facekit cluster",
    "lib.people lists": "`facekit people` lists",
    "lib.photos() lists": "`facekit photos` lists",
    "lib.photos() has": "`facekit photos` has",
    "lib.faces() lists": "`facekit export faces -o FILE` lists",
    "lib.folders() or GET /api/v1/folders lists the folders": "`facekit photos` lists the photos",
    "GET /api/v1/folders lists the folders": "`facekit photos` lists the photos",
    "lib.folders() lists the folders": "`facekit photos` lists the photos",
    "lib.ingest(folder)": "`facekit ingest DIR`",
    "lib.ingest.": "facekit ingest DIR.",
    "lib.sources.list() shows": "`facekit sources list` shows",
    "lib.sources.add connects": "facekit sources add ADDRESS connects",
    "as token=, or": "in --token-file, or",
    "Another name= connects": "Another --name connects",
    "another one: name=.": "another one: --name.",
    "Name it: path=": "Name it: --set path=",
    "lib.reembed()": "facekit reembed",
    "fk.calibrate": "facekit calibrate",
    "(see face=)": "(see --face)",
    "with top_k": "with --top-k",
    "top_k is": "--top-k is",
    "Exchange after and before": "Exchange --after and --before",
}


_BOTH = re.compile(r"lib\.\w+\([^()]*\) or:? (?=facekit )")
_PAUSED = re.compile(r'lib\.sources\.pause\("(.*?)", False\) lets it go on\.')
_PERSON = re.compile(r'search for lib\.people\[".*?"\]')


def in_shell_words(text: str) -> str:
    """An error or a note as it is said to somebody in a shell: the verbs and options of the command line."""
    text = _BOTH.sub("", text)
    text = _PAUSED.sub(r"facekit sources resume \1 lets it go on.", text)
    text = _PERSON.sub("give the id of a face of theirs, which `facekit export people -o FILE` lists", text)
    for python, shell in _SHELL_WORDS.items():
        text = text.replace(python, shell)
    return text


def plain(value: object) -> str:
    """Text for rich, on one line: names of photos must not be read as markup."""
    from rich.markup import escape

    return escape(one_line(value))


_UNITS = {"min": 60, "h": 3600, "d": 86400}
_LEAST_SECONDS = 60


def interval_of(text: str) -> timedelta:
    """An interval such as ``6h``, ``30min`` or ``1d``. Raises RefusedError."""
    found = re.fullmatch(r"(\d{1,6})\s*(min|h|d)", text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if seconds < _LEAST_SECONDS:
        message = f"{text!r} is no interval."
        raise RefusedError(message, "Write 30min, 6h or 1d; at least a minute.")
    return timedelta(seconds=seconds)
