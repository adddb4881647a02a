"""Background work: ingests that wait their turn, show how far they are, can be cancelled, and survive a kill."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from queue import SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from loguru import logger

from facekit.errors import FacekitError, UnknownIdError
from facekit.server.store import metadata
from facekit.types import Detail  # noqa: TC001 - FastAPI reads the annotations

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.ingest import IngestReport
    from facekit.local import LocalLibrary
    from facekit.server.store import ServiceStore

_WRITE_SECONDS = 1.0  # how often the progress of a job is written down
_KEEP = 200  # ended jobs that are remembered

_jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("detail", sa.String(16), nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer),
    sa.Column("report", sa.JSON),
    sa.Column("problem", sa.String),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("started_at", sa.DateTime),
    sa.Column("finished_at", sa.DateTime),
)


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


ENDED = frozenset({JobState.DONE, JobState.CANCELLED, JobState.FAILED})


@dataclass(frozen=True, slots=True)
class Job:
    """An ingest of one folder. ``total`` is None until the folder is listed; times are UTC."""

    job_id: str
    path: str
    detail: Detail
    user: str
    state: JobState
    done: int
    total: int | None
    report: dict[str, Any] | None
    problem: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED


class Jobs:
    """Runs ingests one after the other in a thread of its own.

    Parameters
    ----------
    store : ServiceStore
        Where jobs are written down. Those that a killed service left unfinished are queued again: an ingest goes on
        where it was.
    library : LocalLibrary
        What they change.
    observe : callable
        Called with a run's report during and after it, for the metrics.
    """

    def __init__(
        self, store: ServiceStore, library: LocalLibrary, observe: Callable[[IngestReport | None], None]
    ) -> None:
        self._store = store
        self._library = library
        self._observe = observe
        self._lock = Lock()
        self._live: dict[str, Job] = {}
        self._stops: dict[str, Event] = {}
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._closing = Event()
        metadata.create_all(store.engine)
        self._thread = Thread(target=self._work, name="facekit-jobs", daemon=True)

    def start(self) -> None:
        """Take up what is unfinished, and wait for more."""
        for job in reversed(self.list()):
            if not job.ended:
                self._put(replace(job, state=JobState.QUEUED, problem=None))
                logger.info("Job {} is taken up again", job.job_id)
        self._thread.start()

    def close(self) -> None:
        """Stop what is running; it is taken up again when the service starts the next time."""
        self._closing.set()
        with self._lock:
            for stop in self._stops.values():
                stop.set()
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether jobs are being worked on."""
        return self._thread.is_alive()

    def add(self, path: str, detail: Detail, user: str) -> Job:
        """Queue an ingest."""
        now = _now()
        job = Job(uuid4().hex, path, detail, user, JobState.QUEUED, 0, None, None, None, now, None, None)
        self._write(job)
        self._put(job)
        return job

    def _put(self, job: Job) -> None:
        with self._lock:
            self._live[job.job_id] = job
            self._stops[job.job_id] = Event()
        self._queue.put(job.job_id)

    def get(self, job_id: str) -> Job:
        """A job as it is now.

        Raises
        ------
        UnknownIdError
            If there is no such job.
        """
        with self._lock:
            if job_id in self._live:
                return self._live[job_id]
        with self._store.read() as connection:
            row = connection.execute(sa.select(_jobs).where(_jobs.c.job_id == job_id)).mappings().first()
        if row is None:
            message = "There is no job with this id."
            raise UnknownIdError(message, "GET /api/v1/jobs lists the jobs.")
        return _job(dict(row))

    def list(self) -> list[Job]:
        """The jobs, newest first."""
        with self._store.read() as connection:
            query = sa.select(_jobs).order_by(_jobs.c.created_at.desc(), _jobs.c.job_id).limit(_KEEP)
            found = [_job(dict(row)) for row in connection.execute(query).mappings()]
        with self._lock:
            return [self._live.get(job.job_id, job) for job in found]

    def cancel(self, job_id: str) -> Job:
        """Take a job from the queue, or stop it; what it has done is kept. An ended job stays as it is."""
        job = self.get(job_id)
        with self._lock:
            stop = self._stops.get(job_id)
        if stop is not None:
            stop.set()
            if job.state is JobState.QUEUED:
                return self._end(job, JobState.CANCELLED)
        return self.get(job_id)

    @property
    def waiting(self) -> int:
        """How many jobs wait or run."""
        with self._lock:
            return len(self._live)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (job_id := self._queue.get()) is not None and not self._closing.is_set():
            with self._lock:
                job = self._live.get(job_id)
            if job is not None:
                self._run(job)

    def _run(self, job: Job) -> None:
        with self._lock:
            stop = self._stops.get(job.job_id)
        if stop is None:  # cancelled a moment ago
            return
        job = self._change(replace(job, state=JobState.RUNNING, started_at=_now()))
        written = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal job, written
            job = self._change(replace(job, done=done, total=total), write=monotonic() - written > _WRITE_SECONDS)
            written = monotonic()
            self._observe(self._library.current)

        try:
            report = self._library.ingest(job.path, progress=progress, detail=job.detail, stop=stop)
        except FacekitError as error:
            logger.error("Job {} failed: {}", job.job_id, error)
            self._end(replace(job, problem=str(error)), JobState.FAILED)
        except Exception:  # noqa: BLE001 - the next job must run all the same
            logger.exception("Job {} failed", job.job_id)
            self._end(replace(job, problem=f"Internal error; the log says more at job {job.job_id}."), JobState.FAILED)
        else:
            self._observe(report)
            document = report.to_dict() | {"stopped": report.stopped, "warnings": report.warnings}
            document |= {"models": report.models, "stages": report.stages}
            job = replace(job, report=document)
            if not report.stopped:
                self._end(job, JobState.DONE)
            elif self._closing.is_set():  # not cancelled by anybody: it goes on at the next start
                self._change(replace(job, state=JobState.QUEUED))
            else:
                self._end(job, JobState.CANCELLED)

    def _change(self, job: Job, *, write: bool = True) -> Job:
        with self._lock:
            self._live[job.job_id] = job
        if write:
            self._write(job)
        return job

    def _end(self, job: Job, state: JobState) -> Job:
        job = replace(job, state=state, finished_at=_now())
        self._write(job)
        with self._lock:
            self._live.pop(job.job_id, None)
            self._stops.pop(job.job_id, None)
        logger.info("Job {}: {}", job.job_id, state)
        return job

    def _write(self, job: Job) -> None:
        row = {name: getattr(job, name) for name in _jobs.c.keys()}  # noqa: SIM118 - a collection of columns
        with self._store.write() as connection:
            connection.execute(sa.delete(_jobs).where(_jobs.c.job_id == job.job_id))
            connection.execute(sa.insert(_jobs), row)
            old = sa.select(_jobs.c.job_id).order_by(_jobs.c.created_at.desc()).offset(_KEEP)
            connection.execute(sa.delete(_jobs).where(_jobs.c.job_id.in_(old), _jobs.c.finished_at.is_not(None)))


def _job(row: dict[str, Any]) -> Job:
    return Job(**row | {"state": JobState(row["state"])})


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
