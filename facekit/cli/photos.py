"""``facekit ingest``, ``reembed``, ``remove``, ``relocate``, ``photos`` and ``export``: the photos of a library."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, cast

import typer

from facekit.cli.terminal import (
    Album,
    AsJson,
    Device,
    EngineName,
    Source,
    note,
    open_existing,
    open_given,
    out,
    print_json,
    print_table,
)
from facekit.cli.workers import Background, Broker, Priority, leave_to_workers
from facekit.errors import FacekitError
from facekit.types.photos import TableName  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.library.base import Library
    from facekit.types.photos import Detail

DetectorName = Annotated[str | None, typer.Option("--detector", help="The detector of a new library.")]
EmbedderName = Annotated[str | None, typer.Option("--embedder", help="The embedder of a new library.")]
Look = Annotated[
    str,
    typer.Option(
        "--detail", help="How closely to look: normal, fine, or the longest side in pixels that is looked at."
    ),
]


def ingest(
    context: typer.Context,
    folders: Annotated[
        list[str],
        typer.Argument(metavar="DIR|ADDRESS...", help="Folders (or files) with photos, or addresses of cloud disks."),
    ],
    detector: DetectorName = None,
    embedder: EmbedderName = None,
    device: Device = "auto",
    engine: EngineName = "auto",
    detail: Look = "normal",
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="A glob of files or folders to leave out, now and later, such as Screenshots or *.png; repeat it for"
            " several, which take the place of those before. An empty one excludes nothing again."
        ),
    ] = None,
    background: Background = False,
    priority: Priority = 0,
    broker: Broker = "",
    as_json: AsJson = False,
) -> None:
    """Bring photos into the library: detect and embed every face. Run it again after a stop, or for new photos."""
    look = _detail(detail)
    with open_given(context, detector=detector, embedder=embedder, device=device, engine=engine) as library:
        patterns = None if not exclude else [one for one in exclude if one]
        if background:
            from facekit.workers.asking import ingest_in_background

            ask = partial(ingest_in_background, detail=look, exclude=patterns, priority=priority)
            leave_to_workers(library, lambda own, bell: ask(own, *folders, bell=bell), broker=broker, as_json=as_json)
            return
        report = library.ingest(*folders, detail=look, exclude=patterns)
    if as_json:
        print_json(report.to_dict())
    else:
        out.print(repr(report), markup=False, soft_wrap=True)
    if report.stopped:
        raise typer.Exit(1)


def remove(
    context: typer.Context,
    photos: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Photos, folders with all below them, or ids of photos.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget photos with their faces: all that are named, or none. The files themselves stay as they are."""
    with open_existing(context) as library:
        if not yes and not _agreed(library, photos):
            message = "Nothing was removed."
            raise FacekitError(message)
        paths = library.remove(photos)
    if as_json:
        print_json({"paths": paths})
    else:
        named = "1 path is" if paths == 1 else f"{paths} paths are"
        out.print(f"{named} forgotten; what lies there stays.", markup=False)


def relocate(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A folder, or a photo, as the library knows it.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Where it is now.")],
    as_json: AsJson = False,
) -> None:
    """Say that photos lie elsewhere now. Their people and faces stay; the other way round it is undone."""
    with open_existing(context) as library:
        done = library.relocate(old, new)
    if as_json:
        print_json({"files": done.files, "not_found": done.not_found})
        return
    out.print(f"{done.files} files have a new path; {done.not_found} of them were not found there", markup=False)


def reembed(
    context: typer.Context,
    detector: Annotated[str | None, typer.Option(help="Another detector; by default the library's.")] = None,
    embedder: Annotated[str | None, typer.Option(help="Another embedder; by default the library's.")] = None,
    detail: Look = "normal",
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="Change although some photos can't be read: they lose their faces."),
    ] = False,
    background: Background = False,
    priority: Priority = 0,
    broker: Broker = "",
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Change the models: make all faces again from the photos, then switch. Run it again after a stop."""
    look = _detail(detail)
    with open_existing(context, device=device, engine=engine) as library:
        if background:
            from facekit.workers.asking import reembed_in_background

            ask = partial(reembed_in_background, detector=detector, embedder=embedder, detail=look)
            ask = partial(ask, skip_unreadable=skip_unreadable, priority=priority)
            leave_to_workers(library, lambda own, bell: ask(own, bell=bell), broker=broker, as_json=as_json)
            return
        report = library.reembed(detector, embedder, detail=look, skip_unreadable=skip_unreadable)
    if as_json:
        print_json(report.to_dict())
    else:
        out.print(repr(report), markup=False, soft_wrap=True)
    if not report.switched:
        raise typer.Exit(1)


def photos(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only photos with this status: ok, no_face, corrupt, ...")] = None,
    source: Source = None,
    album: Album = None,
    as_json: AsJson = False,
) -> None:
    """List photos with their status."""
    with open_existing(context) as library:
        frame = library.photos(status, source=source, album=album)
        frame = frame[["path", "status", "reason", "faces", "source", "album", "link"]]
    rows = json.loads(frame.to_json(orient="records"))
    if as_json:
        print_json(rows)
        return
    shown = {"path": "photo", "status": "status", "reason": "reason", "faces": "faces", "source": "source"}
    print_table(list(shown.values()), [[row[name] for name in shown] for row in rows])
    out.print(f"{len(rows)} photos")


def export(
    context: typer.Context,
    table: Annotated[TableName, typer.Argument(help="What to write.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; its extension says the format.")],
    include_poor: Annotated[bool, typer.Option(help="Embeddings of poor faces too.")] = False,
    source: Source = None,
    album: Album = None,
) -> None:
    """Write faces, photos or people as .csv, .json or .parquet, or embeddings as .npz."""
    with open_existing(context) as library:
        library.export(table, output, include_poor=include_poor, source=source, album=album)
    note.print(f"Wrote {output}", markup=False, soft_wrap=True)


def _detail(text: str) -> Detail:
    if text.isdecimal():
        return int(text)
    if text in {"normal", "fine"}:
        return cast("Detail", text)
    message = f"{text!r} is not normal, fine or a number of pixels."
    raise typer.BadParameter(message)


def _agreed(library: Library, photos: Sequence[str]) -> bool:
    count = sum(_photos_at(library, one) for one in photos)
    named = "1 photo" if count == 1 else f"{count} photos"
    with suppress(EOFError):  # nobody is there to answer
        asked = f"Forget {named} with their faces? The files stay. (y/N) "
        return note.input(asked).strip().lower() in {"y", "yes"}
    return False


def _photos_at(library: Library, place: str) -> int:
    try:
        return library.photo_page(folder=place, limit=1).total
    except FacekitError:  # no folder, or none that there is
        return 1
