"""Background work: it waits its turn, shows how far it is, can be cancelled, and survives a kill."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from loguru import logger

from facekit.errors import FacekitError, LibraryBusyError, UnknownIdError
from facekit.server.job import ENDED, Job, JobState
from facekit.server.job_kinds import KINDS, Outcome, Work, kind_for
from facekit.server.tables import jobs as _jobs
from facekit.storage.job_rows import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.ingest.report import IngestReport
    from facekit.library.local import LocalLibrary
    from facekit.server.database import ServiceStore
    from facekit.server.job_kinds import Arguments

_WRITE_SECONDS = 1.0  # how often the progress of a job is written down
_STOP_SECONDS = 120  # for a batch of photos that has begun; one that is stuck does not keep the service
_KEEP = 200  # ended jobs that are remembered

_ARGUMENTS = {kind.field: kind for kind in KINDS.values() if kind.field}  # columns that hold arguments
_NO_FOLDER = {"path": "", "detail": "normal", "anywhere": False}  # what these columns hold of other kinds


class Jobs:
    """Runs jobs one after the other in a thread of its own.

    Parameters
    ----------
    store : ServiceStore
        Where jobs are written down. Those that a killed service left unfinished are queued again: they go on where
        they were.
    library : LocalLibrary
        What they change.
    observe : callable
        Called with a run's report during and after it, for the metrics.
    allows : callable
        Whether photos may come from a folder; asked when a job begins, which may be long after it was added.
    """

    def __init__(
        self,
        store: ServiceStore,
        library: LocalLibrary,
        observe: Callable[[IngestReport | None], None],
        allows: Callable[[str], bool],
    ) -> None:
        self._allows = allows
        self._store = store
        self._library = library
        self._observe = observe
        self._lock = Lock()
        self._live: dict[str, Job] = {}
        self._stops: dict[str, Event] = {}
        self._removed: dict[str, list[str]] = {}  # by job that runs: what was removed since its run began
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._closing = Event()
        library.on_removal.append(self._forget)
        self._thread = Thread(target=self._work, name="facekit-jobs", daemon=True)

    def start(self) -> None:
        """Take up what is unfinished, and wait for more."""
        unfinished = sa.select(_jobs).where(_jobs.c.state.not_in(ENDED)).order_by(_jobs.c.created_at)
        with self._store.read() as connection:
            jobs = [_job(dict(row)) for row in connection.execute(unfinished).mappings()]
        for job in jobs:
            if job.cancelled:
                self._end(job, JobState.CANCELLED)
            else:
                self._put(replace(job, state=JobState.QUEUED, problem=None, report=None))
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
            self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            logger.error(
                "What runs did not stop in {} s; it is left, and taken up again at the next start", _STOP_SECONDS
            )
            return
        with suppress(ValueError):  # it was closed before
            self._library.on_removal.remove(self._forget)

    @property
    def alive(self) -> bool:
        """Whether jobs are being worked on."""
        return self._thread.is_alive()

    def add(self, asked: Arguments, user: str) -> Job:
        """Queue a job; ``asked`` are the arguments of its kind, as `facekit.server.job.FolderIngest`."""
        kind = kind_for(asked)
        of_its_kind: dict[str, Any] = _NO_FOLDER | kind.fields_of(asked)
        job = Job(
            kind=kind.name,
            job_id=uuid4().hex,
            user=user,
            state=JobState.QUEUED,
            cancelled=False,
            done=0,
            total=None,
            report=None,
            problem=None,
            created_at=_now(),
            started_at=None,
            finished_at=None,
            **of_its_kind,
        )
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
        with self._lock:  # held while it is written down: the job may end at any moment, and its end is the last word
            stop = self._stops.get(job_id)
            if stop is not None:
                job = self._live[job_id] = replace(self._live[job_id], cancelled=True)
                stop.set()
                if job.state is JobState.QUEUED:
                    return self._ended(job, JobState.CANCELLED)
                self._write(job)  # at once: the service may be stopped before the job is
                return job
        return self.get(job_id)

    @property
    def waiting(self) -> int:
        """How many jobs wait or run."""
        with self._lock:
            return len(self._stops)

    # -- the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (job_id := self._queue.get()) is not None and not self._closing.is_set():
            with self._lock:
                job = self._live.get(job_id)
            if job is None:
                continue
            try:
                self._run(job)
            except Exception:  # noqa: BLE001 - the disk is full or too slow, and the next job must run all the same
                logger.exception("Job {} can't be written down", job_id)
                problem = f"It could not be written down; the log says more at job {job_id}."
                with self._lock:
                    self._stops.pop(job_id, None)
                    self._live[job_id] = replace(job, state=JobState.FAILED, problem=problem, finished_at=_now())

    def _run(self, job: Job) -> None:
        with self._lock:
            stop = self._stops.get(job.job_id)
            if stop is None:  # cancelled a moment ago
                return
            job = self._live[job.job_id] = replace(job, state=JobState.RUNNING, started_at=_now())
        job = self._change(job)
        written = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal job, written
            due = monotonic() - written > _WRITE_SECONDS
            job = self._change(replace(job, done=done, total=total), write=due)
            written = monotonic() if due else written

        work = Work(self._library, job.user, progress, stop, self._allows, self._observe)
        try:
            outcome = self._done(job, work)
        except FacekitError as error:
            said = logger.bind(console=f"Job {job.job_id} failed: {error}")  # it may name photos
            said.error("Job {} failed: {}", job.job_id, type(error).__name__)
            self._end(replace(job, problem=str(error)), JobState.FAILED)
        except Exception:  # noqa: BLE001 - the next job must run all the same
            logger.exception("Job {} failed", job.job_id)
            self._end(replace(job, problem=f"Internal error; the log says more at job {job.job_id}."), JobState.FAILED)
        else:
            job = replace(job, report=outcome.report)
            if outcome.stopped:
                self._stopped(job)
            else:
                self._end(job, JobState.DONE)

    def _stopped(self, job: Job) -> None:
        if self.get(job.job_id).cancelled:
            self._end(job, JobState.CANCELLED)
        else:  # the service stops: it goes on at the next start
            self._change(replace(job, state=JobState.QUEUED))

    def _done(self, job: Job, work: Work) -> Outcome:
        while True:
            with self._lock:
                self._removed[job.job_id] = []
            try:
                return KINDS[job.kind].do(job, work)
            except LibraryBusyError:  # photos are being removed, which takes seconds
                if work.stop.wait(_WRITE_SECONDS):
                    return Outcome(KINDS[job.kind].unbegun(self._library), stopped=True)

    def _forget(self, names: Sequence[str]) -> None:
        """Photos are being removed: what is written down of a run that has seen them does not name them."""
        with self._lock:
            for removed in self._removed.values():
                removed.extend(names)

    def _change(self, job: Job, *, write: bool = True) -> Job:
        with self._lock:
            now = self._live.get(job.job_id, job)
            job = self._live[job.job_id] = replace(job, cancelled=job.cancelled or now.cancelled)
            if write:
                self._write(job)
        return job

    def _end(self, job: Job, state: JobState) -> Job:
        with self._lock:
            return self._ended(job, state)

    def _ended(self, job: Job, state: JobState) -> Job:
        """End a job, while the lock is held."""
        job = replace(job, state=state, cancelled=state is JobState.CANCELLED, finished_at=_now())
        self._write(job)
        self._live.pop(job.job_id, None)
        self._stops.pop(job.job_id, None)
        self._removed.pop(job.job_id, None)
        logger.info("Job {}: {}", job.job_id, state)
        return job

    def _write(self, job: Job) -> None:
        if removed := self._removed.get(job.job_id):
            names = Names(removed)
            job = replace(job, report=names.without(job.report), problem=names.without(job.problem))
        row = {name: getattr(job, name) for name in _jobs.c.keys()}  # noqa: SIM118 - a collection of columns
        row |= {name: asdict(row[name]) for name in _ARGUMENTS if row[name] is not None}
        row["detail"] = str(job.detail)
        with self._store.write() as connection:
            connection.execute(sa.delete(_jobs).where(_jobs.c.job_id == job.job_id))
            connection.execute(sa.insert(_jobs), row)
            old = sa.select(_jobs.c.job_id).order_by(_jobs.c.created_at.desc()).offset(_KEEP)
            connection.execute(sa.delete(_jobs).where(_jobs.c.job_id.in_(old), _jobs.c.finished_at.is_not(None)))


def _job(row: dict[str, Any]) -> Job:
    detail = int(row["detail"]) if row["detail"].isdecimal() else row["detail"]
    asked = {name: kind.arguments(**row[name]) for name, kind in _ARGUMENTS.items() if row[name] is not None}
    return Job(**row | {"state": JobState(row["state"]), "detail": detail} | asked)


def _now() -> datetime:
    return datetime.now(UTC)
