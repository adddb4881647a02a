"""``facekit VERB``: the Python API from a shell.

``--json`` prints one JSON document on stdout and everything else on stderr. Exit status: 0 done, 1 an expected failure
(one line that says what to do), 2 wrong usage.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from facekit.cli.calibrate import calibrate
from facekit.cli.library import backup, doctor, init, migrate, restore, stats, upgrade
from facekit.cli.measure import bench, evaluate_app
from facekit.cli.models import models_app
from facekit.cli.people import cluster, merge, name, people, runs, split, undo
from facekit.cli.photos import export, ingest, photos, reembed, relocate, remove
from facekit.cli.search import demo, search
from facekit.cli.service import serve
from facekit.cli.sources import sources_app
from facekit.cli.terminal import in_shell_words, note, plain
from facekit.cli.workers import jobs, worker
from facekit.errors import FacekitError
from facekit.storage.logs import quiet_console

if TYPE_CHECKING:
    from collections.abc import Callable


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
app.add_typer(sources_app, name="sources", help="Photos from cloud disks and other places: connect, sync, disconnect.")
app.add_typer(evaluate_app, name="evaluate", help="Measure accuracy on a labelled data set.")

_IN_ORDER: tuple[Callable[..., None], ...] = (
    *(bench, calibrate),
    *(cluster, people, name, merge, split, undo, runs),
    *(demo, init, ingest, remove, relocate, reembed, search, photos, export),
    *(stats, doctor, upgrade, backup, restore, migrate, serve, worker, jobs),
)
"""The verbs as the help lists them."""
for verb in _IN_ORDER:
    app.command()(verb)


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
        str,
        typer.Option(
            "--library", "-L", envvar="FACEKIT_LIBRARY", help="The library's folder, or its catalog's postgresql://..."
        ),
    ] = "faces",
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    from facekit.storage.place import named_place

    context.obj = named_place(library)


if __name__ == "__main__":
    main()
