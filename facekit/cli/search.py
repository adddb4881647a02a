"""``facekit search`` and ``facekit demo``: photos of a person."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from facekit.cli.terminal import (
    Album,
    AsJson,
    Device,
    EngineName,
    Source,
    in_shell_words,
    open_existing,
    out,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from facekit.search.hits import Hits


def search(
    context: typer.Context,
    probes: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Pictures of the person, or the ids of faces of the library."),
    ],
    top_k: Annotated[int, typer.Option(min=1, help="The most photos to list.")] = 50,
    min_similarity: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="Cosine similarity from which a face counts; by default the library's."),
    ] = None,
    face: Annotated[
        int | None,
        typer.Option(min=0, help="Which face of the probe, from 0 in order of size; by default the largest."),
    ] = None,
    source: Source = None,
    folder: Annotated[Path | None, typer.Option(help="Only photos in this folder or below it.")] = None,
    album: Album = None,
    after: Annotated[str | None, typer.Option(help="Only photos taken on this date (2019-12-31) or later.")] = None,
    before: Annotated[str | None, typer.Option(help="Only photos taken before this date.")] = None,
    include_poor: Annotated[bool, typer.Option(help="Also faces too small, blurred or turned away.")] = False,
    person: Annotated[str | None, typer.Option(help="Only photos that show this person: a name or an id.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the result as a page, with the faces framed.")] = None,
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Find the photos of a person."""
    with open_existing(context, device=device, engine=engine) as library:
        hits = library.search(
            list(probes),
            top_k=top_k,
            min_similarity=min_similarity,
            face=face,
            source=source,
            folder=folder,
            album=album,
            after=after,
            before=before,
            include_poor=include_poor,
            person=person,
        )
        if html:
            hits.save_html(html)
    if as_json:
        print_json(hits.to_dict())
    else:
        _print_hits(hits)
        if html:
            out.print(f"The page: {html}", markup=False, soft_wrap=True)


def demo(
    context: typer.Context,
    photos: Annotated[Path | None, typer.Option(help="Your own folder of photos.")] = None,
    probe: Annotated[Path | None, typer.Option(help="A picture of the person to look for in them.")] = None,
) -> None:
    """Try it: build a small library of real photos, search it for a person, and see the result."""
    from facekit.demo.run import run_demo

    if (photos is None) != (probe is None):
        message = "--photos and --probe belong together: a folder, and a picture of somebody in it"
        raise typer.BadParameter(message)
    given = context.parent is not None and context.parent.get_parameter_source("library").name != "DEFAULT"  # type: ignore[union-attr]
    result = run_demo(photos, probe, context.obj if given else None)
    out.print(result.report)
    _print_hits(result.hits)
    for line in result.next_steps:
        out.print(line, soft_wrap=True, markup=False)


def _print_hits(hits: Hits) -> None:
    rows = [
        [hit.rank, f"{hit.similarity:.3f}", hit.photo, " ".join(f"{value:.2f}" for value in hit.box), hit.source]
        for hit in hits
    ]
    print_table(["rank", "similarity", "photo", "box x y w h", "source"], rows)
    out.print(f"{len(hits)} photos; cosine similarity of at least {hits.min_similarity:g}")
    for line in hits.notes:
        out.print(f"Note: {in_shell_words(line)}", markup=False, soft_wrap=True)
