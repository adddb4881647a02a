"""Jobs that several services share: each is done by one of them, and goes on elsewhere when that one is killed."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import ready
import sqlalchemy as sa
from cable import Cable
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from job_process import KIND, STEPS, Counting, jobs_of, serve
from loguru import logger

from facekit.errors import LibraryError, UnknownIdError
from facekit.server import jobs as jobs_module
from facekit.server.job import JobState
from facekit.server.job_kinds import KINDS
from facekit.server.job_queue import MOST_TRIES, JobLostError, JobQueue
from facekit.server.shared_store import SharedServiceStore
from facekit.server.tables import jobs as table
from facekit.storage.job_rows import forget_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess

    from facekit.server.database import ServiceStore
    from facekit.server.job import Job
    from facekit.server.job_queue import Claim
    from facekit.server.jobs import Jobs

    Opener = Callable[[], ServiceStore]


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "count", KIND)


@pytest.fixture
def asked(shared_store_opener: Opener) -> Iterator[Jobs]:
    """The jobs, as a service sees them that does none itself."""
    store = shared_store_opener()
    yield jobs_of(store)
    store.close()


class Services:
    """Processes that do jobs."""

    def __init__(self, url: str, schema: str, folder: Path) -> None:
        self._arguments = url, schema
        self._folder = folder
        self.processes: dict[int, tuple[BaseProcess, Path]] = {}

    def start(self) -> int:
        until = self._folder / f"until-{len(self.processes)}"
        process = ready.start(serve, *self._arguments, until)
        assert process.pid is not None
        self.processes[process.pid] = process, until
        return process.pid

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.processes[pid][0].join(60)

    def stop(self, pid: int) -> None:
        process, until = self.processes[pid]
        until.touch()
        process.join(60)
        assert process.exitcode == 0


@pytest.fixture
def services(postgres_url: str, postgres_schema: str, tmp_path: Path) -> Iterator[Services]:
    services = Services(postgres_url, postgres_schema, tmp_path)
    yield services
    for process, _ in services.processes.values():
        process.kill()
        process.join(60)


def wait_until(what: Callable[[], Any]) -> Any:
    """What comes of a question, as soon as something does."""
    end = time.monotonic() + 120
    while not (found := what()):
        assert time.monotonic() < end, "it did not come in two minutes"
        time.sleep(0.02)
    return found


def notes(job: Job) -> list[tuple[int, int]]:
    """Which process did which step."""
    file = Path(job.path)
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(pid), int(step)) for pid, step in map(str.split, lines)]


def let_time_pass(store: ServiceStore) -> None:
    """As if nobody had said for a while that a job goes on."""
    with store.write() as connection:
        connection.execute(sa.update(table).where(table.c.state == "running").values(lease_until=0.0))


def at_the_third_step(job: Job) -> int:
    """The process that has come so far with a job that is held there."""
    return wait_until(lambda: [pid for pid, step in notes(job) if step == 3])[-1]


@pytest.fixture
def held(asked: Jobs, tmp_path: Path) -> Job:
    """A job that is held at its third step as long as there is a file for it."""
    (tmp_path / "first.held").touch()
    return asked.add(Counting(str(tmp_path / "first.txt")), "ed")


def release(job: Job) -> None:
    Path(job.path).with_suffix(".held").unlink()


def test_the_job_of_a_killed_service_goes_on_in_another_and_nothing_is_done_twice(
    asked: Jobs, held: Job, services: Services, tmp_path: Path
) -> None:
    more = [asked.add(Counting(str(tmp_path / f"{number}.txt")), "ed") for number in range(3)]
    both = {services.start(), services.start()}
    killed = at_the_third_step(held)
    assert wait_until(lambda: asked.get(held.job_id).done) == 3  # seen by who does not do it
    assert [job.state for job in asked.list()] == [JobState.QUEUED] * 3 + [JobState.RUNNING]
    services.kill(killed)
    release(held)
    let_time_pass(asked._store)
    jobs = [wait_until(lambda job=job: (now := asked.get(job.job_id)).ended and now) for job in (held, *more)]
    assert [(job.state, job.done, job.total, job.report) for job in jobs] == [
        (JobState.DONE, STEPS, STEPS, {"counted": STEPS})
    ] * 4
    (other,) = both - {killed}
    assert notes(held) == [(killed, step) for step in (1, 2, 3)] + [(other, step + 1) for step in range(STEPS)]
    assert [notes(job) for job in more] == [[(other, step + 1) for step in range(STEPS)]] * 3
    assert jobs == sorted(jobs, key=lambda job: job.finished_at)  # in the order in which they were asked for
    assert asked.waiting == 0


def test_a_service_that_was_taken_for_dead_changes_nothing_when_it_wakes(
    asked: Jobs, held: Job, services: Services
) -> None:
    services.start()
    first = at_the_third_step(held)
    os.kill(first, signal.SIGSTOP)
    second = services.start()
    let_time_pass(asked._store)
    wait_until(lambda: (second, 3) in notes(held))
    os.kill(first, signal.SIGCONT)
    wait_until(lambda: asked.get(held.job_id).done == 3)
    services.stop(first)  # it has let go of the job, or it would not end
    assert asked.get(held.job_id).state is JobState.RUNNING
    release(held)
    done = wait_until(lambda: (now := asked.get(held.job_id)).ended and now)
    assert (done.state, done.report) == (JobState.DONE, {"counted": STEPS})
    assert notes(held) == [(first, step) for step in (1, 2, 3)] + [(second, step + 1) for step in range(STEPS)]


def test_a_job_is_cancelled_from_another_service_and_one_that_waits_at_once(
    asked: Jobs, held: Job, services: Services, tmp_path: Path
) -> None:
    waiting = asked.add(Counting(str(tmp_path / "second.txt")), "ed")
    services.start()
    at_the_third_step(held)
    assert asked.cancel(waiting.job_id).state is JobState.CANCELLED
    told = asked.cancel(held.job_id)
    assert (told.state, told.cancelled) == (JobState.RUNNING, True)
    ended = wait_until(lambda: (now := asked.get(held.job_id)).ended and now)
    assert (ended.state, ended.report) == (JobState.CANCELLED, {"counted": 3})
    assert asked.cancel(held.job_id) == ended
    assert notes(waiting) == []
    with pytest.raises(UnknownIdError):
        asked.cancel("0" * 32)


def test_a_service_that_is_stopped_leaves_its_job_to_another_at_once(
    asked: Jobs, held: Job, services: Services
) -> None:
    services.start()
    first = at_the_third_step(held)
    services.stop(first)
    assert asked.get(held.job_id).state is JobState.QUEUED
    release(held)
    second = services.start()
    assert wait_until(lambda: asked.get(held.job_id).ended)
    assert notes(held)[3:] == [(second, step + 1) for step in range(STEPS)]


def test_a_job_that_kills_every_service_is_given_up(shared_store_opener: Opener, asked: Jobs, tmp_path: Path) -> None:
    job = asked.add(Counting(str(tmp_path / "x.txt")), "ed")
    for number in range(MOST_TRIES):
        store = shared_store_opener()
        claim = JobQueue(store).next()
        assert claim is not None
        assert (claim.job.job_id, claim.tries) == (job.job_id, number + 1)
        assert JobQueue(asked._store).next() is None  # this one has it
        let_time_pass(store)
        store.close()
    assert JobQueue(asked._store).next() is None
    given_up = asked.get(job.job_id)
    assert given_up.state is JobState.FAILED
    assert f"{MOST_TRIES} times" in str(given_up.problem)
    assert given_up.finished_at is not None


def test_what_is_removed_while_another_service_runs_is_not_in_its_report(store_opener: Opener, tmp_path: Path) -> None:
    one, other = store_opener(), store_opener()
    queue = JobQueue(one)
    queue.add(Counting(str(tmp_path)), "ed")
    claim = queue.next()
    assert claim is not None
    gone, stays = str(tmp_path / "gone.jpg"), str(tmp_path / "stays.jpg")
    with other.write() as connection:
        assert forget_rows(connection, [gone])
    report = {"failed": [{"path": gone}, {"path": stays}]}
    ended = queue.end(claim, replace(claim.job, report=report, problem=f"{gone} is broken."), JobState.DONE)
    assert (ended.report, ended.problem) == ({"failed": [{"path": stays}]}, None)
    assert JobQueue(other).get(ended.job_id) == ended
    with other.read() as connection:
        assert connection.scalar(sa.select(table.c.removed)) is None
    for store in (one, other):
        store.close()


def test_an_end_is_written_down_when_the_server_is_back(
    asked: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [LibraryError("The server is away.", "Wait.")] * 2
    end = JobQueue.end

    def sometimes(self: JobQueue, *arguments: Any) -> Job:
        if away:
            raise away.pop()
        return end(self, *arguments)

    monkeypatch.setattr(JobQueue, "end", sometimes)
    monkeypatch.setattr(jobs_module, "_AGAIN_SECONDS", 0.01)
    job = asked.add(Counting(str(tmp_path / "x.txt")), "ed")
    asked.start()
    assert wait_until(lambda: (now := asked.get(job.job_id)).ended and now).state is JobState.DONE
    assert not away
    assert len(notes(job)) == STEPS
    asked.close()


def test_a_job_goes_on_while_the_server_is_away_and_its_end_waits_for_it(
    postgres_url: str, postgres_schema: str, asked: Jobs, held: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "_KEEP_SECONDS", 0.02)
    monkeypatch.setattr(jobs_module, "_AGAIN_SECONDS", 0.02)
    cable = Cable(postgres_url)
    store = SharedServiceStore(cable.address, postgres_schema)
    jobs = jobs_of(store)
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]), level="DEBUG")
    jobs.start()
    at_the_third_step(held)
    cable.cut()
    wait_until(lambda: any("goes on" in line for line in said))  # it could not be written down
    release(held)
    wait_until(lambda: len(notes(held)) == STEPS)
    assert asked.get(held.job_id).state is JobState.RUNNING
    cable.mend()
    assert wait_until(lambda: (now := asked.get(held.job_id)).ended and now).report == {"counted": STEPS}
    cable.cut()
    wait_until(lambda: any("No job can be begun" in line for line in said))
    time.sleep(0.2)  # it tries again and again
    assert len([line for line in said if "No job can be begun" in line]) == 1
    cable.mend()
    more = asked.add(Counting(str(Path(held.path).with_name("more.txt"))), "ed")
    assert wait_until(lambda: asked.get(more.job_id).ended)
    jobs.close()
    store.close()
    cable.cut()
    logger.remove(sink)


class Sharing(RuleBasedStateMachine):
    """Three services; each may die, be late, be stopped: one at most does a job, and what ended stays as it is."""

    def __init__(self, opener: Opener) -> None:
        super().__init__()
        self.stores = [opener() for _ in range(3)]
        with self.stores[0].write() as connection:
            connection.execute(sa.delete(table))
        self.queues = [JobQueue(store) for store in self.stores]
        self.claims: list[Claim | None] = [None] * 3
        self.holder: int | None = None  # who has a job that goes on, as far as all know
        self.ends: dict[str, JobState] = {}
        self.asked: list[str] = []

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    who = st.integers(0, 2)

    @rule()
    def add(self) -> None:
        self.asked.append(self.queues[0].add(Counting("x"), "ed").job_id)

    @rule(who=who)
    def begin(self, who: int) -> None:
        if self.claims[who]:  # it does one at a time
            return
        claim = self.claims[who] = self.queues[who].next()
        if claim:
            assert self.holder is None
            assert claim.job.job_id not in self.ends
            self.holder = who
        for job in self.queues[who].list():  # some were given up, or cancelled
            if job.ended:
                self.ends.setdefault(job.job_id, job.state)

    def lost(self, who: int, act: Callable[[Claim], Any]) -> Any:
        """What somebody does with a job; it fails just for those who have lost it."""
        claim = self.claims[who]
        if claim is None:
            return None
        try:
            result = act(claim)
        except JobLostError:
            assert self.holder != who
            self.claims[who] = None
            return None
        assert self.holder in {who, None}
        return result

    @rule(who=who)
    def keep(self, who: int) -> None:
        if self.lost(who, lambda claim: (self.queues[who].keep(claim, 1, 3),)):
            self.holder = who  # it was late, and nobody has come before it

    @rule(who=who, state=st.sampled_from([JobState.DONE, JobState.FAILED, None]))
    def let_go(self, who: int, state: JobState | None) -> None:
        queue = self.queues[who]
        act = (lambda claim: queue.end(claim, claim.job, state)) if state else (lambda c: queue.put_back(c, c.job))
        if ended := self.lost(who, act):
            self.holder = self.claims[who] = None
            if ended.ended:
                assert ended.job_id not in self.ends
                self.ends[ended.job_id] = ended.state

    @rule()
    def time_passes(self) -> None:
        let_time_pass(self.stores[0])
        self.holder = None

    @rule(who=who)
    def die(self, who: int) -> None:
        self.claims[who] = None
        if self.holder == who:
            self.time_passes()

    @rule(who=who, data=st.data())
    def cancel(self, who: int, data: st.DataObject) -> None:
        if self.asked:
            job_id = data.draw(st.sampled_from(self.asked))
            job = self.queues[who].cancel(job_id)
            if job.ended:
                assert self.ends.setdefault(job_id, job.state) == job.state

    @invariant()
    def what_ended_stays(self) -> None:
        jobs = {job.job_id: job for job in self.queues[0].list()}
        assert {job_id: jobs[job_id].state for job_id in self.ends} == self.ends
        assert sum(job.state is JobState.RUNNING for job in jobs.values()) <= 1
        assert jobs.keys() == set(self.asked)


def test_services_share_jobs_whatever_happens_to_them(shared_store_opener: Opener) -> None:
    quick = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(lambda: Sharing(shared_store_opener), settings=quick)
