"""What a search returns: rows to read, a table to work with, a page to look at."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, overload

from facekit.errors import FacekitError
from facekit.images.orientation import turned_box
from facekit.sources.links import safe_link, source_words
from facekit.system.files import named_file, user_path
from facekit.text.names import one_line
from facekit.views import view

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    import jinja2
    import pandas as pd

    from facekit.types.photos import Hit, PictureSource, Probe


_PAGE_SIDE = 384  # pixels: sharp on a card of 190 CSS pixels, and fifty of them stay under 2 MB
_CELL_SIDE = 160  # pixels: a notebook keeps its outputs, so they stay small
_CELL_HITS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Photos of a person, best first; a sequence of `Hit`.

    ``probes`` says which face of each probe image was searched for, ``searched`` how many faces were compared;
    ``top_k`` is the most hits that were asked for, ``min_similarity`` the cosine similarity from which a face counted;
    ``library`` is where the photos are.

    Examples
    --------
    >>> hits = lib.search(demo.probe, top_k=3)
    >>> [hit.rank for hit in hits]
    [1, 2, 3]
    >>> table = hits.to_frame()
    >>> page = hits.save_html("hits.html")
    """

    hits: tuple[Hit, ...]
    probes: tuple[Probe, ...]
    top_k: int
    min_similarity: float
    searched: int
    library: PictureSource

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        """One hit, or some."""
        return self.hits[index]

    @property
    def notes(self) -> list[str]:
        """What to know when reading the result, in plain words."""
        notes = []
        for probe in self.probes:
            if probe.faces > 1:
                notes.append(f"{probe.path} shows {probe.faces} faces; number {probe.used} was used (see face=).")
            if probe.quality.reason:
                notes.append(f"The face in {probe.path} is poor ({probe.quality.reason}); expect worse hits.")
        if len(self.hits) == self.top_k:
            notes.append(f"Only the best {self.top_k} are listed; ask for more with top_k.")
        return notes

    def to_frame(self) -> pd.DataFrame:
        """A tidy table, one row a hit, with the columns of `to_dict` and quality, size, taken_at and person."""
        import pandas as pd

        columns = ["rank", "photo", "similarity", "x", "y", "w", "h", "detection_score", "size", "reason"]
        columns += ["source", "taken_at", "person", "photo_id", "face_id", "album", "link"]
        rows = [
            (
                *(hit.rank, hit.photo, hit.similarity, *hit.box),
                *(hit.quality.detection_score, hit.quality.size, hit.quality.reason),
                *(hit.source, hit.taken_at, hit.person, hit.photo_id, hit.face_id, hit.album, hit.link),
            )
            for hit in self.hits
        ]
        return pd.DataFrame(rows, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit search --json`` prints; boxes are x, y, w, h in 0..1 of the upright photo."""
        return {
            "probe": [{"path": probe.path, "faces": probe.faces, "used": probe.used} for probe in self.probes],
            "hits": [
                {
                    "rank": hit.rank,
                    "photo": hit.photo,
                    "face_id": hit.face_id,
                    "similarity": round(hit.similarity, 6),
                    "box": [round(value, 6) for value in hit.box],
                    "detection_score": round(hit.quality.detection_score, 6),
                    "source": hit.source,
                    "album": hit.album,
                    "link": hit.link,
                }
                for hit in self.hits
            ],
        }

    def show(self) -> Any:  # noqa: ANN401 - a widget; ipywidgets has no types
        """The photos as a gallery for a notebook, the faces framed."""
        return view("Gallery", self)

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write a page that needs nothing else: the probes and the hits with their faces framed. Returns its path.

        Raises
        ------
        FacekitError
            If the file can't be written.
        """
        with named_file(path) as file:
            file.write(_render("page.html", self, _PAGE_SIDE, len(self)).encode())
        return user_path(path)

    def __repr__(self) -> str:
        head = f"{len(self)} photos among {self.searched} faces, similarity >= {self.min_similarity:g}"
        rows = [f"{hit.rank:>4}  {hit.similarity:.3f}  {one_line(hit.photo)}" for hit in self.hits[:10]]
        more = [f"      ... and {len(self) - 10} more"] if len(self) > 10 else []  # noqa: PLR2004
        return "\n".join([head, *rows, *more, *(f"Note: {one_line(note)}" for note in self.notes)])

    def _repr_html_(self) -> str:
        return _render("cell.html", self, _CELL_SIDE, _CELL_HITS)


def _render(template: str, hits: Hits, side: int, most: int) -> str:
    probes = [(probe, _small(probe.picture, side)) for probe in hits.probes]
    cards = [
        (hit, turned_box(hit.box, hit.turn), _small(_thumbnail(hits.library, hit.photo_id), side))
        for hit in hits.hits[:most]
    ]
    values = {"hits": hits, "probes": probes, "cards": cards, "more": len(hits) - len(cards)}
    return _templates().get_template(template).render(values)


def _thumbnail(library: PictureSource, photo_id: str) -> bytes | None:
    try:
        return library.thumbnail(photo_id)
    except FacekitError:  # the library is closed, or gone: the rest of the result is still worth seeing
        return None


@cache
def _templates() -> jinja2.Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("facekit.search", "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["link"] = safe_link
    made.globals["source_words"] = source_words
    return made


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
