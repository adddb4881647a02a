"""Widgets put together: search by a picture, ingest, and the whole library. Composition only; no logic of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import traitlets
from ipywidgets import Layout, VBox

from facekit.types.photos import Status
from facekit.widgets.appbar import Choice
from facekit.widgets.base import Widget, attempt, handler
from facekit.widgets.gallery import Gallery
from facekit.widgets.ingestform import IngestForm
from facekit.widgets.panel import GAP, Panel, close_all, parts
from facekit.widgets.people.panel import PeoplePanel
from facekit.widgets.places import PlaceChoice
from facekit.widgets.searchform import SearchForm
from facekit.widgets.sourcesform import SourcesForm
from facekit.widgets.tiles import ChainedTiles, FaceTiles, PhotoTiles
from facekit.widgets.uploader import Uploader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.library.base import Library
    from facekit.search.hits import Hits
    from facekit.widgets.tiles import Tiles

_FAILED = (Status.CORRUPT, Status.UNSUPPORTED, Status.TOO_LARGE, Status.IO_ERROR)


class SearchPanel(Panel):
    """Pictures of a person in, photos of that person out.

    Parameters
    ----------
    library : Library
        Where to search.

    Attributes
    ----------
    uploader, form, gallery : Uploader, SearchForm, Gallery
        The parts.
    hits : Hits or None
        What the last search found. Observe it, or go on with it in the next cell.
    """

    hits = traitlets.Any(None, allow_none=True)

    def __init__(self, library: Library) -> None:
        self.uploader = Uploader(library)
        self.form = SearchForm(library)
        self.gallery = Gallery(ChainedTiles(library, ()))
        self.gallery.layout.display = "none"
        # Beside each other where there is room, so that the hits are on the first screen.
        self.uploader.layout = Layout(flex="1 1 320px", min_width="0")
        self.form.layout = Layout(flex="2 1 420px", min_width="0")
        asking = VBox((self.uploader, self.form), layout=Layout(flex_flow="row wrap", grid_gap=GAP))
        super().__init__(library, [asking, self.gallery])
        self.form.on_search(self.search)
        self.uploader.observe(self._pictures_changed, "version")

    def search(self) -> None:
        """Search for the faces that are chosen, with what the form says, and show the hits."""
        pictures = self.uploader.pictures
        if not pictures:
            self._show(None)
            return
        probes, faces = zip(*pictures, strict=True)
        self._show(self.library.search(list(probes), face=list(faces), **self.form.filters()))

    def refresh(self) -> None:
        """Take in what changed in the library."""
        self.form.refresh()

    def _show(self, hits: Hits | None) -> None:
        self.hits = hits
        self.form.show(hits)
        self.gallery.show(hits or ChainedTiles(self.library, ()))
        self.gallery.layout.display = None if hits else "none"

    def _pictures_changed(self, _change: traitlets.Bunch) -> None:
        self.form.ready = bool(self.uploader.pictures)
        if self.hits is not None:  # the hits on the screen belong to other pictures
            _search_again(self.form)

    def _html(self) -> str:
        return super()._html() if self.hits is None else self.hits._repr_html_()


@handler
def _search_again(form: SearchForm) -> None:
    form.search()


class IngestPanel(Panel):
    """A folder in; progress, failures and their reasons out.

    Attributes
    ----------
    form : IngestForm
        The only part.
    """

    def __init__(self, library: Library) -> None:
        self.form = IngestForm(library)
        super().__init__(library, [self.form])


class SourcesPanel(Panel):
    """Connected places: connect, sync, disconnect.

    Attributes
    ----------
    form : SourcesForm
        The only part.
    """

    def __init__(self, library: Library) -> None:
        self.form = SourcesForm(library.sources)
        super().__init__(library, [self.form])

    def refresh(self) -> None:
        """Read the places again."""
        self.form.look()


class BrowsePanel(Panel):
    """The library's photos by category, and by source and album where they are not all in folders.

    Attributes
    ----------
    choice, places, gallery : Choice, PlaceChoice, Gallery
        The parts.
    """

    def __init__(self, library: Library) -> None:
        self._where = ("", "")
        self._tiles = _lists(library, *self._where)
        self.choice = Choice(names=list(self._tiles), chosen="all", label="appbar.categories", counts=self._counts())
        self.places = PlaceChoice(library)
        self.gallery = Gallery(self._tiles["all"])
        self._shown = "all"
        super().__init__(library, [self.choice, self.places, self.gallery])
        self._offer_places()
        self.choice.observe(self._show, "chosen")
        self.places.observe(self._narrow, ["source", "folder"])

    def refresh(self) -> None:
        """Read the numbers and the page again."""
        self.places.refresh()
        self._offer_places()
        self.choice.counts = self._counts()
        self.gallery.refresh()

    def _offer_places(self) -> None:
        """Faces are not chosen by where their photos are."""
        offered = self.places.needed and self._shown != "faces"
        self.places.layout.display = None if offered else "none"

    def _narrow(self, _change: traitlets.Bunch) -> None:
        where = (self.places.source, self.places.folder)
        if where != self._where:  # both may change at once
            attempt(self.gallery, self._show_where, *where)

    def _show_where(self, source: str, folder: str) -> None:
        tiles = _lists(self.library, source, folder)
        self.gallery.show(tiles[self._shown])
        self._tiles, self._where = tiles, (source, folder)
        self.choice.counts = self._counts()

    def _counts(self) -> dict[str, int]:
        return {name: tiles.total() for name, tiles in self._tiles.items()}

    def _show(self, change: traitlets.Bunch) -> None:
        if change.new != self._shown:
            attempt(self.gallery, self.show, change.new)

    def show(self, name: str) -> None:
        """Show a category."""
        try:
            self.gallery.show(self._tiles[name])
        except Exception:
            self.choice.chosen = self._shown  # so that it can be chosen again
            raise
        self._shown = name
        self._offer_places()


def _lists(library: Library, source: str, folder: str) -> dict[str, Tiles]:
    """The categories, of photos from a source and in a folder where these are named."""
    chosen = partial(PhotoTiles, library, source=source or None, folder=folder or None)
    return {
        "all": chosen(),
        "no_face": chosen(Status.NO_FACE),
        "failed": ChainedTiles(library, [chosen(status) for status in _FAILED]),
        "missing": chosen(Status.MISSING),
        "faces": FaceTiles(library),
    }


class LibraryPanel(Panel):
    """All of a library: its photos, search, people and ingest, one at a time.

    Parameters
    ----------
    library : Library
        What to show.
    names : sequence of str
        The pages, of "gallery", "search", "people", "ingest" and "sources". Each is made when it is first shown.
    bar : Choice, optional
        Where the page is chosen; by default a row of buttons above the page.

    Attributes
    ----------
    gallery, search, people, ingest, sources : BrowsePanel, SearchPanel, PeoplePanel, IngestPanel, SourcesPanel
        The pages.
    turned_to : str
        The name of the page that is shown.
    """

    def __init__(
        self,
        library: Library,
        names: Sequence[str] = ("gallery", "search", "people", "ingest", "sources"),
        bar: Choice | None = None,
    ) -> None:
        self.bar = bar or Choice()
        self._pages: dict[str, Panel] = {}
        self.turned_to = ""
        self._listeners: list[Callable[[Widget], None]] = [self._speak_alike]
        self._links: list[traitlets.link] = []
        super().__init__(library, [] if bar else [self.bar])
        with self.bar.hold_sync():
            self.bar.names = list(names)
            self.bar.chosen = names[0]
        attempt(self.bar, self._turn)
        self.bar.observe(self._turned, "chosen")

    @property
    def gallery(self) -> BrowsePanel:
        """The photos by category."""
        return cast("BrowsePanel", self._page("gallery"))

    @property
    def search(self) -> SearchPanel:
        """Search by a picture."""
        return cast("SearchPanel", self._page("search"))

    @property
    def people(self) -> PeoplePanel:
        """Who is in the photos."""
        return cast("PeoplePanel", self._page("people"))

    @property
    def ingest(self) -> IngestPanel:
        """Photos into the library."""
        return cast("IngestPanel", self._page("ingest"))

    @property
    def sources(self) -> SourcesPanel:
        """Connected places."""
        return cast("SourcesPanel", self._page("sources"))

    def show(self, name: str) -> None:
        """Turn to a page."""
        shown = self._page(name)
        for page in self._pages.values():
            page.layout.display = None if page is shown else "none"
        self.turned_to = name

    def refresh(self) -> None:
        """Read again what the pages show."""
        for page in self._pages.values():
            if not isinstance(page, IngestPanel):  # it shows what has just happened
                attempt(next(parts(page)), page.refresh)

    def on_part(self, callback: Callable[[Widget], None]) -> None:
        """Call this with each widget of the pages, with those to come as well."""
        self._listeners.append(callback)
        for part in parts(self):
            callback(part)

    def discard(self) -> None:
        """Close the pages and let go of the bar."""
        self.bar.unobserve(self._turned, "chosen")
        for link in self._links:
            link.unlink()
        for part in parts(self):
            part.unobserve_all("problem")  # what still runs in a thread has nobody left to tell
        close_all(self)

    def _turned(self, _change: traitlets.Bunch) -> None:
        attempt(self.bar, self._turn)

    def _turn(self) -> None:
        if not self.bar.chosen or self.bar.chosen == self.turned_to:
            return
        try:
            self.show(self.bar.chosen)
        except Exception:
            self.bar.chosen = self.turned_to  # so that it can be chosen again
            raise

    def _page(self, name: str) -> Panel:
        if name not in self._pages:
            page = _PAGES[name](self.library)
            page.layout.display = "none"
            self._pages[name] = page
            self.children = (*self.children, page)
            if isinstance(page, IngestPanel | SourcesPanel):
                page.form.on_done(self.refresh)
            for part in parts(page):
                for listener in self._listeners:
                    listener(part)
        return self._pages[name]

    def _speak_alike(self, part: Widget) -> None:
        self._links.append(traitlets.link((self.bar, "language"), (part, "language")))


# One entry a page; its name is what the bar shows.
_PAGES: dict[str, Callable[[Library], Panel]] = {
    "gallery": BrowsePanel,
    "search": SearchPanel,
    "people": PeoplePanel,
    "ingest": IngestPanel,
    "sources": SourcesPanel,
}
