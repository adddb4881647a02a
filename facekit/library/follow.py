"""Watch jobs of a service as if the work was done here."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from facekit.errors import FacekitError, ServiceError
from facekit.ingest.progress import show_progress
from facekit.ingest.reembed_report import ReembedReport
from facekit.ingest.report import Failure, IngestReport, LostName
from facekit.sources.item import Prompt
from facekit.types.photos import Status
from facekit.types.sources import PlaceSync, SyncReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

    from facekit.ingest.progress import Progress
    from facekit.library.session import Session
    from facekit.sources.item import Ask

_SECONDS = 0.3  # between two looks at a job
_RETRY_SECONDS = 30.0  # seconds that a service may be silent: one that is started again takes some ten


def follow(session: Session, job_ids: Sequence[str], progress: Progress, stop: Event) -> IngestReport:
    """Wait for jobs, and add their reports up. Ctrl-C, and ``stop``, cancel those that have not ended."""
    reports: list[IngestReport] = []
    for number, job_id in enumerate(job_ids):
        reports.append(_report(_until_ended(session, job_id, progress, stop, "ingest")))
        if stop.is_set():
            for waiting in job_ids[number + 1 :]:
                session.cancel(waiting)
            break
    total = reports[0]
    for other in reports[1:]:
        total.add(other)
    return total


def follow_reembed(session: Session, job_id: str, progress: Progress, stop: Event) -> ReembedReport:
    """Wait for a change of models. Ctrl-C, and ``stop``, cancel it."""
    job = _until_ended(session, job_id, progress, stop, "reembed")
    if job["report"] is None:  # it was cancelled before it began
        now = session.get("stats")
        models = f"{now['detector']} + {now['embedder']}"
        return ReembedReport(models, models, stopped=True)
    return ReembedReport.from_dict(job["report"])


def follow_clustering(session: Session, job_id: str, stop: Event) -> str:
    """Wait for a clustering, and return its run's id. Ctrl-C, and ``stop``, cancel it: nothing is changed then."""
    job = _until_ended(session, job_id, False, stop, "cluster")  # noqa: FBT003 - a job of one step
    if job["state"] == "cancelled":
        message = "The clustering was stopped."
        raise FacekitError(message, "Nothing was changed; start it again when you like.")
    return str(job["report"]["run"])


def follow_sync(session: Session, job_ids: Sequence[str], progress: Progress, stop: Event, ask: Ask) -> SyncReport:
    """Wait for syncs, and put their reports together; what they ask goes to the user. Ctrl-C, and ``stop``, cancel."""
    done: list[PlaceSync] = []
    for number, job_id in enumerate(job_ids):
        job = _until_ended(session, job_id, progress, stop, "sync", ask)
        done += (_place_sync(one) for one in (job["report"] or {}).get("places", ()))
        if stop.is_set():
            for waiting in job_ids[number + 1 :]:
                session.cancel(waiting)
            break
    return SyncReport(tuple(done))


def _place_sync(said: dict[str, Any]) -> PlaceSync:
    resume_at = said["resume_at"] and datetime.fromisoformat(said["resume_at"])
    lists = {"failed": tuple(said["failed"]), "left_out": tuple(said["left_out"].items())}
    return PlaceSync(**said | lists | {"resume_at": resume_at})


def _until_ended(
    session: Session, job_id: str, progress: Progress, stop: Event, what: str, ask: Ask | None = None
) -> dict[str, Any]:
    questions = _Questions(session, job_id, ask)
    try:
        return _follow(session, job_id, progress, stop, what, questions)
    except KeyboardInterrupt:
        stop.set()
        return _follow(session, job_id, progress, stop, what, questions)


class _Questions:
    """Asks the user what a job asks, each question once."""

    def __init__(self, session: Session, job_id: str, ask: Ask | None) -> None:
        self._session, self._job_id, self._ask = session, job_id, ask
        self._asked: dict[str, Any] | None = None

    def answer(self, job: dict[str, Any]) -> None:
        question = job.get("question")
        if self._ask is None or question == self._asked:
            return
        self._asked = question
        if question is not None:
            answer = self._ask(Prompt(**question))
            if question["answer"]:
                self._session.tell("POST", f"jobs/{self._job_id}/answer", answer=answer)


def _follow(
    session: Session, job_id: str, progress: Progress, stop: Event, what: str, questions: _Questions
) -> dict[str, Any]:
    """A job that has ended."""
    job = session.job(job_id)
    cancelled = False
    while job["total"] is None and job["state"] in {"queued", "running"} and not stop.is_set():
        questions.answer(job)
        time.sleep(_SECONDS)
        job = _job_with_retries(session, job_id)
    with show_progress(job["total"] or 0, progress if job["total"] else False, what) as advance:
        done = 0
        while True:
            advance(job["done"] - done)
            done = job["done"]
            if job["state"] not in {"queued", "running"}:
                break
            if stop.is_set() and not cancelled:
                session.cancel(job_id)
                cancelled = True
            questions.answer(job)
            time.sleep(_SECONDS)
            job = _job_with_retries(session, job_id)
    if job["state"] == "failed":
        remedy = "" if what == "cluster" else "What is done is kept: run it again to go on."
        raise ServiceError(job["problem"] or f"The {what} failed.", remedy)
    return job


def _job_with_retries(session: Session, job_id: str) -> dict[str, Any]:
    """A job as it is; a service that does not answer is given some time: the job goes on, or is taken up again."""
    deadline = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            return session.job(job_id)
        except ServiceError as error:
            if error.status or time.monotonic() > deadline:
                raise
            time.sleep(_SECONDS)


def _report(job: dict[str, Any]) -> IngestReport:
    said = job["report"] or {}
    names = ("found", "ingested", "unchanged", "duplicates", "missing", "faces", "no_face", "assigned", "seconds")
    failed = [Failure(one["path"], Status(one["status"]), one["reason"]) for one in said.get("failed", ())]
    report = IngestReport(failed=failed, stopped=job["state"] == "cancelled", models=said.get("models", ""))
    for name in (*names, "warnings", "skipped", "kept_out"):
        if name in said:
            setattr(report, name, said[name])
    report.names_lost = [LostName(**one) for one in said.get("names_lost", ())]
    report.stages |= said.get("stages", {})
    return report
