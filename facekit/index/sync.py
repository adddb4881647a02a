"""What is derived from the catalog and may be rebuilt from it or from the photos: the vector index and thumbnails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from loguru import logger

from facekit.images.decode import turned_thumbnail
from facekit.index.protocol import Fields
from facekit.system.permissions import make_private_folder, private_opener

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from facekit.catalog import Catalog, Change
    from facekit.index import VectorIndex

THUMBNAILS = "thumbnails"


def apply_change(change: Change, catalog: Catalog, index: VectorIndex, folder: Path) -> None:
    """Bring the vector index and the thumbnails up to a change of the catalog."""
    if change.faces:
        index.delete(change.faces)
    index.upsert(catalog.index_rows(change.touched))
    for photo_id in change.photos:
        thumbnail_path(folder, photo_id).unlink(missing_ok=True)


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
        photo_ids = {row["photo_id"] for row in catalog.faces_by_id(sorted(wrong)).values()}
        index.upsert(row for row in catalog.index_rows(photo_ids) if row.face_id in wrong)
    catalog.index_caught_up()
    if wrong or stale:
        logger.info("The vector index was repaired: {} faces written, {} removed.", len(wrong), len(stale))
    return len(wrong) + len(stale)


def thumbnail_path(folder: Path, photo_id: str) -> Path:
    """Where the thumbnail of a photo lies, whether or not it exists."""
    return folder / THUMBNAILS / photo_id[:2] / f"{photo_id}.jpg"


def write_thumbnail(folder: Path, photo_id: str, data: bytes) -> None:
    """Write a thumbnail so that no reader ever sees half of one."""
    path = thumbnail_path(folder, photo_id)
    if not path.parent.exists():
        make_private_folder(path.parents[1])
        make_private_folder(path.parent)
    part = path.with_suffix(".part")
    with open(part, "wb", opener=private_opener) as stream:
        stream.write(data)
    os.replace(part, path)  # noqa: PTH105 - Path.replace is the same; this is the one that says it is atomic


def turn_thumbnails(folder: Path, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Turn the thumbnails of the photos whose turn, in degrees by photo id, is another one now."""
    for photo_id in before.keys() | after.keys():
        turn = after.get(photo_id, 0) - before.get(photo_id, 0)
        path = thumbnail_path(folder, photo_id)
        if turn and path.exists():
            write_thumbnail(folder, photo_id, turned_thumbnail(path.read_bytes(), turn))
