"""Thumbnails that are turned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facekit.images.decode import turned_thumbnail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facekit.images.blobs import Blobs


def turn_thumbnails(blobs: Blobs, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Turn the thumbnails of the photos whose turn, in degrees by photo id, is another one now."""
    for photo_id in before.keys() | after.keys():
        turn = after.get(photo_id, 0) - before.get(photo_id, 0)
        if turn and (data := blobs.get(photo_id)) is not None:
            blobs.put({photo_id: turned_thumbnail(data, turn)})
