"""``facekit calibrate``: which threshold suits one's own photos, from a shell."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from facekit.cli.terminal import AsJson, note, open_existing, out, print_json
from facekit.system.files import named_file


def calibrate(
    context: typer.Context,
    people: Annotated[
        str,
        typer.Option(
            metavar="folder|FILE.csv",
            help="Who is on which photo: the folders bear the people's names, or a table with the columns photo and "
            "person, or first, second and same.",
        ),
    ] = "folder",
    far: Annotated[
        float, typer.Option(min=0, max=1, help="The share of pairs of different people that may be accepted.")
    ] = 1e-3,
    store: Annotated[bool, typer.Option("--store", help="Let searches take the threshold for it by default.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the figure as a page.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how alike people are on labelled photos of the library, and which threshold follows."""
    from facekit.measure import calibration

    with open_existing(context) as library:
        result = calibration.calibrate(library, people=people)
        threshold = result.threshold(far) if store or result.supports(far) else None
        if html is not None:
            with named_file(html) as file:
                file.write(result.figure(far).to_html(include_plotlyjs=True).encode())
            note.print(f"The figure: {html}", markup=False, soft_wrap=True)
        if store:
            library.set_search_similarity(threshold, embedder=result.embedder)
    if as_json:
        print_json(result.to_dict() | {"far": far, "threshold": threshold, "stored": store})
        return
    out.print(repr(result), markup=False, soft_wrap=True)
    if threshold is not None:
        done = "searches take it from now on" if store else "--store lets searches take it"
        line = f"For a false accept rate of {100 * far:g} %: {threshold:.3f}; {done}."
        out.print(line, markup=False, soft_wrap=True)
