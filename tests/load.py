"""How libraries on servers carry large loads. Not a test: it is run by hand, and takes an hour and 10 GB.

::

    python tests/load.py servers /var/tmp/load &        # private ones, until it is ended; prints what to export
    export FACEKIT_TEST_POSTGRES=... FACEKIT_TEST_MILVUS=... FACEKIT_TEST_REDIS=...
    python tests/load.py fill /var/tmp/load 1000000     # made-up faces
    python tests/load.py use /var/tmp/load              # searches by fifty at once, pages
    python tests/load.py cluster /var/tmp/load 100000   # grouping made-up faces, without a library
    python tests/load.py photos /var/tmp/load 10000     # real photos, made of those in FACEKIT_TEST_DATA, by workers

The vectors have 128 numbers, as sface's: people around whom their faces scatter with a cosine of about 0.6.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import sqlalchemy as sa
from postgres import without_password

import facekit as fk
from facekit.catalog import FaceRecord, FileRecord, PhotoRecord
from facekit.catalog.people_tables import members, persons
from facekit.catalog.records import face_id
from facekit.catalog.rows import insert
from facekit.library.local import LocalLibrary
from facekit.types.arrays import Quality
from facekit.types.photos import FoundFile, PhotoFacts, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = 128
SCATTER = 0.8
"""Length of what is added to a person's unit vector; 1 / (1 + 0.8 ** 2) is the cosine of two faces of one person."""

FACES_OF_A_PHOTO = (0, 1, 1, 1, 2, 2, 3, 2)
PHOTOS_AT_ONCE = 2000
BYTES = 4_000_000
NAMED = 500


def say(what: str, value: object) -> None:
    sys.stdout.write(f"{what:60} {value}\n")
    sys.stdout.flush()


def share(folder: Path, name: str, **more: str) -> LocalLibrary:
    """A library on the servers that the environment names."""
    address = without_password(os.environ["FACEKIT_TEST_POSTGRES"])
    servers = {"catalog": f"{address}?library={name}", "index": os.environ["FACEKIT_TEST_MILVUS"], **more}
    library = fk.open(folder / name, detector="yunet", embedder="sface", **servers)
    assert isinstance(library, LocalLibrary)
    return library


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long it took, and how much of this process' CPU."""
    wall, own = time.perf_counter(), time.process_time()
    yield
    say(what, f"{time.perf_counter() - wall:.1f} s, {time.process_time() - own:.1f} s of own CPU")


def memory(*workers: int) -> dict[str, float]:
    """Gigabytes of the servers, this process and workers with all that they started; shared memory by its share."""
    found: dict[str, float] = {}

    def add(name: str, process: psutil.Process) -> None:
        with suppress(psutil.Error):
            found[name] = found.get(name, 0) + process.memory_full_info().pss / 1e9

    for process in psutil.process_iter(["name"]):
        if process.info["name"] in {"postgres", "milvus", "redis-server"}:
            add(process.info["name"], process)
    add("this process", psutil.Process())
    for number, worker in enumerate(workers, 1):
        with suppress(psutil.Error):
            whole = psutil.Process(worker)
            for process in (whole, *whole.children(recursive=True)):
                add(f"worker {number}", process)
    return {name: round(size, 2) for name, size in sorted(found.items())}


# -- servers -----------------------------------------------------------------------------------------------------------


def servers() -> None:
    """Private servers until this is ended."""
    from milvus_server import Milvus
    from postgres import Server
    from redis_server import RedisServer

    started = {"POSTGRES": Server(), "MILVUS": Milvus(), "REDIS": RedisServer()}
    try:
        say("export", " ".join(f"FACEKIT_TEST_{name}={server.url}" for name, server in started.items()))
        sys.stdin.read() if sys.stdin.isatty() else time.sleep(86_400)
    finally:
        started["POSTGRES"].remove()
        started["MILVUS"].remove()
        started["REDIS"].kill()


# -- made-up faces -----------------------------------------------------------------------------------------------------


class Crowd:
    """Made-up people, some of whom are on many photos and most on few."""

    def __init__(self, faces: int) -> None:
        self._chance = np.random.default_rng(1)
        self.people = max(faces // 50, 1)
        self._middles = self._units(self.people)
        self._often = 1 / np.arange(1, self.people + 1)
        self._often /= self._often.sum()

    def _units(self, count: int) -> np.ndarray:
        vectors = self._chance.standard_normal((count, NUMBERS), np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def faces(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Who, and how they look: (count,) and (count, 128)."""
        who = self._chance.choice(self.people, count, p=self._often)
        vectors = self._middles[who] + SCATTER * self._units(count)
        return who, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Shots:
    """Made-up photos with their faces, one after the other."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd, self._chance = crowd, random.Random(1)
        self.photos = 0
        self.owners: list[tuple[str, int]] = []
        """Faces, and the number of the person whose each is."""

    def next(self, count: int) -> tuple[list[PhotoRecord], list[FileRecord]]:
        """More of them, with their files."""
        many = [self._chance.choice(FACES_OF_A_PHOTO) for _ in range(count)]
        who, vectors = self._crowd.faces(sum(many))
        pairs = iter(zip(who, vectors, strict=True))
        made = [self._photo([next(pairs) for _ in range(faces)]) for faces in many]
        return [photo for photo, _ in made], [file for _, file in made]

    def _photo(self, shown: list[tuple[int, np.ndarray]]) -> tuple[PhotoRecord, FileRecord]:
        number, self.photos = self.photos, self.photos + 1
        photo, faces = f"{number:032x}", []
        for place, (person, vector) in enumerate(shown):
            box = (0.1 + place / 5, 0.1, 0.15, 0.2)
            quality = Quality(0.9, 50, 100, 1, 2, 3, "small" if self._chance.random() < 0.1 else None)
            marks = np.full((5, 2), 0.5, np.float32)
            faces.append(FaceRecord(face_id(photo, "yunet", box), box, marks, quality, 0.7, vector))
            self.owners.append((faces[-1].face_id, int(person)))
        year = 2000 + number % 24
        taken = datetime(year, 1, 1) + timedelta(days=number // 24 % 365) if number % 10 else None
        facts = PhotoFacts(4000, 3000, "jpeg", taken)
        status = Status.OK if faces else Status.NO_FACE
        path = f"/photos/{year}/{number % 997:03d}/IMG_{number:07d}.jpg"
        file = FoundFile("local", path.encode(), path, BYTES, 10**18 + number)
        return PhotoRecord(photo, status, None, BYTES, facts, tuple(faces)), FileRecord(file, photo)


def fill(folder: Path, count: int) -> None:
    """Make up a library: what an ingest of so many photos would have written, through the same functions."""
    crowd = Crowd(count)
    shots = Shots(crowd)
    seconds = {"catalog": 0.0, "index": 0.0}
    with share(folder, "crowd") as library:
        storage = library.storage
        while (before := len(shots.owners)) < count:
            photos, files = shots.next(PHOTOS_AT_ONCE)
            began = time.perf_counter()
            change = storage.catalog.save(photos, files, run_id="made-up", detector="yunet", embedder="sface")
            saved = time.perf_counter()
            storage.follow(change)
            seconds["catalog"] += saved - began
            seconds["index"] += time.perf_counter() - saved
            if len(shots.owners) // 100_000 > before // 100_000:
                say(f"{len(shots.owners)} faces of {shots.photos} photos", f"{seconds} seconds")
        with timed("people, nine of ten faces theirs"):
            give_to_people(library, crowd.people, shots.owners)
    say("memory, GB", memory())


def give_to_people(library: LocalLibrary, people: int, owners: list[tuple[str, int]]) -> None:
    """As if somebody had named five hundred people, and grouped the faces of all."""
    chance, made = random.Random(4), {"hidden": False, "created_at": datetime.now(UTC)}
    known = [
        made | {"person_id": f"{one:032x}", "name": f"Person {one}" if one < NAMED else None} for one in range(people)
    ]
    theirs = [
        {
            "face_id": face,
            "person_id": f"{one:032x}",
            "origin": "user" if one < NAMED and chance.random() < 0.1 else "run",
        }
        for face, one in owners
        if chance.random() < 0.9
    ]
    with library.storage.catalog._engine.begin() as connection:
        insert(connection, persons, known)
        insert(connection, members, theirs)


# -- using it ----------------------------------------------------------------------------------------------------------


def spread(seconds: list[float]) -> str:
    ordered = sorted(1000 * one for one in seconds)
    return f"p50 {median(ordered):.0f}, p95 {ordered[int(len(ordered) * 0.95)]:.0f}, most {ordered[-1]:.0f} ms"


def took(what: str, ask: Callable[[int], Any], times: int = 9) -> None:
    """Say how long a question takes that is asked again and again, alone."""
    ask(0)
    own, seconds = time.process_time(), []
    for turn in range(times):
        began = time.perf_counter()
        ask(turn + 1)
        seconds.append(time.perf_counter() - began)
    say(what, f"{spread(seconds)}, {1000 * (time.process_time() - own) / times:.0f} ms of own CPU")


def use(folder: Path) -> None:
    """Searches by one and by fifty at once, pages, clustering."""
    with timed("open"):
        library = share(folder, "crowd")
    stats = library.stats()
    say("holds", {name: stats[name] for name in ("photos", "faces", "people") if name in stats})
    chance = random.Random(2)
    with library.storage.catalog._engine.connect() as connection:
        some = sa.text("SELECT face_id FROM faces TABLESAMPLE BERNOULLI (2)")
        probes = chance.choices(list(connection.scalars(some)), k=1000)
    filters: list[tuple[str, dict[str, Any]]] = [
        ("no filter", {}),
        ("folder, a 24th", {"folder": "/photos/2003"}),
        ("folder, a 24000th", {"folder": "/photos/2003/003"}),
        ("dates, a year", {"after": "2007-01-01", "before": "2008-01-01"}),
        ("also poor faces", {"include_poor": True}),
    ]

    def search(turn: int, more: dict[str, Any]) -> float:
        began = time.perf_counter()
        library.search(probes[turn % len(probes)], **more)
        return time.perf_counter() - began

    for name, more in filters:
        took(f"search alone, {name}", lambda turn, more=more: search(turn, more), 40)
    for at_once in (10, 50):
        with ThreadPoolExecutor(at_once) as pool, timed(f"1000 searches with all filters, {at_once} at once"):
            jobs = [pool.submit(search, turn, filters[turn % len(filters)][1]) for turn in range(1000)]
            seconds = [job.result() for job in jobs]
        say(f"a search among {at_once} at once", spread(seconds))
    say("memory, GB", memory())
    page = library.photo_page
    took("page, first", lambda _: page(limit=60))
    took("page, far in", lambda turn: page(limit=60, offset=sum(stats["photos"].values()) // 2 + turn))
    took("page, folder", lambda turn: page(limit=60, folder=f"/photos/{2001 + turn}"))
    took("page, person on many photos", lambda _: page(limit=60, person=f"{0:032x}"))
    took("page, person on some photos", lambda turn: page(limit=60, person=f"{300 + turn:032x}"))
    took("page, faces", lambda _: library.storage.catalog.pages.faces(0, 60, include_poor=False))
    took("people, first page", lambda _: library.people.page(), 3)
    took("stats", lambda _: library.stats(), 3)
    with timed("all faces read into memory"):
        library.storage.faces.arrays()
    say("memory, GB", memory())
    library.close()


def cluster(count: int) -> None:
    """Grouping made-up faces, without a library."""
    _, vectors = Crowd(count).faces(count)
    with timed(f"clustering of {count}"):
        labels = fk.cluster(vectors)
    say("people", len(set(labels[labels >= 0].tolist())))
    say("memory, GB", memory())


# -- real photos through workers ---------------------------------------------------------------------------------------


def make_photos(folder: Path, count: int) -> Path:
    """Photos that all differ: those of the test data, mirrored, cut, lighter or darker, as JPEGs."""
    from PIL import Image, ImageEnhance, ImageOps

    found = sorted((Path(os.environ["FACEKIT_TEST_DATA"]) / "lfw").glob("*/*.jpg"))
    made = folder / f"photos-{count}"
    chance = random.Random(3)
    for number in range(count):
        target = made / f"{number // 500:02d}" / f"{number:05d}.jpg"
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(found[number % len(found)]) as opened:
            cut = chance.randint(1, 12)
            picture = ImageOps.crop(opened.convert("RGB"), cut)
        if chance.random() < 0.5:
            picture = ImageOps.mirror(picture)
        ImageEnhance.Brightness(picture).enhance(chance.uniform(0.8, 1.2)).save(target, quality=90)
    return made


def photos(folder: Path, count: int) -> None:
    """Photos through one worker and through two, each with a core of its own."""
    for workers, some in ((1, count // 5), (2, count // 5), (2, count)):
        made = make_photos(folder, some)
        name = f"photos_{workers}_{some}_{int(time.time())}"
        with share(folder, name, broker=os.environ["FACEKIT_TEST_REDIS"]) as library:
            read_by(workers, library, made)
            assert sum(library.stats()["photos"].values()) == some
            assert set(library.storage.index.rows()) == set(library.embeddings(include_poor=True)[0])


def read_by(workers: int, library: LocalLibrary, made: Path) -> None:
    """Have them read a folder, and say how fast they are between the first and the last photo."""
    command = [sys.executable, "-m", "facekit", "--library", str(library.folder)]
    subprocess.run([*command, "ingest", str(made), "--background"], check=True, stdout=subprocess.DEVNULL)
    began, most, marks = time.perf_counter(), dict[str, float](), list[tuple[float, int]]()
    running = [
        subprocess.Popen(["taskset", "-c", str(core), *command, "worker", "--once"], stdout=subprocess.DEVNULL)
        for core in range(workers)
    ]
    while any(process.poll() is None for process in running):
        time.sleep(2)
        (job,) = library.storage.catalog.work.all()
        marks.append((time.perf_counter() - began, job.done))
        now = memory(*(process.pid for process in running))
        most = {one: max(now.get(one, 0), most.get(one, 0)) for one in {*now, *most}}
    (job,) = library.storage.catalog.work.all()
    say(f"{workers} workers with a core each", f"{marks[-1][0]:.0f} s with start and end; {job.report}")
    inner = [mark for mark in marks if 0 < mark[1] < job.done]
    rate = (inner[-1][1] - inner[0][1]) / (inner[-1][0] - inner[0][0]) if len(inner) > 1 else 0
    say("photos a second between start and end", f"{rate:.1f}")
    say("memory at most, GB", most)


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    if what == "servers":
        servers()
    elif what == "use":
        use(folder)
    elif what == "cluster":
        cluster(int(sys.argv[3]))
    else:
        {"fill": fill, "photos": photos}[what](folder, int(sys.argv[3]))


if __name__ == "__main__":
    main()
