"""Cluster a made-up crowd; run by `facekit.measure.clusterings` in a process of its own.

    python -m facekit.measure._crowd_loop FILE METHOD EMBEDDER

The file is an NPZ with ``vectors`` and ``person``. The result is one line of JSON on standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.clustering import cluster, evaluate_clusters

if TYPE_CHECKING:
    from facekit.clustering import Method


def run(file: str, method: Method, embedder: str) -> dict[str, Any]:
    """Cluster the crowd of a file: ``seconds``, ``people``, and the scores ``bcubed_*`` and ``pairwise_f``."""
    with np.load(file) as crowd:
        vectors, person = crowd["vectors"], crowd["person"]
    start = perf_counter()
    labels = cluster(vectors, method=method, embedder=embedder)
    seconds = perf_counter() - start
    scores = evaluate_clusters(labels, person)
    return {
        "people": scores.people,
        "seconds": seconds,
        "bcubed_precision": scores.bcubed_precision,
        "bcubed_recall": scores.bcubed_recall,
        "bcubed_f": scores.bcubed_f,
        "pairwise_f": scores.pairwise_f,
    }


if __name__ == "__main__":
    # Libraries that print must not spoil the result.
    with contextlib.redirect_stdout(sys.stderr):
        result = run(*sys.argv[1:])  # type: ignore[arg-type]
    print(json.dumps(result))  # noqa: T201
