"""The people of a library that is open in this process."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
from loguru import logger
from typing_extensions import override

from facekit.catalog.names import clean_name
from facekit.catalog.pages import checked_offset, known_id
from facekit.catalog.people_tables import allowed_twice, cluster_runs, differences, members, persons, rejections
from facekit.catalog.times import now
from facekit.errors import FacekitError, NameTakenError, UnknownIdError
from facekit.people import runs as people_runs
from facekit.people.base import People, Who, person_meant
from facekit.people.member_faces import members_of, ranked_faces
from facekit.people.review import conflicts_of, duplicates_of, outliers, questions
from facekit.storage.face_arrays import FaceArrays
from facekit.storage.frames import constraints_frame, people_frame
from facekit.types.people import (
    SHORT_ID,
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
    faces_in_words,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from threading import Event

    import pandas as pd

    from facekit.catalog import Catalog
    from facekit.catalog.journal import Row, Work
    from facekit.catalog.people import PeopleTables
    from facekit.people.base import Faces
    from facekit.storage.storage import Storage
    from facekit.types.people import Verb

_MOST_CONFLICTS = 1000
_VERBS: dict[str, Verb] = {"name": "name", "cover": "cover", "hidden": "hide"}  # by what they change


class LocalPeople(People):
    """The people in a catalog.

    Parameters
    ----------
    library : Library
        Whose people these are.
    storage : Storage
        What is open of it.
    user : str
        Who the journal says did it.
    """

    def __init__(self, library: Any, storage: Storage, user: str = "") -> None:  # noqa: ANN401 - it stands above
        self.library = library
        self._storage = storage
        self._user = user

    @property
    def _catalog(self) -> Catalog:
        """The catalog of a library that is open: that of a closed one would be opened again, beside its new owner."""
        self._storage.alive()
        return self._storage.catalog

    @property
    def _tables(self) -> PeopleTables:
        return self._catalog.people

    # -- who there is --------------------------------------------------------------------------------------------

    @override
    def page(
        self,
        *,
        hidden: bool = False,
        named: bool | None = None,
        text: str = "",
        offset: int = 0,
        limit: int = 60,
    ) -> PersonPage:
        if not isinstance(text, str):
            message = f"{text!r} is no part of a name."
            raise FacekitError(message, "Names are text.")
        offset = checked_offset(offset)
        asked: dict[str, Any] = {"hidden": bool(hidden), "named": named, "text": text.strip()}
        total, found = self._tables.page(**asked, offset=offset, limit=limit)
        return PersonPage(total, offset, tuple(found))

    @override
    def get(self, who: Who) -> Person:
        return self._tables.find(person_meant(who))

    @override
    def faces(self, who: Who, *, offset: int = 0, limit: int = 60) -> MemberPage:
        with self._tables.reading():
            person = self.get(who)
            ranked = ranked_faces(self._tables, person.person_id)
        shown = ranked[offset : offset + limit]
        found, photos = self._catalog.pages.some_faces([row["face_id"] for row, _ in shown], limit)
        inside = members_of(shown, found)
        return MemberPage(len(ranked), offset, person, inside, photos)

    @override
    def to_frame(self) -> pd.DataFrame:
        with self._tables.reading():
            return people_frame(self._catalog)

    # -- corrections ---------------------------------------------------------------------------------------------

    @override
    def name(self, who: Who, name: str | None) -> Person:
        return self.change(who, name=name)

    @override
    def merge(self, who: Who, *others: Who) -> Person:
        with self._work("merge") as work:
            person = self.get(who)
            rest = {one.person_id: one for one in map(self.get, others) if one.person_id != person.person_id}
            if not rest:
                message = f"There is nobody to merge {person.label} with."
                raise FacekitError(message, "Name at least two different people.")
            owned = self._tables.owners([person.person_id, *rest])
            work.put(members, [_said(face, person.person_id) for face in owned])
            said = [(face, of) for face, of in self._tables.rejections() if of in rest]
            work.remove(rejections, said)
            faces = sorted({face for face, _ in said})  # also those that they have: a conflict, which is listed
            work.put(rejections, [{"face_id": face, "person_id": person.person_id} for face in faces])
            apart = [pair for pair in self._tables.differences() if set(pair) & set(rest)]
            work.remove(differences, apart)
            ids = {*rest, person.person_id}
            for pair in apart:
                if other := next((one for one in pair if one not in ids), None):
                    work.put(differences, [_pair(person.person_id, other)])
            work.remove(persons, [(key,) for key in rest])
            names = [one.name for one in (person, *rest.values()) if one.name]
            work.put(persons, [{"person_id": person.person_id, "name": names[0] if names else None}])
            work.words = f"{person.label} and {', '.join(one.label for one in rest.values())} are one person"
        return self._done(work, person.person_id)

    @override
    def split(self, who: Who, faces: Faces, name: str | None = None) -> Person:
        wanted = clean_name(name)
        with self._work("split") as work:
            person = self.get(who)
            chosen = self._known(faces)
            owned = self._tables.owners([person.person_id])
            if not set(chosen) <= owned.keys():
                message = f"Not all of these faces are with {person.label}."
                raise FacekitError(message, "lib.people.faces lists a person's faces; move brings others to a person.")
            if set(chosen) >= set(self._tables.photo_of(owned)):
                message = f"These are all faces of {person.label}."
                raise FacekitError(message, "Leave at least one, or give the person another name.")
            self._refuse_taken(wanted, "")
            key = self._new(work, wanted)
            self._move(work, chosen, key)
            work.put(differences, [_pair(person.person_id, key)])
            work.words = f"{faces_in_words(len(chosen))} of {person.label}: somebody else" + (
                f", {wanted}" if wanted else ""
            )
        return self._done(work, key)

    @override
    def move(self, faces: Faces, who: Who) -> Person:
        with self._work("move") as work:
            person = self.get(who)
            chosen = self._known(faces)
            self._move(work, chosen, person.person_id)
            work.words = f"{faces_in_words(len(chosen))}: this is {person.label}"
        return self._done(work, person.person_id)

    @override
    def new(self, faces: Faces, name: str | None = None) -> Person:
        wanted = clean_name(name)
        with self._work("new") as work:
            chosen = self._known(faces)
            self._refuse_taken(wanted, "")
            key = self._new(work, wanted)
            self._move(work, chosen, key)
            work.words = f"{faces_in_words(len(chosen))}: somebody new" + (f", {wanted}" if wanted else "")
        return self._done(work, key)

    @override
    def not_this_person(self, faces: Faces, who: Who | None = None) -> int:
        with self._work("not_this_person") as work:
            chosen = self._known(faces)
            owners = self._tables.owners()
            person = None if who is None else self.get(who)
            said = {face: person.person_id if person else owners.get(face, "") for face in chosen}
            if not all(said.values()):
                message = "Some of these faces are nobody's."
                raise FacekitError(message, "Say whom they do not show.")
            work.remove(members, [(face,) for face, owner in said.items() if owners.get(face) == owner])
            work.put(rejections, [{"face_id": face, "person_id": owner} for face, owner in said.items()])
            labels = sorted({one.label for one in self._tables.some(said.values()).values()})
            work.words = f"{faces_in_words(len(chosen))}: not {', '.join(labels)}"
        return work.number

    @override
    def different(self, who: Who, other: Who) -> int:
        with self._work("different") as work:
            one, two = self.get(who), self.get(other)
            if one.person_id == two.person_id:
                message = f"{one.label} can't be different from {one.label}."
                raise FacekitError(message, "Name two people.")
            work.put(differences, [_pair(one.person_id, two.person_id)])
            work.words = f"{one.label} and {two.label} are different people"
        return work.number

    @override
    def hide(self, who: Who, hidden: bool = True) -> Person:
        return self.change(who, hidden=hidden)

    @override
    def cover(self, who: Who, face_id: str | None) -> Person:
        return self.change(who, cover=face_id)

    def change(self, who: Who, **wanted: Any) -> Person:  # noqa: ANN401 - what name, hide and cover take
        """Change the ``name``, ``hidden`` and ``cover`` that are given: all, or nothing. One entry of the journal."""
        verbs = [verb for given, verb in _VERBS.items() if given in wanted]
        with self._work(verbs[0] if verbs else "name") as work:
            person = self.get(who)
            said = []
            if "name" in wanted:
                name = wanted["name"] = clean_name(wanted["name"])
                self._refuse_taken(name, person.person_id)
                said.append(f"is called {name}" if name else "has no name any more")
            if "cover" in wanted:
                face_id = wanted["cover"]
                if face_id is not None and face_id not in self._tables.owners([person.person_id]):
                    message = f"This face is not with {person.label}."
                    raise FacekitError(message, "lib.people.faces lists a person's faces.")
                said.append(f"has {'another' if face_id else 'no chosen'} cover face")
            if "hidden" in wanted:
                said.append("is hidden" if wanted["hidden"] else "is shown again")
            work.put(persons, [{"person_id": person.person_id, **wanted}])
            work.words = f"{person.label} {', '.join(said)}"
        return self._done(work, person.person_id)

    @override
    def allow_twice(self, photo_id: str, allowed: bool = True) -> int:
        with self._work("allow_twice") as work:
            name = Path(self._catalog.pages.photo(photo_id).path).name  # whoever may read the journal may see it
            if allowed:
                work.put(allowed_twice, [{"photo_id": photo_id}])
            else:
                work.remove(allowed_twice, [(photo_id,)])
            work.words = f"{name} may {'' if allowed else 'not '}show a face twice"
        return work.number

    # -- the parts of corrections --------------------------------------------------------------------------------

    @contextmanager
    def _work(self, verb: Verb) -> Iterator[Work]:
        """One verb's changes, while the models in use stay the same."""
        with self._storage.models.shared(), self._tables.work(verb, self._user) as work:
            yield work
        if work.changes:
            logger.info("People: {}", work.words)

    def _done(self, work: Work, person_id: str) -> Person:
        return replace(self.get(person_id), entry=work.number)

    def _known(self, faces: Faces) -> list[str]:
        chosen = list(dict.fromkeys([faces] if isinstance(faces, str) else faces))
        known = self._tables.photo_of(map(known_id, chosen))
        unknown = [face for face in chosen if face not in known]
        if unknown or not chosen:
            message = f"The library has no face {unknown[0]!r}." if unknown else "No face was named."
            raise UnknownIdError(message, "lib.faces() lists all faces, lib.people.faces those of a person.")
        return chosen

    def _move(self, work: Work, faces: list[str], person_id: str) -> None:
        work.put(members, [_said(face, person_id) for face in faces])
        work.remove(rejections, [(face, person_id) for face in faces])  # the newer word counts

    @staticmethod
    def _new(work: Work, name: str | None) -> str:
        row = {"person_id": uuid4().hex, "name": name, "cover": None, "hidden": False, "created_at": now()}
        work.put(persons, [row])
        return str(row["person_id"])

    def _refuse_taken(self, name: str | None, person_id: str) -> None:
        other = self._tables.named(name) if name else None
        if other and other != person_id:
            message = f"There is another person called {name}."
            raise NameTakenError(message, "Merge the two, or write one name differently.", other)

    # -- the journal ---------------------------------------------------------------------------------------------

    @override
    def journal(self, limit: int = 50) -> tuple[Entry, ...]:
        if not (isinstance(limit, int) and 0 <= limit < 2**63):
            message = f"A journal of {limit!r} entries was asked for."
            raise FacekitError(message, "Ask for 0 or more.")
        names = Entry.__dataclass_fields__
        rows = [{name: row[name] for name in names} for row in self._tables.entries(limit)]
        return tuple(Entry(**row | {"at": row["at"].astimezone()}) for row in rows)

    @override
    def undo(self, number: int | None = None) -> Entry:
        if not isinstance(number, int | None):
            message = f"{number!r} is no number of an entry."
            raise UnknownIdError(message, "lib.people.journal() lists what was done.")
        with self._storage.models.shared():
            done = self._tables.undo(number, self._user)
        entry = next(one for one in self.journal(1000) if one.number == done)
        logger.info("People: {}", entry.words)
        return entry

    # -- runs ----------------------------------------------------------------------------------------------------

    @override
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
        with self._storage.changing("A clustering"):
            run = people_runs.propose(
                self._catalog,
                self._storage.settings,
                method=method,
                eps=eps,
                min_faces=min_faces,
                people=people,
                conflicts=tuple(one.words for one in self.conflicts()),
                stop=stop,
            )
            logger.info("People: {}", run)
            return self.accept(run) if accept else run

    @override
    def runs(self) -> tuple[ClusterRun, ...]:
        return tuple(people_runs.run_of(row) for row in self._tables.runs())

    @override
    def accept(self, run: ClusterRun | str) -> ClusterRun:
        key = people_runs.find_run(self._catalog, run).run_id
        with self._work("accept") as work:
            people_runs.accept(self._catalog, self._storage.settings, key, work)
        return replace(people_runs.find_run(self._catalog, key), entry=work.number)

    @override
    def discard(self, run: ClusterRun | str) -> None:
        found = people_runs.find_run(self._catalog, run)
        if found.state == "accepted":
            message = f"The run {found.run_id[:SHORT_ID]} was accepted; it can't be thrown away."
            raise FacekitError(message, "Undo its acceptance: lib.people.undo().")
        with self._work("discard") as work:
            work.put(cluster_runs, [{"run_id": found.run_id, "state": "discarded"}])
            work.words = f"the run {found.run_id[:SHORT_ID]} ({found.method}) was thrown away"

    @override
    def compare(self, first: ClusterRun | str, second: ClusterRun | str | None = None) -> Comparison:
        with self._tables.reading():
            return people_runs.compare(self._catalog, first, second)

    # -- new photos ----------------------------------------------------------------------------------------------

    @override
    def assign(self) -> AssignReport:
        with self._work("assign") as work:
            return people_runs.assign(self._catalog, self._storage.settings, work)

    @override
    def review(self, limit: int = 20) -> tuple[Suggestion, ...]:
        with self._storage.models.shared(), self._tables.reading():
            return questions(self._catalog, self._storage.settings, FaceArrays.of(self._tables), limit)

    # -- quality -------------------------------------------------------------------------------------------------

    @override
    def conflicts(self) -> tuple[Conflict, ...]:
        with self._tables.reading():
            return tuple(conflicts_of(self._catalog))[:_MOST_CONFLICTS]

    @override
    def quality(self, who: Who) -> PersonQuality:
        with self._tables.reading():
            person = self.get(who)
            ranked = [(row, value) for row, value in ranked_faces(self._tables, person.person_id) if value is not None]
            pairs = duplicates_of(
                self._catalog, self._storage.settings, FaceArrays.of(self._tables), person.person_id, 10
            )
        values = np.array([value for _, value in ranked])
        far = [ranked[at] for at in outliers(values)]
        found, _ = self._catalog.pages.some_faces([row["face_id"] for row, _ in far], max(len(far), 1))
        spread = float(1 - values.mean()) if len(values) else 0.0
        return PersonQuality(person, spread, members_of(far, found), pairs)

    @override
    def duplicates(self, limit: int = 20) -> tuple[Duplicate, ...]:
        with self._tables.reading():
            return duplicates_of(self._catalog, self._storage.settings, FaceArrays.of(self._tables), None, limit)

    @override
    def constraints(self) -> pd.DataFrame:
        with self._tables.reading():
            return constraints_frame(self._catalog)

    # -- to and from other programs ------------------------------------------------------------------------------

    @override
    def links(self, folder: str | os.PathLike[str], *, copy: bool = False) -> int:
        from facekit.people.exchange import links

        self._storage.outside(folder)
        return links(self, self._catalog, folder, copy=copy)

    def write_xmp(
        self, folder: str | os.PathLike[str] | None = None, *, writable: Callable[[bytes], bool] | None = None
    ) -> XmpReport:
        """See `People.write_xmp`. ``writable`` says into which folders files may be written."""
        from facekit.people.exchange import write_xmp

        with self._storage.changing("Writing names"):
            return write_xmp(self, self._catalog, folder, writable)

    @override
    def read_xmp(self, folder: str | os.PathLike[str] | None = None) -> XmpReport:
        from facekit.people.exchange import read_xmp

        with self._storage.changing("Reading names"):
            return read_xmp(self, self._catalog, folder)


def _pair(one: str, other: str) -> Row:
    first, second = sorted((one, other))
    return {"person_id": first, "other_id": second}


def _said(face_id: str, person_id: str) -> Row:
    return {"face_id": face_id, "person_id": person_id, "origin": "user", "run_id": None}
