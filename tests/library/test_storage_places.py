"""Storages and exports as places of a library: the password of an address lies nowhere but with the tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_service import FakePhoto, jpeg
from fake_storage import ME, PASSWORD, FakeStorage
from fake_takeout import STAMP, part, sidecar

import facekit as fk
from facekit.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_TOKEN_KEY_FILE", str(tmp_path / "key"))


def test_password_of_an_address_lets_in_and_is_written_nowhere(tmp_path: Path) -> None:
    with FakeStorage([FakePhoto("", "a.jpg", jpeg(1), "Лето")]) as fake, fk.open(tmp_path / "library") as library:
        fake.locked = True
        address = f"http://{ME}@{fake.url.removeprefix('http://')}/photos"
        place = library.sources.add(address)
        (report,) = library.sources.sync(place.name, dry_run=True, progress=False).places
        assert (report.found, report.problem) == (1, None)
        assert [step.works for step in library.sources.check(place.name)] == [True, True, True]
        with pytest.raises(RefusedError) as raised:
            library.sources.add("storage", settings={"url": address}, name="other")
        secrets = [PASSWORD, ME]
        shown = f"{raised.value} {place!r} {library.sources.list()!r}"
        assert not [one for one in secrets if one in shown]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not [one for one in secrets if one.encode() in path.read_bytes()], path


def test_an_export_is_connected_by_its_path(tmp_path: Path) -> None:
    part(tmp_path, 1, {"Лето/a.jpg": jpeg(1), "Лето/a.jpg.suppl.json": sidecar("a.jpg")})
    part(tmp_path, 3, {"Лето/b.jpg": jpeg(2)})
    with fk.open(tmp_path / "library") as library:
        place = library.sources.add(str(tmp_path / f"{STAMP}-001.zip"))
        assert (place.name, place.kind) == ("takeout", "takeout")
        (report,) = library.sources.sync(dry_run=True, progress=False).places
        assert report.found == 2
        assert [what for what, _ in report.left_out] == [f"missing part {STAMP.lower()}-002"]
