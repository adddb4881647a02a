"""``facekit serve``: the process that owns a library."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from facekit.cli.terminal import Device, EngineName, interval_of, out
from facekit.errors import FacekitError


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
    sync_every: Annotated[
        str | None, typer.Option(help="How often to sync connected places, such as 6h or 30min; by default never.")
    ] = None,
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
        sync_every=None if sync_every is None else interval_of(sync_every),
        device=device,
        engine=engine,
        stop_at_eof=stop_at_eof,
        tell=lambda line: out.print(line, markup=False, soft_wrap=True),
    )
