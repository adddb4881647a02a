"""Background work: it waits its turn, shows how far it is, can be cancelled, and survives a kill."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

import sqlalchemy as sa
from loguru import logger

from facekit.errors import FacekitError, LibraryBusyError, UnknownIdError
from facekit.ingest.reembed_report import ReembedReport
from facekit.ingest.report import IngestReport
from facekit.server.job import ENDED, Clustering, Job, JobState, ModelChange
from facekit.server.tables import jobs as _jobs
from facekit.types.people import ClusterRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.library.local import LocalLibrary
    from facekit.server.database import ServiceStore
    from facekit.types.photos import Detail

_WRITE_SECONDS = 1.0  # how often the progress of a job is written down
_STOP_SECONDS = 120  # for a batch of photos that has begun; one that is stuck does not keep the service
_KEEP = 200  # ended jobs that are remembered

Report: TypeAlias = IngestReport | ReembedReport | ClusterRun


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
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._closing = Event()
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
            self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            logger.error(
                "What runs did not stop in {} s; it is left, and taken up again at the next start", _STOP_SECONDS
            )

    @property
    def alive(self) -> bool:
        """Whether jobs are being worked on."""
        return self._thread.is_alive()

    def add(
        self, path: str, detail: Detail, user: str, *, anywhere: bool = False, exclude: Sequence[str] | None = None
    ) -> Job:
        """Queue an ingest."""
        return self._add(
            user, path=path, detail=detail, anywhere=anywhere, exclude=None if exclude is None else [*exclude]
        )

    def add_change(self, models: ModelChange, user: str) -> Job:
        """Queue a change of models."""
        return self._add(user, path="", detail="normal", anywhere=False, kind="reembed", models=models)

    def add_clustering(self, clustering: Clustering, user: str) -> Job:
        """Queue a clustering."""
        return self._add(user, path="", detail="normal", anywhere=False, kind="cluster", clustering=clustering)

    def _add(self, user: str, **of_its_kind: Any) -> Job:  # noqa: ANN401 - the fields of a job
        job = Job(
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
            self._observe(self._library.current)

        try:
            report = self._do(job, progress, stop)
        except FacekitError as error:
            if job.clustering is not None and stop.is_set():  # it has nothing to report
                self._stopped(job)
            else:
                said = logger.bind(console=f"Job {job.job_id} failed: {error}")  # it may name photos
                said.error("Job {} failed: {}", job.job_id, type(error).__name__)
                self._end(replace(job, problem=str(error)), JobState.FAILED)
        except Exception:  # noqa: BLE001 - the next job must run all the same
            logger.exception("Job {} failed", job.job_id)
            self._end(replace(job, problem=f"Internal error; the log says more at job {job.job_id}."), JobState.FAILED)
        else:
            job = replace(job, report=self._document(report))
            if isinstance(report, ClusterRun) or not report.stopped:
                self._end(job, JobState.DONE)
            else:
                self._stopped(job)

    def _stopped(self, job: Job) -> None:
        if self.get(job.job_id).cancelled:
            self._end(job, JobState.CANCELLED)
        else:  # the service stops: it goes on at the next start
            self._change(replace(job, state=JobState.QUEUED))

    def _do(self, job: Job, progress: Callable[[int, int], None], stop: Event) -> Report:
        if job.kind == "ingest" and not (job.anywhere or self._allows(job.path)):
            message = "Photos may not come from this folder any more."
            raise FacekitError(message, "Whoever runs the service allows folders.")
        while True:
            try:
                if job.clustering is not None:
                    return self._library.people_as(job.user).cluster(**asdict(job.clustering), stop=stop)
                if job.models is not None:
                    return self._library.reembed(**asdict(job.models), progress=progress, stop=stop)
                return self._library.ingest(
                    job.path, progress=progress, detail=job.detail, stop=stop, exclude=job.exclude
                )
            except LibraryBusyError:  # photos are being removed, which takes seconds
                if stop.wait(_WRITE_SECONDS):
                    if job.clustering is not None:
                        raise
                    now = self._library.settings.words
                    return IngestReport(stopped=True) if job.models is None else ReembedReport(now, now, stopped=True)

    def _document(self, report: Report) -> dict[str, Any]:
        if not isinstance(report, IngestReport):
            return report.to_dict()
        self._observe(report)
        document = report.to_dict() | {"stopped": report.stopped, "warnings": report.warnings}
        return document | {"models": report.models, "stages": report.stages, "assigned": report.assigned}

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
        logger.info("Job {}: {}", job.job_id, state)
        return job

    def _write(self, job: Job) -> None:
        row = {name: getattr(job, name) for name in _jobs.c.keys()}  # noqa: SIM118 - a collection of columns
        row["models"] = None if job.models is None else asdict(job.models)
        row["clustering"] = None if job.clustering is None else asdict(job.clustering)
        row["detail"] = str(job.detail)
        with self._store.write() as connection:
            connection.execute(sa.delete(_jobs).where(_jobs.c.job_id == job.job_id))
            connection.execute(sa.insert(_jobs), row)
            old = sa.select(_jobs.c.job_id).order_by(_jobs.c.created_at.desc()).offset(_KEEP)
            connection.execute(sa.delete(_jobs).where(_jobs.c.job_id.in_(old), _jobs.c.finished_at.is_not(None)))


def _job(row: dict[str, Any]) -> Job:
    models = None if row["models"] is None else ModelChange(**row["models"])
    clustering = None if row["clustering"] is None else Clustering(**row["clustering"])
    detail = int(row["detail"]) if row["detail"].isdecimal() else row["detail"]
    of_its_kind = {"models": models, "clustering": clustering, "detail": detail}
    return Job(**row | {"state": JobState(row["state"])} | of_its_kind)


def _now() -> datetime:
    return datetime.now(UTC)
