"""People on the command line: the documents that scripts rely on, and what is said in words."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import facekit as fk
from facekit.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.demo.photos import DemoPhotos

PERSON = ["person_id", "name", "faces", "photos", "hidden", "settled", "cover"]
TOGETHER = ["album page.png", "both, mirrored.webp", "both.jpg"]  # the photos that show Eileen and Grace
ENTRY = ["number", "at", "user", "verb", "words", "undone", "faces"]


@pytest.fixture
def library(demo_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(demo_folder, tmp_path / "faces")


@dataclass
class Done:
    """How a verb ended."""

    status: int
    said: str
    errors: str


Run = Callable[..., Done]
Document = Callable[..., Any]


@pytest.fixture
def facekit(library: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process, which has the models already."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["facekit", "--library", str(library), *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def document(facekit: Run) -> Document:
    def run(*arguments: str | Path) -> Any:
        done = facekit(*arguments, "--json")
        assert done.status == 0, done.errors
        return json.loads(done.said)

    return run


def test_cluster_name_merge_split_undo_and_export(
    document: Document,
    facekit: Run,
    demo_photos: DemoPhotos,
    tmp_path: Path,
) -> None:
    """The documents that scripts rely on, with their exact keys."""
    run = document("cluster")
    assert list(run) == ["run", "method", "faces", "people", "unassigned", "conflicts", "seconds"]
    assert run["people"] >= 2
    assert run["conflicts"] == []

    everybody = document("people")
    assert [list(one) for one in everybody] == [PERSON] * len(everybody)
    first, second = everybody[:2]
    assert (first["name"], first["hidden"], first["settled"]) == (None, False, False)
    named = document("name", first["person_id"][:6], "Eileen Коллинз")
    assert list(named) == PERSON
    assert (named["person_id"], named["name"], named["settled"]) == (first["person_id"], "Eileen Коллинз", True)
    document("name", second["person_id"], "Grace")
    found = document("search", demo_photos.probe, "--person", "grace")
    assert sorted(hit["photo"].rpartition("/")[2] for hit in found["hits"]) == TOGETHER

    columns = ["face_id", "photo", "person_id", "person", "run", "similarity_to_centre"]
    for name, read in (("p.csv", pd.read_csv), ("p.json", pd.read_json), ("p.parquet", pd.read_parquet)):
        assert facekit("export", "people", "-o", tmp_path / name).status == 0
        table = read(tmp_path / name)
        assert list(table.columns) == columns
        assert set(table["run"]) == {run["run"]}
        assert table["similarity_to_centre"].between(0.3, 1).all()
    hers = list(table[table["person"] == "Grace"]["face_id"])
    assert len(hers) == second["faces"]

    twin = document("split", "Grace", *hers[:2], "--name", "Twin")
    assert (list(twin), twin["name"], twin["faces"]) == (PERSON, "Twin", 2)
    merged = document("merge", "Grace", "Twin")
    assert (list(merged), merged["person_id"], merged["faces"]) == (PERSON, second["person_id"], second["faces"])
    undone = document("undo")
    assert list(undone) == ENTRY
    assert undone["verb"] == "undo"
    assert {one["name"] for one in document("people")} >= {"Eileen Коллинз", "Grace", "Twin"}
    entries = document("undo", "--list")
    assert [list(entry) for entry in entries] == [ENTRY] * len(entries)
    assert all(datetime.fromisoformat(entry["at"]).isoformat() == entry["at"] for entry in entries)
    assert [entry["verb"] for entry in entries[:2]] == ["undo", "merge"]
    assert entries[1]["undone"]
    document("undo", str(next(entry["number"] for entry in entries if entry["verb"] == "split")))
    assert "Twin" not in {one["name"] for one in document("people")}

    again = document("cluster", "--method", "dbscan", "--eps", "0.4", "--min-faces", "3")
    assert again["method"] == "dbscan"
    kept = {one["name"]: one["person_id"] for one in document("people")}
    assert (kept["Eileen Коллинз"], kept["Grace"]) == (first["person_id"], second["person_id"])
    assert document("people", "--hidden") == []
    review = document("people", "--review")
    assert all(list(one) == ["kind", "face_id", "photo", "person_id", "candidates"] for one in review)


def test_a_proposal_waits_until_it_is_accepted(document: Document, facekit: Run) -> None:
    proposed = document("cluster", "--propose")
    assert document("people") == []
    compared = document("runs", proposed["run"][:6])
    assert list(compared) == ["first", "second", "faces", "same", "moved", "split", "joined", "agreement"]
    (run,) = document("runs")
    assert (run["run"], run["state"]) == (proposed["run"], "proposed")
    assert document("runs", proposed["run"], "--accept")["state"] == "accepted"
    assert len(document("people")) == proposed["people"]
    other = document("cluster", "--propose", "--method", "kmeans", "--people", "2")
    assert document("runs", other["run"], "--discard") == {"run": other["run"], "state": "discarded"}
    assert facekit("runs", "--accept").status == 2


def test_people_are_shown_in_words(facekit: Run) -> None:
    done = facekit("cluster")
    assert (done.status, done.errors) == (0, "")
    assert "people" in done.said
    short = next(line.split()[1] for line in facekit("people").said.splitlines() if line.startswith("│"))
    assert facekit("name", short, "[bold]Anna").said.startswith("[bold]Anna: ")
    listed = facekit("people").said
    assert "[bold]Anna" in listed
    assert "faces" in listed
    assert "[bold]Anna" in facekit("undo", "--list").said
    assert facekit("undo").status == 0
    assert "[bold]Anna" not in facekit("people").said
    assert facekit("people", "--review").status == 0
    assert "average" in facekit("runs").said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["name", "nobody", "Anna"], "nobody"),
        (["merge", "nobody", "Anna"], "nobody"),
        (["split", "nobody", "0" * 32], "nobody"),
        (["undo"], "undo"),
        (["runs", "0" * 32], "run"),
        (["cluster", "--method", "magic"], "magic"),
        (["cluster", "--method", "dbscan", "--min-faces", "257"], "Give 256 or less"),
        (["search", "{probe}", "--person", "nobody"], "nobody"),
    ],
)
def test_what_can_t_be_done_is_one_readable_line(
    facekit: Run,
    demo_photos: DemoPhotos,
    arguments: list[str],
    says: str,
) -> None:
    done = facekit(*(argument.format(probe=demo_photos.probe) for argument in arguments))
    assert (done.status, done.said) == (1, "")
    assert says in done.errors
    assert len(done.errors.strip().splitlines()) == 1


def test_a_clustering_that_is_interrupted_changes_nothing(library: Path) -> None:
    command = [sys.executable, "-m", "facekit", "--library", library, "cluster"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (library / "owner.json").exists():
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=60)
    assert (running.returncode, said) == (1, "")
    assert "Stopped" in errors
    with fk.open(library) as opened:
        assert (len(opened.people), opened.people.runs(), opened.people.journal()) == (0, (), ())
