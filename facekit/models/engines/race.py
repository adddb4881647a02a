"""Which engine is the faster one for a graph on this machine: measured once, and remembered.

There is no rule: on an AMD EPYC without AVX-512 OpenVINO is twice as fast as ONNX Runtime with SFace and slower with
YuNet; on an Intel Xeon it is faster with both.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from facekit.models.cache import cache_folder
from facekit.models.device import AT_ONCE, side_by_side
from facekit.system.files import atomic_file

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.models.engines.network import Network
    from facekit.types.arrays import FloatArray

_ROUNDS = 3  # the best of them counts: other programs only ever make a round slower
_MARGIN = 1.1  # so many times faster OpenVINO has to be: starting it takes longer


def faster(graph: bytes, sample: tuple[int, ...]) -> str:
    """Say which engine runs a graph faster on this CPU.

    Parameters
    ----------
    graph : bytes
        A serialised ONNX model with one input.
    sample : tuple of int
        Shape of an ordinary batch.

    Returns
    -------
    {"onnxruntime", "openvino"}
        Measured the first time, which takes about a second, and then read from ``engines.json`` in the cache; delete
        that file to have it measured anew. Another version of an engine, or another processor, is measured anew.
    """
    import onnxruntime
    from loguru import logger

    from facekit.models.engines.vino import OpenVinoNetwork, core

    place = cache_folder() / "engines.json"
    processor = core().get_property("CPU", "FULL_DEVICE_NAME").strip()
    engines = f"onnxruntime-{onnxruntime.__version__}+openvino-{version('openvino')}"
    key = f"{hashlib.sha256(graph).hexdigest()[:16]} {list(sample)} {processor} {engines}"
    known = _read(place)
    if key not in known:
        from facekit.models.engines.ort import OrtNetwork

        batch = np.random.default_rng(0).integers(0, 256, sample).astype(np.float32)
        ort, vino = _seconds(OrtNetwork(graph, "cpu"), batch), inf
        try:
            vino = _seconds(OpenVinoNetwork(graph), batch)
        except RuntimeError as error:  # OpenVINO does not know every operation of ONNX
            logger.info("OpenVINO can't run {}: {}", key, error)
        known[key] = "openvino" if vino * _MARGIN < ort else "onnxruntime"
        logger.info("{}: {:.1f} ms in ONNX Runtime, {:.1f} ms in OpenVINO", key, 1e3 * ort, 1e3 * vino)
        _write(place, known)
    return known[key]


def _seconds(network: Network, batch: FloatArray) -> float:
    """The shortest time of a batch, with as many at once as facekit runs."""
    what = f"the first runs of a network in {network.engine}"
    list(side_by_side(network.run, [batch] * AT_ONCE, "cpu", what))  # the first run prepares
    rounds = []
    for _ in range(_ROUNDS):
        start = perf_counter()
        list(side_by_side(network.run, [batch] * AT_ONCE, "cpu", what))
        rounds.append(perf_counter() - start)
    return min(rounds)


def _read(place: Path) -> dict[str, str]:
    try:
        known = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): value for key, value in known.items() if value in {"onnxruntime", "openvino"}}


def _write(place: Path, known: dict[str, str]) -> None:
    from loguru import logger

    try:
        with atomic_file(place, mode=0o644) as file:
            file.write(json.dumps(known, indent=1).encode())
    except OSError as error:  # a read-only cache costs a second at each start, no more
        logger.warning("It could not be kept which engine is faster: {}", error)
