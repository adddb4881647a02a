"""Which vector index an address names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.index.milvus import MilvusIndex

if TYPE_CHECKING:
    from facekit.index.protocol import VectorIndex

_POSTGRESQL = ("postgresql:", "postgresql+psycopg:", "postgres:")


def open_index(address: str, name: str, dimension: int, *, token: str = "", schema: str = "") -> VectorIndex:
    """Open the index with a name, which is made where there is none.

    Parameters
    ----------
    address : str
        A Milvus server's, as ``http://host:19530``; a path that ends in ``.db`` for Milvus Lite; or a PostgreSQL
        database with pgvector, ``postgresql://user@host/database``.
    name : str
        Letters without accents, digits and underscores.
    dimension : int
        Length of the vectors.
    token : str
        Milvus' ``user:password`` or key.
    schema : str
        Where in a PostgreSQL database the index is, beside the catalog.

    Raises
    ------
    VectorIndexError
        If it can't be opened. The message has the address, without credentials.
    """
    if address.startswith(_POSTGRESQL):
        from facekit.index.pgvector import PgVectorIndex

        return PgVectorIndex(address, schema or None, dimension, name)
    return MilvusIndex(address, dimension, name, token)


def drop_index(address: str, name: str, *, token: str = "", schema: str = "") -> None:
    """Delete the index with a name, if it is there; the parameters and errors are those of `open_index`.

    Whoever has it open is told at the next call that it is gone.
    """
    if address.startswith(_POSTGRESQL):
        from facekit.index.pgvector import PgVectorIndex

        PgVectorIndex.drop(address, schema or None, name)
    else:
        MilvusIndex.drop(address, name, token)


def index_names(address: str, *, token: str = "", schema: str = "") -> list[str]:
    """List what is at a server's address, of whatever library; the parameters and errors are those of `open_index`."""
    if address.startswith(_POSTGRESQL):
        from facekit.index.pgvector import PgVectorIndex

        return PgVectorIndex.names(address, schema or None)
    return MilvusIndex.names(address, token)


def index_server(address: str, *, token: str = "", schema: str = "") -> str:
    """What answers at a server's address, with its version; the parameters and errors are those of `open_index`."""
    if address.startswith(_POSTGRESQL):
        from facekit.index.pgvector import PgVectorIndex

        return f"pgvector {PgVectorIndex.version(address, schema or None)}"
    return f"Milvus {MilvusIndex.version(address, token)}"
