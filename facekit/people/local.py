"""The people of a library that is open in this process."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from loguru import logger
from typing_extensions import override

from facekit.arguments import checked_entry, checked_listed, checked_page, checked_part, checked_position
from facekit.catalog.people_tables import cluster_runs
from facekit.errors import RefusedError
from facekit.people import corrections
from facekit.people import runs as people_runs
from facekit.people.base import People
from facekit.people.member_faces import members_of, ranked_faces
from facekit.people.review import conflicts_of, duplicates_of, outliers, questions
from facekit.people.who import Who, person_meant
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
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from threading import Event

    import pandas as pd

    from facekit.catalog import Catalog
    from facekit.catalog.journal import UnitOfWork
    from facekit.catalog.people import PeopleTables
    from facekit.people.runs import Outcome
    from facekit.people.who import Faces
    from facekit.storage.storage import Storage
    from facekit.types.people import Verb

_MOST_CONFLICTS = 1000
_TRIES = 2  # before others have to wait
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
    def _open(self) -> Storage:
        """What is open: the catalog of a closed library would be opened again, beside its new owner."""
        self._storage.alive()
        return self._storage

    @property
    def _catalog(self) -> Catalog:
        return self._open.catalog

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
        asked: dict[str, Any] = {"hidden": bool(hidden), "named": named, "text": checked_part(text).strip()}
        total, found = self._tables.page(**asked, offset=offset, limit=limit)
        return PersonPage(total, offset, tuple(found))

    @override
    def get(self, who: Who) -> Person:
        return self._tables.find(person_meant(who))

    @override
    def faces(self, who: Who, *, offset: int = 0, limit: int = 60) -> MemberPage:
        offset, limit = checked_position(offset), checked_page(limit)
        with self._tables.reading():
            person = self.get(who)
            ranked = ranked_faces(self._open, person.person_id)
        shown = ranked[offset : offset + limit]
        found, photos = self._catalog.pages.some_faces([row.face_id for row, _ in shown], limit)
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
        return self._correct("merge", corrections.merge, who, *others)

    @override
    def split(self, who: Who, faces: Faces, name: str | None = None) -> Person:
        return self._correct("split", corrections.split, who, faces, name)

    @override
    def move(self, faces: Faces, who: Who) -> Person:
        return self._correct("move", corrections.move, faces, who)

    @override
    def new(self, faces: Faces, name: str | None = None) -> Person:
        return self._correct("new", corrections.new, faces, name)

    @override
    def not_this_person(self, faces: Faces, who: Who | None = None) -> int:
        with self._work("not_this_person") as work:
            corrections.reject(self._tables, work, faces, who)
        return work.number

    @override
    def different(self, who: Who, other: Who) -> int:
        with self._work("different") as work:
            corrections.tell_apart(self._tables, work, who, other)
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
        return self._correct(verbs[0] if verbs else "name", corrections.change, who, wanted)

    @override
    def allow_twice(self, photo_id: str, allowed: bool = True) -> int:
        with self._work("allow_twice") as work:
            corrections.allow_twice(self._catalog, work, photo_id, allowed=allowed)
        return work.number

    @contextmanager
    def _work(self, verb: Verb) -> Iterator[UnitOfWork]:
        """One verb's changes, while the models in use stay the same."""
        with self._storage.models.shared(), self._tables.work(verb, self._user) as work:
            yield work
        if work.changes:
            logger.info("People: {}", work.words)

    def _compute(self, verb: Verb, compute: Callable[[], Outcome]) -> tuple[AssignReport, int]:
        """Write what is computed from all faces and people; returns what came of it, and the journal's entry.

        Computing may take long, and nobody waits for it. Whatever was said about people meanwhile, it is computed again
        with that, in the end while nobody can say anything.
        """
        with self._storage.models.shared():
            for _ in range(_TRIES):
                outcome = compute()
                with self._tables.work(verb, self._user) as work:
                    holds = outcome.said is not None and outcome.said == self._tables.version_of_people()
                    if holds:
                        report = outcome.write(work)
                if holds:
                    break
            else:
                with self._tables.work(verb, self._user) as work:
                    outcome = compute()
                    report = outcome.write(work)
            self._tables.assigned(outcome.faces)
        if work.changes:
            logger.info("People: {}", work.words)
        return report, work.number

    def _correct(self, verb: Verb, correction: Callable[..., str], *said: Any) -> Person:  # noqa: ANN401
        """Do one of the `corrections` that are about a person, and return the person as it is then."""
        with self._work(verb) as work:
            person_id = correction(self._tables, work, *said)
        return replace(self.get(person_id), entry=work.number)

    # -- the journal ---------------------------------------------------------------------------------------------

    @override
    def journal(self, limit: int = 50) -> tuple[Entry, ...]:
        return tuple(self._tables.entries(checked_listed(limit)))

    @override
    def undo(self, number: int | None = None) -> Entry:
        number = checked_entry(number)
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
                self._open,
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
        return tuple(self._tables.runs())

    @override
    def accept(self, run: ClusterRun | str) -> ClusterRun:
        key = people_runs.find_run(self._catalog, run).run_id
        _, entry = self._compute("accept", lambda: people_runs.accept(self._open, key))
        return replace(people_runs.find_run(self._catalog, key), entry=entry)

    @override
    def discard(self, run: ClusterRun | str) -> None:
        found = people_runs.find_run(self._catalog, run)
        if found.state == "accepted":
            message = f"The run {found.run_id[:SHORT_ID]} was accepted; it can't be thrown away."
            raise RefusedError(message, "Undo its acceptance: lib.people.undo().")
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
        report, _ = self._compute("assign", lambda: people_runs.assign(self._open))
        return report

    @override
    def review(self, limit: int = 20) -> tuple[Suggestion, ...]:
        limit = checked_listed(limit)
        with self._storage.models.shared(), self._tables.reading():
            return questions(self._open, limit)

    # -- quality -------------------------------------------------------------------------------------------------

    @override
    def conflicts(self) -> tuple[Conflict, ...]:
        with self._tables.reading():
            return tuple(conflicts_of(self._catalog))[:_MOST_CONFLICTS]

    @override
    def quality(self, who: Who) -> PersonQuality:
        with self._tables.reading():
            person = self.get(who)
            ranked = [(row, value) for row, value in ranked_faces(self._open, person.person_id) if value is not None]
            pairs = duplicates_of(self._open, person.person_id, 10)
        values = np.array([value for _, value in ranked])
        far = [ranked[at] for at in outliers(values)]
        found, _ = self._catalog.pages.some_faces([row.face_id for row, _ in far], max(len(far), 1))
        spread = float(1 - values.mean()) if len(values) else 0.0
        return PersonQuality(person, spread, members_of(far, found), pairs)

    @override
    def duplicates(self, limit: int = 20) -> tuple[Duplicate, ...]:
        limit = checked_listed(limit)
        with self._tables.reading():
            return duplicates_of(self._open, None, limit)

    @override
    def constraints(self) -> pd.DataFrame:
        with self._tables.reading():
            return constraints_frame(self._catalog)

    # -- to and from other programs ------------------------------------------------------------------------------

    @override
    def links(self, folder: str | os.PathLike[str], *, copy: bool = False) -> int:
        from facekit.people.exchange import links

        self._storage.outside(folder)
        return links(self, self._catalog, self._storage.mounts, folder, copy=copy)

    def write_xmp(
        self, folder: str | os.PathLike[str] | None = None, *, writable: Callable[[bytes], bool] | None = None
    ) -> XmpReport:
        """See `People.write_xmp`. ``writable`` says into which folders files may be written."""
        from facekit.people.exchange import write_xmp

        with self._storage.changing("Writing names"):
            return write_xmp(self, self._catalog, self._storage.mounts, folder, writable)

    @override
    def read_xmp(self, folder: str | os.PathLike[str] | None = None) -> XmpReport:
        from facekit.people.exchange import read_xmp

        with self._storage.changing("Reading names"):
            return read_xmp(self, self._catalog, self._storage.mounts, folder)
