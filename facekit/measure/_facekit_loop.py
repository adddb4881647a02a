"""Ingest a folder into a fresh library, then search it; run by `facekit.measure.bench` in a process of its own.

    python -m facekit.measure._facekit_loop FOLDER DETECTOR EMBEDDER DEVICE ENGINE

The library is temporary. The result is one line of JSON on standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from facekit.library.opening import open_library
from facekit.models import load_detector, load_embedder
from facekit.types.photos import Status

if TYPE_CHECKING:
    from facekit.models.protocols import Detector, Embedder

SEARCHES = 50
TOP_K = 10


def run(folder: Path, *, detector: str, embedder: str, device: str, engine: str) -> dict[str, Any]:
    """Ingest `folder`, then search for the people on some of its photos, spread evenly over it.

    Returns
    -------
    dict
        ``photos``, ``faces``, ``seconds`` and ``stages`` (seconds by stage) of the ingest; ``models``, what the
        detector and the embedder really ran in and on; ``search_ms``, one number for each search from a photo on disk
        to ten hits, without the first search.
    """
    with (
        tempfile.TemporaryDirectory(prefix="facekit-bench-") as place,
        open_library(
            Path(place) / "library", detector=detector, embedder=embedder, device=device, engine=engine
        ) as library,
    ):
        # The library takes these very models; loaded here, they are not part of the time.
        models = {
            "detector": _ran(load_detector(detector, device=device, engine=engine)),
            "embedder": _ran(load_embedder(embedder, device=device, engine=engine)),
        }
        report = library.ingest(folder, progress=False)
        photos = library.photos(Status.OK)["path"]
        search_ms = []
        for probe in [*photos[:1], *photos[:: max(1, len(photos) // SEARCHES)]]:
            start = perf_counter()
            library.search(probe, top_k=TOP_K)
            search_ms.append(1000 * (perf_counter() - start))
    return {
        "photos": report.ingested,
        "faces": report.faces,
        "seconds": report.seconds,
        "stages": report.stages,
        "models": models,
        "search_ms": search_ms[1:],
    }


def _ran(model: Detector | Embedder) -> dict[str, str]:
    return {"name": model.name, "engine": model.engine, "device": model.device, "provider": model.provider}


if __name__ == "__main__":
    # Libraries that print must not spoil the result.
    with contextlib.redirect_stdout(sys.stderr):
        place, *names = sys.argv[1:]
        result = run(Path(place), **dict(zip(("detector", "embedder", "device", "engine"), names, strict=True)))
    print(json.dumps(result))  # noqa: T201
