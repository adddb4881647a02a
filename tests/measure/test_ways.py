"""The ways to run models that a machine has, and how their speed is measured and drawn."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import onnxruntime
import pytest

from facekit.errors import FacekitError
from facekit.measure import speed as ways
from facekit.measure.speed import batch_rates, ways_here
from facekit.models import load_embedder
from facekit.plots import batches_figure, stages_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def test_the_cpu_is_always_a_way_and_a_gpu_only_where_there_is_one() -> None:
    here = ways_here("yunet", "sface")
    found = {(way.device, way.engine) for way in here}
    assert ("cpu", "onnxruntime") in found
    assert (("cpu", "openvino") in found) == (find_spec("openvino") is not None)
    assert not {engine for _, engine in found} & {"auto", "tensorflow"}, "these two are no TensorFlow networks"
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert {device for device, _ in found} == {"cpu"}
    for way in here:
        assert way.embedder == load_embedder("sface", device=way.device, engine=way.engine).provider
    assert str(here[-1]) == f"{here[-1].device}, {here[-1].engine}"


def test_an_engine_whose_weights_are_not_here_is_no_way(all_weights: Path) -> None:
    assert ("cpu", "tensorflow") in {(way.device, way.engine) for way in ways_here("retinaface", "facenet")}
    (all_weights / "facenet_weights.h5").unlink()
    assert "tensorflow" not in {way.engine for way in ways_here("retinaface", "facenet")}


def test_a_model_that_does_not_exist_is_no_way_at_all() -> None:
    with pytest.raises(FacekitError, match="no model 'nose'"):
        ways_here("yunet", "nose")


def test_each_size_is_measured_and_what_is_too_slow_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def run(part: Sequence[str]) -> None:
        given.append(len(part))

    monkeypatch.setattr(ways, "_ENOUGH_S", 0.001)
    rates = batch_rates(run, "abcd", [1, 2, 4])
    assert list(rates) == [1, 2, 4]
    assert sorted(set(given)) == [1, 2, 4]
    assert all(rate > 0 for rate in rates.values())
    monkeypatch.setattr(ways, "_TOO_LONG_S", -1.0)
    assert list(batch_rates(run, "abcd", [1, 2, 4])) == [1]


def test_the_figures_show_every_way() -> None:
    stages = stages_figure({"cpu": {"detect": 50.0, "embed": 20.0}, "cuda": {"detect": 5.0, "embed": 2.0}})
    assert [(bar.name, bar.x, bar.y) for bar in stages.data] == [
        ("cpu", (50.0, 20.0), ("detect", "embed")),
        ("cuda", (5.0, 2.0), ("detect", "embed")),
    ]
    rates = {"photos": {"cpu": {1: 3.0, 2: 4.0}, "cuda": {1: 30.0}}, "faces": {"cpu": {1: 9.0}}}
    batches = batches_figure(rates)
    assert [(line.name, line.x, line.y, line.showlegend) for line in batches.data] == [
        ("cpu", (1, 2), (3.0, 4.0), True),
        ("cuda", (1,), (30.0,), True),
        ("cpu", (1,), (9.0,), False),
    ]
    assert batches.data[0].marker.color == batches.data[2].marker.color
    for figure in (stages, batches):
        assert figure.layout.paper_bgcolor == "rgba(0, 0, 0, 0)", "the notebook's own theme shines through"
