"""Syncs that are cut off: the process is killed, the place vanishes, the token is revoked, the disk is full.

Whatever happens, each photo is there once in the end, and is fetched once: what had come is not asked for again.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import time
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING

import dying
import pytest
import ready
from fake_service import answer, hang, hurry, jpeg
from fake_yandex import LINK, TOKEN, FakeYandex

import facekit as fk
from facekit.ingest import pipeline, run
from facekit.sources import originals
from facekit.sources.yandex_disk import connector as yandex_disk
from facekit.system import disk_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS, LISTING_KILLS, PHOTOS = 10, 3, 500
NAME = "yandex-disk"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeYandex]:
    """A link to nothing yet, which may be asked as often as one likes."""
    hurry(monkeypatch)
    monkeypatch.setattr(yandex_disk, "PER_SECOND", 10_000.0)
    monkeypatch.setattr(run, "_STORE_FILES", 2)
    monkeypatch.setattr(pipeline, "_BATCH_PHOTOS", 2)
    with FakeYandex() as made:
        for name, value in made.variables().items():
            monkeypatch.setenv(name, value)
        yield made


def _filled(fake: FakeYandex, count: int) -> None:
    for number in range(count):
        fake.put(f"/{number // 100}/{number}.jpg", jpeg(number, 64, 64))


def _rows(library: fk.Library) -> list[str]:
    return sorted(path.removeprefix(f"{NAME}:") for paths in library.photos()["paths"] for path in paths)


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_ten_kills_in_a_sync_of_500_photos_lose_none_and_double_none(fake: FakeYandex, tmp_path: Path) -> None:
    chance, folder = random.Random(14), tmp_path / "faces"
    _filled(fake, PHOTOS)
    with fk.open(folder) as library:
        library.sources.add(LINK)
    had, pages = [], []
    for kill in range(KILLS):
        fake.heal()
        listing = kill < LISTING_KILLS
        until = chance.randint(4, 7) if listing else chance.randint(10, 70)
        if listing:  # it waits for an answer that does not come
            fake.fail(hang(), after=until - 1)
        process = ready.start(dying.sync, folder, fake.variables())
        while len(fake.requests) < until and process.exitcode is None:
            time.sleep(0.002)
        time.sleep(0 if listing else chance.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "there was something left to do"
        had.append(len(fake.downloads))
        pages += fake.requests if listing else []
    assert had[LISTING_KILLS - 1] == 0
    assert len(set(had[LISTING_KILLS:])) > 2, "the kills hit different places"
    asked = Counter((one.query["path"], one.query["offset"]) for one in pages)
    assert max(asked.values()) == 2, "a listing that was cut off goes on where it was"
    process = ready.start(dying.sync, folder, fake.variables())
    process.join()
    assert process.exitcode == 0
    with fk.open(folder) as library:
        assert _rows(library) == sorted(fake.paths())
        assert library.photos()["photo_id"].is_unique
        assert library.sources.sync(progress=False).places[0].new == 0
    again = len(fake.downloads) - PHOTOS
    assert set(fake.downloads) == set(fake.paths())
    assert again <= KILLS * pipeline._READERS, "only what was on its way when the process died is fetched again"


def test_place_that_vanishes_takes_no_photo_with_it(fake: FakeYandex, tmp_path: Path) -> None:
    _filled(fake, 6)
    with fk.open(tmp_path / "faces") as library:
        library.sources.add(LINK)
        [done] = library.sources.sync(progress=False).places
        assert (done.problem, done.fetched, done.ingested) == (None, 6, 6)
        assert library.ingest("https://yadi.sk/d/qI_Bmm2e5eSytg/", progress=False).unchanged == 6
        assert len(library.sources.list()) == 1  # the same link, written otherwise
        before = _rows(library)
        fake.error = (404, "DiskNotFoundError")
        [done] = library.sources.sync(progress=False).places
        assert LINK in done.problem
        assert done.missing == 0
        fake.error = None
        fake.__exit__()  # nobody listens there any more
        [done] = library.sources.sync(progress=False).places
        assert "can't be reached" in done.problem
        assert _rows(library) == before
        assert set(library.photos()["status"]) == {"no_face"}


def test_token_that_is_revoked_half_way_costs_nothing_that_was_done(fake: FakeYandex, tmp_path: Path) -> None:
    fake.begin(own=True)
    _filled(fake, 20)
    fake.with_addresses = False  # so that each photo is asked for with the token
    refused = {"error": "UnauthorizedError", "message": "Не авторизован.", "description": "Unauthorized"}
    with fk.open(tmp_path / "faces") as library:
        library.sources.add(NAME, settings={"path": "/"}, token=TOKEN)
        fake.fail(answer(401, refused), path=".*/download", times=1000, after=9)
        [done] = library.sources.sync(progress=False).places
        assert done.sign_in
        assert 0 < len(_rows(library)) <= 9
        assert library.sources.get(NAME).problem
        fake.heal()
        fake.tokens = {"another token"}
        library.sources.reconnect(NAME, token="another token")
        assert library.sources.sync(progress=False).ended_well
        assert _rows(library) == sorted(fake.paths())
    assert max(Counter(fake.downloads).values()) == 1
    assert TOKEN not in _written(tmp_path)


@pytest.mark.parametrize("found_out", ["before a photo is fetched", "while it is written"])
def test_full_disk_ends_the_sync_and_it_goes_on_when_there_is_room(
    fake: FakeYandex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found_out: str
) -> None:
    _filled(fake, 20)
    sync, before = os.fsync, 8

    def usage(path: Path) -> SimpleNamespace:
        full = found_out.startswith("before") and len(fake.downloads) >= before
        return SimpleNamespace(free=10**6 if full else shutil.disk_usage(path).free)

    def write(file: int) -> None:
        if found_out.startswith("while") and len(fake.downloads) > before:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    with fk.open(tmp_path / "faces") as library:
        library.sources.add(LINK)
        with monkeypatch.context() as full:
            full.setattr(disk_space, "shutil", SimpleNamespace(disk_usage=usage))
            full.setattr(originals.os, "fsync", write)
            with pytest.raises(fk.DiskFullError, match="Make room"):
                library.sources.sync(progress=False)
        assert before <= len(fake.downloads) < 20
        assert library.sources.sync(progress=False).ended_well
        assert _rows(library) == sorted(fake.paths())
    ahead = 0 if found_out.startswith("before") else pipeline._READERS + 2  # what was read ahead, and not kept
    assert len(fake.downloads) <= 20 + ahead


def _written(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())
