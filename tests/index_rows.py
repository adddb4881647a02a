"""Made-up faces for the tests of vector indexes."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from facekit.catalog import IndexRow

DIMENSION = 16
FOLDERS = ["/", "/a/", "/a/b/", "/a0/", "/a_b%/", '/a"b/', "/a\\b/", "/Фото/Лето 🌞/", "/line\nbreak'/"]


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def row(number: int) -> IndexRow:
    taken = None if number % 3 == 0 else datetime(2000 + number % 20, 5, 1)
    source = "local" if number % 4 else "vk"
    return IndexRow(f"face{number:03}", unit(number), number % 5 != 0, source, FOLDERS[number % len(FOLDERS)], taken)
