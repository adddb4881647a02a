"""The people of a library: as cards, one by one, and as questions. Composition only; no logic of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipywidgets import Layout, VBox

from facekit.widgets.appbar import Choice
from facekit.widgets.base import attempt
from facekit.widgets.gallery import Gallery
from facekit.widgets.panel import Panel
from facekit.widgets.people.cards import PeopleCards
from facekit.widgets.people.journal import Deeds, PeopleJournal, may_change
from facekit.widgets.people.person import PersonHead
from facekit.widgets.people.review import ReviewQueue
from facekit.widgets.static_html import still_gallery
from facekit.widgets.tiles import ChainedTiles, MemberTiles, PhotoTiles, Tiles

if TYPE_CHECKING:
    import traitlets
    from ipywidgets import DOMWidget

    from facekit.library.base import Library
    from facekit.types.people import Verb

_FACES, _PHOTOS = "person_faces", "person_photos"
_VIEWS = {"people_cards": "cards", "people_review": "review"}  # by the key of their text
_FACES_A_PAGE = 24  # what is done with those that are selected stands above them


class PeoplePanel(Panel):
    """Who is in the photos; corrections for whoever may make them.

    Parameters
    ----------
    library : Library
        Whose people.

    Attributes
    ----------
    cards : PeopleCards
        Everybody, page by page.
    person, gallery : PersonHead, Gallery
        One of them, with the faces or the photos.
    review : ReviewQueue or None
        Questions, one at a time; None for those who may only look.
    journal : PeopleJournal or None
        What was done, and undo; None for those who may only look.
    """

    def __init__(self, library: Library) -> None:
        changes = may_change(library)
        deeds = Deeds(library.people)
        self.cards = PeopleCards(library, deeds, can_change=changes)
        self.person = PersonHead(library, deeds, can_change=changes)
        self.gallery = Gallery(ChainedTiles(library, ()), page_size=_FACES_A_PAGE)
        self.journal = PeopleJournal(deeds) if changes else None
        self.review = ReviewQueue(library, deeds) if changes else None
        self._views = Choice(names=list(_VIEWS), chosen="people_cards", label="appbar.people_views")
        self._shows = Choice(names=[_FACES, _PHOTOS], chosen=_FACES, label="appbar.person_views")
        self._tiles: Tiles = ChainedTiles(library, ())
        self._tiles_of = ("", "")
        one = VBox((self.person, self._shows, self.gallery), layout=Layout(grid_gap="8px"))
        self._pages: dict[str, DOMWidget] = {"cards": self.cards, "person": one}
        if self.review:
            self._pages["review"] = self.review
        else:
            self._views.layout.display = "none"
        journal = (self.journal,) if self.journal else ()
        super().__init__(library, [self._views, *journal, *self._pages.values()])
        self._at = ""
        self._stale = set(self._pages) - {"cards"}
        self._turn("cards")
        self.cards.on_open(self.open_person)
        self.person.on_open(self.open_person)
        self.person.on_back(self.close_person)
        deeds.on_change(self._changed)
        self._views.observe(lambda change: attempt(self._views, self._view, change.new), "chosen")
        self._shows.observe(lambda _change: attempt(self._shows, self._show_person), "chosen")
        self.gallery.observe(self._from_gallery, "selected")
        self.person.observe(self._from_person, "selected")

    def open_person(self, person_id: str) -> None:
        """Show a person, by id."""
        self.person.show(person_id)
        self._tiles_of = ("", "")  # from the first page on, also where it is the same person again
        self._shows.chosen = _FACES
        self._show_person()
        self._stale.discard("person")
        self._turn("person")

    def close_person(self) -> None:
        """Back from a person to all of them."""
        shown = self.person.person["id"]
        self._turn("cards")
        self.cards.focus(shown)

    def refresh(self) -> None:
        """Take in what changed in the library."""
        self._stale = set(self._pages)
        self._freshen()

    def _changed(self, by: object, verb: Verb) -> None:
        self._stale = set(self._pages)
        if by is self.review:
            self._stale.discard("review")
        if by is self.person and verb == "name" and self._shows.chosen == _FACES:  # photos say who is on them
            self._stale.discard("person")
        self._freshen()

    def _view(self, name: str) -> None:
        if name not in _VIEWS or _VIEWS[name] == self._at:
            return
        self._turn(_VIEWS[name])
        if self._at == "review" and self.review:
            self.review.focus()

    def _turn(self, name: str) -> None:
        before, self._at = self._at, name
        try:
            self._freshen()
        except Exception:
            self._at = before
            self._show_at()  # so that it can be chosen again
            raise
        self._show_at()

    def _show_at(self) -> None:
        for one, page in self._pages.items():
            page.layout.display = None if one == self._at else "none"
        self._views.chosen = next((view for view, page in _VIEWS.items() if page == self._at), "")

    def _freshen(self) -> None:
        """Read again what is shown, if it may have changed; the rest when it is shown."""
        shown = self._at
        if shown not in self._stale:
            return
        if shown == "person":
            self.person.refresh()
            if self._at == shown:  # the person may be gone
                self._show_person()
        elif shown == "review" and self.review:
            self.review.refresh()
        else:
            self.cards.refresh()
        self._stale.discard(shown)

    def _show_person(self) -> None:
        """The faces or the photos of the person, as it is chosen."""
        person = self.person.person
        self._shows.counts = {_FACES: person["faces"], _PHOTOS: person["photos"]}
        of = (person["id"], self._shows.chosen)
        again = of == self._tiles_of
        self.person.faces_shown = self._shows.chosen == _FACES
        if not again:
            photos = self._shows.chosen == _PHOTOS
            who = self.person.who
            self._tiles = PhotoTiles(self.library, person=of[0]) if photos else MemberTiles(self.library, who)
        if isinstance(self._tiles, MemberTiles):
            self._tiles.outliers = set(self.person.outliers)
        if again:
            self.gallery.selected = []
            self.gallery.refresh()
        else:
            self.gallery.show(self._tiles)
            self._tiles_of = of

    def _from_gallery(self, change: traitlets.Bunch) -> None:
        self.person.selected = change.new if self._shows.chosen == _FACES else []

    def _from_person(self, change: traitlets.Bunch) -> None:
        if self._shows.chosen != _FACES or change.new == self.gallery.selected:
            return
        self.gallery.selected = change.new
        if change.new and not {tile["key"] for tile in self.gallery.tiles} & set(change.new):
            self.gallery.page = (self.gallery.total - 1) // self.gallery.page_size  # the least typical are last

    def _html(self) -> str:
        tiles: list[dict[str, Any]] = [
            {
                "title": "",
                "label": one["name"] or "unnamed",
                "note": "",
                "person": "",
                "similarity": None,
                "boxes": [],
                "poor": [],
            }
            for one in self.cards.people
        ]
        return still_gallery(tiles, self.cards.thumbs, self.cards.total)
