"""Kill the process anywhere: what was reported done is searchable, nothing is doubled, the next run finishes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import facekit as fk
from facekit.index import IndexFilter

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 20

# Stores after every few files, so that many kills hit the writing, and says what it has reported as done.
RUN = """
import sys
import facekit as fk
import facekit.ingest.run
facekit.ingest.run._STORE_FILES = 3
facekit.ingest.run._STORE_SECONDS = 0.0
facekit.ingest.pipeline._BATCH_PHOTOS = 3
with fk.open(sys.argv[1]) as library:
    library.detector, library.embedder
    print("ready", flush=True)
    library.ingest(sys.argv[2], progress=lambda done, total: print(done, flush=True))
print("finished", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_twenty_kills_lose_nothing_that_was_reported_done(lfw: Path, tmp_path: Path) -> None:
    chance = random.Random(20)
    photos, folder = tmp_path / "photos", tmp_path / "faces"
    photos.mkdir()
    files = iter(sorted(lfw.glob("*/*.jpg"))[1000:])
    kills = 0
    while kills < KILLS:
        for _ in range(15):  # so that there is always something left to do
            path = next(files)
            shutil.copy(path, photos / path.name)
        with subprocess.Popen([sys.executable, "-c", RUN, folder, photos], stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 2.5))
            killed = run.poll() is None
            run.send_signal(signal.SIGKILL)
            done = run.stdout.read().split()
        kills += killed
        with fk.open(folder) as library:
            check(library, at_least=int(done[-1]) if done and done[-1].isdigit() else 0)
    with fk.open(folder) as library:
        library.ingest(photos, progress=False)
        survivor = facts(library)
    with fk.open(tmp_path / "clean") as library:
        library.ingest(photos, progress=False)
        assert facts(library) == survivor


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
