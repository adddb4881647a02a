"""Thumbnails in a library's folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from facekit.images.decode import turned_thumbnail
from facekit.system.permissions import make_private_folder, private_opener

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


THUMBNAILS = "thumbnails"


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
