"""People and what is known and said about them, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - the service reads the annotations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from facekit.text.names import one_line
from facekit.types.photos import Face, Photo  # noqa: TC001 - the same

if TYPE_CHECKING:
    from collections.abc import Mapping

Origin: TypeAlias = Literal["user", "run", "assigned"]
"""Who put a face with a person: the user, a clustering run, or the assignment of new photos."""

RunState: TypeAlias = Literal["proposed", "accepted", "discarded"]

Verb: TypeAlias = Literal[
    "name",
    "merge",
    "split",
    "move",
    "not_this_person",
    "different",
    "hide",
    "cover",
    "allow_twice",
    "new",
    "accept",
    "discard",
    "assign",
    "undo",
]
"""What the journal may say was done."""

SHORT_ID = 6
"""So many digits of a person's id are shown, and at least so many are asked for."""


def faces_in_words(number: int) -> str:
    """A number of faces, for a sentence."""
    return "1 face" if number == 1 else f"{number} faces"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the photos, named or not.

    Parameters
    ----------
    person_id : str
        Stays the same whatever happens to the person; 32 hexadecimal digits.
    name : str or None
        As the user wrote it.
    faces, photos : int
        How many faces of the library are this person's, and on how many photos.
    cover : str or None
        The face that stands for the person: the user's choice, or the one of best quality.
    hidden : bool
        Left out of lists unless asked for: a stranger, a statue.
    settled : bool
        Whether the user has named, merged, split or otherwise touched this person. Runs may add faces to settled
        people; they never take any away.
    entry : int
        The number of the journal's entry of the change that returned this record, for `People.undo`; 0 where nothing
        was changed.

    Examples
    --------
    >>> run = lib.people.cluster()
    >>> eileen = lib.people.name(lib.people[0], "Eileen Collins")
    >>> eileen.label, eileen.faces, eileen.settled
    ('Eileen Collins', 14, True)
    """

    person_id: str
    name: str | None
    faces: int
    photos: int
    cover: str | None
    hidden: bool
    settled: bool
    entry: int = field(default=0, compare=False)

    @property
    def label(self) -> str:
        """The name, or the beginning of the id."""
        return self.name or f"unnamed {self.person_id[:SHORT_ID]}"


@dataclass(frozen=True, slots=True)
class PersonPage:
    """Some people of a list of ``total``, from position ``offset`` on."""

    total: int
    offset: int
    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A face of a person: how it came there, and its cosine similarity to the person's centre.

    The similarity is None where the face has no embedding.
    """

    face: Face
    origin: Origin
    similarity: float | None


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Some faces of a person, the most typical first, with the photos that they are in."""

    total: int
    offset: int
    person: Person
    members: tuple[Member, ...]
    photos: tuple[Photo, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who a face might be, and how like that person's faces it is on average (cosine)."""

    person: Person
    similarity: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something to decide.

    Of kind "face": is ``face`` on ``photo`` the first of the ``candidates``? Yes is `People.move`, no is
    `People.not_this_person`. Of kind "merge": is ``person`` the first of the ``candidates``? Yes is `People.merge`, no
    is `People.different`.
    """

    kind: Literal["face", "merge"]
    candidates: tuple[Candidate, ...]
    face: Face | None = None
    photo: str = ""
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two people who may be one, with the average cosine similarity between their faces."""

    first: Person
    second: Person
    similarity: float


@dataclass(frozen=True, slots=True)
class PersonQuality:
    """How much a person's faces are alike.

    ``spread`` is the mean cosine distance of the faces to the person's centre, 0..2; ``outliers`` are the faces
    farthest from it; ``duplicates`` are other people who may be the same.
    """

    person: Person
    spread: float
    outliers: tuple[Member, ...]
    duplicates: tuple[Duplicate, ...]

    def __repr__(self) -> str:
        person = self.person
        lines = [
            f"{one_line(person.label)}: {faces_in_words(person.faces)}, on average {self.spread:.2f} from the centre"
        ]
        lines += [f"  stands out: face {one.face.face_id} ({one.similarity or 0:.2f})" for one in self.outliers]
        for pair in self.duplicates:
            other = pair.second if pair.first.person_id == person.person_id else pair.first
            lines.append(f"  perhaps the same: {one_line(other.label)} ({pair.similarity:.2f})")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two things that can't both be true.

    "same_photo": a person has several faces on one photo. "rejected": a person has a face of which the user said that
    it is not this person.
    """

    kind: Literal["same_photo", "rejected"]
    person: Person
    face_ids: tuple[str, ...]
    photo_id: str
    photo: str

    @property
    def words(self) -> str:
        """What is wrong, and what would mend it. Of the photo it has the name only: everybody may read it."""
        photo = Path(self.photo).name
        if self.kind == "same_photo":
            return (
                f"{self.person.label} is {len(self.face_ids)} times on {photo}. Move the wrong face, "
                "or allow it for this photo (a mirror, a collage)."
            )
        return (
            f"A face on {photo} is with {self.person.label}, of which it was said that it is not. "
            f"Move it to somebody else, or to {self.person.label} once more if that is right."
        )


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """One clustering of a library's faces.

    ``faces`` took part, ``people`` clusters came out, ``unassigned`` faces are in none of them. ``conflicts`` are
    contradictions between what the user said that the run met, in words. Times are local, with their zone. ``entry`` is
    the number of the journal's entry of its acceptance, where that returned this record.
    """

    run_id: str
    method: str
    parameters: dict[str, Any]
    models: str
    faces: int
    people: int
    unassigned: int
    conflicts: tuple[str, ...]
    seconds: float
    created_at: datetime
    state: RunState
    entry: int = field(default=0, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit cluster --json`` prints."""
        return {
            "run": self.run_id,
            "method": self.method,
            "faces": self.faces,
            "people": self.people,
            "unassigned": self.unassigned,
            "conflicts": list(self.conflicts),
            "seconds": round(self.seconds, 3),
        }

    def _lines(self) -> list[str]:
        parameters = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        lines = [
            f"Run {self.run_id[:SHORT_ID]}, {self.state}: {self.method}{', ' + parameters if parameters else ''}",
            f"{self.faces} faces ({self.models}): {self.people} people, {self.unassigned} unassigned",
        ]
        return lines + [f"Conflict: {one_line(one)}" for one in self.conflicts]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        from html import escape

        return "<p>" + "<br>".join(escape(line) for line in self._lines()) + "</p>"


@dataclass(frozen=True, slots=True)
class Move:
    """A face that is with other faces in the second of two groupings than in the first; None stands for unassigned."""

    face_id: str
    photo: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two groupings of the same faces.

    Parameters
    ----------
    first, second : str
        What is compared: a run's id, or "now" for the people as they are.
    faces : int
        How many faces are in both.
    same : int
        How many of them stayed with the others of their group.
    moved : tuple of Move
        The others; groups that correspond have the same label. At most a thousand.
    split, joined : int
        How many groups of the first came apart, and how many of the second hold several of the first.
    agreement : float
        BCubed F between the two, 0..1.
    """

    first: str
    second: str
    faces: int
    same: int
    moved: tuple[Move, ...]
    split: int
    joined: int
    agreement: float

    def __repr__(self) -> str:
        lines = [
            f"{self.first[:SHORT_ID]} -> {self.second[:SHORT_ID]}: {self.same} of {self.faces} faces stay together",
            f"{self.split} groups come apart, {self.joined} are joined; agreement {self.agreement:.3f} (BCubed F)",
        ]
        lines += [
            f"  {one_line(one.photo)}: {one.before or 'nobody'} -> {one.after or 'nobody'}" for one in self.moved[:10]
        ]
        if len(self.moved) > 10:  # noqa: PLR2004 - a page of them
            lines.append(f"  ... and {len(self.moved) - 10} more in .moved")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. ``number`` counts up; ``at`` is local, with its zone; ``undone``: it was taken back."""

    number: int
    at: datetime
    user: str
    verb: Verb
    words: str
    undone: bool
    faces: int = 0

    def __repr__(self) -> str:
        who = f", {one_line(self.user)}" if self.user else ""
        return f"{self.number}: {one_line(self.words)} ({self.at:%Y-%m-%d %H:%M}{who}{', undone' * self.undone})"


@dataclass(frozen=True, slots=True)
class AssignReport:
    """What became of the faces that belonged to nobody.

    ``assigned`` went to people, ``waiting`` are still nobody's, ``suggested`` of them resemble somebody enough to ask.
    """

    assigned: int
    waiting: int
    suggested: int


@dataclass(frozen=True, slots=True)
class XmpReport:
    """What was written to sidecar files, or read from them.

    ``photos`` and ``faces`` count what was written or taken over; ``people`` are names that are new; ``unmatched``
    are names in sidecars that no face of the library lies at; ``failed`` are files with the reason.
    """

    photos: int = 0
    faces: int = 0
    people: int = 0
    unmatched: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = field(default=())

    def __repr__(self) -> str:
        lines = [f"{self.photos} photos, {self.faces} faces, {self.people} new people"]
        lines += [f"  no face at the place of {name!r} in {one_line(path)}" for path, name in self.unmatched[:10]]
        lines += [f"  {one_line(path)}: {one_line(reason)}" for path, reason in self.failed[:10]]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a run proposes.

    Parameters
    ----------
    labels : mapping of str to int
        Clusters by face id, -1 for none.
    settled : mapping of str to str
        Whose faces were when the run began, of people whom the user had touched.
    """

    labels: Mapping[str, int]
    settled: Mapping[str, str]
