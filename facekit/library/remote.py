"""A library that a service owns, with the same verbs, over HTTP."""

from __future__ import annotations

import os
from io import BytesIO
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx2
from typing_extensions import override

from facekit.arguments import (
    checked_place_name,
    checked_roots,
    checked_similarity,
    checked_status,
    checked_table,
    checked_year,
    no_such_person,
)
from facekit.errors import RefusedError
from facekit.ingest.progress import check_progress
from facekit.library.base import Library
from facekit.library.documents import SearchDocument, ServiceInfo, hits_from, parse
from facekit.library.follow import follow, follow_reembed
from facekit.library.remote_gallery import RemoteGallery
from facekit.library.remote_people import RemotePeople
from facekit.library.remote_sources import RemoteSources
from facekit.library.session import Session, service_path
from facekit.library.uploads import form_files, sent_picture
from facekit.people.who import person_meant
from facekit.search.find import check_search, given_probes, people_pointed_at
from facekit.search.known_faces import Known
from facekit.sources.left_out import checked
from facekit.storage.relocation import Relocation
from facekit.storage.removal import named_photos
from facekit.system.files import named_file, user_path
from facekit.types.photos import ProbeFace, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date
    from pathlib import Path

    import pandas as pd

    from facekit.images.files import Limits
    from facekit.images.inputs import ImageSource
    from facekit.ingest.progress import Progress
    from facekit.ingest.reembed_report import ReembedReport
    from facekit.ingest.report import IngestReport
    from facekit.library.session import Me
    from facekit.people.who import Who
    from facekit.search.find import ProbeSource
    from facekit.search.hits import Hits
    from facekit.storage.doctor import Doctor
    from facekit.storage.removal import Removable
    from facekit.types.arrays import FloatArray
    from facekit.types.photos import Detail, TableName

_BACKUP_TIMEOUT = httpx2.Timeout(3600.0, connect=5.0)  # a first one copies all thumbnails


class RemoteLibrary(RemoteGallery, Library):
    """A library behind a service. Made by `facekit.open`.

    Parameters
    ----------
    url : str
        The service's address, ``http://127.0.0.1:8000``.
    api_key : str, optional
        For a service with accounts; by default the environment's ``FACEKIT_API_KEY``. Or `sign_in`.

    Raises
    ------
    ServiceError
        If the service does not answer, or is none of facekit's.
    """

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.session = Session(self.url, api_key or os.environ.get("FACEKIT_API_KEY") or "")
        """Who one is, and the requests."""
        self._get, self._tell = self.session.get, self.session.tell
        if not self.session.accounts or self.session.has_token:
            _ = self._info  # a wrong address or key is known at once

    def sign_in(self, name: str, password: str) -> str:
        """Sign in, and return the token with which `Session.resume` goes on without the password.

        Raises
        ------
        ServiceError
            With status 401 if the name or the password is wrong, 429 after too many tries.
        """
        return self.session.sign_in(name, password)

    def sign_out(self) -> None:
        """End the session."""
        self.session.sign_out()

    @property
    def identity(self) -> Me:
        """Who the service takes this client for."""
        return self.session.identity

    # -- the library's verbs -------------------------------------------------------------------------------------

    @property
    def _info(self) -> ServiceInfo:
        return parse(ServiceInfo, self._get("service"))

    @property
    @override
    def closed(self) -> bool:
        """Whether the library was closed."""
        return self.session.closed

    @override
    def close(self) -> None:
        """Let go of the service; it goes on."""
        self.session.close()

    @property
    @override
    def place(self) -> str:
        """The service's address."""
        return self.url

    @property
    @override
    def search_similarity(self) -> float:
        return self._info.search_similarity  # asked for each time: somebody else may have set another

    @property
    @override
    def embedder_in_use(self) -> str:
        now = self._info
        return f"{now.embedder} {now.embedder_version}"

    @override
    def set_search_similarity(self, value: float | None, *, embedder: str | None = None) -> None:
        value = None if value is None else checked_similarity(value)
        self._tell("PUT", "search/similarity", value=value, embedder=embedder)

    @override
    def ingest(
        self,
        *roots: str | bytes | os.PathLike[str],
        progress: Progress = True,
        detail: Detail = "normal",
        limits: Limits | None = None,
        stop: Event | None = None,
        exclude: Iterable[str] | None = None,
    ) -> IngestReport:
        """See `Library.ingest`. The folders are the service's machine's; the service goes on when this is cut off."""
        check_progress(progress)
        if limits is not None:
            message = "A service has limits of its own."
            raise RefusedError(message, "Leave limits out.")
        paths = [service_path(root) for root in checked_roots(roots)]
        patterns = None if exclude is None else list(checked(exclude))
        jobs = [self._tell("POST", "upload/local", path=path, detail=detail, exclude=patterns) for path in paths]
        return follow(self.session, [job["job_id"] for job in jobs], progress, stop or Event())

    @property
    @override
    def sources(self) -> RemoteSources:
        return RemoteSources(self.session)

    @override
    def reembed(
        self,
        detector: str | None = None,
        embedder: str | None = None,
        *,
        progress: Progress = True,
        detail: Detail = "normal",
        stop: Event | None = None,
        skip_unreadable: bool = False,
    ) -> ReembedReport:
        """See `Library.reembed`. The service goes on when this is cut off."""
        check_progress(progress)
        what: dict[str, Any] = {"detector": detector, "embedder": embedder, "detail": detail}
        job = self._tell("POST", "library/reembed", **what, skip_unreadable=skip_unreadable)
        return follow_reembed(self.session, job["job_id"], progress, stop or Event())

    def running_ingest(self) -> str | None:
        """The id of the ingest that the service works on or will next, or None."""
        if "ingest" not in self.identity.scopes:
            return None
        jobs = self._get("jobs")
        waiting = [job for job in jobs if job["kind"] == "ingest" and job["state"] in {"running", "queued"}]
        return str(waiting[-1]["job_id"]) if waiting else None

    def follow_ingest(self, job_id: str, progress: Progress, stop: Event) -> IngestReport:
        """Watch a job of the service until it ends; ``stop`` cancels it."""
        return follow(self.session, [job_id], progress, stop)

    @override
    def remove(self, path: Removable | Iterable[Removable]) -> int:
        """See `Library.remove`; paths are the service's machine's."""
        paths, ids = named_photos(path)
        if not paths and not ids:
            return 0
        said = self._tell("POST", "photos/remove", path=[service_path(one) for one in paths], photo_ids=ids)
        return int(said["paths"])

    @override
    def relocate(self, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> Relocation:
        """See `Library.relocate`. Both are the service's machine's."""
        said = self._tell("POST", "photos/relocate", old=service_path(old), new=service_path(new))
        return parse(Relocation, said)

    @override
    def search(
        self,
        probe: ProbeSource | Sequence[ProbeSource],
        *,
        top_k: int = 50,
        min_similarity: float | None = None,
        face: int | Sequence[int] | None = None,
        source: str | None = None,
        folder: str | os.PathLike[str] | None = None,
        album: str | None = None,
        after: date | str | None = None,
        before: date | str | None = None,
        include_poor: bool = False,
        person: Who | None = None,
    ) -> Hits:
        top_k = check_search(top_k, min_similarity, after, before)
        probes = given_probes(probe, face)
        given = list(enumerate(probes, 1))
        pictures = [(one, which, at) for at, (one, which) in given if not isinstance(one, Known)]
        kept = [(one, at) for at, (one, _) in given if isinstance(one, Known)]
        kept.sort(key=lambda pair: bool(pair[0].person_id))  # as the service has them: pictures, faces, people
        with people_pointed_at(probes, lambda: self.people):
            contents = [sent_picture(one, f"probe {at}") for one, _, at in pictures]
        chosen = [which for _, which, _ in pictures if which is not None]
        form = {
            "face_id": [one.face_id for one, _ in kept if one.face_id],
            "person_id": [one.person_id for one, _ in kept if one.person_id],
            "top_k": top_k,
            "min_similarity": min_similarity,
            "face": chosen,
            "source": source,
            "folder": None if folder is None else os.fspath(folder),
            "album": album,
            "after": None if after is None else str(after).replace(" ", "T"),
            "before": None if before is None else str(before).replace(" ", "T"),
            "include_poor": include_poor,
            "person": _who(person),
        }
        _refuse_empty(_who(person), folder, source, album)
        data = {name: value for name, value in form.items() if value not in (None, [])}
        files: list[Any] = form_files(contents) or [("top_k", (None, str(data.pop("top_k"))))]  # always multipart
        response = self.session.send("POST", "/api/v1/search/upload", data=data, files=files)
        order = [at for _, _, at in pictures] + [at for _, at in kept]
        return hits_from(parse(SearchDocument, response.json()), contents, order, self)

    @property
    @override
    def people(self) -> RemotePeople:
        return RemotePeople(self, self.session)

    @override
    def faces_in(self, picture: ImageSource) -> tuple[ProbeFace, ...]:
        response = self.session.send(
            "POST", "/api/v1/search/faces", files=form_files([sent_picture(picture, "the picture")])
        )
        return parse(tuple[ProbeFace, ...], response.json())

    @override
    def photos(
        self,
        status: Status | str | None = None,
        *,
        person: Who | None = None,
        together_with: Who | Sequence[Who] | None = None,
        year: int | None = None,
        source: str | None = None,
        album: str | None = None,
    ) -> pd.DataFrame:
        checked_status(status)
        others: list[Who | None] = list(together_with) if isinstance(together_with, list | tuple) else [together_with]  # type: ignore[list-item]
        chosen = {"person": _who(person), "together_with": [_who(other) for other in others if other is not None]}
        chosen |= {"source": source, "album": album}
        return self.session.table("photos", **chosen, status=status, year=checked_year(year))

    @override
    def faces(self) -> pd.DataFrame:
        return self.session.table("faces")

    @override
    def embeddings(self, *, include_poor: bool = False) -> tuple[list[str], FloatArray]:
        import numpy as np

        options = {"format": "npz", "include_poor": include_poor}
        content = self.session.send("GET", "/api/v1/export/embeddings", params=options).content
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            return [str(key) for key in arrays["face_id"]], arrays["embedding"]

    @override
    def export(
        self,
        table: TableName,
        path: str | os.PathLike[str],
        *,
        include_poor: bool = False,
        source: str | None = None,
        album: str | None = None,
    ) -> Path:
        """See `Library.export`. The file is written on this machine."""
        checked_table(table)
        place = user_path(path)
        options = {"format": place.suffix.lower().lstrip("."), "include_poor": include_poor}
        chosen = {name: value for name, value in (("source", source), ("album", album)) if value is not None}
        with named_file(path) as file:
            file.write(self.session.send("GET", f"/api/v1/export/{table}", params=options | chosen).content)
        return place

    @override
    def stats(self) -> dict[str, Any]:
        return dict(self._get("stats"))

    @override
    def backup(self, folder: str | os.PathLike[str]) -> int:
        """See `Library.backup`. The folder is the service's machine's."""
        said = self._tell("POST", "library/backup", patience=_BACKUP_TIMEOUT, folder=service_path(folder))
        return int(said["thumbnails"])

    @override
    def doctor(self) -> Doctor:
        from facekit.storage.doctor import Check, Doctor

        said = self._get("doctor")
        return Doctor(tuple(Check(one["name"], one["detail"], one["ok"]) for one in said["checks"]))


def _refuse_empty(
    person: str | None, folder: str | os.PathLike[str] | None, source: str | None, album: str | None
) -> None:
    """Refuse what a form can't tell from what is not given."""
    if person is not None and not person.strip():
        raise no_such_person(person)
    if folder is not None:
        user_path(folder)
    for name, what in ((source, "source"), (album, "album")):
        if name is not None:
            checked_place_name(name, what)


def _who(who: Who | None) -> str | None:
    return None if who is None else person_meant(who)
