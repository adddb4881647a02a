"""A gallery of photos or faces: a page of thumbnails, a selection, and a large view."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import traitlets

from facekit.images.orientation import SIDEWAYS, turned_box
from facekit.sources.links import safe_link, source_words
from facekit.widgets.base import Widget, handler, script, style
from facekit.widgets.static_html import still_gallery
from facekit.widgets.thumbs import read_thumbnails
from facekit.widgets.tiles import Tile, Tiles, tiles_of

if TYPE_CHECKING:
    from facekit.library.base import Library
    from facekit.search.hits import Hits
    from facekit.types.photos import Photo


class Gallery(Widget):
    """Photos or faces to look at, page by page.

    Parameters
    ----------
    what : Tiles, Hits or Library
        What to show; see `facekit.widgets.tiles`.
    page_size : int
        Tiles on a page.

    Attributes
    ----------
    page : int
        The page that is shown, from 0. Set it to turn.
    selected : list of str
        The keys that are selected, on all pages: photo ids, or face ids in a gallery of faces. Observe it, or set it.
    opened : str
        The key that the large view shows, one of the visible page; "" when it is closed.
    total : int
        How many tiles there are on all pages.

    Examples
    --------
    >>> from facekit.widgets import Gallery
    >>> gallery = Gallery(lib.search(demo.probe))
    >>> gallery.total
    14
    >>> gallery.observe(lambda change: print(len(change.new), "selected"), "selected")
    >>> gallery.selected = [hits[0].photo_id]
    1 selected
    """

    _esm = script("gallery")
    _css = style("gallery")

    kind = traitlets.Unicode("photos").tag(sync=True)
    page = traitlets.Int(0).tag(sync=True)
    page_size = traitlets.Int(48, min=1, max=200).tag(sync=True)  # a library gives at most 200 at once
    total = traitlets.Int(0).tag(sync=True)
    tiles = traitlets.List(traitlets.Dict()).tag(sync=True)
    thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)
    loaded = traitlets.Int(0, help="Grows whenever a page was read, also where it is the same again.").tag(sync=True)
    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    opened = traitlets.Unicode("").tag(sync=True)
    large = traitlets.Dict().tag(sync=True)
    large_picture = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, what: Tiles | Hits | Library, *, page_size: int = 48) -> None:
        super().__init__(page_size=page_size)
        self._shown: dict[str, Tile] = {}
        self._read_page = self.page
        self.on_msg(self._told)
        self.show(what)

    def show(self, what: Tiles | Hits | Library) -> None:
        """Show something else, from its first page on; nothing is selected any more."""
        tiles = tiles_of(what)
        tiles.total()  # whoever does not answer leaves everything as it was
        self._tiles = tiles
        with self.hold_sync():
            self.kind = self._tiles.kind
            self.selected = []
            self.opened = ""
            self._read_page = self.page = 0
            self.refresh()

    def refresh(self) -> None:
        """Read the page again, after photos came or went."""
        total = self._tiles.total()
        page = max(0, min(self.page, (total - 1) // self.page_size))
        shown = self._tiles.page(page * self.page_size, self.page_size)
        thumbs = read_thumbnails([(tile.title, partial(self._tiles.thumbnail, tile)) for tile in shown])
        self._shown = {tile.key: tile for tile in shown}
        self._read_page = page
        with self.hold_sync():
            self.total, self.page = total, page
            self.tiles = [asdict(tile) for tile in shown]
            self.thumbs = thumbs
            self.loaded += 1
            if self.opened not in self._shown:
                self.opened = ""

    def step(self, by: int) -> None:
        """In the large view, go on to the next photo (1) or back to the one before (-1), also across pages."""
        keys = list(self._shown)
        if self.opened not in self._shown:
            return
        position = self.page * self.page_size + keys.index(self.opened) + by
        if not 0 <= position < self.total:
            return
        page, index = divmod(position, self.page_size)
        with self.hold_sync():
            if page != self.page:
                self.page = page
                keys = list(self._shown)
            if index < len(keys):  # photos may have gone meanwhile
                self.opened = keys[index]

    @traitlets.observe("page")
    @handler
    def _turn(self, _change: traitlets.Bunch) -> None:
        if self.page == self._read_page:
            return
        try:
            self.refresh()
        except Exception:
            self.page = self._read_page
            raise

    @traitlets.observe("opened")
    @handler
    def _open(self, _change: traitlets.Bunch) -> None:
        tile = self._shown.get(self.opened)
        if tile is None:
            with self.hold_sync():
                self.opened, self.large, self.large_picture = "", {}, b""
            return
        library = self._tiles.library
        with self.hold_sync():  # what is at hand comes first; the file may be large, far away or gone
            position = self.page * self.page_size + list(self._shown).index(tile.key)
            self.large = {"key": tile.key, "position": position, **_facts(library.photo(tile.photo_id), tile)}
            self.large_picture = library.thumbnail(tile.photo_id) or b""
        self.large_picture = library.picture(tile.photo_id)

    @handler
    def _told(self, _widget: object, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        if content.get("kind") == "step":
            self.step(1 if content.get("by") == 1 else -1)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:  # noqa: ANN401 - Jupyter's own
        bundle: tuple[dict[str, Any], dict[str, Any]] | None = super()._repr_mimebundle_(**options)
        if bundle is not None:
            bundle[0]["text/html"] = still_gallery(self.tiles, self.thumbs, self.total)
        return bundle


def _facts(photo: Photo, tile: Tile) -> dict[str, Any]:
    """What the large view says of a photo."""
    faces = [
        {
            "box": turned_box(face.box, photo.turn),
            "person": face.person,
            "poor": face.quality.reason or "",
            "similarity": tile.similarity if face.face_id == tile.face_id else None,
        }
        for face in photo.faces
    ]
    ids = [face.face_id for face in photo.faces]
    places = sorted(photo.places, key=lambda place: place.path != tile.title)  # the one that the gallery shows first
    return {
        "label": tile.label,
        "path": tile.title,  # of several files the one that the gallery shows
        "places": [
            {
                "path": place.path,
                "words": source_words(place.source, place.kind, place.album),
                "link": safe_link(place.link),
            }
            for place in places
        ],
        "copies": photo.copies,
        "width": photo.height if photo.turn in SIDEWAYS else photo.width,
        "height": photo.width if photo.turn in SIDEWAYS else photo.height,
        "taken_at": photo.taken_at and photo.taken_at.isoformat(),
        "camera": photo.camera,
        "place": None if photo.latitude is None else [photo.latitude, photo.longitude],
        "bytes": photo.bytes,
        "format": photo.format,
        "status": str(photo.status),
        "reason": photo.reason,
        "faces": faces,
        "chosen": ids.index(tile.face_id) if tile.face_id in ids else -1,
    }
