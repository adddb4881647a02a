"""Redis as a doorbell: work begins at once, and no failure of Redis loses any."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from facekit.workers.asking import ingest_in_background
from facekit.workers.bell import Bell
from facekit.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis_server import RedisServer

    from facekit.library.local import LocalLibrary

NEVER = 3600.0  # seconds between two looks: what is done before, Redis told of


@contextmanager
def working(library: LocalLibrary, bell: Bell, seconds: float) -> Iterator[Worker]:
    worker = Worker(library, bell=bell, sweep=seconds)
    thread = Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join()


def wait_until_done(library: LocalLibrary, count: int = 1) -> None:
    while [one.state for one in library.storage.catalog.work.all()] != ["done"] * count:
        time.sleep(0.1)


@pytest.fixture
def bell(shared_library: LocalLibrary, redis_server: RedisServer) -> Bell:
    return Bell(redis_server.url, shared_library.storage.catalog.schema)


def test_work_begins_and_goes_on_when_redis_tells_of_it(
    shared_library: LocalLibrary, few_photos: Path, bell: Bell
) -> None:
    with working(shared_library, bell, NEVER):
        ingest_in_background(shared_library, few_photos, bell=bell)
        wait_until_done(shared_library)
        ingest_in_background(shared_library, few_photos, bell=bell)
        wait_until_done(shared_library, 2)
    assert shared_library.storage.catalog.work.all()[0].report["unchanged"] == 4


def test_what_was_asked_for_without_redis_is_done(shared_library: LocalLibrary, few_photos: Path, bell: Bell) -> None:
    with working(shared_library, bell, 0.2):
        ingest_in_background(shared_library, few_photos)
        wait_until_done(shared_library)


def test_work_goes_on_when_redis_was_emptied(
    shared_library: LocalLibrary, few_photos: Path, bell: Bell, redis_server: RedisServer
) -> None:
    ingest_in_background(shared_library, few_photos, bell=bell)
    assert redis_server.ask("XLEN", f"facekit.{shared_library.storage.catalog.schema}") == "1"
    with working(shared_library, bell, 0.5):
        wait_until_done(shared_library)
        assert redis_server.ask("FLUSHALL") == "OK"
        ingest_in_background(shared_library, few_photos)
        wait_until_done(shared_library, 2)


def test_work_goes_on_while_redis_is_away_and_when_it_is_back(
    shared_library: LocalLibrary, few_photos: Path, bell: Bell, redis_server: RedisServer
) -> None:
    with working(shared_library, bell, 0.5):
        redis_server.kill()
        ingest_in_background(shared_library, few_photos, bell=bell)
        wait_until_done(shared_library)
        assert bell.silent
        redis_server.start()
        while bell.silent:
            time.sleep(0.1)
        ingest_in_background(shared_library, few_photos, bell=bell)
        wait_until_done(shared_library, 2)


def test_libraries_that_share_redis_do_not_hear_each_other(
    shared_library: LocalLibrary, few_photos: Path, redis_server: RedisServer
) -> None:
    other = Bell(redis_server.url, "another")
    ingest_in_background(shared_library, few_photos, bell=other)
    with working(shared_library, Bell(redis_server.url, shared_library.storage.catalog.schema), NEVER):
        time.sleep(1)
        assert redis_server.ask("XLEN", "facekit.another") == "1"
        assert redis_server.ask("XINFO", "GROUPS", "facekit.another").splitlines()[3] == "0"
