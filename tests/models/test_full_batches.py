"""On CUDA a change of shape costs more than a full batch: an embedder's network sees one shape only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facekit.models.sface import SFace


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_faces_get_their_own_vectors_and_a_gpu_sees_one_shape(device: str) -> None:
    shapes: list[tuple[int, ...]] = []

    def run(batch: np.ndarray) -> list[Any]:
        shapes.append(batch.shape)
        seen = batch.mean(axis=(2, 3))  # tells the faces apart
        return [np.pad(seen + 1, ((0, 0), (0, 125)))]

    network: Any = SimpleNamespace(run=run, engine="onnxruntime", device=device, provider=device)
    embedder = SFace(network)
    faces = np.random.default_rng(0).integers(0, 255, (130, 112, 112, 3), np.uint8)
    faces[:, ..., 0] //= np.arange(1, 131, dtype=np.uint8)[:, None, None]
    every = embedder.embed(faces)
    one_by_one = np.concatenate([embedder.embed(faces[i : i + 1]) for i in (0, 63, 64, 129)])
    np.testing.assert_allclose(every[[0, 63, 64, 129]], one_by_one, rtol=1e-5)
    assert every.shape == (130, 128)
    assert len(embedder.embed(faces[:0])) == 0
    if device == "cuda":
        assert len(set(shapes)) == 1
    else:
        assert max(shape[0] for shape in shapes) <= 4
