"""Files that a user names: written whole or not at all, and one line says why not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from family import faces

import facekit as fk
from facekit.people.folders import _numbered
from facekit.system.files import atomic_file, named_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from facekit.library.base import Library
    from facekit.library.local import LocalLibrary


def writers(library: Library, probe: Path) -> dict[str, Callable[[Path], object]]:
    """Everything that writes a file which the user names."""
    hits = library.search(probe)
    return {
        "csv": lambda path: library.export("photos", path.with_name(path.name + ".csv")),
        "npz": lambda path: library.export("embeddings", path.with_name(path.name + ".npz")),
        "html": hits.save_html,
        "links": library.people.links,
    }


@pytest.fixture
def named(grouped_library: LocalLibrary) -> LocalLibrary:
    for number, person in enumerate(list(grouped_library.people)):
        grouped_library.people.name(person, f"Person {number}")
    return grouped_library


@pytest.mark.parametrize("kind", ["csv", "npz", "html", "links"])
def test_what_can_not_be_written_says_so_in_one_line(named: LocalLibrary, kind: str, tmp_path: Path) -> None:
    write = writers(named, Path(named.photos()["path"][0]))[kind]
    (tmp_path / "file").write_text("a file")
    for place in (tmp_path / "file" / "out", tmp_path / ("n" * 300), Path("/proc/nothing/out")):
        with pytest.raises(fk.FacekitError) as caught:
            write(place)
        assert type(caught.value) is fk.FacekitError
        assert caught.value.remedy
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) <= 500
    assert (tmp_path / "file").read_text() == "a file"
    write(tmp_path / "a new folder" / "below" / "out")
    assert len(list((tmp_path / "a new folder" / "below").iterdir())) == 1  # nothing unfinished beside it


def test_a_folder_in_the_place_of_the_file_is_named(named: LocalLibrary, tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(fk.FacekitError, match=r"x.csv can't be written: Is a directory. Name a file in it"):
        named.export("faces", tmp_path / "x.csv")


def _cut_off(file: IO[bytes]) -> None:
    file.write(b"half")
    raise KeyboardInterrupt


def test_a_file_is_whole_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"before")
    real.chmod(0o640)
    link.symlink_to(real)
    with pytest.raises(KeyboardInterrupt), atomic_file(link) as file:
        _cut_off(file)
    assert real.read_bytes() == b"before"
    with named_file(link) as file:
        file.write(b"after")
    assert (real.read_bytes(), link.is_symlink(), real.stat().st_mode & 0o777) == (b"after", True, 0o640)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "real"]


def test_a_full_disk_is_told_with_its_remedy() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(fk.FacekitError, match=r"No space left.*Make room"), named_file("/dev/full") as file:
        file.write(b"x" * 100_000)


@pytest.mark.parametrize("copy", [False, True])
def test_links_of_the_longest_names_get_a_number(ordinary_photos: Path, tmp_path: Path, copy: bool) -> None:  # noqa: FBT001
    long = "я" * 125 + ".jpg"  # 254 bytes
    for folder, name in (("one", "img20.jpg"), ("two", "img21.jpg")):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        shutil.copy(ordinary_photos / name, tmp_path / "photos" / folder / long)
    with fk.open(tmp_path / "faces") as library:
        library.ingest(tmp_path / "photos", progress=False)
        library.people.cluster()
        library.people.name(library.people[0], "Ann")
        assert library.people.links(tmp_path / "out", copy=copy) == 2
        assert library.people.links(tmp_path / "out", copy=copy) == 0
    made = sorted(one.name for one in (tmp_path / "out" / "Ann").iterdir())
    assert made[0] == "я" * 123 + " (2).jpg"
    assert made[1] == long


def test_a_numbered_name_is_short_enough_whatever_the_ending() -> None:
    for name in ("a" * 255, "." + "я" * 127, "a." + "b" * 253, "я" * 125 + ".jpeg"):
        short = os.fsencode(_numbered(Path(name), 12))
        assert len(short) <= 255
        assert b" (12)" in short
        short.decode()


def test_one_photo_that_can_not_be_copied_is_told_and_the_rest_is_done(
    named: LocalLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = faces(named, "lagos1.jpg")
    assert gone
    real = shutil.copy2

    def copy2(source: Path, target: Path) -> object:
        if source.name == "lagos1.jpg":
            raise PermissionError(13, "Permission denied")
        return real(source, target)

    monkeypatch.setattr(shutil, "copy2", copy2)
    said: list[str] = []
    from loguru import logger

    sink = logger.add(lambda text: said.append(f"{text} {text.record['extra'].get('console')}"), level="WARNING")
    made = named.people.links(tmp_path / "out", copy=True)
    logger.remove(sink)
    assert made > 5
    assert not list((tmp_path / "out").rglob("lagos1.jpg"))
    assert "PermissionError" in said[0]
    assert "lagos1.jpg: Permission denied" in said[0]  # on the console; the log names no file
