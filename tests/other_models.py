"""More models than there are networks: they compute from YuNet and SFace, but their faces and vectors are others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from facekit.models import registry

embedded = {"faces": 0}
"""How many faces these embedders were given."""


class Finds:
    """YuNet under another name; "choosy" takes only the best face of a photo."""

    def __init__(self, inner: Any, name: str) -> None:
        self.inner = inner
        self.name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def detect(self, images: Any, *, closely: bool = False) -> Any:
        found = self.inner.detect(images, closely=closely)
        return [faces[:1] for faces in found] if self.name == "choosy" else found


class Turns:
    """SFace, its vectors turned about the origin: as good as before among themselves, and useless with others."""

    def __init__(self, inner: Any, name: str, dimension: int) -> None:
        self.inner = inner
        self.name = name
        self.dimension = dimension
        seed = sum(name.encode())
        square = np.linalg.qr(np.random.default_rng(seed).normal(size=(inner.dimension, inner.dimension)))[0]
        self.turn = square[:, :dimension].astype(np.float32)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def embed(self, faces: Any) -> Any:
        embedded["faces"] += len(faces)
        vectors = self.inner.embed(faces) @ self.turn
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def models() -> dict[str, registry.ModelInfo]:
    """What `facekit.models.facts.MODELS` is to hold beside its own."""
    yunet, sface = registry.MODELS["yunet"], registry.MODELS["sface"]

    def finds(name: str, **look: str) -> registry.ModelInfo:
        return replace(yunet, name=name, load=lambda **how: Finds(registry.load_detector("yunet", **how | look), name))

    def turns(name: str, size: int) -> registry.ModelInfo:
        def load(**how: Any) -> Turns:
            return Turns(registry.load_embedder("sface", **how), name, size)

        return replace(sface, name=name, dimension=size, load=load)

    detectors = [finds("fine", detail="fine"), finds("choosy")]
    embedders = [turns("turned", 128), turns("twisted", 128), turns("short", 64)]
    return {info.name: info for info in (*detectors, *embedders)}
