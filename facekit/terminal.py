"""What the command line prints, and the options that several verbs have."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from facekit.errors import FacekitError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from facekit.library import Library

out = Console(highlight=False)
note = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, everything else on stderr.")]
Device = Annotated[str, typer.Option(help="Where the models run: auto, cpu, cuda or coreml.")]
EngineName = Annotated[
    str,
    typer.Option("--engine", help="What runs them: auto, onnxruntime, openvino, openvino-bf16 or tensorflow."),
]


def open_given(context: typer.Context, **options: Any) -> Library:  # noqa: ANN401 - passed on
    """The library that --library names, made where there is none."""
    from facekit.opening import open_library

    return open_library(context.obj, **options)


def open_existing(context: typer.Context, **options: Any) -> Library:  # noqa: ANN401 - passed on
    """The library that --library names, which must be there. Raises FacekitError."""
    folder: Path = context.obj
    if not (folder / "library.toml").exists():
        message = f"There is no library in {folder}."
        raise FacekitError(message, f"Make one with: facekit --library {folder} ingest DIR")
    return open_given(context, **options)


def print_json(document: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def print_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output; None is an empty cell."""
    table = Table(show_header=any(names), header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else plain(value) for value in row))
    out.print(table)


def plain(value: object) -> str:
    """Text for rich: names of photos must not be read as markup."""
    from rich.markup import escape

    return escape(str(value))
