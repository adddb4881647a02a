"""``facekit worker`` and ``jobs``: what many processes do together."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from facekit.cli.terminal import AsJson, Device, EngineName, note, open_existing, out, print_json, print_table
from facekit.errors import FacekitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.library.base import Library
    from facekit.library.local import LocalLibrary
    from facekit.types.work import Work
    from facekit.workers.bell import Bell

Broker = Annotated[
    str,
    typer.Option(
        help="redis://HOST:6379, which tells of new work at once; by default FACEKIT_BROKER, or the library's."
    ),
]

Background = Annotated[
    bool, typer.Option("--background", help="Leave it to the workers of a library on servers: facekit worker.")
]
Priority = Annotated[int, typer.Option(help="In the background: what has a higher one is done first.")]


def worker(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to do.")] = False,
    broker: Broker = "",
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Show numbers for Prometheus at this port of this machine.")
    ] = 0,
    device: Device = "auto",
    engine: EngineName = "auto",
) -> None:
    """Do what was asked for with --background, beside other workers. Ctrl-C ends it after the photos in hand."""
    from facekit.workers.bell import bell_of
    from facekit.workers.metrics import of_messages, show_metrics
    from facekit.workers.worker import Worker

    with open_existing(context, device=device, engine=engine) as library:
        own = _own(library)
        bell = bell_of(own, broker)
        registry = show_metrics(own.storage.catalog, metrics_port) if metrics_port else None
        middlewares = [of_messages(registry)] if bell and registry else []
        working = Worker(own, bell=bell, middlewares=middlewares)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: working.stop())
        note.print(f"{working.name} works for {library.place}", markup=False, soft_wrap=True)
        done = working.run(once=once)
    note.print(f"{done} batches were done.", markup=False)
    for root in working.not_here:
        left = f"{root} is not there on this machine: what is to be read there was left to other workers."
        note.print(f"{left} Mount it, or say in library.toml where it is here.", markup=False, soft_wrap=True)


def jobs(
    context: typer.Context,
    dead: Annotated[bool, typer.Option("--dead", help="List the files that were given up, and why.")] = False,
    retry: Annotated[
        str, typer.Option(metavar="ID", help="Try again what a job, or one entry of --dead, gave up.")
    ] = "",
    cancel: Annotated[str, typer.Option(metavar="ID", help="Begin nothing more of a job; what is done is kept.")] = "",
    pause: Annotated[str, typer.Option(metavar="ID", help="Begin nothing of a job for now.")] = "",
    resume: Annotated[str, typer.Option(metavar="ID", help="Go on with a job that was paused.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what is done in the background, in files: how many are queued, running, done, and dead (given up)."""
    with open_existing(context) as opened:
        library = _own(opened)
        work = library.storage.catalog.work
        if retry:
            note.print(f"Files and folders that are tried again: {work.retry(retry)}", markup=False)
        if cancel:
            note.print(f"Files that are not read: {work.cancel(cancel)}", markup=False)
        if pause:
            work.pause(pause, paused=True)
        if resume:
            work.pause(resume, paused=False)
        if dead:
            given_up = [asdict(one) for one in work.dead()]
            if as_json:
                print_json(given_up)
            else:
                rows = [[one["batch_id"], path, one["problem"]] for one in given_up for path in one["paths"] or [""]]
                print_table(["id", "file", "problem"], rows)
            return
        numbers = work.numbers() | {"index_due": library.storage.catalog.outbox.balance().due}
        every = work.recent()
    if as_json:
        print_json(numbers | {"jobs": [asdict(one) for one in every]})
        return
    rows = [[one.work_id, _in_words(one)] for one in every]
    print_table(["id", "job"], rows)
    out.print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in numbers.items()), markup=False)


def _in_words(one: Work) -> str:
    counts = f"{one.queued} queued, {one.running} running, {one.done} done, {one.dead} dead"
    problem = [one.problem] if one.problem else []
    what = f"change of models to {one.models}" if one.models else ", ".join(one.roots)
    return "; ".join([f"{one.state}: {counts}", what, *problem])


def leave_to_workers(
    library: Library, ask: Callable[[LocalLibrary, Bell | None], str], *, broker: str, as_json: bool
) -> None:
    """Ask for something to be done in the background, and say under which id."""
    from facekit.workers.bell import bell_of

    own = _own(library)
    work_id = ask(own, bell_of(own, broker))
    if not own.storage.catalog.work.numbers()["workers"]:
        note.print(
            f"No worker is there now: start one with facekit --library {own.place} worker",
            markup=False,
            soft_wrap=True,
        )
    if as_json:
        print_json({"id": work_id})
    else:
        out.print(f"{work_id} is left to the workers; see facekit jobs.", markup=False, soft_wrap=True)


def _own(library: Library) -> LocalLibrary:
    """A library that is open here, and not through a service. Raises FacekitError."""
    from facekit.library.local import LocalLibrary

    if not isinstance(library, LocalLibrary):
        message = f"{library.place} is a service, which has jobs of its own."
        raise FacekitError(message, "Name the library by its folder or its catalog's address.")
    return library
