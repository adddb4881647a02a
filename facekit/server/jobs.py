"""Background work: it waits its turn, shows how far it is, can be cancelled, and survives a kill."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from loguru import logger

from facekit.errors import FacekitError, LibraryBusyError, RefusedError, SourceError
from facekit.server.job import Job, JobState, Question
from facekit.server.job_kinds import KINDS, Outcome, Work
from facekit.server.job_queue import LEASE_SECONDS, Claim, JobLostError, JobQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.ingest.report import IngestReport
    from facekit.library.local import LocalLibrary
    from facekit.server.database import ServiceStore
    from facekit.server.job_kinds import Arguments
    from facekit.sources.item import Prompt

_KEEP_SECONDS = 1.0  # how often it is written down that a job goes on, and looked whether somebody cancelled it
_AGAIN_SECONDS = 1.0  # before something that did not work is tried again
_ANSWER_SECONDS = 600.0  # for somebody who has to be found, and to read a picture
_STOP_SECONDS = 120  # for a batch of photos that has begun; one that is stuck does not keep the service


@dataclass(slots=True)
class _Running:
    """The job in hand; ``job`` is as it is now, which is written down now and then."""

    claim: Claim
    job: Job
    stop: Event = field(default_factory=Event)
    done: Event = field(default_factory=Event)
    answer: Queue[str] = field(default_factory=lambda: Queue(1))


class Jobs:
    """Runs jobs one after the other in a thread of its own. Of several services of a library one runs a job at a time.

    Parameters
    ----------
    store : ServiceStore
        Where jobs are written down. Those that a killed service left unfinished go on where they were.
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
        self._queue = JobQueue(store)
        self._library = library
        self._observe = observe
        self._lock = Lock()
        self._running: _Running | None = None
        self._unwritten: dict[str, tuple[Claim, Job]] = {}  # those whose end can't be written down yet
        self._wake = Event()
        self._closing = Event()
        self._thread = Thread(target=self._work, name="facekit-jobs", daemon=True)

    def start(self) -> None:
        """Take up what is unfinished, and wait for more."""
        self._thread.start()

    def close(self) -> None:
        """Stop what is running; it goes on when a service has started the next time, or in another one."""
        self._closing.set()
        self._wake.set()
        with self._lock:
            if self._running:
                self._running.stop.set()
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

    def add(self, asked: Arguments, user: str) -> Job:
        """Queue a job; ``asked`` are the arguments of its kind, as `facekit.server.job.FolderIngest`."""
        job = self._queue.add(asked, user)
        self._wake.set()
        return job

    def get(self, job_id: str) -> Job:
        """A job as it is now.

        Raises
        ------
        UnknownIdError
            If there is no such job.
        """
        return self._here().get(job_id) or self._queue.get(job_id)

    def list(self) -> list[Job]:
        """The jobs, newest first."""
        found, here = self._queue.list(), self._here()
        return [job if job.ended else here.get(job.job_id, job) for job in found]

    def cancel(self, job_id: str) -> Job:
        """Take a job from the queue, or stop it; what it has done is kept. An ended job stays as it is."""
        try:
            job = self._queue.cancel(job_id)
            KINDS[job.kind].withdraw(self._library, job_id)
        finally:  # it stops, too, where that can't be written down
            with self._lock:
                running = self._running
                if running and running.job.job_id == job_id:
                    running.job = replace(running.job, cancelled=True)
                    running.stop.set()
        return job if job.ended else self._here().get(job_id, job)

    def answer(self, job_id: str, answer: str) -> Job:
        """Answer the question that a job which runs here waits with.

        Raises
        ------
        RefusedError
            If it asks nothing, or runs in another service.
        """
        with self._lock:
            running = self._running
        question = running.job.question if running and running.job.job_id == job_id else None
        if running is None or question is None or not question.answer:
            message = "This job asks nothing now."
            raise RefusedError(message, "Look at it again: somebody may have answered.")
        with suppress(Full):
            running.answer.put_nowait(answer)
        return self.get(job_id)

    def _ask(self, running: _Running, prompt: Prompt) -> str:
        """Show the user of a job what only they can do, and wait for their answer, if one is wanted."""

        def show(question: Question | None) -> None:
            with self._lock:
                running.job = replace(running.job, question=question)

        show(Question(prompt.text, prompt.link, prompt.image, prompt.answer))
        if not prompt.answer:  # whoever asks sees when it is done
            return ""
        end = monotonic() + _ANSWER_SECONDS
        try:
            while monotonic() < end:
                if running.stop.is_set():
                    raise KeyboardInterrupt
                with suppress(Empty):
                    return running.answer.get(timeout=_KEEP_SECONDS)
        finally:
            show(None)
        message = f"Nobody answered: {prompt.text}"
        raise SourceError(message, "Sync it again, and answer on the page Sources or in a terminal.")

    @property
    def waiting(self) -> int:
        """How many jobs wait or run."""
        return self._queue.waiting

    def _here(self) -> dict[str, Job]:
        """The jobs of which this process knows more than is written down."""
        with self._lock:
            here = {job_id: job for job_id, (_, job) in self._unwritten.items()}
            return here | ({self._running.job.job_id: self._running.job} if self._running else {})

    # -- the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        silent = False
        while not self._closing.is_set():
            self._wake.clear()
            wait = self._store.poll_seconds
            try:
                self._write_ends()
                claim = self._queue.next()
            except Exception as error:  # noqa: BLE001 - the disk is full, or the server away: it goes on after that
                if not silent:
                    logger.error("No job can be begun: {}", error)
                silent, claim, wait = True, None, _AGAIN_SECONDS
            else:
                silent = False
            if claim:
                self._run(claim)
            else:
                self._wake.wait(wait)

    def _write_ends(self) -> None:
        for job_id, (claim, job) in list(self._unwritten.items()):
            with suppress(JobLostError):
                self._queue.end(claim, job, job.state)
            with self._lock:
                del self._unwritten[job_id]

    def _run(self, claim: Claim) -> None:
        running = _Running(claim, claim.job)
        with self._lock:
            self._running = running
            if self._closing.is_set():
                running.stop.set()
        keeper = Thread(target=self._keep, args=(running,), name="facekit-job-lease", daemon=True)
        keeper.start()
        try:
            state = self._outcome(running)
        finally:
            running.done.set()
            keeper.join()
        try:
            self._write(running, state)
        except JobLostError:
            logger.warning("Job {} was taken up by another service", claim.job.job_id)
        except Exception:  # noqa: BLE001 - the disk is full or too slow, and the next job must run all the same
            logger.exception("Job {} can't be written down", claim.job.job_id)
            problem = f"It could not be written down; the log says more at job {claim.job.job_id}."
            with self._lock:
                failed = replace(running.job, state=JobState.FAILED, problem=problem, finished_at=datetime.now(UTC))
                self._unwritten[claim.job.job_id] = claim, failed
        with self._lock:
            self._running = None

    def _keep(self, running: _Running) -> None:
        """Say again and again that a job goes on, and stop it when somebody else has cancelled or got it."""
        said = monotonic()
        while not running.done.wait(_KEEP_SECONDS):
            job = running.job
            try:
                cancelled = self._queue.keep(running.claim, job.done, job.total)
            except JobLostError:
                running.stop.set()
                return
            except Exception as error:  # noqa: BLE001 - the database does not answer, and may do so again
                logger.debug("It can't be written down that job {} goes on: {}", job.job_id, error)
                if monotonic() - said > LEASE_SECONDS:  # somebody else may have it now
                    running.stop.set()
                continue
            said = monotonic()
            if cancelled:
                with self._lock:
                    running.job = replace(running.job, cancelled=True)
                running.stop.set()

    def _outcome(self, running: _Running) -> JobState | None:
        """Do a job: the state that it ends in, or None where it was stopped."""
        job_id = running.job.job_id

        def change(**values: object) -> None:
            with self._lock:
                running.job = replace(running.job, **values)  # type: ignore[arg-type]

        def progress(done: int, total: int) -> None:
            change(done=done, total=total)

        work = Work(
            library=self._library,
            job_id=job_id,
            user=running.job.user,
            progress=progress,
            stop=running.stop,
            cancelled=lambda: running.job.cancelled,
            allows=self._allows,
            ask=partial(self._ask, running),
            observe=self._observe,
        )
        try:
            outcome = self._done(running, work)
        except FacekitError as error:
            said = logger.bind(console=f"Job {job_id} failed: {error}")  # it may name photos
            said.error("Job {} failed: {}", job_id, type(error).__name__)
            change(problem=str(error))
            return JobState.FAILED
        except Exception:  # noqa: BLE001 - the next job must run all the same
            logger.exception("Job {} failed", job_id)
            change(problem=f"Internal error; the log says more at job {job_id}.")
            return JobState.FAILED
        change(report=outcome.report)
        return None if outcome.stopped else JobState.DONE

    def _done(self, running: _Running, work: Work) -> Outcome:
        kind = KINDS[running.job.kind]
        while True:
            self._queue.forget_removed(running.claim)
            try:
                return kind.do(running.job, work)
            except LibraryBusyError:  # photos are being removed, which takes seconds
                if work.stop.wait(_AGAIN_SECONDS):
                    return Outcome(kind.unbegun(self._library), stopped=True)

    def _write(self, running: _Running, state: JobState | None) -> None:
        """Write down what came of a job, after a while where the database does not answer now."""
        end = monotonic() + self._store.patience
        while True:
            try:
                if state is None:
                    self._queue.put_back(running.claim, running.job)
                else:
                    self._queue.end(running.claim, running.job, state)
            except FacekitError:
                if monotonic() > end or self._closing.is_set():
                    raise
                self._closing.wait(_AGAIN_SECONDS)
            else:
                return
