"""``facekit models``: the detectors and embedders, and their weights."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from facekit.cli.terminal import AsJson, EngineName, note, out, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

models_app = typer.Typer(no_args_is_help=True)


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models, and whether their weights are here."""
    from facekit.models.registry import models_table

    rows = models_table()
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    cells = [
        (
            *(row.name, row.task, row.dimension, row.input_size, row.megabytes),
            *(row.search_similarity, row.cluster_distance, "yes" if row.present else "no"),
        )
        for row in rows
    ]
    print_table(["name", "task", "numbers", "input", "MB", "search", "cluster", "here"], cells)
    for row in rows:
        lines = [f"licence: {row.licence}", f"accuracy: {row.accuracy} ({row.accuracy_source})"]
        lines += [f"thresholds: {row.threshold_source}"] if row.threshold_source else []
        out.print("\n".join([row.name, *(f"  {line}" for line in lines)]), markup=False, soft_wrap=True)


@models_app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="By default yunet and sface.")] = None,
    engine: EngineName = "auto",
) -> None:
    """Bring the weights of models onto this machine; a transfer that broke off goes on where it was."""
    from facekit.models.engines import check_engine
    from facekit.models.facts import EMBEDDED
    from facekit.models.registry import model_info
    from facekit.models.weights import fetch as fetch_weights

    check_engine(engine)
    for name in names or EMBEDDED:
        info = model_info(name)
        note.print(f"{name}, licence of the weights: {info.licence}", markup=False, soft_wrap=True)
        file = info.file(engine)
        with _fetch_progress(file.name) as progress:
            path = fetch_weights(file, progress=progress)
        out.print(f"{name}: {path}", markup=False, soft_wrap=True)


@contextmanager
def _fetch_progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar of bytes on standard error, for a file that has to be fetched."""
    from tqdm import tqdm

    with tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1024, leave=False, delay=1) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance


@models_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="By default all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that the weights on this machine are the files they should be."""
    from facekit.models.facts import EMBEDDED, MODELS
    from facekit.models.registry import model_info
    from facekit.models.weights import verify as verify_weights

    files = {name: model_info(name).file("auto") for name in names or MODELS}
    rows = [(name, file.name, verify_weights(file)) for name, file in files.items()]
    if not names:  # those that were never fetched are nobody's loss
        rows = [(name, file, state) for name, file, state in rows if name in EMBEDDED or state != "missing"]
    columns = ["name", "file", "state"]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)
    if any(state != "ok" for _, _, state in rows):
        raise typer.Exit(1)
