"""Kill the process anywhere: what was reported done is searchable, nothing is doubled, the next run finishes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from itertools import islice
from multiprocessing import Pipe
from typing import TYPE_CHECKING

import dying
import pytest
import ready

import facekit as fk
from facekit.index import IndexFilter
from facekit.index.protocol import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    from places import Places

KILLS = 20
FEWER_KILLS = 6


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_twenty_kills_lose_nothing_that_was_reported_done(lfw: Path, places: Places, tmp_path: Path) -> None:
    chance = random.Random(20)
    photos, folder = tmp_path / "photos", places.new(tmp_path / "faces")
    photos.mkdir()
    files = iter(sorted(lfw.glob("*/*.jpg"))[1000:])
    kills, reported = 0, []
    while kills < (FEWER_KILLS if places.on_servers else KILLS):
        for _ in range(12):  # so that there is always something left to do
            path = next(files)
            shutil.copy(path, photos / path.name)
        hear, said = Pipe(duplex=False)
        with hear:
            run = ready.start(dying.ingest, folder, photos, said)
            said.close()
            done = list(islice(heard(hear), chance.randint(1, 6)))
            time.sleep(chance.uniform(0, 0.3))
            run.kill()
            run.join()
            done += heard(hear)
        kills += run.exitcode == -signal.SIGKILL
        reported.append(len(done))
        with fk.open(folder) as library:
            check(library, at_least=done[-1] if done else 0)
    assert len(set(reported)) > 2, "the kills hit different places"
    with fk.open(folder) as library:
        library.ingest(photos, progress=False)
        survivor = facts(library)
    with fk.open(tmp_path / "clean") as library:
        library.ingest(photos, progress=False)
        assert facts(library) == survivor


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize(
    "point",
    [
        "before the index is written",
        "before faces leave it",
        "before it is struck out",
        "when it is struck out",
    ],
)
def test_a_kill_while_the_index_follows_is_made_good_at_the_next_opening(demo_copy: Path, point: str) -> None:
    with fk.open(demo_copy) as library:
        photo = library._storage.catalog.file_states("local")[dying.path_of(library, 0)].photo_id
        gone = {row.face_id for row in library._storage.catalog.index_rows([photo])}
        assert gone <= library._storage.index.rows().keys()
    run = ready.start(dying.follow, demo_copy, point)
    run.join()
    assert run.exitcode == -signal.SIGKILL
    with fk.open(demo_copy) as library:
        held = library._storage.index.rows()
        assert held == {row.face_id: Fields.of(row) for row in library._storage.catalog.index_rows()}
        assert gone.isdisjoint(held)
        assert "/new/" in {fields.folder for fields in held.values()}
        assert library.index_lag() == 0


def heard(pipe: Connection) -> Iterator[int]:
    """What comes out of a pipe to its end; a word that was cut short is not counted."""
    with suppress(EOFError, OSError):
        while True:
            yield pipe.recv()


def check(library: fk.Library, at_least: int) -> None:
    frame = library.faces()
    held = library._storage.index.rows()
    assert set(held) == set(library.embeddings(include_poor=True)[0])
    assert frame["face_id"].is_unique
    photos = library.photos()
    assert len(photos) >= at_least
    assert photos["photo_id"].is_unique
    assert photos["faces"].sum() == len(frame)
    if len(frame):
        ids, vectors = library.embeddings()
        for position in (0, len(ids) // 2, len(ids) - 1):
            nearest = library._storage.index.search(vectors[position], 1, IndexFilter())
            assert nearest[0][1] == pytest.approx(1, abs=1e-4)


def facts(library: fk.Library) -> tuple[set[str], dict[str, str]]:
    photos = library.photos()
    return set(library._storage.index.rows()), dict(zip(photos["path"], photos["status"], strict=True))
