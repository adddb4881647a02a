"""Where a library is: the one place that chooses its backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.storage.embedded import Embedded

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.storage.backend import Backend


def backend_at(folder: Path) -> Backend:
    """What keeps the library that is in a folder, or that is to be made there."""
    return Embedded(folder)
