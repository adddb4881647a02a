"""RDF in XML as XMP has it: read with distrust, changed in places, written with everything else as it was.

A structure's fields may be attributes or elements, of the element itself or of an rdf:Description in it; all four ways
are read (XMP specification, part 1, section 7.9).
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING
from xml.dom import minidom
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from facekit.errors import FacekitError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 32 * 1024 * 1024
"""Larger documents are refused, ours: Lightroom's with masks and brush strokes are of a few megabytes."""

_DEEPEST = 100  # elements in each other; a region's area is at a depth of about ten
_MOST_PARTS = 200_000
"""Documents with more elements and attributes are refused, ours: each takes 250 times its own bytes when it is parsed,
and a face region has about ten."""
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
AREA = "http://ns.adobe.com/xmp/sType/Area#"
DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
MP = "http://ns.microsoft.com/photo/1.2/"
MP_INFO = "http://ns.microsoft.com/photo/1.2/t/RegionInfo#"
MP_REGION = "http://ns.microsoft.com/photo/1.2/t/Region#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

_SPACES = {
    "rdf": RDF,
    "mwg-rs": MWG,
    "stArea": AREA,
    "stDim": DIMENSIONS,
    "MPReg": MP_REGION,
    "Iptc4xmpExt": IPTC,
}
"""What facekit writes: the usual prefixes and the namespaces that they stand for."""


def properties(rdf: minidom.Element, space: str, name: str) -> Iterator[minidom.Element]:
    """A property wherever it stands: an XMP document may describe its picture in several pieces."""
    for description in children(rdf):
        found = child_of(description, space, name)
        if found is not None:
            yield found


def children(node: minidom.Element) -> list[minidom.Element]:
    """The elements in an element."""
    return [child for child in node.childNodes if isinstance(child, minidom.Element)]


def child_of(node: minidom.Element, space: str, name: str) -> minidom.Element | None:
    """The first element of a name in an element."""
    return next((child for child in children(node) if (child.namespaceURI, child.localName) == (space, name)), None)


def struct_of(node: minidom.Element) -> minidom.Element:
    """The element that has a structure's fields."""
    inner = child_of(node, RDF, "Description")
    return node if inner is None else inner


def container_of(node: minidom.Element) -> minidom.Element | None:
    """The list in a property."""
    kinds = (child_of(node, RDF, kind) for kind in ("Bag", "Seq", "Alt"))
    return next((found for found in kinds if found is not None), None)


def items_of(struct: minidom.Element, space: str, name: str) -> list[minidom.Element]:
    """The items of the list that is a field of a structure."""
    holder = child_of(struct, space, name)
    bag = None if holder is None else container_of(holder)
    return [] if bag is None else children(bag)


def text_of(struct: minidom.Element, space: str, name: str) -> str:
    """A field of a structure as text; "" where it has none."""
    if struct.hasAttributeNS(space, name):
        return str(struct.getAttributeNS(space, name)).strip()
    child = child_of(struct, space, name)
    return "" if child is None else words_of(child)


def words_of(node: minidom.Element) -> str:
    """The text in an element."""
    return "".join(child.data for child in node.childNodes if isinstance(child, minidom.Text)).strip()


def set_text(struct: minidom.Element, space: str, name: str, value: str) -> None:
    """Write a field of a structure, where and how it stands."""
    child = child_of(struct, space, name)
    if struct.hasAttributeNS(space, name):
        struct.getAttributeNodeNS(space, name).value = value  # type: ignore[union-attr]
    elif child is not None:
        for part in list(child.childNodes):
            child.removeChild(part)
        child.appendChild(_owner(struct).createTextNode(value))
    else:
        prefix = next(prefix for prefix, known in _SPACES.items() if known == space)
        append(struct, f"<{prefix}:{name}>{escape(value)}</{prefix}:{name}>")


def remove_text(struct: minidom.Element, space: str, name: str) -> None:
    """Take a field out of a structure."""
    child = child_of(struct, space, name)
    if child is not None:
        struct.removeChild(child)
    if struct.hasAttributeNS(space, name):
        struct.removeAttributeNS(space, name)


def one_line(text: str) -> str:
    """Text without the characters that XML can't hold, composed, and with single spaces."""
    return " ".join(unicodedata.normalize("NFC", _NO_XML.sub("", text)).split())


def number(text: str) -> float:
    """A finite number, or nan where it is none."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def append(node: minidom.Element, text: str) -> None:
    """Append elements whose prefixes are those of `_SPACES`, and declare what the document does not."""
    spaces = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in _SPACES.items())
    made = minidom.parseString(f"<made {spaces}>{text}</made>".encode())  # noqa: S318 - facekit's own text
    document = _owner(node)
    for child in list(_element(made).childNodes):
        copied = node.appendChild(document.importNode(child, deep=True))
        if isinstance(copied, minidom.Element):
            for prefix in sorted(_prefixes(copied) & _SPACES.keys()):
                if _bound(copied, prefix) != _SPACES[prefix]:
                    copied.setAttribute(f"xmlns:{prefix}", _SPACES[prefix])
    node.appendChild(document.createTextNode("\n"))


def _prefixes(node: minidom.Element) -> set[str]:
    inside = [node, *node.getElementsByTagName("*")]
    names = [name for one in inside for name in (one.tagName, *one.attributes.keys())]
    return {name.partition(":")[0] for name in names}


def _bound(node: minidom.Node | None, prefix: str) -> str:
    while isinstance(node, minidom.Element):
        if node.hasAttribute(f"xmlns:{prefix}"):
            return str(node.getAttribute(f"xmlns:{prefix}"))
        node = node.parentNode
    return ""


def _owner(node: minidom.Element) -> minidom.Document:
    document = node.ownerDocument
    assert document is not None  # noqa: S101 - every element here is in one
    return document


# -- XML ---------------------------------------------------------------------------------------------------------------


def parse(data: bytes) -> minidom.Document:
    """Parse XML that may be hostile.

    Raises
    ------
    FacekitError
        If it is damaged, too large, or declares a document type or entities.
    """
    if len(data) > MAX_BYTES:
        message = f"The XMP has {len(data):,} bytes, which is too much."
        raise FacekitError(message)
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, in which a zero byte is half of a letter
        data = data.strip(b"\x00 \t\r\n")  # a packet inside a photo is padded
    try:
        _check(data)
        return minidom.parseString(data)  # noqa: S318 - `_check` has refused what is dangerous
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter: encodings that nobody knows
        message = f"The XMP is damaged: {error}."
        raise FacekitError(message) from error


def _check(data: bytes) -> None:
    """Refuse declarations, before an entity could grow or fetch anything, and elements deeper or more than can be."""
    depth = parts = 0

    def refuse(*_: object) -> None:
        message = "The XMP declares a document type or entities, which XMP never does."
        raise FacekitError(message, "It was not read: this is how files attack programs.")

    def count(*_: object, number: int = 1) -> None:
        nonlocal parts
        parts += number
        if parts > _MOST_PARTS:
            message = f"The XMP has more than {_MOST_PARTS:,} elements and attributes, which is too much."
            raise FacekitError(message)

    def begin(_name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        count(number=1 + len(attributes))
        depth += 1
        if depth > _DEEPEST:
            message = f"The XMP has elements more than {_DEEPEST} deep."
            raise FacekitError(message)

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CommentHandler = parser.ProcessingInstructionHandler = parser.StartCdataSectionHandler = count
    parser.Parse(data, True)  # noqa: FBT003 - expat takes no keyword


def rdf_of(document: minidom.Document) -> minidom.Element:
    """The element that holds all properties. Raises FacekitError."""
    root = _element(document)
    found = root if (root.namespaceURI, root.localName) == (RDF, "RDF") else child_of(root, RDF, "RDF")
    if found is None:
        message = "The file is XML, but no XMP."
        raise FacekitError(message)
    return found


def _element(document: minidom.Document) -> minidom.Element:
    root = document.documentElement
    assert root is not None  # noqa: S101 - a document that was parsed has one
    return root


def serialised(document: minidom.Document) -> bytes:
    """The document as UTF-8, with everything that was in it."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    for node in document.childNodes:
        _write(node, lines)
        lines.append("\n")
    return "".join(lines).encode()


def _write(node: minidom.Node, out: list[str]) -> None:
    # minidom's own writer loses line ends and tabs in attributes (before Python 3.13), and lone carriage returns.
    if isinstance(node, minidom.Element):
        attributes = "".join(f" {name}={quoteattr(value)}" for name, value in node.attributes.items())
        if not node.childNodes:
            out.append(f"<{node.tagName}{attributes}/>")
            return
        out.append(f"<{node.tagName}{attributes}>")
        for child in node.childNodes:
            _write(child, out)
        out.append(f"</{node.tagName}>")
    elif isinstance(node, minidom.Text):  # and CDATA, which is another way of writing the same
        out.append(escape(node.data, {"\r": "&#13;"}))
    else:  # a comment, a processing instruction
        out.append(node.toxml())
