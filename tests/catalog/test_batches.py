"""Batches that many processes share: whatever dies, each counts once, and none is lost or held for ever."""

from __future__ import annotations

from collections import Counter
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from facekit.catalog import Catalog
from facekit.catalog.batch_tables import batches, work
from facekit.catalog.batches import MOST_TRIES, Batches, LostClaimError
from facekit.catalog.work import WorkTables
from facekit.errors import RefusedError, UnknownIdError
from facekit.types.photos import FoundFile
from facekit.types.work import Claim, Kind, Options, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.catalog.database import Database

LEASE = 1000.0  # so that the time that a test takes makes no difference


@pytest.fixture
def engine(postgres_url: str, postgres_schema: str) -> Iterator[Database]:
    catalog = Catalog(postgres_url, schema=postgres_schema)
    yield catalog._engine
    catalog.close()


@pytest.fixture
def shared(engine: Database) -> WorkTables:
    return WorkTables(engine)


def worker(engine: Database, name: str = "w") -> Batches:
    return Batches(engine, name, LEASE)


def files(*names: str) -> list[FoundFile]:
    return [FoundFile("family", f"{name}\udcff".encode(errors="surrogateescape"), name, 1, 2) for name in names]


def later(engine: Database, seconds: float) -> None:
    """Time passes, for those who hold batches."""
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE batches SET lease_until = lease_until - make_interval(secs => :s)"), {"s": seconds}
        )


def finished(engine: Database, one: Batches, claim: Claim, *made: sa.Update) -> None:
    with engine.begin() as connection:
        for what in made:
            connection.execute(what)
        one.done(connection, claim, {"found": len(claim.files)})


def listed(engine: Database, shared: WorkTables, one: Batches, *waves: list[FoundFile], size: int = 2) -> str:
    """The id of some work whose folders were listed."""
    work_id, _ = shared.add(["/photos"], Options("fine", ("*.png",)))
    claim = one.claim()
    assert claim is not None
    assert (claim.kind, claim.roots, claim.options) == (Kind.SCAN, ["/photos"], Options("fine", ("*.png",)))
    one.listed(claim, waves, size, {"found": sum(map(len, waves))})
    return work_id


def test_files_come_as_they_were_given_new_ones_before_changed_ones_and_the_end_last(
    engine: Database, shared: WorkTables
) -> None:
    one, other = worker(engine, "one"), worker(engine, "other")
    new, changed = files("ä", "b", "c"), files("d")
    work_id = listed(engine, shared, one, new, changed)
    first, second = one.claim(), other.claim()
    assert [*first.files, *second.files] == new
    assert one.claim() is None, "a changed file may hold what a new one held"
    finished(engine, one, first)
    assert one.claim() is None
    finished(engine, other, second)
    third = one.claim()
    assert third.files == changed
    assert other.claim() is None, "the end comes when all is done"
    finished(engine, one, third)
    end = other.claim()
    assert end.kind is Kind.FINISH
    said = shared.finish(other, end, lambda reports: dict(Counter(one["found"] for one in reports)))
    assert said == {4: 1, 2: 1, 1: 2}
    (found,) = shared.all()
    assert (found.work_id, found.state, found.done, found.queued) == (work_id, "done", 4, 0)
    assert found.finished_at is not None
    assert not one.is_open()


def test_a_batch_is_lost_with_its_lease_and_nothing_of_it_is_written(engine: Database, shared: WorkTables) -> None:
    one, other = worker(engine, "one"), worker(engine, "other")
    listed(engine, shared, one, files("a"))
    claim = one.claim()
    later(engine, LEASE - 100)
    assert one.renew(claim)
    later(engine, LEASE - 100)
    assert other.sweep() == 0, "it was renewed"
    later(engine, 200)
    assert other.sweep() == 1
    again = other.claim()
    assert (again.files, again.tries) == (claim.files, 2)
    assert not one.renew(claim)
    with pytest.raises(LostClaimError):
        finished(engine, one, claim, sa.update(work).values(files_done=77))
    with engine.connect() as connection:
        assert connection.scalar(sa.select(work.c.files_done)) == 0
    finished(engine, other, again)


def test_after_some_tries_files_go_one_by_one_and_one_that_kills_is_dead_alone(
    engine: Database, shared: WorkTables
) -> None:
    one = worker(engine)
    work_id = listed(engine, shared, one, files("good", "bad"), size=2)
    done: list[str] = []
    while (claim := one.claim()).kind is Kind.FILES:
        names = [file.display for file in claim.files]
        if "bad" in names:
            later(engine, LEASE + 1)  # it dies
            one.sweep()
        else:
            finished(engine, one, claim)
            done += names
    assert done == ["good"]
    (dead,) = shared.dead()
    assert (dead.paths, dead.work_id) == (["bad"], work_id)
    assert "died" in dead.problem
    shared.finish(one, claim, lambda _: {})
    assert shared.numbers() == {"queued": 0, "running": 0, "done": 1, "dead": 1, "workers": 0}
    assert shared.retry(dead.batch_id) == 1
    assert shared.all()[0].finished_at is None
    again = one.claim()
    assert ([file.display for file in again.files], again.tries) == (["bad"], 1)
    finished(engine, one, again)
    shared.finish(one, one.claim(), lambda _: {})
    assert shared.numbers() == {"queued": 0, "running": 0, "done": 2, "dead": 0, "workers": 0}
    with pytest.raises(RefusedError, match="given up"):
        shared.retry(work_id)


def test_a_listing_that_fails_each_time_fails_the_work_and_says_why(engine: Database, shared: WorkTables) -> None:
    one = worker(engine)
    work_id, first = shared.add(["/gone"], Options())
    for _ in range(MOST_TRIES):
        claim = one.claim(first)
        one.failed(claim, "/gone can't be opened")
    assert one.claim(first) is None
    shared.finish(one, one.claim(), lambda _: {})
    assert [(one.state, one.problem) for one in shared.all()] == [("failed", "/gone can't be opened")]
    assert shared.retry(work_id) == 1
    assert one.claim().kind is Kind.SCAN


def test_cancelled_work_ends_when_what_is_running_is_done(engine: Database, shared: WorkTables) -> None:
    one = worker(engine)
    work_id = listed(engine, shared, one, files(*"abcde"))
    running, failing = one.claim(), one.claim()
    assert shared.cancel(work_id) == 1
    assert (shared.numbers()["dead"], shared.all()[0].dead) == (0, 0), "what was cancelled was not given up"
    with pytest.raises(RefusedError, match=f"{work_id} is cancelled"):  # it would never end
        shared.pause(work_id, paused=True)
    assert one.claim() is None
    finished(engine, one, running)
    one.failed(failing, "some reason")
    end = one.claim()
    assert (end.kind, end.cancelled) == (Kind.FINISH, True)
    shared.finish(one, end, lambda _: {})
    (found,) = shared.all()
    assert (found.state, found.done, found.queued, found.running) == ("cancelled", 2, 0, 0)
    assert shared.dead() == []
    assert shared.cancel(work_id) == 0
    with pytest.raises(RefusedError):
        shared.pause(work_id, paused=True)
    with pytest.raises(UnknownIdError):
        shared.cancel("nobody's")


def test_paused_work_waits_and_what_matters_more_comes_first(engine: Database, shared: WorkTables) -> None:
    one = worker(engine)
    bulk = listed(engine, shared, one, files(*"abc"), size=1)
    urgent, _ = shared.add(["/urgent"], Options(), priority=5)
    last, _ = shared.add(["/last"], Options(), priority=-1)
    assert one.claim().work_id == urgent
    assert one.claim().work_id == bulk
    shared.pause(bulk, paused=True)
    assert {work.work_id: work.state for work in shared.all()}[bulk] == "paused"
    assert one.claim().work_id == last
    assert one.claim() is None
    shared.pause(bulk, paused=False)
    assert one.claim(without=[bulk]) is None
    assert one.claim().work_id == bulk


def test_two_processes_never_get_the_same_batch(engine: Database, shared: WorkTables) -> None:
    listed(engine, shared, worker(engine), files(*map(str, range(60))), size=1)
    together, got = Barrier(4), []

    def take(name: str) -> None:
        one = worker(engine, name)
        together.wait()
        while claim := one.claim():
            got.append(claim.batch_id)

    threads = [Thread(target=take, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 60


def test_workers_are_counted_while_they_say_that_they_are_there(engine: Database, shared: WorkTables) -> None:
    one, other = worker(engine, "one"), worker(engine, "other")
    one.here()
    one.here()
    other.here()
    assert shared.numbers()["workers"] == 2
    one.gone()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE workers SET seen_at = seen_at - interval '1 minute'"))
    assert shared.numbers()["workers"] == 0


class Machine(RuleBasedStateMachine):
    """Workers that die, come too late, fail and go on, while somebody pauses, cancels and tries again.

    The model knows who holds which batch; what a batch did is written into a table in the same transaction.
    """

    works, claims = Bundle("works"), Bundle("claims")

    def __init__(self, engine: Database) -> None:
        super().__init__()
        self.engine, self.shared = engine, WorkTables(engine)
        self.workers = {name: worker(engine, name) for name in ("one", "two", "three")}
        self.clock = 0.0
        self.valid: dict[str, tuple[Claim, str, float]] = {}  # by batch: the claim that counts, whose, until when
        self.files: dict[str, list[str]] = {}  # by work
        self.paused: set[str] = set()
        self.cancelled: set[str] = set()
        self.priority: dict[str, int] = {}
        with engine.begin() as connection:
            for table in ("batches", "work", "workers"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS effects (work_id text, name text)")
            connection.exec_driver_sql("DELETE FROM effects")

    @rule(target=works, new=st.integers(0, 5), changed=st.integers(0, 3), priority=st.integers(0, 1))
    def add(self, new: int, changed: int, priority: int) -> str:
        work_id, _ = self.shared.add([f"{new} {changed}"], Options(), priority)
        self.files[work_id] = [f"n{number}" for number in range(new)] + [f"c{number}" for number in range(changed)]
        self.priority[work_id] = priority
        return work_id

    @rule(target=claims, name=st.sampled_from(["one", "two", "three"]))
    def claim(self, name: str) -> object:
        claim = self.workers[name].claim()
        if claim is None:
            return multiple()
        assert claim.work_id not in self.paused
        assert claim.batch_id not in self.valid, "somebody else has it"
        assert 1 <= claim.tries <= MOST_TRIES
        with self.engine.connect() as connection:
            wave = connection.scalar(sa.select(batches.c.wave).where(batches.c.batch_id == claim.batch_id))
            earlier = sa.select(batches.c.batch_id).where(
                batches.c.work_id == claim.work_id,
                batches.c.wave < wave,
                batches.c.state.in_([State.QUEUED, State.RUNNING]),
            )
            assert connection.execute(earlier).first() is None
        self.valid[claim.batch_id] = (claim, name, self.clock + LEASE)
        return name, claim

    @rule(target=claims, name=st.sampled_from(["one", "two", "three"]))
    def take_over(self, name: str) -> object:
        """All that is running is taken for dead, and somebody has the first of it."""
        self.time_passes(1.1)
        self.sweep(name)
        return self.claim(name)

    def _is_valid(self, claim: Claim) -> bool:
        return self.valid.get(claim.batch_id, (None,))[0] is claim

    @rule(held=claims)
    def renew(self, held: tuple[str, Claim]) -> None:
        name, claim = held
        assert self.workers[name].renew(claim) == self._is_valid(claim)
        if self._is_valid(claim):
            self.valid[claim.batch_id] = (claim, name, self.clock + LEASE)

    @rule(held=consumes(claims))
    def done(self, held: tuple[str, Claim]) -> None:
        name, claim = held
        mine, expected = self.workers[name], self._is_valid(claim)
        try:
            self._finish(mine, claim)
        except LostClaimError:
            assert not expected
        else:
            assert expected
            del self.valid[claim.batch_id]

    def _finish(self, mine: Batches, claim: Claim) -> None:
        if claim.kind is Kind.SCAN:
            names = self.files[claim.work_id]
            waves = [files(*(name for name in names if name[0] == kind)) for kind in "nc"]
            mine.listed(claim, waves, 2, {"found": len(names)})
        elif claim.kind is Kind.FILES:
            with self.engine.begin() as connection:
                rows = [{"work_id": claim.work_id, "name": file.display} for file in claim.files]
                connection.execute(sa.text("INSERT INTO effects VALUES (:work_id, :name)"), rows)
                mine.done(connection, claim, {"files": len(rows)})
        else:
            self.shared.finish(mine, claim, lambda reports: {"files": sum(one.get("files", 0) for one in reports)})

    @rule(held=consumes(claims))
    def fail(self, held: tuple[str, Claim]) -> None:
        name, claim = held
        self.workers[name].failed(claim, "a reason")
        if self._is_valid(claim):
            del self.valid[claim.batch_id]

    @rule(held=consumes(claims))
    def put_back(self, held: tuple[str, Claim]) -> None:
        name, claim = held
        self.workers[name].put_back(claim)
        if self._is_valid(claim):
            del self.valid[claim.batch_id]

    @rule(part=st.sampled_from([0.4, 1.1]))
    def time_passes(self, part: float) -> None:
        later(self.engine, LEASE * part)
        self.clock += LEASE * part

    @rule(name=st.sampled_from(["one", "two"]))
    def sweep(self, name: str) -> None:
        late = {key for key, (_, _, until) in self.valid.items() if until < self.clock}
        assert self.workers[name].sweep() == len(late)
        for key in late:
            del self.valid[key]

    @rule(work_id=works, paused=st.booleans())
    def pause(self, work_id: str, *, paused: bool) -> None:
        now = next(one for one in self.shared.all() if one.work_id == work_id)
        if paused and (now.finished_at is not None or work_id in self.cancelled):
            with pytest.raises(RefusedError):
                self.shared.pause(work_id, paused=True)
            return
        self.shared.pause(work_id, paused=paused)
        (self.paused.add if paused else self.paused.discard)(work_id)

    @rule(work_id=works)
    def cancel(self, work_id: str) -> None:
        over = next(one for one in self.shared.all() if one.work_id == work_id).finished_at is not None
        self.shared.cancel(work_id)
        if not over:
            self.cancelled.add(work_id)
            self.paused.discard(work_id)

    @rule(work_id=works)
    def retry(self, work_id: str) -> None:
        dead = [one for one in self.shared.dead() if one.work_id == work_id]
        if not dead:
            with pytest.raises(RefusedError):
                self.shared.retry(work_id)
        elif work_id not in self.cancelled:
            assert self.shared.retry(work_id) == sum(max(1, len(one.paths)) for one in dead)

    @invariant()
    def nobody_has_what_the_model_does_not_know_of(self) -> None:
        with self.engine.connect() as connection:
            running = set(connection.scalars(sa.select(batches.c.batch_id).where(batches.c.state == State.RUNNING)))
            assert running == set(self.valid)
            rows = connection.execute(sa.text("SELECT work_id, name FROM effects")).all()
        assert len(rows) == len(set(rows)), "something was done twice"

    def teardown(self) -> None:
        for work_id in self.paused:
            self.shared.pause(work_id, paused=False)
        later(self.engine, 3 * LEASE)
        mine = self.workers["three"]
        for _ in range(2):  # once more for what was given up
            mine.sweep()
            while claim := mine.claim():
                self._finish(mine, claim)
            for key in {one.work_id for one in self.shared.dead()} - self.cancelled:
                self.shared.retry(key)
        assert not mine.is_open()
        with self.engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT work_id, name FROM effects")).all()
        effects = Counter(tuple(row) for row in rows)
        for one in self.shared.all():
            assert one.finished_at is not None
            assert (one.queued, one.running) == (0, 0)
            if one.work_id not in self.cancelled:
                assert {name: effects[one.work_id, name] for name in self.files[one.work_id]} == dict.fromkeys(
                    self.files[one.work_id], 1
                )
                assert one.done == one.report["files"] == len(self.files[one.work_id])


def test_whatever_happens_each_file_counts_once_and_all_work_comes_to_an_end(engine: Database) -> None:
    quiet = settings(
        max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_machine(lambda: Machine(engine), settings=quiet)
