"""What is derived from the catalog and may be rebuilt from it or from the photos: the vector index and thumbnails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from facekit.index.protocol import Fields

if TYPE_CHECKING:
    from facekit.catalog import Catalog, Change
    from facekit.images.blobs import Blobs
    from facekit.index import VectorIndex


def apply_change(change: Change, catalog: Catalog, index: VectorIndex, blobs: Blobs) -> None:
    """Bring the vector index and the thumbnails up to a change of the catalog."""
    if change.faces:
        index.delete(change.faces)
    index.upsert(catalog.index_rows(change.touched))
    blobs.delete(change.photos)


def reconcile(catalog: Catalog, index: VectorIndex) -> int:
    """Make the vector index hold just what the catalog says. Returns the number of faces that were wrong in it."""
    held = index.rows()
    wrong: set[str] = set()
    wanted: set[str] = set()
    for row in catalog.index_rows():
        wanted.add(row.face_id)
        if held.get(row.face_id) != Fields.of(row):
            wrong.add(row.face_id)
    stale = sorted(held.keys() - wanted)
    if stale:
        index.delete(stale)
    if wrong:
        photo_ids = {row.photo_id for row in catalog.faces_by_id(sorted(wrong)).values()}
        index.upsert(row for row in catalog.index_rows(photo_ids) if row.face_id in wrong)
    catalog.index_caught_up()
    if wrong or stale:
        logger.info("The vector index was repaired: {} faces written, {} removed.", len(wrong), len(stale))
    return len(wrong) + len(stale)
