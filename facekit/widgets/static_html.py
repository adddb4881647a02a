"""A gallery as plain HTML, for where a notebook is read without a kernel and without widgets."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST = 24  # a notebook keeps its outputs: so many small pictures stay well under 300 KB
_SIDE = 144  # pixels

_STYLE = """\
.fk-still { display: grid; grid-template-columns: repeat(auto-fill, minmax(144px, 1fr)); gap: 12px;
  list-style: none; margin: 0; padding: 0; }
.fk-still li { margin: 0; min-width: 0; overflow-wrap: anywhere; font-size: 12px; }
.fk-still div { position: relative; width: max-content; max-width: 100%; }
.fk-still img { display: block; max-width: 100%; margin: 0; }
.fk-still svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.fk-still rect { fill: none; stroke: #ffd400; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.fk-still rect.fk-poor { stroke-dasharray: 4 3; stroke-opacity: 0.6; pointer-events: all; }
"""


def still_gallery(tiles: Sequence[Mapping[str, Any]], thumbs: Sequence[bytes], total: int) -> str:
    """The first tiles of a page with their boxes; pictures are inside it."""
    cards = [_card(tile, thumb) for tile, thumb in list(zip(tiles, thumbs, strict=True))[:_MOST]]
    more = f"<p>... and {total - len(cards)} more.</p>" if total > len(cards) else ""
    return f'<style>{_STYLE}</style><ul class="fk-still">{"".join(cards)}</ul>{more}'


def _card(tile: Mapping[str, Any], thumb: bytes) -> str:
    rects = "".join(
        _rect(box, poor) for box, poor in zip(tile["boxes"], [*tile["poor"], *[""] * len(tile["boxes"])], strict=False)
    )
    drawn = f'<svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">{rects}</svg>'
    uri = _small(thumb)
    picture = f'<div><img src="{uri}" alt="{escape(tile["label"])}">{drawn}</div>' if uri else "<p>no picture kept</p>"
    similarity = "" if tile["similarity"] is None else f"<b>{tile['similarity']:.3f}</b> "
    lines = "".join(f"<br>{escape(tile[name])}" for name in ("person", "origin", "note") if tile.get(name))
    return f'<li title="{escape(tile["title"])}">{picture}{similarity}{escape(tile["label"])}{lines}</li>'


def _rect(box: Sequence[float], poor: str) -> str:
    x, y, w, h = box
    place = f'x="{x}" y="{y}" width="{w}" height="{h}"'
    return f'<rect class="fk-poor" {place}><title>{escape(poor)}</title></rect>' if poor else f"<rect {place}/>"


def _small(thumb: bytes) -> str:
    from PIL import Image

    try:
        with Image.open(BytesIO(thumb), formats=["JPEG"]) as picture:
            picture.draft("RGB", (_SIDE, _SIDE))
            picture.thumbnail((_SIDE, _SIDE))
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=75)
    except OSError:  # there is none, or it is damaged
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
