"""What every engine makes of a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from facekit.types.arrays import FloatArray


class Network(Protocol):
    """An open network, whichever engine runs it.

    Attributes
    ----------
    engine : str
        One of `ENGINES`, never "auto".
    device : str
        What it really runs on: one of `facekit.models.device.DEVICES`, never "auto".
    provider : str
        The engine's own words for that, with the engine's name.
    """

    engine: str
    device: str
    provider: str

    def run(self, batch: FloatArray) -> list[FloatArray]:
        """Give a batch to the network; return the outputs in their order. Safe to call from several threads."""
        ...
