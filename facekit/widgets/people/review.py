"""The review queue: one question after the other, one key a decision."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import traitlets

from facekit.images.orientation import turned_box
from facekit.widgets.base import Widget, handler, script, style
from facekit.widgets.people.cards import document
from facekit.widgets.thumbs import Reading, read_thumbnails

if TYPE_CHECKING:
    from facekit.library.base import Library
    from facekit.types.people import Person, Suggestion
    from facekit.widgets.people.journal import Deeds

_BATCH = 40  # questions that are read at once
_AHEAD = 3  # questions that travel before they are asked, so that nobody waits for pictures
_CANDIDATES = 3  # as many keys
_FACES = 4  # pictures of the first candidate, or of each of two people who may be one


class ReviewQueue(Widget):
    """Who is this, and are these two one person? The most useful question first.

    Parameters
    ----------
    library : Library
        Whose people.
    deeds : Deeds
        Where things are done.

    Attributes
    ----------
    items : list of dict
        The question that is asked, and the next ones, with their pictures.
    decided : int
        How many were answered.
    waiting : int
        How many are known to wait; ``more`` says that there may be more than these.
    """

    _esm = script("peoplereview")
    _css = style("peoplereview")

    items = traitlets.List(traitlets.Dict()).tag(sync=True)
    decided = traitlets.Int(0).tag(sync=True)
    waiting = traitlets.Int(0).tag(sync=True)
    more = traitlets.Bool(default_value=False).tag(sync=True)
    loaded = traitlets.Int(0, help="Grows whenever the questions were read or one was answered.").tag(sync=True)
    can_undo = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, library: Library, deeds: Deeds) -> None:
        super().__init__()
        self._library = library
        self._people = library.people
        self._deeds = deeds
        self._queue: list[Suggestion] = []
        self._skipped: set[str] = set()
        self._answered: list[tuple[int, Suggestion]] = []
        self._made: dict[str, dict[str, Any]] = {}  # the questions that travelled
        self.on_msg(self._message)

    def refresh(self) -> None:
        """Read the questions again, after something was done elsewhere; what was decided before is not undone here."""
        self._answered = []
        self._made = {}
        self._fill()
        self._show()

    def focus(self) -> None:
        """Put the keyboard on the answers, so that a key is enough."""
        self.send({"kind": "focus"})

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        if content.get("kind") == "answer":
            self._answer(str(content["id"]), str(content["answer"]), int(content.get("candidate", 0)))
        elif content.get("kind") == "undo":
            self._undo()

    def _answer(self, key: str, answer: str, chosen: int) -> None:
        asked = next((one for one in self._queue if _key(one) == key), None)
        if asked is None:  # answered twice, or settled by another answer
            self._show()
            return
        if answer == "skip":
            self._skipped.add(key)
        else:
            number = self._decide(asked, answer, chosen)
            self._answered.append((number, asked))
        self._queue.remove(asked)
        if asked.kind == "merge" and answer == "yes":  # who is gone must not be asked about
            self._made = {}
            self._fill()
        elif len(self._queue) <= _AHEAD and self.more:
            self._fill()
        self._show()

    def _decide(self, asked: Suggestion, answer: str, chosen: int) -> int:
        candidate = asked.candidates[chosen if asked.kind == "face" else 0].person
        people, do = self._people, self._deeds.do
        if asked.face is not None:
            face = asked.face.face_id
            said = {"name": candidate.name, "count": 1}
            if answer == "yes":
                return do("move", lambda: people.move(face, candidate), self, **said)
            return do("not_this_person", lambda: people.not_this_person(face, candidate), self, **said)
        assert asked.person is not None  # noqa: S101 - of kind "merge"
        first, second = candidate, asked.person
        if chosen or (second.name and not first.name):
            first, second = second, first
        said = {"first": first.name, "second": second.name}
        if answer == "yes":
            return do("merge", lambda: people.merge(first, second), self, **said)
        return do("different", lambda: people.different(first, second), self, **said)

    def _undo(self) -> None:
        if not self._answered:
            return
        number, asked = self._answered[-1]
        self._deeds.undo(number, self)
        self._answered.pop()
        self._made = {}
        self._fill()
        self._queue = [asked, *(one for one in self._queue if _key(one) != _key(asked))]
        self._show()

    def _fill(self) -> None:
        found = self._people.review(min(_BATCH + len(self._skipped), 200))
        self._queue = [one for one in found if _key(one) not in self._skipped]
        self.set_trait("more", len(self._queue) >= _BATCH)

    def _show(self) -> None:
        ahead = self._queue[:_AHEAD]
        self._made = {_key(one): self._made.get(_key(one)) or self._document(one) for one in ahead}
        with self.hold_sync():
            self.items = list(self._made.values())
            self.decided, self.waiting = len(self._answered), len(self._queue)
            self.can_undo = bool(self._answered)
            self.loaded += 1

    def _document(self, asked: Suggestion) -> dict[str, Any]:
        """A question with its pictures."""
        candidates = asked.candidates[: _CANDIDATES if asked.kind == "face" else 1]
        groups = [self._faces(one.person, _FACES if not index else 1) for index, one in enumerate(candidates)]
        if asked.face is not None:
            face = asked.face
            own: list[Reading] = [
                (asked.photo, partial(self._library.face_thumbnail, face.face_id)),
                (asked.photo, partial(self._library.thumbnail, face.photo_id)),
            ]
        else:
            assert asked.person is not None  # noqa: S101 - of kind "merge"
            own = self._faces(asked.person, _FACES)
        pictures = iter(read_thumbnails([*own, *(one for group in groups for one in group)]))
        mine = [next(pictures) for _ in own]
        return {
            "id": _key(asked),
            "kind": asked.kind,
            "person": asked.person and document(asked.person),
            "photo": asked.photo.replace("\\", "/").rpartition("/")[2],
            "box": asked.face and turned_box(asked.face.box, self._library.photo(asked.face.photo_id).turn),
            "pictures": mine,
            "candidates": [
                document(one.person) | {"similarity": one.similarity, "pictures": [next(pictures) for _ in group]}
                for one, group in zip(candidates, groups, strict=True)
            ],
        }

    def _faces(self, person: Person, count: int) -> list[Reading]:
        """What reads the cover of a person, and the most typical of the other faces."""
        cover = [person.cover] if person.cover else []
        if len(cover) < count:
            found = self._people.faces(person, limit=count).members
            cover += [one.face.face_id for one in found if one.face.face_id != person.cover]
        return [(person.label, partial(self._library.face_thumbnail, face)) for face in cover[:count]]


def _key(asked: Suggestion) -> str:
    """What names a question, also when it is asked again."""
    who = asked.face.face_id if asked.face else asked.person.person_id if asked.person else ""
    return f"{asked.kind} {who} {asked.candidates[0].person.person_id}"
