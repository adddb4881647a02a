"""One person: the name, what can be done with the faces that are selected, and who may be the same person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from facekit.errors import NameTakenError, UnknownIdError
from facekit.widgets.base import Widget, handler, script, style
from facekit.widgets.people.cards import covers, document
from facekit.widgets.thumbs import read_thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.library.base import Library
    from facekit.types.people import Duplicate, Person
    from facekit.widgets.people.journal import Deeds

_MATCHES = 8  # people to choose from; who is not among them is found by typing more of the name
_DUPLICATES = 4


class PersonHead(Widget):
    """Who somebody is; the faces themselves are a gallery's.

    Parameters
    ----------
    library : Library
        Whose people.
    deeds : Deeds
        Where things are done.
    can_change : bool
        Whether whoever looks may change anything.

    Attributes
    ----------
    person : dict
        ``id``, ``name``, ``faces``, ``photos``, ``hidden``; empty before somebody is shown.
    who : Person
        The same, for what is done with them.
    selected : list of str
        Faces that are selected; what is done is done with them.
    faces_shown : bool
        Whether the gallery shows the faces, so that some can be selected.
    outliers : list of str
        Faces that are unlike the others.
    """

    _esm = script("peopleperson")
    _css = style("peopleperson")

    can_change = traitlets.Bool(default_value=False).tag(sync=True)
    person = traitlets.Dict().tag(sync=True)
    cover = traitlets.Bytes(b"").tag(sync=True)
    selected = traitlets.List(traitlets.Unicode()).tag(sync=True)
    faces_shown = traitlets.Bool(default_value=True).tag(sync=True)
    outliers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    duplicates = traitlets.List(traitlets.Dict()).tag(sync=True)
    duplicate_thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)
    taken = traitlets.Dict(help="Who has the name that was to be given, and the name.").tag(sync=True)
    matches = traitlets.Dict(help="People to move faces to: the text asked for, and who fits.").tag(sync=True)
    match_thumbs = traitlets.List(traitlets.Bytes()).tag(sync=True)

    def __init__(self, library: Library, deeds: Deeds, *, can_change: bool) -> None:
        super().__init__(can_change=can_change)
        self._library = library
        self._people = library.people
        self._deeds = deeds
        self.who: Person | str = ""  # a service is asked about a person with one request, about an id with two
        self._back: Callable[[], None] = lambda: None
        self._open: Callable[[str], None] = lambda _person: None
        self.on_msg(self._message)

    def on_back(self, callback: Callable[[], None]) -> None:
        """Call this when somebody wants to leave, or the person is not there any more."""
        self._back = callback

    def on_open(self, callback: Callable[[str], None]) -> None:
        """Call this with the id of another person whom somebody wants to see."""
        self._open = callback

    def show(self, person_id: str) -> None:
        """Show somebody."""
        self._read(self._people.get(person_id))

    def refresh(self) -> None:
        """Read again what is known of the person; one who is gone is left."""
        try:
            person = self._people.get(self.who)
        except UnknownIdError:
            self._back()
        else:
            self._read(person)

    def _read(self, person: Person) -> None:
        outliers: list[str] = []
        pairs: Sequence[Duplicate] = ()
        if self.can_change:
            quality = self._people.quality(person)
            outliers = [one.face.face_id for one in quality.outliers]
            pairs = quality.duplicates[:_DUPLICATES]
        others = [one.second if one.first.person_id == person.person_id else one.first for one in pairs]
        cover, *thumbs = read_thumbnails(covers(self._library, [person, *others]))
        self.who = person
        with self.hold_sync():
            self.person, self.cover, self.outliers = document(person), cover, outliers
            self.duplicates = [
                document(other) | {"similarity": pair.similarity} for other, pair in zip(others, pairs, strict=True)
            ]
            self.duplicate_thumbs = thumbs
            self.taken, self.matches, self.match_thumbs = {}, {}, []

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        other = str(content.get("id", ""))
        acts: dict[str, Callable[[], object]] = {
            "back": self._back,
            "open": lambda: self._open(other),
            "name": lambda: self._name(str(content["name"]).strip()),
            "hide": lambda: self._hide(hidden=bool(content["hidden"])),
            "cover": self._cover,
            "not": self._not_this_person,
            "split": lambda: self._split(None),
            "split_named": lambda: self._split(str(content["name"]).strip()),
            "find": lambda: self._find(str(content["text"])),
            "move": lambda: self._move(other),
            "merge": lambda: self._merge(other, keep=str(content.get("keep", ""))),
            "different": lambda: self._different(other),
            "forget": lambda: self.set_trait("taken", {}),
        }
        act = acts.get(str(content.get("kind")))
        if act:
            act()

    def _name(self, name: str) -> None:
        def rename() -> Person:  # nothing else of what is shown changes with it, and need be read again
            self.who = person = self._people.name(self.who, name or None)
            with self.hold_sync():
                self.person, self.taken = document(person), {}
            return person

        try:
            self._deeds.do("name", rename, self, name=name)
        except NameTakenError as error:
            other = self._people.get(error.person_id or name)
            self.taken = document(other)
        except UnknownIdError:  # somebody merged the person meanwhile
            self._back()
            raise

    def _hide(self, *, hidden: bool) -> None:
        name = self.person["name"]
        self._deeds.do("hide", lambda: self._people.hide(self.who, hidden), self, name=name, hidden=hidden)

    def _cover(self) -> None:
        face = self.selected[0]
        self._deeds.do("cover", lambda: self._people.cover(self.who, face), self, name=self.person["name"])

    def _not_this_person(self) -> None:
        faces = list(self.selected)
        name = self.person["name"]
        self._deeds.do(
            "not_this_person", lambda: self._people.not_this_person(faces, self.who), self, name=name, count=len(faces)
        )

    def _split(self, name: str | None) -> None:
        faces = list(self.selected)
        self._deeds.do("split", lambda: self._people.split(self.who, faces, name), self, name=name, count=len(faces))

    def _find(self, text: str) -> None:
        found = self._people.page(text=text.strip(), limit=_MATCHES + 1).people
        others = [one for one in found if one.person_id != self.person["id"]][:_MATCHES]
        thumbs = read_thumbnails(covers(self._library, others))
        with self.hold_sync():
            self.matches = {"text": text, "people": [document(one) for one in others]}
            self.match_thumbs = thumbs

    def _move(self, other: str) -> None:
        faces = list(self.selected)
        to = self._people.get(other)
        self._deeds.do("move", lambda: self._people.move(faces, to), self, name=to.name, count=len(faces))

    def _merge(self, other: str, keep: str) -> None:
        """Make one of the person and another; ``keep`` is whose name stays, where both have one."""
        mine, theirs = self._people.get(self.who), self._people.get(other)
        theirs_first = keep == other or (not mine.name and theirs.name)
        first, second = (theirs, mine) if theirs_first else (mine, theirs)

        def merge() -> Person:
            self.who = self._people.merge(first, second)
            return self.who

        self._deeds.do("merge", merge, self, first=first.name, second=second.name)

    def _different(self, other: str) -> None:
        them = self._people.get(other)
        values = {"first": self.person["name"], "second": them.name}
        self._deeds.do("different", lambda: self._people.different(self.who, them), self, **values)
