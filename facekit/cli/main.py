"""``facekit VERB``: the Python API from a shell.

``--json`` prints one JSON document on stdout and everything else on stderr. Exit status: 0 done, 1 an expected failure
(one line that says what to do), 2 wrong usage.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup

from facekit.cli.calibrate import calibrate
from facekit.cli.measure import bench, evaluate_app
from facekit.cli.models import models_app
from facekit.cli.people import register as register_people
from facekit.cli.terminal import (
    AsJson,
    Device,
    EngineName,
    in_shell_words,
    note,
    open_existing,
    open_given,
    out,
    plain,
    print_json,
    print_table,
)
from facekit.errors import FacekitError
from facekit.storage.logs import quiet_console
from facekit.types.photos import TableName  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.library.base import Library
    from facekit.search.hits import Hits
    from facekit.types.photos import Detail


class _Verbs(TyperGroup):
    """Ctrl-C is an expected failure: it stops a verb with one line and status 1."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            message = "Stopped."
            raise FacekitError(message) from error


app = typer.Typer(
    name="facekit",
    cls=_Verbs,
    help="Find every photo of a person. Photos stay where they are; nothing leaves this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(models_app, name="models", help="The detectors and embedders, and their weights.")
with suppress(ModuleNotFoundError):  # accounts come with the service's packages
    from facekit.cli.users import users_app

    app.add_typer(users_app, name="users", help="Who may use the service: accounts, roles and API keys.")
app.command()(bench)
app.add_typer(evaluate_app, name="evaluate", help="Measure accuracy on a labelled data set.")
app.command()(calibrate)
register_people(app)

DetectorName = Annotated[str | None, typer.Option("--detector", help="The detector of a new library.")]
EmbedderName = Annotated[str | None, typer.Option("--embedder", help="The embedder of a new library.")]


def _detail(text: str) -> Detail:
    if text.isdecimal():
        return int(text)
    if text in {"normal", "fine"}:
        return cast("Detail", text)
    message = f"{text!r} is not normal, fine or a number of pixels."
    raise typer.BadParameter(message)


def main() -> None:
    """Run the command line; expected failures become one line and exit status 1."""
    for stream in (sys.stdout, sys.stderr):  # names of photos may hold what the terminal's encoding does not
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    quiet_console()
    try:
        app()
    except FacekitError as error:
        words = plain(in_shell_words(f"{error.message} {error.remedy}"))
        note.print(f"[bold red]facekit:[/] {words}".rstrip(), soft_wrap=True)
        raise SystemExit(1) from None


def _version(asked: bool) -> None:
    if asked:
        from facekit._version import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    library: Annotated[
        Path,
        typer.Option("--library", "-L", envvar="FACEKIT_LIBRARY", help="The library's folder."),
    ] = Path("faces"),
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    context.obj = library


@app.command()
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


@app.command()
def ingest(
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders (or files) with photos.")],
    detector: DetectorName = None,
    embedder: EmbedderName = None,
    device: Device = "auto",
    engine: EngineName = "auto",
    detail: Annotated[
        str,
        typer.Option(help="How closely to look: normal, fine, or the longest side in pixels that is looked at."),
    ] = "normal",
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="A glob of files or folders to leave out, now and later, such as Screenshots or *.png; repeat it for"
            " several, which take the place of those before. An empty one excludes nothing again."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring photos into the library: detect and embed every face. Run it again after a stop, or for new photos."""
    look = _detail(detail)
    with open_given(context, detector=detector, embedder=embedder, device=device, engine=engine) as library:
        patterns = None if not exclude else [one for one in exclude if one]
        report = library.ingest(*folders, detail=look, exclude=patterns)
    if as_json:
        print_json(report.to_dict())
    else:
        out.print(repr(report), markup=False, soft_wrap=True)
    if report.stopped:
        raise typer.Exit(1)


@app.command()
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


@app.command()
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


@app.command()
def reembed(
    context: typer.Context,
    detector: Annotated[str | None, typer.Option(help="Another detector; by default the library's.")] = None,
    embedder: Annotated[str | None, typer.Option(help="Another embedder; by default the library's.")] = None,
    detail: Annotated[
        str,
        typer.Option(help="How closely to look: normal, fine, or the longest side in pixels that is looked at."),
    ] = "normal",
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="Change although some photos can't be read: they lose their faces."),
    ] = False,
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Change the models: make all faces again from the photos, then switch. Run it again after a stop."""
    look = _detail(detail)
    with open_existing(context, device=device, engine=engine) as library:
        report = library.reembed(detector, embedder, detail=look, skip_unreadable=skip_unreadable)
    if as_json:
        print_json(report.to_dict())
    else:
        out.print(repr(report), markup=False, soft_wrap=True)
    if not report.switched:
        raise typer.Exit(1)


@app.command()
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
    source: Annotated[str | None, typer.Option(help="Only photos from this source.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Only photos in this folder or below it.")] = None,
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


@app.command()
def photos(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only photos with this status: ok, no_face, corrupt, ...")] = None,
    as_json: AsJson = False,
) -> None:
    """List photos with their status."""
    with open_existing(context) as library:
        frame = library.photos(status)[["path", "status", "reason", "faces"]]
    rows = json.loads(frame.to_json(orient="records"))
    if as_json:
        print_json(rows)
        return
    print_table(["photo", "status", "reason", "faces"], [[row[name] for name in row] for row in rows])
    out.print(f"{len(rows)} photos")


@app.command()
def export(
    context: typer.Context,
    table: Annotated[TableName, typer.Argument(help="What to write.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; its extension says the format.")],
    include_poor: Annotated[bool, typer.Option(help="Embeddings of poor faces too.")] = False,
) -> None:
    """Write faces, photos or people as .csv, .json or .parquet, or embeddings as .npz."""
    with open_existing(context) as library:
        library.export(table, output, include_poor=include_poor)
    note.print(f"Wrote {output}", markup=False, soft_wrap=True)


@app.command()
def stats(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the numbers of a library."""
    with open_existing(context) as library:
        numbers = library.stats()
    if as_json:
        print_json(numbers)
    else:
        print_table(["", ""], [[name, value] for name, value in numbers.items()])


@app.command()
def doctor(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Rescue what can be read of a damaged catalog; for a lost one, begin anew.")
    ] = False,
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Check versions, weights, the device and, where there is one, the library."""
    if repair:
        from facekit.storage.repair import repair as rescue

        note.print(repr(rescue(context.obj)), markup=False, soft_wrap=True)
    from facekit.models.registry import default_models
    from facekit.storage.doctor import Doctor, examine_machine

    folder: Path = context.obj
    if (folder / "library.toml").exists():
        with open_given(context, device=device, engine=engine) as library:
            result = library.doctor()
    else:
        note.print(f"There is no library in {folder}; the machine only is checked.", markup=False)
        detector, embedder, _ = default_models()
        result = Doctor(tuple(examine_machine(detector, embedder, device, engine)))
    if as_json:
        print_json(result.to_dict())
    else:
        out.print(repr(result), markup=False, soft_wrap=True)
    if not result:
        raise typer.Exit(1)


@app.command()
def backup(
    context: typer.Context, target: Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]
) -> None:
    """Bring a backup of the library up to date, also while a service has it. It holds faces, and no photos."""
    with open_existing(context) as library:
        count = library.backup(target)
    note.print(f"{target} is up to date ({count} new thumbnails).", markup=False, soft_wrap=True)


@app.command()
def restore(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of the library that is there; it is kept beside it.")
    ] = False,
) -> None:
    """Make a library of a backup, in a folder that is empty or not there."""
    from facekit.storage.backup import restore as bring_back

    if aside := bring_back(target, context.obj, replace=replace):
        note.print(f"The library that was there is {aside} now.", markup=False, soft_wrap=True)
    note.print(f"{context.obj} is restored.", markup=False, soft_wrap=True)


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Where to listen; other machines reach 0.0.0.0, which needs accounts.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The service's port; 0 takes a free one.")] = 8000,
    with_app: Annotated[bool, typer.Option("--app", help="Show the web app too, and print its address.")] = False,
    app_port: Annotated[int, typer.Option(min=0, max=65535, help="The web app's port; 0 takes a free one.")] = 8866,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="A folder from which photos may be ingested over HTTP; repeat it for several."),
    ] = None,
    forwarded_allow_ips: Annotated[
        str,
        typer.Option(
            help="Addresses of the proxies in front, separated by commas, whose X-Forwarded-For is believed; by "
            "default nobody's."
        ),
    ] = "",
    device: Device = "auto",
    engine: EngineName = "auto",
    log_json: Annotated[bool, typer.Option(help="Log to stderr, one JSON document a line.")] = False,
    stop_at_eof: Annotated[
        bool, typer.Option(help="Stop when standard input ends: for programs that start it.")
    ] = False,
) -> None:
    """Own the library and serve it to notebooks, to programs and, with --app, as a web page. Ctrl-C stops it."""
    try:
        from facekit.server.run import log_as_json
        from facekit.server.run import serve as run_service
    except ModuleNotFoundError as error:
        message = f"The service needs a package that is not installed: {error.name}."
        raise FacekitError(message, 'Install it with pip install "facekit[app]".') from error
    if log_json:
        log_as_json()
    run_service(
        context.obj,
        host=host,
        port=port,
        roots=root or (),
        app_port=app_port if with_app else None,
        forwarded_allow_ips=forwarded_allow_ips,
        device=device,
        engine=engine,
        stop_at_eof=stop_at_eof,
        tell=lambda line: out.print(line, markup=False, soft_wrap=True),
    )


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


def _print_hits(hits: Hits) -> None:
    rows = [
        [hit.rank, f"{hit.similarity:.3f}", hit.photo, " ".join(f"{value:.2f}" for value in hit.box), hit.source]
        for hit in hits
    ]
    print_table(["rank", "similarity", "photo", "box x y w h", "source"], rows)
    out.print(f"{len(hits)} photos; cosine similarity of at least {hits.min_similarity:g}")
    for line in hits.notes:
        out.print(f"Note: {in_shell_words(line)}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
