"""Ingest a folder into a fresh library, then search it; run by `facekit.bench` in a process of its own.

    python -m facekit._facekit_loop FOLDER DETECTOR EMBEDDER DEVICE

The library is temporary. The result is one line of JSON on standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import facekit
from facekit.types import Status

SEARCHES = 50
TOP_K = 10


def run(folder: Path, *, detector: str, embedder: str, device: str) -> dict[str, Any]:
    """Ingest `folder`, then search for the people on some of its photos, spread evenly over it.

    Returns
    -------
    dict
        ``photos``, ``faces``, ``seconds`` and ``stages`` (seconds by stage) of the ingest; ``search_ms``, one number
        for each search from a photo on disk to ten hits, without the first search.
    """
    with (
        tempfile.TemporaryDirectory(prefix="facekit-bench-") as place,
        facekit.open(Path(place) / "library", detector=detector, embedder=embedder, device=device) as library,
    ):
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
        "search_ms": search_ms[1:],
    }


if __name__ == "__main__":
    # Libraries that print must not spoil the result.
    with contextlib.redirect_stdout(sys.stderr):
        result = run(Path(sys.argv[1]), detector=sys.argv[2], embedder=sys.argv[3], device=sys.argv[4])
    print(json.dumps(result))  # noqa: T201
