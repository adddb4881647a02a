"""The people of a library, and the verbs on them, wherever the library is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from facekit.arguments import PAGE
from facekit.errors import FacekitError, UnknownIdError
from facekit.people.who import NotAPersonError
from facekit.text.keywords import KeywordsChecked
from facekit.text.names import one_line
from facekit.views import view

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from threading import Event

    import pandas as pd

    from facekit.people.who import Faces, Who
    from facekit.types.people import (
        AssignReport,
        ClusterRun,
        Comparison,
        Conflict,
        Duplicate,
        Entry,
        MemberPage,
        Person,
        PersonPage,
        PersonQuality,
        Suggestion,
        XmpReport,
    )


class People(KeywordsChecked, ABC):
    """The people of a library: ``lib.people``. Iterating gives those who are not hidden, the largest first.

    A person is not a cluster. Clusters are what a run proposes; a person has a lasting id, a name, a cover face. Once
    the user has touched a person, no run takes a face away from them, renames, splits or merges them: runs only add.
    Everything that is done is written into a journal and can be undone.

    Who is meant is given as a `Person`, an id, a name (upper and lower case are alike), or the first six digits of an
    id or more; faces by their ids, one or several. Verbs raise `UnknownIdError` where there is no such person or face.

    Examples
    --------
    >>> run = lib.people.cluster()
    >>> [person.faces for person in lib.people]
    [14, 9]
    >>> eileen = lib.people.name(lib.people[0], "Eileen Collins")
    >>> both = lib.people.merge("Eileen Collins", lib.people[1])
    >>> undone = lib.people.undo(both.entry)
    >>> len(lib.people)
    2
    """

    # -- who there is --------------------------------------------------------------------------------------------

    @abstractmethod
    def page(
        self,
        *,
        hidden: bool = False,
        named: bool | None = None,
        text: str = "",
        offset: int = 0,
        limit: int = 60,
    ) -> PersonPage:
        """Some of the people: named ones first, then those with most faces.

        Who has neither a name nor a face that is in the library now is left out.

        Parameters
        ----------
        hidden : bool
            The hidden people instead of the others.
        named : bool, optional
            Only people with a name, or only those without.
        text : str
            Only people whose name contains it; upper and lower case are alike.
        offset, limit : int
            Where to begin, and how many; ``limit`` is at most 200.
        """

    @abstractmethod
    def get(self, who: Who) -> Person:
        """One person, as they are now.

        Raises
        ------
        UnknownIdError
            If there is no such person, or the beginning of an id fits several.
        """

    def __iter__(self) -> Iterator[Person]:
        found: list[Person] = []  # all before the first: whoever is renamed or hidden on the way would shift the pages
        while page := self.page(offset=len(found), limit=PAGE.most).people:
            found += page
        return iter(found)

    def __len__(self) -> int:
        return self.page(limit=1).total

    def __bool__(self) -> bool:
        return True  # also where nobody is known yet: it is a place, not a list

    def __getitem__(self, who: Who | int) -> Person:
        """One person: by name or id, or by the position in the order of iteration, from 0 or, from the end, from -1.

        Raises
        ------
        UnknownIdError
            If there is no such person, or no such position.
        """
        if not isinstance(who, int):
            return self.get(who)
        total = len(self)
        if not -total <= who < total:
            message = f"There are {total} people; there is none at position {who}."
            raise UnknownIdError(message, "lib.people lists the people; hidden ones are not counted.")
        return self.page(offset=who % total, limit=1).people[0]

    def __contains__(self, who: object) -> bool:
        """Whether there is such a person, hidden ones included: by name, by id, or a `Person`."""
        try:
            self.get(who)  # type: ignore[arg-type]
        except FacekitError as error:
            if isinstance(error, UnknownIdError | NotAPersonError):
                return False
            raise
        return True

    @abstractmethod
    def faces(self, who: Who, *, offset: int = 0, limit: int = 60) -> MemberPage:
        """Some faces of a person, the most typical first; ``limit`` is at most 200.

        Raises
        ------
        UnknownIdError
            If there is no such person.
        """

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """One row a face that is somebody's.

        Columns: face_id, photo, person_id, person (the name), run, similarity_to_centre (cosine), origin, hidden.
        """

    # -- corrections ---------------------------------------------------------------------------------------------

    @abstractmethod
    def name(self, who: Who, name: str | None) -> Person:
        """Give a person a name of at most 200 characters, another one, or none.

        Raises
        ------
        NameTakenError
            If somebody else has this name: merge the two, or write one of them differently.
        """

    @abstractmethod
    def merge(self, who: Who, *others: Who) -> Person:
        """They are all one person: the first, who takes the others' faces, and a name if it had none.

        What was said of the others counts for the first. A face of theirs of which it was said that it is not this
        person stays nevertheless, and `conflicts` lists it.

        Raises
        ------
        FacekitError
            If there are no others.
        """

    @abstractmethod
    def split(self, who: Who, faces: Faces, name: str | None = None) -> Person:
        """These faces of a person are somebody else, all the same: a new person, who is returned.

        Raises
        ------
        FacekitError
            If they are not all this person's, or are all that this person has.
        NameTakenError
            If somebody has this name.
        """

    @abstractmethod
    def move(self, faces: Faces, who: Who) -> Person:
        """These faces are this person, whoever they were with before."""

    @abstractmethod
    def new(self, faces: Faces, name: str | None = None) -> Person:
        """These faces are somebody who is not among the people yet.

        Raises
        ------
        NameTakenError
            If somebody has this name: `move` the faces to them.
        """

    @abstractmethod
    def not_this_person(self, faces: Faces, who: Who | None = None) -> int:
        """These faces are not this person (by default: not the one they are with), and never will be again.

        Returns the number of the journal's entry, for `undo`; 0 where nothing was changed.
        """

    @abstractmethod
    def different(self, who: Who, other: Who) -> int:
        """These two are different people: not suggested as one any more. Returns what `not_this_person` does."""

    @abstractmethod
    def hide(self, who: Who, hidden: bool = True) -> Person:  # noqa: FBT001, FBT002 - hide(anna, False) reads well
        """Leave a person out of lists, or show them again. The faces stay with the person."""

    @abstractmethod
    def cover(self, who: Who, face_id: str | None) -> Person:
        """Choose the face that stands for a person; None lets facekit choose."""

    @abstractmethod
    def allow_twice(self, photo_id: str, allowed: bool = True) -> int:  # noqa: FBT001, FBT002 - reads well
        """Let a photo show a face twice: a mirror, a collage. Returns what `not_this_person` does."""

    # -- the journal ---------------------------------------------------------------------------------------------

    @abstractmethod
    def journal(self, limit: int = 50) -> tuple[Entry, ...]:
        """What was done, the newest first; ``limit`` is at most 10,000."""

    @abstractmethod
    def undo(self, number: int | None = None) -> Entry:
        """Take back what was done: the last thing that was not taken back, or the one with a number.

        Faces that facekit assigned by itself are taken back by the number only.

        Undoing an undo does it again. Returns the entry of the undo.

        Raises
        ------
        FacekitError
            If there is nothing to undo, or something done later stands in the way, as somebody who has the name now
            that would be given back; the message names it.
        """

    # -- runs ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def cluster(
        self,
        method: str | None = None,
        *,
        eps: float | None = None,
        min_faces: int = 2,
        people: int | None = None,
        accept: bool = True,
        stop: Event | None = None,
    ) -> ClusterRun:
        """Group all usable faces into people, honouring all that the user said.

        Parameters
        ----------
        method : str, optional
            One of `facekit.clustering.methods.METHODS`; by default the one that measured best.
        eps, min_faces, people
            See `facekit.cluster`.
        accept : bool
            Take the result over at once. Otherwise it is a proposal: `compare` it, then `accept` or `discard` it.
        stop : threading.Event, optional
            Set it from another thread to stop; nothing is changed then.

        Raises
        ------
        LibraryBusyError
            If photos are being ingested, or the models changed.
        FacekitError
            If an option can't be, or it was stopped.
        """

    @abstractmethod
    def runs(self) -> tuple[ClusterRun, ...]:
        """The runs, newest first."""

    @abstractmethod
    def accept(self, run: ClusterRun | str) -> ClusterRun:
        """Take over what a run proposed. People whom the user touched keep their faces, name and id.

        Raises
        ------
        UnknownIdError
            If there is no such run.
        FacekitError
            If it was accepted already.
        """

    @abstractmethod
    def discard(self, run: ClusterRun | str) -> None:
        """Throw a proposal away."""

    @abstractmethod
    def compare(self, first: ClusterRun | str, second: ClusterRun | str | None = None) -> Comparison:
        """What moved from one run to another; without a second, to the people as they are now."""

    # -- new photos ----------------------------------------------------------------------------------------------

    @abstractmethod
    def assign(self) -> AssignReport:
        """Give faces that are nobody's to the people whom they clearly resemble. An ingest ends with this."""

    @abstractmethod
    def review(self, limit: int = 20) -> tuple[Suggestion, ...]:
        """What is most worth deciding: who is this, and are these two one person? The most useful question first.

        ``limit`` is at most 10,000.
        """

    # -- quality -------------------------------------------------------------------------------------------------

    @abstractmethod
    def conflicts(self) -> tuple[Conflict, ...]:
        """What the user's decisions contradict each other in."""

    @abstractmethod
    def quality(self, who: Who) -> PersonQuality:
        """How much alike a person's faces are, which stand out, and who may be the same person."""

    @abstractmethod
    def duplicates(self, limit: int = 20) -> tuple[Duplicate, ...]:
        """Pairs of people who may be one, the most alike first; those the user called different are left out.

        ``limit`` is at most 10,000.
        """

    @abstractmethod
    def constraints(self) -> pd.DataFrame:
        """What the user said, as a table.

        Columns: kind ("is", "is_not", "different", "allowed_twice"), face_id, person_id, other_person_id, photo_id.
        """

    # -- to and from other programs ------------------------------------------------------------------------------

    @abstractmethod
    def links(self, folder: str | os.PathLike[str], *, copy: bool = False) -> int:
        """Make a folder of links to the photos for each named person; returns how many links were made.

        Parameters
        ----------
        folder : path
            Where; what is there already is kept.
        copy : bool
            Copy the photos instead.
        """

    @abstractmethod
    def write_xmp(self, folder: str | os.PathLike[str] | None = None) -> XmpReport:
        """Write the named faces as XMP regions (MWG) into sidecar files, which digiKam, Lightroom and others read.

        Names that you denied a face (`not_this_person`, `split`, `different`) are taken out of its region; all else in
        the files stays. A new sidecar begins with the XMP inside the photo; the photos are never written.

        Parameters
        ----------
        folder : path, optional
            Only photos in it or below it.

        Raises
        ------
        LibraryBusyError
            If photos are being ingested, or the models changed.
        """

    @abstractmethod
    def read_xmp(self, folder: str | os.PathLike[str] | None = None) -> XmpReport:
        """Take names of faces over from XMP sidecar files, and from XMP inside the photos.

        What you said yourself stays; where a file says otherwise, the report's ``failed`` tells.

        Parameters, errors: as `write_xmp`.
        """

    def show(self) -> Any:  # noqa: ANN401 - a widget; ipywidgets has no types
        """People as cards, their faces, and the review queue, as a widget for a notebook."""
        return view("PeoplePanel", self.library)

    library: Any
    """The library whose people these are."""

    def __repr__(self) -> str:
        page = self.page(limit=10)
        lines = [f"{page.total} people"]
        lines += [f"  {one_line(one.label)}: {one.faces} faces, {one.photos} photos" for one in page.people]
        if page.total > len(page.people):
            lines.append(f"  ... and {page.total - len(page.people)} more")
        return "\n".join(lines)
