"""Opening the index that an address names, for a library on servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.index.milvus import MilvusIndex

if TYPE_CHECKING:
    from facekit.index.protocol import VectorIndex


def open_index(address: str, name: str, dimension: int, *, token: str = "") -> VectorIndex:
    """The vectors that have a name on a server; there are none yet where it is new.

    Raises
    ------
    VectorIndexError
        If the server can't be reached.
    """
    return MilvusIndex(address, dimension, name=name, token=token)


def drop_index(address: str, name: str, *, token: str = "") -> None:
    """Delete the vectors that have a name; nobody has them open. Raises VectorIndexError."""
    MilvusIndex.drop(address, name, token=token)
