"""``facekit VERB``: the Python API from a shell.

``--json`` prints one JSON document on stdout and everything else on stderr. Exit status: 0 done, 1 an expected failure
(one line that says what to do), 2 wrong usage.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from facekit.errors import FacekitError
from facekit.types import Detail, TableName  # noqa: TC001 - typer reads it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.hits import Hits
    from facekit.library import Library

app = typer.Typer(
    name="facekit",
    help="Find every photo of a person. Photos stay where they are; nothing leaves this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(no_args_is_help=True)
evaluate_app = typer.Typer(no_args_is_help=True)
app.add_typer(models_app, name="models", help="The detectors and embedders, and their weights.")
with suppress(ModuleNotFoundError):  # accounts come with the service's packages
    from facekit.server.users_cli import users_app

    app.add_typer(users_app, name="users", help="Who may use the service: accounts, roles and API keys.")
app.add_typer(evaluate_app, name="evaluate", help="Measure accuracy on a labelled data set.")

out = Console(highlight=False)
note = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, everything else on stderr.")]
Device = Annotated[str, typer.Option(help="Where the models run: auto, cpu or cuda.")]
DetectorName = Annotated[str | None, typer.Option("--detector", help="The detector of a new library.")]
EmbedderName = Annotated[str | None, typer.Option("--embedder", help="The embedder of a new library.")]


def main() -> None:
    """Run the command line; expected failures become one line and exit status 1."""
    for stream in (sys.stdout, sys.stderr):  # names of photos may hold what the terminal's encoding does not
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app()
    except FacekitError as error:
        note.print(f"[bold red]facekit:[/] {_plain(error.message)} {_plain(error.remedy)}".rstrip(), soft_wrap=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        note.print("facekit: stopped.")
        raise SystemExit(1) from None


def _version(asked: bool) -> None:
    if asked:
        from facekit import __version__

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


def _open(context: typer.Context, **options: Any) -> Library:  # noqa: ANN401 - passed on
    from facekit.library import open_library

    return open_library(context.obj, **options)


def _open_existing(context: typer.Context, **options: Any) -> Library:  # noqa: ANN401 - passed on
    folder: Path = context.obj
    if not (folder / "library.toml").exists():
        message = f"There is no library in {folder}."
        raise FacekitError(message, f"Make one with: facekit --library {folder} ingest DIR")
    return _open(context, **options)


@app.command()
def demo(
    context: typer.Context,
    photos: Annotated[Path | None, typer.Option(help="Your own folder of photos.")] = None,
    probe: Annotated[Path | None, typer.Option(help="A picture of the person to look for in them.")] = None,
) -> None:
    """Try it: build a small library of real photos, search it for a person, and see the result."""
    from facekit.demo import run_demo

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
    detail: Annotated[Detail, typer.Option(help="How closely to look: fine finds the odd small face more.")] = "normal",
    as_json: AsJson = False,
) -> None:
    """Bring photos into the library: detect and embed every face. Run it again after a stop, or for new photos."""
    with _open(context, detector=detector, embedder=embedder, device=device) as library:
        report = library.ingest(*folders, detail=detail)
    if as_json:
        _print_json(report.to_dict())
    else:
        out.print(repr(report), markup=False, soft_wrap=True)
    if report.stopped:
        raise typer.Exit(1)


@app.command()
def reembed(
    context: typer.Context,
    detector: Annotated[str | None, typer.Option(help="Another detector; by default the library's.")] = None,
    embedder: Annotated[str | None, typer.Option(help="Another embedder; by default the library's.")] = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option("--skip-unreadable", help="Change although some photos can't be read: they lose their faces."),
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Change the models: make all faces again from the photos, then switch. Run it again after a stop."""
    with _open_existing(context, device=device) as library:
        report = library.reembed(detector, embedder, skip_unreadable=skip_unreadable)
    if as_json:
        _print_json(report.to_dict())
    else:
        out.print(repr(report), markup=False, soft_wrap=True)
    if not report.switched:
        raise typer.Exit(1)


@app.command()
def search(
    context: typer.Context,
    probes: Annotated[list[Path], typer.Argument(metavar="FILE...", help="One or several pictures of the person.")],
    top_k: Annotated[int, typer.Option(min=1, help="The most photos to list.")] = 50,
    min_similarity: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="Cosine similarity from which a face counts; by default the model's."),
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
    html: Annotated[Path | None, typer.Option(help="Write the result as a page, with the faces framed.")] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find the photos of a person."""
    with _open_existing(context, device=device) as library:
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
        )
        if html:
            hits.save_html(html)
    if as_json:
        _print_json(hits.to_dict())
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
    with _open_existing(context) as library:
        frame = library.photos(status)[["path", "status", "reason", "faces"]]
    rows = json.loads(frame.to_json(orient="records"))
    if as_json:
        _print_json(rows)
        return
    _print_table(["photo", "status", "reason", "faces"], [[row[name] for name in row] for row in rows])
    out.print(f"{len(rows)} photos")


@app.command()
def export(
    context: typer.Context,
    table: Annotated[TableName, typer.Argument(help="What to write.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; its extension says the format.")],
    include_poor: Annotated[bool, typer.Option(help="Embeddings of poor faces too.")] = False,
) -> None:
    """Write faces or photos as .csv, .json or .parquet, or embeddings as .npz."""
    with _open_existing(context) as library:
        library.export(table, output, include_poor=include_poor)
    note.print(f"Wrote {output}", markup=False, soft_wrap=True)


@app.command()
def stats(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the numbers of a library."""
    with _open_existing(context) as library:
        numbers = library.stats()
    if as_json:
        _print_json(numbers)
    else:
        _print_table(["", ""], [[name, value] for name, value in numbers.items()])


@app.command()
def doctor(context: typer.Context, device: Device = "auto", as_json: AsJson = False) -> None:
    """Check versions, weights, the device and, where there is one, the library."""
    from facekit.doctor import Doctor, examine_machine
    from facekit.local import DETECTOR, EMBEDDER

    folder: Path = context.obj
    if (folder / "library.toml").exists():
        with _open(context, device=device) as library:
            result = library.doctor()
    else:
        note.print(f"There is no library in {folder}; the machine only is checked.", markup=False)
        result = Doctor(tuple(examine_machine(DETECTOR, EMBEDDER, device)))
    if as_json:
        _print_json(result.to_dict())
    else:
        out.print(repr(result), markup=False, soft_wrap=True)
    if not result:
        raise typer.Exit(1)


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
    device: Device = "auto",
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
        device=device,
        stop_at_eof=stop_at_eof,
        tell=lambda line: out.print(line, markup=False, soft_wrap=True),
    )


@app.command()
def bench(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of photos.")],
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure the speed of every stage on your photos, beside a loop written with deepface."""
    from facekit.bench import bench as run_bench

    result = run_bench(folder, device=device)
    if as_json:
        _print_json(result.to_dict())
    else:
        out.print(repr(result), markup=False, soft_wrap=True)


@evaluate_app.command("lfw")
def evaluate_lfw(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="One folder a person, and the pairs files.")],
    detector: Annotated[str, typer.Option(help="The detector.")] = "yunet",
    embedder: Annotated[str, typer.Option(help="The embedder.")] = "sface",
    device: Device = "auto",
    html: Annotated[Path, typer.Option(help="Where the ROC page goes.")] = Path("lfw-roc.html"),
    as_json: AsJson = False,
) -> None:
    """Measure verification and retrieval on Labeled Faces in the Wild."""
    from facekit.evaluate import evaluate_lfw as run_evaluation

    result = run_evaluation(folder, detector=detector, embedder=embedder, device=device, html=html)
    note.print(f"The ROC page: {html}", markup=False, soft_wrap=True)
    if as_json:
        _print_json(result.to_dict())
    else:
        out.print(repr(result), markup=False, soft_wrap=True)


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models, and whether their weights are here."""
    from facekit.models.registry import models_table

    rows = models_table()
    if as_json:
        _print_json(rows)
        return
    names = ["name", "task", "dimension", "licence", "present"]
    _print_table(names, [[row[name] for name in names] for row in rows])


@models_app.command()
def fetch(names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="By default all.")] = None) -> None:
    """Bring the weights of models onto this machine."""
    from facekit.models.registry import MODELS, model_info
    from facekit.models.weights import fetch as fetch_weights

    for name in names or list(MODELS):
        for file in model_info(name).weights:
            out.print(f"{name}: {fetch_weights(file)}", markup=False, soft_wrap=True)


@models_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="By default all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that the weights on this machine are the files they should be."""
    from facekit.models.registry import MODELS, model_info
    from facekit.models.weights import verify as verify_weights

    rows = [
        {"name": name, "file": file.name, "state": verify_weights(file)}
        for name in names or list(MODELS)
        for file in model_info(name).weights
    ]
    if as_json:
        _print_json(rows)
    else:
        _print_table(["name", "file", "state"], [list(row.values()) for row in rows])
    if any(row["state"] != "ok" for row in rows):
        raise typer.Exit(1)


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")


def _print_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table(show_header=any(names), header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else _plain(value) for value in row))
    out.print(table)


def _print_hits(hits: Hits) -> None:
    rows = [
        [hit.rank, f"{hit.similarity:.3f}", hit.photo, " ".join(f"{value:.2f}" for value in hit.box), hit.source]
        for hit in hits
    ]
    _print_table(["rank", "similarity", "photo", "box x y w h", "source"], rows)
    out.print(f"{len(hits)} photos; cosine similarity of at least {hits.min_similarity:g}")
    for line in hits.notes:
        out.print(f"Note: {line}", markup=False, soft_wrap=True)


def _plain(value: object) -> str:
    """Text for rich: names of photos must not be read as markup."""
    from rich.markup import escape

    return escape(str(value))


if __name__ == "__main__":
    main()
