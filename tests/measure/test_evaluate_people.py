"""Measuring the methods of clustering, from the command line and in Python, on a small part of LFW."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.measure import clusterings as evaluate_people
from facekit.measure import crowd

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def some_of_lfw(lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 people with three photos, 12 with one."""
    folder = tmp_path_factory.mktemp("some-of-lfw")
    for shown in (3, 1):
        people = (person for person in sorted(lfw.iterdir()) if len(list(person.glob("*.jpg"))) == shown)
        for person in islice(people, 12):
            (folder / person.name).symlink_to(person)
    return folder


def test_the_command_measures_every_method_and_made_up_crowds(
    some_of_lfw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "FEWEST_FACES", 30)
    monkeypatch.setattr(evaluate_people, "SIZES", ())
    monkeypatch.setattr(evaluate_people, "STEPS", evaluate_people.STEPS[::8])
    asked = ["evaluate", "clusters", str(some_of_lfw), "--faces", "200", "--json"]
    document = json.loads(CliRunner().invoke(app, asked).stdout)
    assert [row["method"] for row in document["everybody"]] == ["average", "dbscan", "hdbscan", "kmeans"]
    assert {row["faces"] for row in document["everybody"]} == {48}
    assert {(row["faces"], row["people"]) for row in document["several"]} == {(36, 12)}
    for row in document["everybody"][:3]:
        assert row["best_f"] >= row["bcubed_f"] > 0.95
        assert row["labelled_f"] > 0.95
    assert [row["faces"] for row in document["crowds"]] == [200] * 3
    assert all(row["peak_mb"] > 0 and 0 < row["bcubed_f"] <= 1 for row in document["crowds"])


def test_the_tables_are_printed(some_of_lfw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_people, "STEPS", evaluate_people.STEPS[8:9])
    printed = repr(evaluate_people.evaluate_people(some_of_lfw, progress=False))
    assert "yunet + sface; no face in 0 photos" in printed
    assert "People with two photos or more" in printed
    assert "crowds" not in printed


def test_a_folder_in_which_nobody_has_two_photos_says_so(tmp_path: Path) -> None:
    with pytest.raises(fk.FacekitError, match=r"Nobody in .* has two photos"):
        evaluate_people.evaluate_people(tmp_path, progress=False)
