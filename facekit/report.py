"""Results as HTML: a page that stands alone, and the short form that a notebook shows."""

from __future__ import annotations

import base64
from functools import cache
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from facekit.derived import thumbnail_path
from facekit.images import thumbnail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import jinja2

    from facekit.hits import Hits

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
    probes = [(probe, _data_uri(thumbnail(probe.image, side))) for probe in hits.probes]
    cards = [(hit, _thumbnail_uri(hits.folder, hit.photo_id, side)) for hit in hits.hits[:most]]
    values = {"hits": hits, "probes": probes, "cards": cards, "more": len(hits) - len(cards)}
    return _templates().get_template(template).render(values)


@cache
def _templates() -> jinja2.Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("facekit", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _thumbnail_uri(folder: Path, photo_id: str, side: int) -> str | None:
    from PIL import Image

    try:
        with Image.open(thumbnail_path(folder, photo_id)) as picture:
            picture.draft("RGB", (side, side))
            picture.thumbnail((side, side))
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=80)
    except OSError:  # thumbnails may be deleted at any time
        return None
    return _data_uri(buffer.getvalue())


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
