"""The command line: shapes that scripts rely on, one JSON document on stdout, exit status 0, 1 and 2."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from ready import document, facekit

if TYPE_CHECKING:
    from facekit.demo.photos import DemoPhotos


@pytest.fixture
def library(demo_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(demo_folder, tmp_path / "faces")


def test_ingest_search_photos_and_export(tmp_path: Path, demo_photos: DemoPhotos) -> None:
    """The documents that scripts rely on, with their exact keys."""
    library = tmp_path / "L"
    broken = tmp_path / "more" / "broken 破.jpg"
    broken.parent.mkdir()
    broken.write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    report = document("--library", library, "ingest", demo_photos.folder, broken.parent, "--json")
    assert list(report) == [
        "found",
        "ingested",
        "unchanged",
        "duplicates",
        "missing",
        "faces",
        "no_face",
        "failed",
        "seconds",
        "skipped",
        "kept_out",
        "names_lost",
    ]
    assert report["found"] == report["ingested"] + report["duplicates"] + 1
    assert [list(one) for one in report["failed"]] == [["path", "status", "reason"]]
    assert report["failed"][0]["path"] == str(broken)
    assert report["failed"][0]["status"] == "corrupt"
    assert "broken 破.jpg" in report["failed"][0]["reason"]

    search = ("--library", library, "search", demo_photos.probe, "--top-k", "20", "--min-similarity", "0.3", "--json")
    found = document(*search)
    assert list(found) == ["probe", "hits"]
    assert found["probe"] == [{"path": str(demo_photos.probe), "faces": 1, "used": 0}]
    assert 0 < len(found["hits"]) <= 20
    for rank, hit in enumerate(found["hits"], 1):
        known = ["rank", "photo", "face_id", "similarity", "box", "detection_score", "source", "album", "link"]
        assert list(hit) == known
        assert hit["rank"] == rank
        assert hit["similarity"] >= 0.3
        x, y, w, h = hit["box"]
        assert 0 <= x < x + w <= 1
        assert 0 <= y < y + h <= 1
        assert Path(hit["photo"]).exists()
        assert hit["source"] == "local"

    without = document("--library", library, "photos", "--status", "no_face", "--json")
    assert len(without) == report["no_face"] > 0
    assert {tuple(one) for one in without} == {("path", "status", "reason", "faces", "source", "album", "link")}
    assert {(one["status"], one["reason"], one["faces"]) for one in without} == {("no_face", None, 0)}

    for name in ("faces.csv", "faces.parquet", "photos.json"):
        assert facekit("--library", library, "export", name.split(".")[0], "-o", tmp_path / name).returncode == 0
    columns = [
        "face_id",
        "photo",
        "x",
        "y",
        "w",
        "h",
        "detection_score",
        "quality",
        "reason",
        "detector",
        "embedder",
        "source",
    ]
    assert list(pd.read_csv(tmp_path / "faces.csv").columns) == columns
    assert len(pd.read_parquet(tmp_path / "faces.parquet")) == report["faces"]
    assert facekit("--library", library, "export", "embeddings", "-o", tmp_path / "e.npz").returncode == 0
    with np.load(tmp_path / "e.npz") as archive:
        assert archive["embedding"].shape[1] == 128

    stats = document("stats", "--json", FACEKIT_LIBRARY=str(library))
    assert stats["faces"] == report["faces"]
    assert document("--library", library, "doctor", "--json")["ok"] is True
    again = document("--library", library, "ingest", demo_photos.folder, "--json")
    assert again["unchanged"] == again["found"]


def test_models_list_fetch_and_verify() -> None:
    rows = document("models", "list", "--json")
    by_name = {row["name"]: row for row in rows}
    assert {"yunet", "sface"} <= set(by_name)
    assert all({"name", "task", "dimension", "licence", "present"} <= set(row) for row in rows)
    assert (by_name["sface"]["dimension"], by_name["sface"]["licence"]) == (128, "Apache-2.0")
    assert facekit("models", "fetch", "yunet", "sface").returncode == 0
    assert {row["state"] for row in document("models", "verify", "--json")} == {"ok"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "nobody.jpg"], "There is no library"),
        (["photos"], "There is no library"),
        (["ingest", "no-such-folder"], "no-such-folder"),
        (["evaluate", "lfw", "no-such-folder"], "no-such-folder"),
        (["models", "fetch", "nosuch"], "nosuch"),
        (["doctor", "--device", "cuda"], "cuda"),
    ],
)
def test_an_expected_failure_is_one_readable_line_and_status_1(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = facekit("--library", tmp_path / "none", *arguments)
    assert done.returncode == 1
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_search_prints_nothing_on_stdout(library: Path, astronaut: Path) -> None:
    done = facekit("--library", library, "search", astronaut.parent / "grass.png", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No face was found" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["search"], ["export", "cats", "-o", "x.csv"], ["ingest", "--bad"]]
)
def test_wrong_usage_is_status_2(tmp_path: Path, arguments: list[str]) -> None:
    assert facekit("--library", tmp_path / "none", *arguments).returncode == 2


def test_tables_for_people(library: Path, demo_photos: DemoPhotos, tmp_path: Path) -> None:
    page = tmp_path / "hits.html"
    done = facekit("--library", library, "search", demo_photos.probe, "--html", page, COLUMNS="200")
    assert done.returncode == 0
    assert "similarity" in done.stdout
    assert Path(demo_photos.expected[0]).name in done.stdout
    assert page.exists()


def test_a_locked_library_is_one_line(library: Path) -> None:
    import facekit as fk

    with fk.open(library):
        done = facekit("--library", library, "photos")
    assert done.returncode == 1
    assert str(os.getpid()) in done.stderr


def test_demo_with_its_own_photos_and_with_the_users(demo_photos: DemoPhotos, tmp_path: Path) -> None:
    cache = {"FACEKIT_LIBRARY": str(tmp_path / "demo"), "COLUMNS": "200"}
    done = facekit("demo", "--photos", demo_photos.folder, "--probe", demo_photos.probe, **cache)
    assert done.returncode == 0, done.stderr
    for name in demo_photos.expected:
        if name.isascii() and "/" not in name:
            assert name in done.stdout
    page = next(line.split(None, 2)[2] for line in done.stdout.splitlines() if line.startswith("The page:"))
    assert Path(page).exists()
    assert "facekit --library" in done.stdout
    assert facekit("demo", "--photos", demo_photos.folder).returncode == 2
