"""Several processes write into one catalog on a server at the same time: nobody fails, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from facekit.catalog import Catalog
from facekit.catalog.rows import FaceRow, FileRow, PhotoRow

PROGRAM = Path(__file__).parents[1] / "writers.py"
ROUNDS = 8


def test_two_processes_write_at_once(postgres_url: str, postgres_schema: str) -> None:
    command = [sys.executable, PROGRAM, postgres_url, postgres_schema]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, name, str(ROUNDS)], **pipes) for name in ("ann", "ben")]
    for process in running:  # each has made the tables, or found them
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate()[1].strip() for process in running] == ["", ""]
    assert [process.returncode for process in running] == [0, 0]

    catalog = Catalog(postgres_url, schema=postgres_schema)
    own = {f"{name}{number}" for name in ("ann", "ben") for number in range(ROUNDS)}
    assert {row.photo_id for row in catalog.rows(PhotoRow)} == own
    assert {row.photo_id for row in catalog.rows(FileRow)} == own
    assert {row.photo_id for row in catalog.rows(FaceRow)} == own
    entries = catalog.people.entries(1000)
    assert [entry.number for entry in entries] == list(range(2 * ROUNDS, 0, -1))
    assert {entry.words for entry in entries} == own
    assert {person.name: person.faces for person in catalog.people.all().values()} == dict.fromkeys(own, 1)
    catalog.close()
