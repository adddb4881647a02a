"""People as cards: who there is, by name; several of them made one; and the clustering that finds them."""

from __future__ import annotations

from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import traitlets

from facekit.errors import FacekitError, LibraryBusyError
from facekit.widgets.base import Widget, handler, in_background, script, style
from facekit.widgets.thumbs import Reading, read_thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from threading import Thread

    from facekit.library.base import Library
    from facekit.types.people import ClusterRun, Conflict, Person
    from facekit.widgets.people.journal import Deeds

_CONFLICTS = 20  # lines: more of them nobody mends at once
_PAIR = 2


class PeopleCards(Widget):
    """A page of people, the named ones first.

    Parameters
    ----------
    library : Library
        Whose people.
    deeds : Deeds
        Where things are done.
    can_change : bool
        Whether whoever looks may merge people, and look for more.

    Attributes
    ----------
    text : str
        Only people whose name contains it.
    hidden : bool
        The hidden people instead of the others.
    page, page_size, total : int
        The page that is shown, from 0; cards on a page; people on all pages.
    selected : list of str
        The ids of the people that are selected, on all pages.
    running : bool
        Whether people are being looked for.
    """

    _esm = script("peoplecards")
    _css = style("peoplecards")

    can_change = traitlets.Bool(default_value=False).tag(sync=True)
    text = traitlets.Unicode("").tag(sync=True)
    hidden = traitlets.Bool(default_value=False).tag(sync=True)
    page = traitlets.Int(0).tag(sync=True)
    page_size = traitlets.Int(48, min=1, max=200).tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    people = traitlets.List(traitlets.Dict()).tag(sync=True)
    thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)
    loaded = traitlets.Int(0, help="Grows whenever a page was read, also where it is the same again.").tag(sync=True)
    empty = traitlets.Unicode("", help="The key of the text that says why nobody is here.").tag(sync=True)
    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    question = traitlets.List(traitlets.Dict(), help="Whose name is to stay: people with names.").tag(sync=True)
    conflicts = traitlets.List(traitlets.Dict()).tag(sync=True)
    running = traitlets.Bool(default_value=False).tag(sync=True)
    stopping = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, library: Library, deeds: Deeds, *, can_change: bool) -> None:
        super().__init__(can_change=can_change)
        self._library = library
        self._deeds = deeds
        self._callbacks: list[Callable[[str], None]] = []
        self._stop = Event()
        self._thread: Thread | None = None
        self._run: ClusterRun | None = None
        self._ready = True
        self.refresh()
        self.on_msg(self._message)

    def on_open(self, callback: Callable[[str], None]) -> None:
        """Call this with the id of a person whom somebody wants to see."""
        self._callbacks.append(callback)

    def refresh(self) -> None:
        """Read the page again."""
        people = self._library.people
        read = partial(people.page, hidden=self.hidden, text=self.text.strip(), limit=self.page_size)
        found = read(offset=self.page * self.page_size)
        if not found.people and self.page:  # people went: the last page that there is now
            self._ready = False
            self.page = max(0, (found.total - 1) // self.page_size)
            self._ready = True
            found = read(offset=self.page * self.page_size)
        conflicts = people.conflicts()[:_CONFLICTS] if self.can_change else ()
        thumbs = read_thumbnails(covers(self._library, found.people))
        with self.hold_sync():
            self.total = found.total
            self.people = [document(one) for one in found.people]
            self.thumbs = thumbs
            self.conflicts = [_conflict(one) for one in conflicts]
            self.empty = "" if found.total else self._why_empty()
            self.loaded += 1

    def focus(self, person_id: str) -> None:
        """Put the keyboard on a person's card, as after coming back from there."""
        self.send({"kind": "focus", "id": person_id})

    def find(self) -> None:
        """Look for people; does not wait for the end.

        Raises
        ------
        LibraryBusyError
            If they are being looked for already.
        """
        if self.running:
            message = "People are being looked for already."
            raise LibraryBusyError(message, "Wait until that is done, or cancel it.")
        self._stop = Event()
        with self.hold_sync():
            self.running, self.stopping = True, False
        self._thread = in_background(self._cluster, self._told, "cluster")

    def cancel(self) -> None:
        """Stop looking; everything stays as it was."""
        self.stopping = self.running
        self._stop.set()

    def wait(self) -> None:
        """Wait until nobody is looked for any more."""
        if self._thread:
            self._thread.join()

    def merge(self, ids: Sequence[str]) -> None:
        """Make these people one. Where several have names, `question` asks first which is to stay."""
        people = sorted((self._library.people.get(one) for one in ids), key=lambda one: one.name is None)
        if len(people) < _PAIR:
            message = "One person alone can't be merged."
            raise FacekitError(message, "Select two or more.")
        named = [one for one in people if one.name]
        if len(named) > 1:
            self.question = [document(one) for one in named]
        else:
            self._merge(people)

    @traitlets.observe("text", "hidden", "page")
    @handler
    def _look(self, change: traitlets.Bunch) -> None:
        if not getattr(self, "_ready", False):
            return
        if change.name != "page" and self.page:
            self.page = 0  # which comes here again
            return
        self.refresh()

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        kind = content.get("kind")
        if kind == "open":
            for callback in self._callbacks:
                callback(str(content["id"]))
        elif kind == "merge":
            self.merge([str(one) for one in content["ids"]])
        elif kind == "keep":
            self._keep(str(content["id"]))
        elif kind == "find":
            self.find()
        elif kind == "cancel":
            self.cancel()
        elif kind == "allow":
            photo_id, photo = str(content["photo_id"]), str(content["photo"])
            self._deeds.do("allow_twice", lambda: self._library.people.allow_twice(photo_id), self, photo=photo)

    def _keep(self, person_id: str) -> None:
        """The answer to `question`; "" is none of them."""
        self.question = []
        if person_id:
            people = [self._library.people.get(one) for one in self.selected]
            self._merge(sorted(people, key=lambda one: one.person_id != person_id))

    def _merge(self, people: Sequence[Person]) -> None:
        def merge() -> Person:
            person = self._library.people.merge(*people)
            self.selected = []
            return person

        if len(people) == _PAIR:
            self._deeds.do("merge", merge, self, first=people[0].name, second=people[1].name)
        else:
            self._deeds.do("merge", merge, self, first=people[0].name, count=len(people))

    @handler
    def _cluster(self) -> None:
        self._run = None
        try:
            self._run = self._library.people.cluster(stop=self._stop)
        except FacekitError:
            if not self._stop.is_set():  # to be stopped is no failure
                raise
        finally:
            with self.hold_sync():
                self.running, self.stopping = False, False

    def _told(self) -> None:
        if self._run is not None and not self._stop.is_set():
            self._show_found(self._run)

    @handler
    def _show_found(self, run: ClusterRun) -> None:
        said = {"count": run.people, "faces": run.faces, "unassigned": run.unassigned}
        self._deeds.tell("accept", self, run.entry, **said)

    def _why_empty(self) -> str:
        if self.text.strip():
            return "peoplecards.no_match"
        if self.hidden:
            return "peoplecards.nobody_hidden"
        if not self._library.face_page(limit=1).total:
            return "peoplecards.no_faces"
        return "peoplecards.nobody" if self.can_change else "peoplecards.nobody_yet"


def document(person: Person) -> dict[str, Any]:
    """A person as a front end shows them."""
    return {
        "id": person.person_id,
        "name": person.name,
        "faces": person.faces,
        "photos": person.photos,
        "hidden": person.hidden,
    }


def covers(library: Library, people: Iterable[Person]) -> list[Reading]:
    """What reads the pictures that stand for people."""
    return [(one.label, partial(library.face_thumbnail, one.cover) if one.cover else lambda: None) for one in people]


def _conflict(one: Conflict) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "person": document(one.person),
        "count": len(one.face_ids),
        "photo_id": one.photo_id,
        "photo": one.photo.replace("\\", "/").rpartition("/")[2],
    }
