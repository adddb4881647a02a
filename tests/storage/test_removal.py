"""Forgetting photos: one or many, however they are named, all of them or none, and in one step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service import remote, served
from typer.testing import CliRunner

import facekit as fk
from facekit.catalog.records import FileState
from facekit.cli.main import app
from facekit.errors import FacekitError, UnknownIdError
from facekit.index import MilvusIndex
from facekit.sources import LocalSource
from facekit.storage.removal import KnownFiles
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from facekit.library.base import Library


@pytest.fixture
def rewrites(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written anew."""
    done: list[str] = []
    compact = MilvusIndex.compact
    monkeypatch.setattr(MilvusIndex, "compact", lambda self: [done.append("index"), compact(self)])
    return done


def paths(library: Library) -> list[str]:
    return list(library.photos()["path"])


NAMED: dict[str, Callable[[Library, list[str]], Any]] = {
    "a path": lambda _, some: some[0],
    "bytes": lambda _, some: os.fsencode(some[0]),
    "a list of paths": lambda _, some: [*some, Path(some[0])],
    "a generator": lambda _, some: (Path(one) for one in some),
    "a column": lambda library, some: library.photos()["path"][: len(some)],
    "ids": lambda library, some: list(library.photos()["photo_id"][: len(some)]),
    "photos": lambda library, some: library.photo_page(limit=len(some)).photos,
    "all sorts": lambda library, some: [some[0], *library.photo_page(limit=len(some)).photos, Path(some[1])],
}


@pytest.mark.parametrize("how", NAMED)
def test_photos_are_removed_in_one_step_however_they_are_named(
    demo_library: Library, rewrites: list[str], how: str
) -> None:
    before = paths(demo_library)
    some = before[:3]
    alone = how in {"a path", "bytes"}
    assert demo_library.remove(NAMED[how](demo_library, some)) == (1 if alone else 3)
    assert paths(demo_library) == before[1 if alone else 3 :]
    assert rewrites == ["index"]
    assert all(Path(one).exists() for one in some)


def test_hits_are_removed_and_an_empty_list_costs_nothing(
    demo_library: Library, astronaut: Path, rewrites: list[str]
) -> None:
    assert demo_library.remove([]) == 0
    assert rewrites == []
    hits = demo_library.search(astronaut)
    assert len(hits) > 1
    first = hits[0].photo
    assert demo_library.remove(hits[0]) == 1
    assert first not in paths(demo_library)
    assert demo_library.remove(demo_library.search(astronaut)) == len(hits) - 1
    assert len(demo_library.search(astronaut)) == 0


def test_an_id_means_every_file_that_holds_the_photo(astronaut: Path, grace_hopper: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        shutil.copy(astronaut, tmp_path / place)
    shutil.copy(grace_hopper, tmp_path / "b")
    with fk.open(tmp_path / "faces") as library:
        library.ingest(tmp_path / "a", tmp_path / "b", progress=False)
        assert library.remove(library.search(astronaut)[0].photo_id) == 2
        assert paths(library) == [str(tmp_path / "b" / grace_hopper.name)]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("/nowhere/a.jpg", FacekitError),
        ("0" * 32, UnknownIdError),
        ("", FacekitError),
        (3, FacekitError),
        ("n\0l", FacekitError),
    ],
)
def test_all_that_is_named_is_removed_or_nothing(demo_library: Library, wrong: Any, error: type[Exception]) -> None:
    before = paths(demo_library)
    with pytest.raises(error) as caught:
        demo_library.remove([before[0], wrong])
    assert caught.value.remedy
    assert paths(demo_library) == before


def test_many_are_removed_over_the_service(demo_folder: Path, astronaut: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo_folder, tmp_path / "faces")
    with remote(folder) as library:
        before = paths(library)
        with pytest.raises(FacekitError):
            library.remove([before[0], "/nowhere"])
        with pytest.raises(UnknownIdError):
            library.remove([before[0], "0" * 32])
        assert paths(library) == before
        assert library.remove([]) == 0
        assert library.remove([*before[:2], library.photo_page(limit=3).photos[2]]) == 3
        assert paths(library) == before[3:]
        hits = library.search(astronaut)
        assert hits
        assert library.remove(hits) == len(hits)
    with served(folder) as client:
        assert client.post("/api/v1/photos/remove", json={}).json()["detail"]["message"] == "The request lacks path."


def facekit(library: Path, *arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["--library", str(library), "remove", *arguments], input=answer)


def test_the_command_line_asks_before_it_removes(demo_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo_folder, tmp_path / "faces")
    with fk.open(folder) as library:
        before = paths(library)
        album = os.path.commonpath(before)
        photo_id = library.photos()["photo_id"][0]
    refused = facekit(folder, album, before[0], answer="n\n")
    assert f"Forget {len(before) + 1} photos with their faces?" in refused.stderr
    assert isinstance(refused.exception, FacekitError)
    assert "Nothing was removed" in str(facekit(folder, album).exception)  # nobody is there to answer
    with fk.open(folder) as library:
        assert paths(library) == before
    done = facekit(folder, photo_id, before[1], "--json", answer="y\n")
    assert (done.exit_code, done.stdout) == (0, '{\n  "paths": 2\n}\n')
    done = facekit(folder, before[2], "--yes")
    assert (done.exit_code, "1 path is forgotten" in done.stdout, done.stderr) == (0, True, "")
    assert isinstance(facekit(folder, "/nowhere", "--yes").exception, FacekitError)
    with fk.open(folder) as library:
        assert paths(library) == before[3:]
    assert all(Path(one).exists() for one in before)


_NAMES = st.lists(st.sampled_from(["a", "b", "ab", "a.b", "a-b", "é", "e\u0301"]), min_size=1, max_size=4)


@given(st.lists(_NAMES.map(lambda parts: os.fsencode("/no-such-folder/" + "/".join(parts)))), _NAMES)
def test_files_are_found_by_folder_as_one_by_one(known: list[bytes], asked: list[str]) -> None:
    source = LocalSource("/no-such-folder/" + "/".join(asked), must_exist=False)
    states = {path: FileState("0" * 32, 1, 1, Status.OK, missing=False) for path in known}
    exactly = sorted(path for path in states if source.holds(path))
    found = KnownFiles((path, path) for path in states).at(source)
    assert sorted(found) == exactly or (not exactly and not source.path.isascii())
