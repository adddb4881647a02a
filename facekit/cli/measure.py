"""``facekit bench`` and ``facekit evaluate``: speed and accuracy, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facekit.cli.terminal import AsJson, Device, EngineName, note, out, print_json

evaluate_app = typer.Typer(no_args_is_help=True)

DetectorName = Annotated[str, typer.Option("--detector", help="The detector, see `facekit models list`.")]
EmbedderName = Annotated[str, typer.Option("--embedder", help="The embedder, see `facekit models list`.")]


def bench(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of photos.")],
    detector: DetectorName = "yunet",
    embedder: EmbedderName = "sface",
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure the speed of every stage on your photos, beside a loop written with deepface."""
    from facekit.measure.bench import bench as run_bench

    result = run_bench(folder, detector=detector, embedder=embedder, device=device, engine=engine)
    if as_json:
        print_json(result.to_dict())
    else:
        out.print(repr(result), markup=False, soft_wrap=True)


@evaluate_app.command("lfw")
def evaluate_lfw(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="One folder a person, and the pairs files.")],
    detector: DetectorName = "yunet",
    embedder: EmbedderName = "sface",
    device: Device = "auto",
    engine: EngineName = "auto",
    html: Annotated[Path, typer.Option(help="Where the ROC page goes.")] = Path("lfw-roc.html"),
    as_json: AsJson = False,
) -> None:
    """Measure verification and retrieval on Labeled Faces in the Wild."""
    from facekit.measure.lfw_accuracy import evaluate_lfw as run_evaluation

    result = run_evaluation(folder, detector=detector, embedder=embedder, device=device, engine=engine, html=html)
    note.print(f"The ROC page: {html}", markup=False, soft_wrap=True)
    if as_json:
        print_json(result.to_dict())
    else:
        out.print(repr(result), markup=False, soft_wrap=True)


@evaluate_app.command("clusters")
def evaluate_clusters(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="One folder a person, such as LFW.")],
    faces: Annotated[int | None, typer.Option(help="Also time made-up crowds, of up to so many faces.")] = None,
    detector: DetectorName = "yunet",
    embedder: EmbedderName = "sface",
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure how well each method groups faces into people, and how far its default is from the best."""
    from facekit.measure.clusterings import evaluate_people

    result = evaluate_people(folder, faces=faces, detector=detector, embedder=embedder, device=device, engine=engine)
    if as_json:
        print_json(result.to_dict())
    else:
        out.print(repr(result), markup=False, soft_wrap=True)
