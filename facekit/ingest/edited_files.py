"""Files that were changed since they were ingested: what was said of their faces stays with the faces."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from facekit.catalog.rows import box_of
from facekit.images.boxes import match_faces
from facekit.images.stored_orientation import turned_sideways, upright_box
from facekit.types.photos import Box

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from facekit.catalog import Catalog
    from facekit.catalog.records import FaceRecord, PhotoRecord
    from facekit.images.blobs import Blobs
    from facekit.ingest.pipeline import Item
    from facekit.types.arrays import FloatArray

SAME_FACE = 0.7
"""Cosine similarity from which a face in a changed file is taken to be a face that the file showed before.

Measured with yunet and sface on the largest face of 154 photos (120 of LFW, 34 ordinary ones): saved again as JPEG of
quality 60 or 30, in grey, at half size, mirrored, cropped to four fifths of each side, and 1.4 times as bright, 97 to
100 % of the faces are above it; half of them are above 0.94. No two different people of LFW's (7,136 pairs) reach more
than 0.42."""

SAME_PICTURE = 0.97
"""Correlation of two thumbnails, reduced to 32 x 32 grey pixels, from which they show the same picture.

Measured on 94 photos (60 of LFW, 34 ordinary ones), each turned three ways and mirrored and saved as JPEG of quality
60: 0.999 at least, the turn right for all 376. The 79,800 pairs of 400 other photos of LFW reach 0.885 at most, in any
of the eight ways, although all show a face in the middle."""

_SAME_PLACE = 0.5  # intersection over union of a face's box and the turned box of the same face
_SIDE = 32

_Face = tuple[str, Box, "FloatArray | None"]


class Thumbnails:
    """How photos look, as EXIF turns them: those in a library, and those that are about to come into it."""

    def __init__(self, blobs: Blobs, catalog: Catalog, items: Sequence[Item]) -> None:
        self._blobs = blobs
        self._catalog = catalog
        self._turns = {item.photo_id: item.record.turn for item in items if item.record}
        self._new = {item.photo_id: item.thumbnail for item in items if item.thumbnail}

    def get(self, photo_id: str) -> npt.NDArray[np.float64] | None:
        """A photo in grey, float64 (32, 32), mean 0 and length 1; None where none is kept, or it is all one grey."""
        from PIL import Image

        try:
            data = self._new.get(photo_id) or self._blobs.get(photo_id)
            if data is None:  # a thumbnail can be deleted: it is only derived
                return None
            with Image.open(BytesIO(data)) as picture:
                small = picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
        except OSError:  # it is damaged
            return None
        turn = self._turns[photo_id] if photo_id in self._turns else self._catalog.turns([photo_id]).get(photo_id, 0)
        pixels = np.rot90(np.asarray(small, np.float64), turn // 90)  # thumbnails are turned upright, boxes are not
        pixels = pixels - pixels.mean()
        length = float(np.linalg.norm(pixels))
        return pixels / length if length > _SIDE else None  # less than a grey value a pixel: nothing to compare


def carry_edited(
    catalog: Catalog,
    edited: Sequence[tuple[str, PhotoRecord]],
    leaving: Mapping[str, int],
    thumbnails: Thumbnails,
) -> set[str]:
    """Let what was said of faces in photos count for the same faces in the photos that took their place in the files.

    The photo may have been cropped or saved anew: faces are known by their embeddings. It may have been turned or
    mirrored, in its pixels or by its Exif orientation: where the pictures are the same, faces are known by their place.
    Called before the new photos are saved: cut off in between, it is found done the next time.

    Parameters
    ----------
    catalog : Catalog
        Where the old photos are.
    edited : sequence of (str, PhotoRecord)
        The old photos' ids, and the new photos.
    leaving : mapping of str to int
        How many files fewer show each old photo afterwards.
    thumbnails : Thumbnails
        How the old and the new photos look.

    Returns
    -------
    set of str
        The old faces that have a face in a new photo.
    """
    if not edited:
        return set()
    with catalog.people.changing():  # nobody says anything of these faces between what is read and what is written
        return _carry(catalog, edited, leaving, thumbnails)


def _carry(
    catalog: Catalog,
    edited: Sequence[tuple[str, PhotoRecord]],
    leaving: Mapping[str, int],
    thumbnails: Thumbnails,
) -> set[str]:
    kept: set[str] = set()
    last = {old: number for number, (old, _) in enumerate(edited)}
    said = catalog.people.faces_with_decisions(last)
    vectors = catalog.people.vectors(list(said))
    rows = catalog.faces_by_id(said)
    places = catalog.places(last)
    for number, (photo_id, record) in enumerate(edited):
        catalog.people.allow_too(photo_id, record.photo_id)
        old: list[_Face] = [
            (key, box_of(row), vectors.get(key)) for key, row in sorted(rows.items()) if row.photo_id == photo_id
        ]
        pairs = _same_faces(old, record.faces)
        if len(pairs) < len(old):
            turn = _turn(thumbnails.get(photo_id), thumbnails.get(record.photo_id))
            pairs |= _same_places(old, record, turn, pairs) if turn else {}
        kept |= pairs.keys()
        gone = len(places[photo_id]) <= leaving[photo_id]
        if gone and number == last[photo_id]:
            catalog.people.rename(pairs)
        else:  # other files show the old photo, or were changed in other ways
            catalog.people.copy(pairs)
    return kept


def _same_faces(old: Sequence[_Face], new: Sequence[FaceRecord]) -> dict[str, str]:
    """Faces that look the same, old to new; no face is in two pairs."""
    from scipy.optimize import linear_sum_assignment

    before = [(key, vector) for key, _, vector in old if vector is not None]
    after = [(face.face_id, face.embedding) for face in new if face.embedding is not None]
    if not before or not after:
        return {}
    similar = np.stack([vector for _, vector in before]) @ np.stack([vector for _, vector in after]).T
    pairs = zip(*linear_sum_assignment(similar, maximize=True), strict=True)
    return {before[a][0]: after[b][0] for a, b in pairs if similar[a, b] >= SAME_FACE}


def _same_places(old: Sequence[_Face], record: PhotoRecord, turn: int, paired: Mapping[str, str]) -> dict[str, str]:
    """The other faces that lie at the same place of the turned picture, old to new."""
    before = [(key, upright_box(box, turn)) for key, box, _ in old if key not in paired]
    taken = set(paired.values())
    after = [face for face in record.faces if face.face_id not in taken]
    at = match_faces([box for _, box in before], [face.box for face in after], min_overlap=_SAME_PLACE)
    return {before[a][0]: after[b].face_id for a, b in at}


def _turn(old: npt.NDArray[np.float64] | None, new: npt.NDArray[np.float64] | None) -> int | None:
    """How the old picture was turned or mirrored to make the new one, 1..8 as Exif numbers it; None for another one."""
    if old is None or new is None:
        return None
    like = {turn: float((turned(old, turn) * new).sum()) for turn in range(1, 9)}
    best = max(like, key=lambda turn: like[turn])
    return best if like[best] >= SAME_PICTURE else None


def turned(pixels: npt.NDArray[np.float64], orientation: int) -> npt.NDArray[np.float64]:
    """A stored picture as it looks upright; ``orientation`` is EXIF's, 1..8. `upright_box` does this to boxes."""
    if turned_sideways(orientation):
        pixels = pixels.T
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels
