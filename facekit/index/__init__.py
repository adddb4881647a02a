"""Vector search: a small protocol, and Milvus (Lite in a folder, or a server by its address) behind it."""

from facekit.index.milvus import MilvusIndex
from facekit.index.opening import drop_index, open_index
from facekit.index.protocol import IndexFilter, VectorIndex

__all__ = ["IndexFilter", "MilvusIndex", "VectorIndex", "drop_index", "open_index"]
