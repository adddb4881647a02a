"""Face regions in XMP: reading what other programs wrote, and adding ours to it without losing a thing.

Two ways of writing a region are read: that of the Metadata Working Group (MWG, "Guidelines for Handling Image
Metadata" 2.0, section 5.9), which digiKam, Lightroom, Picasa and Apple write, and Microsoft's (MP), which digiKam
writes besides. MWG's is written. Both are about the picture as the file stores it, before it is turned upright: "Region
metadata is applied to the stored image" (MWG 2.0, 5.9). digiKam and Immich read it so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from facekit.images.boxes import match_faces, overlaps
from facekit.xmp.rdf import (
    AREA,
    DIMENSIONS,
    IPTC,
    MP,
    MP_INFO,
    MP_REGION,
    MWG,
    RDF,
    append,
    child_of,
    children,
    container_of,
    items_of,
    number,
    one_line,
    parse,
    properties,
    rdf_of,
    remove_text,
    serialised,
    set_text,
    struct_of,
    text_of,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from xml.dom import minidom

    from facekit.types.photos import Box


SAME_PLACE = 0.5
"""Intersection over union from which a region in a sidecar is the face that is to be written, whatever its name.
digiKam 8 takes that much for a face nobody has confirmed. Under the same name less is enough: `MIN_OVERLAP`."""

_FARTHEST = 10.0  # in widths of the picture: regions lie in 0..1; beyond this no sum or product of them overflows

_EMPTY = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="facekit">
<rdf:RDF xmlns:rdf="{RDF}">
</rdf:RDF>
</x:xmpmeta>"""


@dataclass(frozen=True, slots=True)
class Region:
    """A face as XMP has it: a name, "" where there is none, and a box in 0..1 of the picture as it is stored."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class FaceRegions:
    """The faces in an XMP document.

    ``size`` is the width and height that the document says its regions are about, None where it does not say.
    """

    faces: tuple[Region, ...]
    size: tuple[int, int] | None


def read_regions(xmp: bytes) -> FaceRegions:
    """MWG's face regions, or where none of those has a name, Microsoft's; those without a name, too.

    Raises
    ------
    FacekitError
        If it is no XMP, or declares entities or a document type, which XMP never does.
    """
    rdf = rdf_of(parse(xmp))
    for kind in (_mwg_regions, _mp_regions):
        found = tuple(one.region for one in kind(rdf))
        if any(one.name for one in found):
            return FaceRegions(found, _applied_to(rdf))
    return FaceRegions(tuple(one.region for one in _mwg_regions(rdf)), _applied_to(rdf))


def with_faces(
    xmp: bytes | None,
    faces: Sequence[Region],
    size: tuple[int, int],
    others: Sequence[tuple[Box, Collection[str]]] = (),
) -> tuple[bytes, int]:
    """Write named faces into an XMP document.

    A region at a face's place takes its name and keeps its own box, other faces get a region of their own, and the
    names are listed under ``Iptc4xmpExt:PersonInImage``. A region of one of ``others`` loses its name if it is one that
    this face does not have, and stays. Everything else stays as it is.

    Parameters
    ----------
    xmp : bytes or None
        The document so far; None for a new one.
    faces : sequence of Region
        What is to be in it.
    size : (int, int)
        Width and height of the picture as it is stored, in pixels.
    others : sequence of (box, collection of str)
        The other faces on the picture, each with the names that it was said not to have.

    Returns
    -------
    (bytes, int)
        The document, and how many faces were added or renamed or lost a wrong name. The very document that was given
        where all is there.

    Raises
    ------
    FacekitError
        See `read_regions`.
    """
    faces = [Region(name, face.box) for face in faces if (name := one_line(face.name))]
    document = parse(_EMPTY.encode() if xmp is None else xmp)
    rdf = rdf_of(document)
    known = list(_mwg_regions(rdf))
    pairs = _at_the_same_place(known, faces)
    added = [face for face in faces if not any(face is ours for _, ours in pairs)]
    renamed = _rename(pairs) + _take_names(known, pairs, others)
    if added:
        _add_regions(rdf, added, size)
    theirs = list(_mp_regions(rdf))
    pairs = _at_the_same_place(theirs, faces)
    too = _rename(pairs) + _take_names(theirs, pairs, others)
    left = {one.region.name for kind in (_mwg_regions, _mp_regions) for one in kind(rdf)}
    listed = _list_names(rdf, {face.name for face in faces}, {*renamed, *too} - left)
    if xmp is not None and not (added or renamed or too or listed):
        return xmp, 0
    return serialised(document), max(len(added) + len(renamed), len(too))


# -- regions in a document -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """A region in a document, the structure that holds it, and where in that its name stands."""

    region: Region
    struct: minidom.Element
    field: tuple[str, str]


def _mwg_regions(rdf: minidom.Element) -> Iterator[_Found]:
    for regions in properties(rdf, MWG, "Regions"):
        for item in items_of(struct_of(regions), MWG, "RegionList"):
            struct = struct_of(item)
            area = child_of(struct, MWG, "Area")
            kind = text_of(struct, MWG, "Type") or "Face"
            if area is None or kind.casefold() != "face":
                continue
            x, y, w, h = (number(text_of(struct_of(area), AREA, field)) for field in "xywh")
            if text_of(struct_of(area), AREA, "unit") in {"", "normalized"} and _is_box(x, y, w, h):
                name = one_line(text_of(struct, MWG, "Name"))
                yield _Found(Region(name, (x - w / 2, y - h / 2, w, h)), struct, (MWG, "Name"))


def _mp_regions(rdf: minidom.Element) -> Iterator[_Found]:
    for info in properties(rdf, MP, "RegionInfo"):
        for item in items_of(struct_of(info), MP_INFO, "Regions"):
            struct = struct_of(item)
            numbers = [number(part) for part in text_of(struct, MP_REGION, "Rectangle").split(",")]
            if len(numbers) == 4 and _is_box(*numbers):  # noqa: PLR2004 - x, y, width, height
                x, y, w, h = numbers
                name = one_line(text_of(struct, MP_REGION, "PersonDisplayName"))
                yield _Found(Region(name, (x, y, w, h)), struct, (MP_REGION, "PersonDisplayName"))


def _is_box(x: float, y: float, w: float, h: float) -> bool:
    return all(abs(value) < _FARTHEST for value in (x, y, w, h)) and w > 0 and h > 0  # nan is not


def _applied_to(rdf: minidom.Element) -> tuple[int, int] | None:
    for regions in properties(rdf, MWG, "Regions"):
        dimensions = child_of(struct_of(regions), MWG, "AppliedToDimensions")
        if dimensions is not None:
            width, height = (number(text_of(struct_of(dimensions), DIMENSIONS, field)) for field in "wh")
            if width > 0 and height > 0:
                return int(width), int(height)
    return None


def _at_the_same_place(known: Sequence[_Found], faces: Sequence[Region]) -> list[tuple[_Found, Region]]:
    theirs, ours = [one.region.box for one in known], [face.box for face in faces]
    ratio = overlaps(theirs, ours)
    return [
        (known[a], faces[b])
        for a, b in match_faces(theirs, ours)
        if ratio[a, b] >= SAME_PLACE or known[a].region.name == faces[b].name
    ]


def _rename(pairs: Sequence[tuple[_Found, Region]]) -> list[str]:
    """Write our names to regions in a document. Returns the names that stood there."""
    renamed = [(one, face) for one, face in pairs if one.region.name != face.name]
    for one, face in renamed:
        set_text(one.struct, *one.field, face.name)
    return [one.region.name for one, _ in renamed]


def _take_names(
    known: Sequence[_Found], pairs: Sequence[tuple[_Found, Region]], others: Sequence[tuple[Box, Collection[str]]]
) -> list[str]:
    """Take names out of regions whose faces do not have them. Returns these names."""
    left = [one for one in known if not any(one is ours for ours, _ in pairs)]
    wrong = [
        left[a]
        for a, b in match_faces([one.region.box for one in left], [box for box, _ in others])
        if left[a].region.name.casefold() in {one_line(name).casefold() for name in others[b][1]}
    ]
    for one in wrong:
        remove_text(one.struct, *one.field)
    return [one.region.name for one in wrong]


def _add_regions(rdf: minidom.Element, faces: Sequence[Region], size: tuple[int, int]) -> None:
    items = "\n".join(_region_item(face) for face in faces)
    for regions in properties(rdf, MWG, "Regions"):
        holder = child_of(struct_of(regions), MWG, "RegionList")
        bag = None if holder is None else container_of(holder)
        if bag is not None:
            append(bag, items)
            return
        regions.parentNode.removeChild(regions)  # type: ignore[union-attr]  # without regions it says nothing
    width, height = size
    append(
        rdf,
        f"""<rdf:Description rdf:about="">
<mwg-rs:Regions rdf:parseType="Resource">
<mwg-rs:AppliedToDimensions stDim:w="{width}" stDim:h="{height}" stDim:unit="pixel"/>
<mwg-rs:RegionList>
<rdf:Bag>
{items}
</rdf:Bag>
</mwg-rs:RegionList>
</mwg-rs:Regions>
</rdf:Description>""",
    )


def _region_item(face: Region) -> str:
    x, y, w, h = face.box
    area = (("x", x + w / 2), ("y", y + h / 2), ("w", w), ("h", h))
    numbers = " ".join(f'stArea:{field}="{value:.6f}"' for field, value in area)
    return f"""<rdf:li rdf:parseType="Resource">
<mwg-rs:Name>{escape(face.name)}</mwg-rs:Name>
<mwg-rs:Type>Face</mwg-rs:Type>
<mwg-rs:Area {numbers} stArea:unit="normalized"/>
</rdf:li>"""


def _list_names(rdf: minidom.Element, names: set[str], gone: set[str]) -> bool:
    """Bring the list of the people in the picture up to date. Returns whether it was not."""
    bags = [bag for prop in properties(rdf, IPTC, "PersonInImage") if (bag := container_of(prop)) is not None]
    items = [item for bag in bags for item in children(bag)]
    for item in items:
        if one_line(words_of(item)) in gone - names:
            item.parentNode.removeChild(item)  # type: ignore[union-attr]
    missing = sorted(names - {one_line(words_of(item)) for item in items})
    if missing:
        lines = "\n".join(f"<rdf:li>{escape(name)}</rdf:li>" for name in missing)
        if bags:
            append(bags[0], lines)
        else:
            inner = f"<Iptc4xmpExt:PersonInImage>\n<rdf:Bag>\n{lines}\n</rdf:Bag>\n</Iptc4xmpExt:PersonInImage>"
            append(rdf, f'<rdf:Description rdf:about="">\n{inner}\n</rdf:Description>')
    return bool(missing) or any(one_line(words_of(item)) in gone - names for item in items)
