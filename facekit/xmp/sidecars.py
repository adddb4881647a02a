"""A photo's XMP as files: its sidecars and what is inside it, read together; sidecars written whole or not at all."""

# Paths are bytes here, because a name need not be valid UTF-8, and pathlib takes no bytes.
# ruff: noqa: PTH110, PTH114, PTH119, PTH120, PTH122, PTH208

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.errors import FacekitError
from facekit.images.files import Limits, display_name, read_bytes
from facekit.images.stored_orientation import StoredPhoto, stored_box, stored_photo
from facekit.system.files import atomic_file
from facekit.xmp.rdf import MAX_BYTES
from facekit.xmp.regions import FaceRegions, Region, read_regions, with_faces

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from facekit.types.photos import Box


def stems_of(folder: bytes) -> Counter[bytes]:
    """How many files of a folder, sidecars aside, have each name without its ending."""
    parts = (os.path.splitext(name) for name in os.listdir(folder))
    return Counter(stem for stem, ending in parts if ending.lower() != b".xmp")


def regions_of(path: bytes) -> tuple[StoredPhoto | None, list[FaceRegions], list[str]]:
    """What a photo's XMP says of its faces.

    Returns
    -------
    (StoredPhoto or None, list of FaceRegions, list of str)
        The photo's header; the regions of each sidecar and then of the photo itself, so that what comes first counts
        for more; and what could not be read.
    """
    found: list[FaceRegions] = []
    problems: list[str] = []
    for sidecar in _sidecars(path):
        try:
            found.append(read_regions(read_bytes(sidecar, Limits(max_bytes=MAX_BYTES))))
        except FacekitError as error:
            problems.append(f"{display_name(os.path.basename(sidecar))}: {error}")
    photo = None
    try:
        photo = stored_photo(path)
        if photo.xmp:
            found.append(read_regions(photo.xmp))
    except FacekitError as error:
        problems.append(str(error))
    return photo, found, problems


def write_beside(
    path: bytes,
    faces: Sequence[tuple[str, Box]],
    others: Sequence[tuple[Box, Collection[str]]],
    stems: Callable[[bytes], Counter[bytes]],
) -> int:
    """Write a photo's faces into its sidecar: digiKam's (photo.jpg.xmp), or Lightroom's (photo.xmp) if there is one.

    A new sidecar begins as a copy of the XMP inside the photo: programs that find a sidecar look no further. A
    photo.xmp that may belong to photo.raw is neither written nor copied, since what it says of the raw file's
    development is not about this picture.

    Parameters
    ----------
    path : bytes
        The photo.
    faces, others
        See `with_faces`; the boxes are of the upright photo.
    stems : callable
        `stems_of`.

    Returns
    -------
    int
        How many faces the sidecar did not have so.

    Raises
    ------
    FacekitError
        If the photo or its sidecar can't be read, or the sidecar can't be written.
    """
    photo = stored_photo(path)
    regions = [Region(name, stored_box(box, photo.orientation)) for name, box in faces]
    rest = [(stored_box(box, photo.orientation), names) for box, names in others]
    size = (photo.width, photo.height)
    own = path + b".xmp"
    sidecar = next(iter(_sidecars(path)), own)
    folder, name = os.path.split(os.path.splitext(path)[0])
    if not sidecar.startswith(path) and stems(folder)[name] > 1:
        sidecar = own  # photo.xmp may be photo.raw's
    try:
        if os.path.lexists(sidecar):
            sidecar = _inside(sidecar)
            before: bytes | None = read_bytes(sidecar, Limits(max_bytes=MAX_BYTES))
            after, number = with_faces(before, regions, size, rest)
        else:
            before, after, number = _new_sidecar(photo.xmp, regions, size, rest)
        if after != before:
            with atomic_file(Path(os.fsdecode(sidecar))) as file:
                file.write(after)
    except (FacekitError, OSError) as error:
        words = (error.strerror if isinstance(error, OSError) else None) or str(error)
        message = f"{display_name(os.path.basename(sidecar))} was left as it is: {words}"
        raise FacekitError(message) from error
    return number


def _new_sidecar(
    xmp: bytes | None,
    faces: Sequence[Region],
    size: tuple[int, int],
    others: Sequence[tuple[Box, Collection[str]]],
) -> tuple[bytes, bytes, int]:
    """What there is, what is to be written, and how many faces differ; the same twice where no sidecar is needed."""
    if xmp:
        with suppress(FacekitError):  # damaged: nobody can read it, so that nothing is hidden
            return xmp, *with_faces(xmp, faces, size, others)
    return b"", *(with_faces(None, faces, size) if faces else (b"", 0))


def _sidecars(path: bytes) -> list[bytes]:
    """The sidecar files of a photo: digiKam's (photo.jpg.xmp), then Lightroom's (photo.xmp)."""
    names = [base + ending for base in (path, os.path.splitext(path)[0]) for ending in (b".xmp", b".XMP")]
    return [name for name in names if os.path.lexists(name)]


def _inside(sidecar: bytes) -> bytes:
    """The file that a sidecar is, through links inside the photo's folder. Raises FacekitError."""
    if not os.path.islink(sidecar):
        return sidecar
    real, folder = os.path.realpath(sidecar), os.path.realpath(os.path.dirname(sidecar))
    if not os.path.exists(real):
        message = f"it is a link to {display_name(real)}, which is not there."
        raise FacekitError(message, "Remove the link.")
    if os.path.commonpath([real, folder]) != folder:
        message = f"it is a link to {display_name(real)}, outside the photo's folder."
        raise FacekitError(message, "Put the file itself beside the photo.")
    return real
