"""Which vector index an address names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.index.milvus import MilvusIndex

if TYPE_CHECKING:
    from facekit.index.protocol import VectorIndex


def open_index(address: str, name: str, dimension: int, *, token: str = "", schema: str = "") -> VectorIndex:  # noqa: ARG001
    """Open the index with a name, which is made where there is none.

    Parameters
    ----------
    address : str
        A Milvus server's, as ``http://host:19530``, or a path that ends in ``.db`` for Milvus Lite.
    name : str
        Letters without accents, digits and underscores.
    dimension : int
        Length of the vectors.
    token : str
        Milvus' ``user:password`` or key.
    schema : str
        Where in a PostgreSQL database the index is.

    Raises
    ------
    VectorIndexError
        If it can't be opened. The message has the address, without credentials.
    """
    return MilvusIndex(address, dimension, name, token)


def drop_index(address: str, name: str, *, token: str = "", schema: str = "") -> None:  # noqa: ARG001
    """Delete the index with a name, if it is there; the parameters and errors are those of `open_index`.

    Whoever has it open is told at the next call that it is gone.
    """
    MilvusIndex.drop(address, name, token)
