"""The people of a library that a service owns, with the same verbs, over HTTP."""

from __future__ import annotations

from dataclasses import asdict, replace
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx2
from typing_extensions import override

from facekit.arguments import (
    checked_entry,
    checked_id,
    checked_listed,
    checked_page,
    checked_part,
    checked_position,
    is_id,
    starts_id,
)
from facekit.catalog.names import clean_name
from facekit.errors import FacekitError
from facekit.library.documents import Constraint, XmpDocument, parse, xmp_report
from facekit.library.follow import follow_clustering
from facekit.library.session import service_path
from facekit.people.base import People
from facekit.people.who import Faces, Who, listed_faces, no_face_named, no_such_face, no_such_run, person_meant
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

if TYPE_CHECKING:
    import os
    from typing import NoReturn

    import pandas as pd

    from facekit.library.base import Library
    from facekit.library.session import Session

# All files are read or written before the service answers, which may take hours.
_PATIENT = httpx2.Timeout(6 * 3600.0, connect=5.0)


class RemotePeople(People):
    """The people behind a service: ``people`` of a `RemoteLibrary`.

    Parameters
    ----------
    library : Library
        The library whose people these are.
    session : Session
        With its service.
    """

    def __init__(self, library: Library, session: Session) -> None:
        self.library: Library = library
        self._session, self._get = session, session.get

    def _post(self, path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        return self._session.tell("POST", path, **body)

    def _of(self, who: Who, verb: str = "") -> str:
        """The address of a person, or of something about them."""
        return f"people/{self._id(who)}{verb}"

    def _id(self, who: Who) -> str:
        return who.person_id if isinstance(who, Person) else self.get(who).person_id

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
        where = {"offset": checked_position(offset), "limit": checked_page(limit)}
        return parse(PersonPage, self._get("people", hidden=hidden, named=named, text=checked_part(text), **where))

    @override
    def get(self, who: Who) -> Person:
        if isinstance(who, Person):
            return parse(Person, self._get(f"people/{who.person_id}"))
        return parse(Person, self._get("people/resolve", who=person_meant(who)))

    @override
    def faces(self, who: Who, *, offset: int = 0, limit: int = 60) -> MemberPage:
        where = {"offset": checked_position(offset), "limit": checked_page(limit)}
        return parse(MemberPage, self._get(self._of(who, "/faces"), **where))

    @override
    def to_frame(self) -> pd.DataFrame:
        return self._session.table("people")

    # -- corrections ---------------------------------------------------------------------------------------------

    @override
    def name(self, who: Who, name: str | None) -> Person:
        return self._change(who, name=clean_name(name))

    @override
    def hide(self, who: Who, hidden: bool = True) -> Person:
        return self._change(who, hidden=hidden)

    @override
    def cover(self, who: Who, face_id: str | None) -> Person:
        return self._change(who, cover=face_id)

    def _change(self, who: Who, **changed: Any) -> Person:  # noqa: ANN401 - JSON
        return parse(Person, self._session.tell("PATCH", self._of(who), **changed))

    @override
    def merge(self, who: Who, *others: Who) -> Person:
        return parse(Person, self._post(self._of(who, "/merge"), others=[self._id(other) for other in others]))

    @override
    def split(self, who: Who, faces: Faces, name: str | None = None) -> Person:
        return parse(Person, self._post(self._of(who, "/split"), faces=_listed(faces), name=clean_name(name)))

    @override
    def move(self, faces: Faces, who: Who) -> Person:
        return parse(Person, self._post(self._of(who, "/faces"), faces=_listed(faces)))

    @override
    def new(self, faces: Faces, name: str | None = None) -> Person:
        return parse(Person, self._post("people", faces=_listed(faces), name=clean_name(name)))

    @override
    def not_this_person(self, faces: Faces, who: Who | None = None) -> int:
        person_id = None if who is None else self._id(who)
        return _entry_number(self._post("people/not-this-person", faces=_listed(faces), person_id=person_id))

    @override
    def different(self, who: Who, other: Who) -> int:
        return _entry_number(self._post(self._of(who, "/different"), other=self._id(other)))

    @override
    def allow_twice(self, photo_id: str, allowed: bool = True) -> int:
        return _entry_number(
            self._session.tell("PUT", f"photos/{checked_id(photo_id, 'photo')}/allowed-twice", allowed=allowed)
        )

    # -- the journal ---------------------------------------------------------------------------------------------

    @override
    def journal(self, limit: int = 50) -> tuple[Entry, ...]:
        return tuple(map(_entry, self._get("people/journal", limit=checked_listed(limit))))

    @override
    def undo(self, number: int | None = None) -> Entry:
        return _entry(self._post("people/undo", number=checked_entry(number)))

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
        """See `People.cluster`. It is a job of the service; Ctrl-C cancels it."""
        from facekit.clustering.methods import checked_options  # its module is heavy

        checked_options(method, eps, min_faces, people)
        job = self._post("clusters/runs", method=method, eps=eps, min_faces=min_faces, people=people, accept=accept)
        run_id = follow_clustering(self._session, job["job_id"], stop or Event())
        return next(run for run in self.runs() if run.run_id == run_id)

    @override
    def runs(self) -> tuple[ClusterRun, ...]:
        return tuple(map(_run, self._get("clusters/runs")))

    @override
    def accept(self, run: ClusterRun | str) -> ClusterRun:
        return _run(self._post(f"clusters/runs/{_run_id(run)}/accept"))

    @override
    def discard(self, run: ClusterRun | str) -> None:
        self._post(f"clusters/runs/{_run_id(run)}/discard")

    @override
    def compare(self, first: ClusterRun | str, second: ClusterRun | str | None = None) -> Comparison:
        other = {} if second is None else {"with": _run_id(second)}
        return parse(Comparison, self._get(f"clusters/runs/{_run_id(first)}/compare", **other))

    # -- new photos ----------------------------------------------------------------------------------------------

    @override
    def assign(self) -> AssignReport:
        return parse(AssignReport, self._post("people/assign"))

    @override
    def review(self, limit: int = 20) -> tuple[Suggestion, ...]:
        return parse(tuple[Suggestion, ...], self._get("people/review", limit=checked_listed(limit)))

    # -- quality -------------------------------------------------------------------------------------------------

    @override
    def conflicts(self) -> tuple[Conflict, ...]:
        return parse(tuple[Conflict, ...], self._get("people/conflicts"))

    @override
    def quality(self, who: Who) -> PersonQuality:
        return parse(PersonQuality, self._get(self._of(who, "/quality")))

    @override
    def duplicates(self, limit: int = 20) -> tuple[Duplicate, ...]:
        return parse(tuple[Duplicate, ...], self._get("people/duplicates", limit=checked_listed(limit)))

    @override
    def constraints(self) -> pd.DataFrame:
        import pandas as pd

        rows = parse(tuple[Constraint, ...], self._get("people/constraints"))
        return pd.DataFrame([asdict(row) for row in rows], columns=list(Constraint.__dataclass_fields__))

    # -- to and from other programs ------------------------------------------------------------------------------

    @override
    def links(self, folder: str | os.PathLike[str], *, copy: bool = False) -> NoReturn:
        """Links are made where the photos are, which may be another machine: `FacekitError`."""
        message = "Links can't be made through a service."
        raise FacekitError(message, "Stop the service, open the library's folder itself, and call links there.")

    @override
    def write_xmp(self, folder: str | os.PathLike[str] | None = None) -> XmpReport:
        """See `People.write_xmp`. The files are written on the service's machine."""
        return self._xmp("write", folder)

    @override
    def read_xmp(self, folder: str | os.PathLike[str] | None = None) -> XmpReport:
        """See `People.read_xmp`. The files are those of the service's machine."""
        return self._xmp("read", folder)

    def _xmp(self, verb: str, folder: str | os.PathLike[str] | None) -> XmpReport:
        where = None if folder is None else service_path(folder)
        return xmp_report(parse(XmpDocument, self._post(f"people/xmp/{verb}", patience=_PATIENT, folder=where)))


def _entry(document: Any) -> Entry:  # noqa: ANN401 - JSON
    entry = parse(Entry, document)
    return replace(entry, at=entry.at.astimezone())


def _run(document: Any) -> ClusterRun:  # noqa: ANN401 - JSON
    run = parse(ClusterRun, document)
    return replace(run, created_at=run.created_at.astimezone())


def _listed(faces: Faces) -> list[str]:
    chosen = listed_faces(faces)
    if not chosen:
        raise no_face_named()
    for face_id in chosen:
        if not is_id(face_id):
            raise no_such_face(face_id)
    return chosen


def _run_id(run: ClusterRun | str) -> str:
    run_id = run.run_id if isinstance(run, ClusterRun) else run
    if not starts_id(run_id):
        raise no_such_run(run_id)
    return run_id


def _entry_number(said: Any) -> int:  # noqa: ANN401 - JSON
    """The number of the journal's entry that an answer names; an older service names none."""
    return int(said["entry"]) if said else 0
