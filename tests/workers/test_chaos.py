"""Workers, PostgreSQL, Milvus and Redis are killed, and Redis is emptied: all photos are there, once."""

from __future__ import annotations

import random
import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

import dying
import pytest
import ready
from conftest import need
from milvus_server import Milvus
from milvus_server import program as milvus_program
from postgres import Server, programs
from shared_library import check_consistent

import facekit as fk
from facekit.library.local import LocalLibrary
from facekit.workers.asking import ingest_in_background

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from redis_server import RedisServer

PHOTOS, KNOWN, KILLS, WORKERS = 500, 40, 12, 3


@pytest.fixture
def postgres() -> Iterator[Server]:
    """A PostgreSQL that others do not use: it is killed."""
    need(programs(), "PostgreSQL's programs: apt-get install postgresql")
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def milvus() -> Iterator[Milvus]:
    """A Milvus that others do not use: it is killed."""
    need(milvus_program(), "milvus-server: pip install milvus 'setuptools<80', in an environment of its own")
    server = Milvus()
    yield server
    server.remove()


class Workers:
    """Worker processes that are started again when they die, as a supervisor does it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[BaseProcess] = [self._start() for _ in range(WORKERS)]

    def _start(self) -> BaseProcess:
        return ready.start(dying.work, self._folder)

    def kill(self, number: int) -> None:
        self._running[number].kill()
        self._running[number].join()
        self._running[number] = self._start()

    def see_to(self) -> None:
        """Start those again that could not open the library while a server was away."""
        for number, process in enumerate(self._running):
            if not process.is_alive():
                self.kill(number)

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.join()


class Servers(NamedTuple):
    """Of this test alone."""

    postgres: Server
    milvus: Milvus
    redis: RedisServer


@pytest.fixture
def servers(postgres: Server, milvus: Milvus, redis_server: RedisServer) -> Servers:
    return Servers(postgres, milvus, redis_server)


@pytest.fixture
def folder(servers: Servers, tmp_path: Path) -> Path:
    """The folder of an empty library on these servers."""
    url = servers.postgres.url.replace(":secret", "")
    named = {"catalog": f"{url}?library=chaos", "index": servers.milvus.url, "broker": servers.redis.url}
    fk.open(tmp_path / "faces", detector="yunet", embedder="sface", **named).close()
    return tmp_path / "faces"


@pytest.fixture
def workers(folder: Path) -> Iterator[Workers]:
    started = Workers(folder)
    yield started
    started.end()


@pytest.fixture
def albums(lfw: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Some photos, and many more."""
    some, more = tmp_path / "some", tmp_path / "more"
    for number, path in enumerate(sorted(lfw.glob("*/*.jpg"))[:PHOTOS]):
        place = some if number < KNOWN else more
        place.mkdir(exist_ok=True)
        shutil.copy(path, place / path.name)
    return some, more


def break_down(library: LocalLibrary, workers: Workers, servers: Servers) -> None:
    """Kill everything, one after another, some time after something was done."""
    chance = random.Random(500)
    done = 0
    for kill in range(KILLS):
        while (now := library.storage.catalog.work.all()[0].done) == done:
            workers.see_to()
            time.sleep(0.05)
        done = now
        time.sleep(chance.uniform(0, 0.5))
        workers.kill(chance.randrange(WORKERS))
        if kill == 3:
            servers.redis.ask("FLUSHALL")
        elif kill == 5:
            servers.redis.kill()
        elif kill == 7:
            servers.redis.start()
            servers.postgres.kill()
            servers.postgres.start()
        elif kill == 9:
            servers.milvus.kill()
            servers.milvus.start()


def someones(library: LocalLibrary) -> set[str]:
    frame = library.people.to_frame()
    return set(frame[frame["person"] == "Someone"]["face_id"])


def test_all_photos_and_faces_are_there_once_whatever_was_killed(
    folder: Path, workers: Workers, servers: Servers, albums: tuple[Path, Path], tmp_path: Path
) -> None:
    some, more = albums
    with LocalLibrary(folder) as library:
        library.ingest(some, progress=False)
        library.people.cluster(min_faces=2)
        library.people.name(max(library.people, key=lambda person: person.faces), "Someone")
        before = someones(library)
        ingest_in_background(library, more)
        break_down(library, workers, servers)
        work = library.storage.catalog.work
        assert work.all()[0].finished_at is None
        while work.all()[0].finished_at is None or library.storage.catalog.outbox.balance().due:
            workers.see_to()
            time.sleep(0.2)
        (found,) = work.all()
        assert (found.state, found.queued, found.running, found.dead) == ("done", 0, 0, 0)
        assert found.done == PHOTOS - KNOWN
        check_consistent(library)
        paths = sorted(path for photo in library.photos()["paths"] for path in photo)
        assert paths == sorted(str(path) for place in albums for path in place.iterdir())
        assert before
        assert before <= someones(library)
        with fk.open(tmp_path / "clean", detector="yunet", embedder="sface") as clean:
            clean.ingest(*albums, progress=False)
            assert set(clean.faces()["face_id"]) == set(library.faces()["face_id"])
