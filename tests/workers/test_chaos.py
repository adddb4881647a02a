"""Workers, PostgreSQL, Milvus and Redis are killed; two people decide at once: all is there, once, in one order."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import deciding
import psutil
import pytest
import ready
import sqlalchemy as sa
from conftest import CROWD, need
from milvus_server import Milvus, Programs
from postgres import Server, programs
from redis_server import RedisServer
from shared_library import check_consistent

import facekit as fk
from facekit.catalog.batch_tables import batches
from facekit.library.local import LocalLibrary
from facekit.workers.asking import ingest_in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

PHOTOS, KILLS, WORKERS, SEED = 500, 12, 3, 20261128
KNOWN = 4  # photos of each of some people, who are known before the others come in
LIMIT_SECONDS = 900.0  # after which the state of everything is told; two idle cores need some two minutes
_RESTART_SECONDS = 1.0  # a supervisor waits a little before it starts again what ended by itself


class Workers:
    """``facekit worker`` processes that are started again when they die, as a supervisor does it."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self.running = [self._start() for _ in range(count)]
        self.before: list[ready.Command] = []  # that died
        self.children: list[psutil.Process] = []  # of those that were killed
        self._ended: dict[int, float] = {}

    def _start(self) -> ready.Command:
        return ready.Command("--library", self._folder, "worker", environment=os.environ)

    def _again(self, number: int) -> None:
        self.before.append(self.running[number])
        self.running[number] = self._start()

    def kill(self, number: int) -> None:
        """``kill -9``, and start it again."""
        if self.running[number].poll() is None:
            self.children += psutil.Process(self.running[number].pid).children(recursive=True)
            self.running[number].send_signal(signal.SIGKILL)
            self.running[number].wait()
        self._again(number)

    def see_to(self) -> None:
        """Start those again that ended: they can't open the library while a server is away."""
        for number, command in enumerate(self.running):
            if command.poll() is not None:
                since = self._ended.setdefault(number, time.monotonic())
                if time.monotonic() - since > _RESTART_SECONDS:
                    del self._ended[number]
                    self._again(number)

    def end(self) -> list[int | None]:
        """Ask them to end, and return their exit statuses."""
        for command in self.running:
            if command.poll() is None:
                command.send_signal(signal.SIGTERM)
        for command in self.running:
            command.wait()
        return [command.poll() for command in self.running]

    def kill_all(self) -> None:
        for command in self.running:
            if command.poll() is None:
                command.send_signal(signal.SIGKILL)
                command.wait()


class Deciding:
    """Somebody who names, merges and takes back, in a process of their own; see `deciding`."""

    def __init__(self, *arguments: Any) -> None:
        self._talk, other = get_context().Pipe()
        self._process = ready.start(deciding.decide, *arguments, other)
        other.close()  # so that the end of the process is noticed

    def said(self) -> Any:
        """What it says next."""
        assert self._talk.poll(LIMIT_SECONDS), "it says nothing"
        return self._talk.recv()

    def begin(self) -> None:
        self._talk.send("begin")

    def end(self) -> Any:
        """Have it stop, and return what it did."""
        self._talk.send("stop")
        found = self.said()
        self._process.join()
        assert self._process.exitcode == 0
        return found


@dataclass
class World:
    """A library on servers that no other test uses, and what happened to it."""

    folder: Path
    address: str
    postgres: Server
    milvus: Milvus
    redis: RedisServer
    happened: list[str] = field(default_factory=list)
    workers: Workers | None = None
    began: float = field(default_factory=time.monotonic)

    def note(self, what: str) -> None:
        self.happened.append(f"{time.monotonic() - self.began:6.1f} s: {what}")

    def wait(self, until: Callable[[], Any], what: str) -> Any:
        """Wait for something, with dead workers started again; tell the state of everything where it does not come."""
        while not (found := until()):
            if time.monotonic() - self.began > LIMIT_SECONDS:
                pytest.fail(f"After {LIMIT_SECONDS:g} s still not: {what}")
            if self.workers is not None:
                self.workers.see_to()
            time.sleep(0.05)
        return found

    @contextmanager
    def told(self) -> Iterator[None]:
        """What goes wrong is told with the seed, what happened, and the state of everything."""
        try:
            yield
        except BaseException as error:
            error.add_note(self._state())
            raise

    def _state(self) -> str:
        jobs = ready.facekit("--library", self.folder, "jobs", "--json")
        lines = [f"Seed {SEED}.", *self.happened, "facekit jobs --json:", jobs.stdout, jobs.stderr, "Batches:"]
        try:
            engine = sa.create_engine(self.postgres.url.replace("postgresql:", "postgresql+psycopg:"))
            with engine.connect() as connection:
                connection.execute(sa.text(f"SET search_path TO {self._schema(connection)}"))
                rows = connection.execute(sa.select(batches).order_by(batches.c.number)).mappings()
                lines += [str({**row, "files": len(row["files"])}) for row in rows]
                activity = sa.text("SELECT pid, state, wait_event, xact_start, query FROM pg_stat_activity")
                lines += ["Connections:", *map(str, connection.execute(activity).all())]
        except sa.exc.SQLAlchemyError as error:
            lines.append(f"can't be read: {error}")
        for command in self.workers.before + self.workers.running if self.workers else []:
            lines += [f"Worker {command.pid}, exit status {command.poll()}:", command.said()[1][-3000:]]
        return "\n".join(lines)

    @staticmethod
    def _schema(connection: sa.Connection) -> str:
        tables = sa.text("SELECT schemaname FROM pg_tables WHERE tablename = 'batches'")
        return str(connection.scalars(tables).first())


@pytest.fixture(scope="module")
def servers(milvus_programs: Programs) -> Iterator[tuple[Server, Milvus, RedisServer]]:
    """Servers that others do not use: they are killed."""
    need(programs(), "PostgreSQL's programs: apt-get install postgresql")
    need(shutil.which("redis-server"), "redis-server is not installed (apt-get install redis-server)")
    with ExitStack() as running:
        postgres = Server()
        running.callback(postgres.remove)
        milvus = Milvus(milvus_programs)
        running.callback(milvus.remove)
        redis = RedisServer()
        running.callback(redis.kill)
        yield postgres, milvus, redis


@pytest.fixture
def world(servers: tuple[Server, Milvus, RedisServer], tmp_path: Path) -> Iterator[World]:
    postgres, milvus, redis = servers
    url = postgres.url.replace(":secret", "")
    named = {"catalog": f"{url}?library=c{uuid4().hex[:8]}", "index": milvus.url, "broker": redis.url}
    fk.open(tmp_path / "faces", detector="yunet", embedder="sface", **named).close()
    world = World(tmp_path / "faces", named["catalog"], *servers)
    yield world
    if world.workers is not None:
        world.workers.kill_all()


def albums(lfw: Path, folder: Path, count: int) -> tuple[Path, Path]:
    """Some photos of people who are known, and many more, of them and of others."""
    shots = [sorted((lfw / name).glob("*.jpg")) for name in CROWD]
    known = [path for some in shots for path in some[:KNOWN]]
    others = [path for some in shots for path in some[KNOWN:]]
    others += [path for path in sorted(lfw.glob("*/*.jpg")) if path.parent.name not in CROWD]
    for name, paths in (("some", known), ("more", others[: count - len(known)])):
        (folder / name).mkdir()
        for path in paths:
            shutil.copy(path, folder / name / path.name)
    return folder / "some", folder / "more"


def decide(library: LocalLibrary) -> None:
    """One decision of each kind."""
    people = library.people
    people.cluster(min_faces=2)
    one, two, three, four, *_ = people
    people.name(one, "One")
    people.name(two, "Two")
    people.merge("Two", three)
    faces = [member.face.face_id for member in people.faces("Two").members]
    people.split("Two", faces[-2:], "Three")
    people.not_this_person([people.faces("One").members[-1].face.face_id])
    people.different("One", "Three")
    people.hide(four)


def decisions(library: LocalLibrary) -> tuple[Any, ...]:
    """What the user said."""
    people = library.people
    named = sorted((one.name, one.person_id) for one in people if one.name)
    return named, rows(people.constraints()), [repr(one) for one in people.journal() if one.verb != "assign"]


def whose(library: LocalLibrary) -> pd.DataFrame:
    """Which face is whose, and by whose word."""
    return library.people.to_frame()[["face_id", "person_id", "person", "origin", "hidden"]]


def stand(library: LocalLibrary) -> tuple[Any, ...]:
    """All that is known about people."""
    people = sorted((one.person_id, one.name or "", one.hidden, str(one.cover)) for one in library.people)
    return people, rows(whose(library)), rows(library.people.constraints())


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(tuple(map(str, row)) for row in frame.itertuples(index=False))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def break_down(world: World, library: LocalLibrary) -> Thread:
    """Kill everything, one after another, each time after some work was done; Milvus takes its time to be back."""
    chance = random.Random(SEED)
    milvus = Thread(target=world.milvus.start)
    done = 0

    def more() -> int:
        now = library.storage.catalog.work.all()[0].done
        return now if now > done else 0

    for kill in range(1, KILLS + 1):
        done = world.wait(more, f"more done than {done} files")
        time.sleep(chance.uniform(0, 0.5))
        number = chance.randrange(WORKERS)
        world.note(f"{done} files are done, worker {number} is killed")
        world.workers.kill(number)
        if kill == KILLS // 4:
            world.note("Milvus is killed")
            world.milvus.kill()
            milvus.start()
        elif kill == KILLS // 2:
            world.note("Redis is killed, and comes back empty")
            world.redis.kill()
            world.redis.start()
        elif kill == KILLS * 3 // 4:
            world.note("PostgreSQL is killed and started again")
            world.postgres.kill()
            world.postgres.start()
    return milvus


def test_all_photos_and_faces_are_there_once_whatever_was_killed(world: World, lfw: Path, tmp_path: Path) -> None:
    some, more = albums(lfw, tmp_path, PHOTOS)
    with world.told(), LocalLibrary(world.folder) as library:
        library.ingest(some, progress=False)
        decide(library)
        said, before = decisions(library), whose(library)
        known = len(library.faces())
        world.workers = Workers(world.folder, WORKERS)
        count = len(list(more.iterdir()))
        ingest_in_background(library, more)
        milvus = break_down(world, library)
        work, outbox = library.storage.catalog.work, library.storage.catalog.outbox
        assert work.all()[0].finished_at is None, "all was done before the last kill"
        world.wait(lambda: work.all()[0].finished_at, "all photos")
        world.note("the work is done")
        milvus.join()
        world.wait(lambda: not outbox.balance().due, "the index up to the catalog")
        world.note("the index follows")

        (found,) = work.all()
        assert (found.state, found.queued, found.running, found.done, found.dead) == ("done", 0, 0, count, 0)
        assert work.dead() == []
        with library.storage.catalog.transaction() as connection:
            assert connection.execute(sa.select(batches.c.state).where(batches.c.state != "done")).all() == []
        check_consistent(library)
        paths = Counter(path for photo in library.photos()["paths"] for path in photo)
        assert paths == Counter(str(path) for album in (some, more) for path in album.iterdir())
        # What a process made is counted in the transaction that writes it: nothing was done twice.
        assert found.report["faces"] == len(library.faces()) - known
        assert found.report["unchanged"] == 0
        assert decisions(library) == said
        assert set(rows(before)) <= set(rows(whose(library)))
        assert [one.verb for one in library.people.journal()].count("assign") == 1
        assert found.report["assigned"] == len(library.people.to_frame()) - len(before)
        with fk.open(tmp_path / "clean", detector="yunet", embedder="sface") as clean:
            clean.ingest(some, more, progress=False)
            assert rows(clean.faces()[["face_id", "photo_id"]]) == rows(library.faces()[["face_id", "photo_id"]])
        probe = next(some.iterdir())
        assert library.search(probe)[0].photo == str(probe)

        assert world.workers.end() == [0] * WORKERS
        assert library.storage.catalog.work.numbers()["workers"] <= KILLS  # those that were killed are forgotten later
        world.wait(lambda: not any(map(_runs, world.workers.children)), "the end of what killed workers had started")


def test_two_people_decide_at_once_while_photos_come_in(world: World, lfw: Path, tmp_path: Path) -> None:
    some, more = albums(lfw, tmp_path, 120)
    with world.told(), LocalLibrary(world.folder) as library:
        library.ingest(some, progress=False)
        library.people.cluster(min_faces=1)
        known = [one.person_id for one in library.people]
        both, own = known[:2], (known[2::2], known[3::2])
        before, start = stand(library), library.people.journal()[0].number
        two = [  # one has the library's folder, the other one its address
            Deciding(place, user, mine, both, SEED + number)
            for number, (place, user, mine) in enumerate(
                zip((world.folder, world.address), ("Anna", "Boris"), own, strict=True)
            )
        ]
        world.workers = Workers(world.folder, 1)
        for one in two:
            assert one.said() == "ready"
        ingest_in_background(library, more)
        for one in two:
            one.begin()
        work = library.storage.catalog.work
        world.wait(lambda: work.all()[0].finished_at, "all photos")
        done = [one.end() for one in two]

        entries = [one for one in library.people.journal(10_000) if one.number > start][::-1]
        world.happened += map(repr, entries)
        assert [one.number for one in entries] == list(range(start + 1, start + 1 + len(entries)))
        assert [one.at for one in entries] == sorted(one.at for one in entries)
        said = [one.words.rpartition(" is called ")[2] for one in entries if one.verb == "name"]
        assert sorted(said) == sorted(name for one in done for name in one["names"])
        counted = Counter(one.verb for one in entries)
        assert counted["merge"] == sum(one["merges"] for one in done) > 0
        undone = sorted(number for one in done for number in one["undone"])
        assert [one.number for one in entries if one.verb == "undo"] == undone
        assert counted["assign"] == 1
        assert work.all()[0].report["assigned"] > 0
        for one in reversed(entries):  # what took something back, does it again
            library.people.undo(one.number)
        assert stand(library) == before
        check_consistent(library)
