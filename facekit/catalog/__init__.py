"""The catalog: what facekit knows about photos and faces, in SQL. It is the truth; everything else is derived."""

from facekit.catalog.catalog import Catalog, open_catalog
from facekit.catalog.records import Change, FaceRecord, FileRecord, FileState, IndexRow, PhotoRecord

__all__ = ["Catalog", "Change", "FaceRecord", "FileRecord", "FileState", "IndexRow", "PhotoRecord", "open_catalog"]
