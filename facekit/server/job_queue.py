"""The jobs as they are written down: which wait, which service does one, and what came of them.

Several services may share them. Whoever does a job has it for a while and says again and again that it goes on; the
job of a service that was killed is taken up by another one. What is written of a job names who does it, so that one
that was taken for dead and is not changes nothing any more.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from loguru import logger

from facekit.errors import UnknownIdError
from facekit.server.job import ENDED, Job, JobState
from facekit.server.job_kinds import KINDS, kind_for
from facekit.server.tables import jobs as _jobs
from facekit.storage.job_rows import Names

if TYPE_CHECKING:
    from facekit.server.database import ServiceStore
    from facekit.server.job_kinds import Arguments

LEASE_SECONDS = 20.0  # without a word of who does it; a job is then taken up by another service
MOST_TRIES = 3  # a job that ends every service that begins it must not end them for ever
_KEEP = 200  # ended jobs that are remembered

_ARGUMENTS = {kind.field: kind for kind in KINDS.values() if kind.field}  # columns that hold arguments
_NO_FOLDER = {"path": "", "detail": "normal", "anywhere": False}  # what these columns hold of other kinds
_FIELDS = [one.name for one in fields(Job) if one.name != "question"]
_NOBODY: dict[str, Any] = {"worker": None, "lease_until": None, "removed": None}


class JobLostError(Exception):
    """Another service does the job now: this one was silent for too long."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this service does, and the how manieth that began it is."""

    job: Job
    tries: int


class JobQueue:
    """The jobs of a library, one of which is done at a time.

    Parameters
    ----------
    store : ServiceStore
        Where they are written down.
    """

    def __init__(self, store: ServiceStore) -> None:
        self._store = store

    # -- for those who ask -------------------------------------------------------------------------------------------

    def add(self, asked: Arguments, user: str) -> Job:
        """Queue a job; ``asked`` are the arguments of its kind, as `facekit.server.job.FolderIngest`."""
        kind = kind_for(asked)
        of_its_kind: dict[str, Any] = _NO_FOLDER | kind.fields_of(asked)
        with self._store.write() as connection:
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
                created_at=self._store.time(connection),
                started_at=None,
                finished_at=None,
                **of_its_kind,
            )
            connection.execute(sa.insert(_jobs), _row(job))
        return job

    def get(self, job_id: str) -> Job:
        """A job as it is written down. Raises UnknownIdError if there is none."""
        with self._store.read() as connection:
            return _existing(connection, job_id)

    def list(self) -> list[Job]:
        """The jobs, newest first."""
        query = sa.select(_jobs).order_by(_jobs.c.created_at.desc(), _jobs.c.job_id).limit(_KEEP)
        with self._store.read() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    @property
    def waiting(self) -> int:
        """How many jobs wait or run."""
        query = sa.select(sa.func.count()).select_from(_jobs).where(_jobs.c.state.not_in(ENDED))
        with self._store.read() as connection:
            return int(connection.execute(query).scalar_one())

    def cancel(self, job_id: str) -> Job:
        """Take a job from the queue, or note that whoever does it is to stop. An ended job stays as it is.

        Raises
        ------
        UnknownIdError
            If there is no such job.
        """
        with self._store.write() as connection:
            job = _existing(connection, job_id)
            if job.ended:
                return job
            job = replace(job, cancelled=True)
            if job.state is JobState.QUEUED:
                job = replace(job, state=JobState.CANCELLED, finished_at=self._store.time(connection))
            connection.execute(sa.update(_jobs).where(_jobs.c.job_id == job_id).values(_row(job)))
        if job.ended:
            logger.info("Job {}: {}", job_id, job.state)
        return job

    # -- for the one who does them -----------------------------------------------------------------------------------

    def next(self) -> Claim | None:
        """Begin the oldest job that nobody does; None where there is none, or another service does one."""
        erase, claim = False, None
        with self._store.write() as connection:
            time = self._store.time(connection)
            moment = time.timestamp()
            running = _jobs.c.state == JobState.RUNNING
            left = _jobs.c.worker.is_(None) | (_jobs.c.worker == self._store.worker)  # by a service that is no more
            late = _jobs.c.lease_until.is_(None) | (_jobs.c.lease_until < moment)
            if connection.scalar(sa.select(_jobs.c.job_id).where(running, ~(left | late)).limit(1)) is not None:
                return None
            free = sa.select(_jobs).where(_jobs.c.state.not_in(ENDED)).order_by(_jobs.c.created_at, _jobs.c.job_id)
            for row in connection.execute(free).mappings().all():
                here = sa.update(_jobs).where(_jobs.c.job_id == row["job_id"])
                erase = erase or bool(row["removed"])
                killed = row["worker"] not in {None, self._store.worker}
                if row["cancelled"] or (killed and row["tries"] >= MOST_TRIES):
                    connection.execute(here.values(_given_up(row) | {"finished_at": time} | _NOBODY))
                    continue
                begun: dict[str, Any] = {"state": JobState.RUNNING, "started_at": time, "problem": None, "report": None}
                mine = {"worker": self._store.worker, "tries": row["tries"] + 1, "lease_until": moment + LEASE_SECONDS}
                connection.execute(here.values(begun | mine | {"removed": None}))
                claim = Claim(replace(_job(row), **begun), row["tries"] + 1)
                if row["state"] != JobState.QUEUED:
                    logger.info("Job {} is taken up again", row["job_id"])
                break
        if erase:
            self._store.erase()
        return claim

    def keep(self, claim: Claim, done: int, total: int | None) -> bool:
        """Say that a job goes on, and how far it is; whether it is to stop because somebody cancelled it.

        Raises
        ------
        JobLostError
            If another service does it now.
        """
        with self._store.write() as connection:
            lease = self._store.time(connection).timestamp() + LEASE_SECONDS
            change = self._mine(claim).values(done=done, total=total, lease_until=lease)
            cancelled = connection.scalar(change.returning(_jobs.c.cancelled))
        if cancelled is None:
            raise JobLostError
        return bool(cancelled)

    def forget_removed(self, claim: Claim) -> None:
        """A job begins once more: what was removed before may have come back."""
        with self._store.write() as connection:
            change = self._mine(claim).where(_jobs.c.removed.is_not(None)).values(removed=sa.null())
            changed = connection.execute(change).rowcount
        if changed:
            self._store.erase()

    def end(self, claim: Claim, job: Job, state: JobState) -> Job:
        """Write down how a job ended. Photos that were removed since it began are not named.

        Raises
        ------
        JobLostError
            If another service does it now.
        """
        return self._let_go(claim, job, state)

    def put_back(self, claim: Claim, job: Job) -> Job:
        """Let a job that was stopped go on later, unless somebody cancelled it: then it ends.

        Raises
        ------
        JobLostError
            If another service does it now.
        """
        return self._let_go(claim, job, None)

    def _let_go(self, claim: Claim, job: Job, state: JobState | None) -> Job:
        with self._store.write() as connection:
            mine = _jobs.c.job_id == job.job_id, _jobs.c.worker == self._store.worker, _jobs.c.tries == claim.tries
            row = connection.execute(sa.select(_jobs.c.cancelled, _jobs.c.removed).where(*mine)).one_or_none()
            if row is None:
                raise JobLostError
            if state is None:
                state = JobState.CANCELLED if row.cancelled else JobState.QUEUED
            finished = self._store.time(connection) if state in ENDED else None
            job = replace(job, state=state, cancelled=state is JobState.CANCELLED, finished_at=finished)
            if row.removed:
                names = Names(row.removed)
                job = replace(job, report=names.without(job.report), problem=names.without(job.problem))
            connection.execute(self._mine(claim).values(_row(job) | _NOBODY | {"tries": 0}))
            old = sa.select(_jobs.c.job_id).order_by(_jobs.c.created_at.desc()).offset(_KEEP)
            connection.execute(sa.delete(_jobs).where(_jobs.c.job_id.in_(old), _jobs.c.finished_at.is_not(None)))
        if row.removed:
            self._store.erase()
        logger.info("Job {}: {}", job.job_id, state)
        return job

    def _mine(self, claim: Claim) -> sa.Update:
        worker = _jobs.c.worker == self._store.worker
        return sa.update(_jobs).where(_jobs.c.job_id == claim.job.job_id, worker, _jobs.c.tries == claim.tries)


def _given_up(row: sa.RowMapping) -> dict[str, Any]:
    if row["cancelled"]:
        return {"state": JobState.CANCELLED}
    problem = f"The service that did it ended in the middle of it, {row['tries']} times: it is not begun again."
    logger.error("Job {} failed: it was begun {} times", row["job_id"], row["tries"])
    return {"state": JobState.FAILED, "problem": problem}


def _existing(connection: sa.Connection, job_id: str) -> Job:
    row = connection.execute(sa.select(_jobs).where(_jobs.c.job_id == job_id)).mappings().first()
    if row is None:
        message = "There is no job with this id."
        raise UnknownIdError(message, "GET /api/v1/jobs lists the jobs.")
    return _job(row)


def _row(job: Job) -> dict[str, Any]:
    row = {name: getattr(job, name) for name in _FIELDS}
    row |= {name: asdict(row[name]) for name in _ARGUMENTS if row[name] is not None}
    return row | {"detail": str(job.detail)}


def _job(row: sa.RowMapping) -> Job:
    known = {name: row[name] for name in _FIELDS}
    detail = int(row["detail"]) if row["detail"].isdecimal() else row["detail"]
    asked = {name: kind.arguments(**row[name]) for name, kind in _ARGUMENTS.items() if row[name] is not None}
    return Job(**known | {"state": JobState(row["state"]), "detail": detail} | asked)
