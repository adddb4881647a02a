"""What was done with people: every change goes through here, is said, and can be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from facekit.widgets.base import Widget, handler, script, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.library.base import Library
    from facekit.people.base import People
    from facekit.types.people import Entry, Person, Verb

_LISTED = 50  # older entries are in `People.journal`


class Deeds:
    """Does what a person asks for, and tells all who want to know, with the number of its entry in the journal.

    Parameters
    ----------
    people : People
        Whom it is done with.
    """

    def __init__(self, people: People) -> None:
        self.people = people
        self._callbacks: list[Callable[[object, Verb], None]] = []
        self._said: Callable[[dict[str, Any]], None] = lambda _what: None

    def on_change(self, callback: Callable[[object, Verb], None]) -> None:
        """Call this, with whoever did it and what it was, after each change."""
        self._callbacks.append(callback)

    def on_said(self, callback: Callable[[dict[str, Any]], None]) -> None:
        """Call this with what was done: ``key`` of the text, its ``values``, and the ``number`` in the journal."""
        self._said = callback

    def do(self, verb: Verb, action: Callable[[], Person | int], by: object, **values: object) -> int:
        """Do it, and say so: ``values`` are for the text. Returns the number of its entry, 0 if nothing changed."""
        made = action()
        return self.tell(verb, by, made if isinstance(made, int) else made.entry, **values)

    def tell(self, verb: Verb, by: object, number: int, **values: object) -> int:
        """Say what was done, with the number of its entry."""
        self._said({"key": f"peoplejournal.did.{verb}", "values": values, "number": number})
        self._changed(by, verb)
        return number

    def undo(self, number: int, by: object) -> None:
        """Take an entry back."""
        entry = self.people.undo(number)
        self._said({"key": "peoplejournal.did.undo", "values": {}, "number": entry.number})
        self._changed(by, "undo")

    def _changed(self, by: object, verb: Verb) -> None:
        for callback in self._callbacks:
            callback(by, verb)


class PeopleJournal(Widget):
    """The last thing that was done, with a button that takes it back, and the list of all things done.

    Parameters
    ----------
    deeds : Deeds
        Where things are done.

    Attributes
    ----------
    last : dict
        ``key`` and ``values`` of what is said, and the ``number`` of its entry; empty before anything was done.
    opened : bool
        Whether the list is open; it is read only then. ``loaded`` says that it was.
    """

    _esm = script("peoplejournal")
    _css = style("peoplejournal")

    last = traitlets.Dict().tag(sync=True)
    entries = traitlets.List(traitlets.Dict()).tag(sync=True)
    opened = traitlets.Bool(default_value=False).tag(sync=True)
    loaded = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, deeds: Deeds) -> None:
        super().__init__()
        self._deeds = deeds
        deeds.on_said(self._say)
        self.on_msg(self._message)

    def refresh(self) -> None:
        """Read the list again, if it is open."""
        if self.opened:
            entries = self._deeds.people.journal(_LISTED)
            with self.hold_sync():
                self.entries, self.loaded = [_document(one) for one in entries], True

    def _say(self, what: dict[str, Any]) -> None:
        self.last = what
        self.refresh()

    @traitlets.observe("opened")
    @handler
    def _open(self, _change: traitlets.Bunch) -> None:
        self.refresh()

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        if content.get("kind") == "undo" and content.get("number"):  # 0 where nothing was changed
            self._deeds.undo(int(content["number"]), self)


def may_change(library: Library) -> bool:
    """Whether whoever looks at a library may change its people: in a service that takes the scope "ingest"."""
    identity = getattr(library, "identity", None)
    return identity is None or "ingest" in identity.scopes


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": entry.at.isoformat(timespec="seconds"),
        "user": entry.user,
        "verb": entry.verb,
        "words": entry.words,
        "undone": entry.undone,
    }
