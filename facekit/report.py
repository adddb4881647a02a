"""Results as HTML: a page that stands alone, and the short form that a notebook shows."""

from __future__ import annotations

import base64
from functools import cache
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from facekit.errors import FacekitError
from facekit.orientation import turned_box

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2

    from facekit.hits import Hits
    from facekit.library import Library

_PAGE_SIDE = 384  # pixels: sharp on a card of 190 CSS pixels, and fifty of them stay under 2 MB
_CELL_SIDE = 160  # pixels: a notebook keeps its outputs, so they stay small
_CELL_HITS = 12


def hits_page(hits: Hits) -> str:
    """A page with the probes and all hits; pictures are inside it, nothing is asked from anywhere."""
    return _render("page.html", hits, _PAGE_SIDE, len(hits))


def hits_summary(hits: Hits) -> str:
    """A short form for a notebook's cell: the best hits as small pictures."""
    return _render("cell.html", hits, _CELL_SIDE, _CELL_HITS)


def html_table(values: Mapping[str, Any]) -> str:
    """Names and values as a small table."""
    rows = (f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in values.items())
    return f"<table>{''.join(rows)}</table>"


def _render(template: str, hits: Hits, side: int, most: int) -> str:
    probes = [(probe, _small(probe.picture, side)) for probe in hits.probes]
    cards = [
        (hit, turned_box(hit.box, hit.turn), _small(_thumbnail(hits.library, hit.photo_id), side))
        for hit in hits.hits[:most]
    ]
    values = {"hits": hits, "probes": probes, "cards": cards, "more": len(hits) - len(cards)}
    return _templates().get_template(template).render(values)


def _thumbnail(library: Library, photo_id: str) -> bytes | None:
    try:
        return library.thumbnail(photo_id)
    except FacekitError:  # the library is closed, or gone: the rest of the result is still worth seeing
        return None


@cache
def _templates() -> jinja2.Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("facekit", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _small(picture: bytes | None, side: int) -> str | None:
    """A picture as the address of a small JPEG; None where there is none, or it can't be read."""
    if picture is None:
        return None
    from PIL import Image, ImageOps

    try:
        with Image.open(BytesIO(picture)) as opened:
            opened.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(opened).convert("RGB")
            upright.thumbnail((side, side))
            buffer = BytesIO()
            upright.save(buffer, "JPEG", quality=80)
    except OSError:
        return None
    return _data_uri(buffer.getvalue())


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
