"""A process that writes into a catalog on a server, beside another one: `python writers.py URL SCHEMA NAME ROUNDS`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np

from facekit.catalog import Catalog, FaceRecord, FileRecord, PhotoRecord
from facekit.catalog.people_tables import members, persons
from facekit.catalog.records import EVERYWHERE, face_id
from facekit.types.arrays import Quality
from facekit.types.photos import FoundFile, PhotoFacts, Status

RUN = {"run_id": "r", "detector": "yunet", "embedder": "sface"}
SHARED = 3


def photo(photo_id: str) -> PhotoRecord:
    """A photo with one face."""
    box = (0.1, 0.1, 0.2, 0.3)
    quality = Quality(0.9, 50, 100, 1, 2, 3, None)
    key = face_id(photo_id, "yunet", box)
    face = FaceRecord(key, box, np.full((5, 2), 0.5, np.float32), quality, 0.7, np.eye(8, dtype=np.float32)[0])
    return PhotoRecord(photo_id, Status.OK, None, 123, PhotoFacts(40, 30, "jpeg"), (face,))


def file(path: str, photo_id: str) -> FileRecord:
    """A file that holds a photo."""
    return FileRecord(FoundFile("local", path.encode(), path, 123, 456), photo_id)


def write(catalog: Catalog, name: str, rounds: int) -> None:
    """All kinds of changes: of what only this process has, and of what the other one changes at the same time."""
    for number in range(rounds):
        own, both = f"{name}{number}", f"both{number % SHARED}"
        catalog.save([photo(own), photo(both)], [file(f"/{name}/{number}", own), file(f"/{name}/{both}", both)], **RUN)
        catalog.save([], [file(f"/{name}/again/{both}", both)], **RUN)  # it may be forgotten by now
        with catalog.people.work("new", name) as work:
            person = {"person_id": uuid4().hex, "name": own, "cover": None, "hidden": False}
            work.put(persons, [person | {"created_at": datetime.now(UTC)}])
            (face,) = photo(own).faces
            row = {"face_id": face.face_id, "person_id": person["person_id"], "origin": "user", "run_id": None}
            work.put(members, [row])
            work.words = own
        catalog.mark_missing("local", [f"/{name}/{both}".encode()], missing=True)
        # The last one to go takes the photo along, unless the other process has just brought a file of it.
        catalog.remove_files("local", [f"/{name}/{both}".encode(), f"/{name}/again/{both}".encode()])
        catalog.pages.photos(None, EVERYWHERE, 0, 60)
    catalog.finish_run(catalog.start_run([f"/{name}"], "yunet", "sface", "cpu"), {"new": rounds})


if __name__ == "__main__":
    url, schema, name, rounds = sys.argv[1:]
    opened = Catalog(url, schema=schema)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    write(opened, name, int(rounds))
    opened.close()
