"""``facekit sources``, against a service on real sockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fake_service import photos
from fake_vk import FakeVk, vk_photos
from fake_yandex import LINK, FakeYandex
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.cli.terminal import in_shell_words
from facekit.errors import FacekitError, RefusedError, SignInError
from facekit.sources.kinds import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def yandex(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeYandex]:
    with FakeYandex(photos(3, "Лето")) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        yield fake


def facekit(folder: Path, *words: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["--library", str(folder), *map(str, words)], input=typed)


def told(folder: Path, *words: object) -> Any:
    done = facekit(folder, *words, "--json")
    assert done.exception is None, done.exception
    return json.loads(done.stdout)


def test_a_place_is_connected_looked_at_synced_paused_and_removed(tmp_path: Path, yandex: FakeYandex) -> None:
    folder = tmp_path / "library"
    assert told(folder, "sources", "add", LINK, "--name", "summer")["kind"] == "yandex-disk"
    assert all(step["works"] for step in told(folder, "sources", "check", "summer"))
    dry = told(folder, "sources", "sync", "--dry-run")["places"][0]
    assert (dry["new"], dry["fetched"]) == (3, 0)
    fetched = len(yandex.downloads)  # a check's one
    assert told(folder, "sources", "sync", "summer", "--album", "Лето", "--most", "1GB")["places"][0]["ingested"] == 3
    assert len(yandex.downloads) == fetched + 3
    (place,) = told(folder, "sources", "list")
    assert (place["name"], place["photos"], place["state"]) == ("summer", 3, "ready")
    assert len(told(folder, "photos", "--source", "summer")) == 3

    assert facekit(folder, "sources", "pause", "summer").exit_code == 0
    assert told(folder, "sources", "sync")["places"] == []
    assert "summer is left out: it is paused" in facekit(folder, "sources", "sync").stderr
    refused = facekit(folder, "sources", "sync", "summer").exception
    assert isinstance(refused, RefusedError)
    assert facekit(folder, "sources", "resume", "summer").exit_code == 0
    asked = facekit(folder, "sources", "remove", "summer", typed="y\n")
    assert "3 photos are forgotten" in asked.stdout
    assert "No place is connected" in facekit(folder, "sources", "list").stdout


def test_an_address_is_ingested_like_a_folder(tmp_path: Path, yandex: FakeYandex) -> None:
    folder = tmp_path / "library"
    assert told(folder, "ingest", LINK)["ingested"] == 3
    assert told(folder, "ingest", LINK)["unchanged"] == 3
    assert told(folder, "ingest", "yandex-disk:/")["unchanged"] == 3
    (place,) = told(folder, "sources", "list")
    assert place["state"] == "ready"


def test_a_sync_that_ends_before_its_end_says_why_and_fails(tmp_path: Path, yandex: FakeYandex) -> None:
    folder = tmp_path / "library"
    told(folder, "sources", "add", LINK)
    yandex.error = (401, "UnauthorizedError")
    done = facekit(folder, "sources", "sync")
    assert done.exit_code == 1
    assert done.stdout.startswith("yandex-disk stopped early: ")
    listed = facekit(folder, "sources", "list")
    assert listed.exit_code == 0


def test_a_token_is_read_from_a_file_or_standard_input_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeVk(vk_photos(2)) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        folder, token = tmp_path / "library", fake.token().access
        owner = f"owner={fake.settings()['owner']}"
        refused = facekit(
            folder, "sources", "add", "vk", "--set", owner, "--token-file", tmp_path / "nowhere"
        ).exception
        assert isinstance(refused, FacekitError)
        assert "can't be read" in refused.message
        done = facekit(folder, "sources", "add", "vk", "--set", owner, "--token-file", "-", typed=f"{token}\n")
        assert done.exit_code == 0, done.exception
        assert told(folder, "sources", "sync")["places"][0]["ingested"] == 2
        assert token not in done.output + facekit(folder, "sources", "list").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "nonsense"), "no address that facekit knows"),
        (("add", "yandex-disk", "--set", "colour=red"), "has no setting 'colour'"),
        (("add", "yandex-disk", "--set", "colour"), "is no setting"),
        (("sync", "--every", "often"), "is no interval"),
        (("sync", "--most", "much"), "is no size"),
        (("sync", "nowhere"), "No source is called"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(
    tmp_path: Path, yandex: FakeYandex, words: tuple[str, ...], said: str
) -> None:
    told(tmp_path, "sources", "add", LINK)
    error = facekit(tmp_path, "sources", *words).exception
    assert isinstance(error, RefusedError)
    assert said in error.message
    assert error.remedy


def test_kinds_are_listed_with_the_hosts_that_are_contacted(tmp_path: Path) -> None:
    found = {one["kind"]: one for one in told(tmp_path, "sources", "kinds")}
    assert {"vk", "yandex-disk", "dropbox", "google-photos", "takeout"} <= found.keys()
    assert found["vk"]["hosts"]
    assert facekit(tmp_path, "sources", "kinds").exit_code == 0


def test_a_page_that_shows_no_photos_is_refused_and_not_taken_for_a_folder_of_a_web_server(tmp_path: Path) -> None:
    for verb in (("sources", "add"), ("ingest",)):
        error = facekit(tmp_path / "library", *verb, "https://disk.yandex.ru/a/abc").exception
        assert isinstance(error, RefusedError)
        assert "Yandex Disk" in error.message


def test_an_address_that_is_connected_is_not_connected_once_more_by_itself(tmp_path: Path, yandex: FakeYandex) -> None:
    told(tmp_path, "sources", "add", LINK, "--name", "summer")
    error = facekit(tmp_path, "sources", "add", LINK).exception
    assert isinstance(error, RefusedError)
    assert "already, as summer" in error.message
    assert told(tmp_path, "sources", "add", LINK, "--name", "again")["name"] == "again"


def test_ones_own_disk_is_not_connected_without_a_token(tmp_path: Path, yandex: FakeYandex) -> None:
    error = facekit(tmp_path, "sources", "add", "yandex-disk", "--set", "path=/Photos").exception
    assert isinstance(error, SignInError)
    assert not told(tmp_path, "sources", "list")


def test_a_list_says_each_problem_in_a_line_that_a_narrow_terminal_does_not_break(
    tmp_path: Path, yandex: FakeYandex
) -> None:
    told(tmp_path, "sources", "add", LINK, "--name", "лето")
    yandex.error = (401, "UnauthorizedError")
    facekit(tmp_path, "sources", "sync")
    (place,) = told(tmp_path, "sources", "list")
    lines = facekit(tmp_path, "sources", "list").stdout.splitlines()
    assert any(line.startswith(f"лето: {place['problem']}") for line in lines)


def test_kinds_say_what_each_setting_is_for(tmp_path: Path) -> None:
    said = facekit(tmp_path, "sources", "kinds").stdout
    for kind in kinds().values():
        for setting in kind.settings.items():
            assert "--set {}=...  {}".format(*setting) in said


def test_an_album_that_is_not_there_leaves_all_out_and_says_so(tmp_path: Path, yandex: FakeYandex) -> None:
    told(tmp_path, "sources", "add", LINK)
    (done,) = told(tmp_path, "sources", "sync", "--dry-run", "--album", "Зима")["places"]
    assert done["found"] == 0
    assert done["left_out"] == {"outside what was asked for": 3}


def test_steps_of_a_check_show_themselves_line_by_line(tmp_path: Path, yandex: FakeYandex) -> None:
    with fk.open(tmp_path) as lib:
        lib.sources.add(LINK)
        yandex.photos["0"].name = "<b>.jpg"
        steps = lib.sources.check("yandex-disk")
    assert [line[:5] for line in repr(steps).splitlines()] == ["ok   "] * len(steps)
    assert "<b>" not in steps._repr_html_()
    assert steps.works


def test_who_has_no_terminal_is_told_to_give_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEKIT_VK_CLIENT_ID", "1")
    monkeypatch.setenv("FACEKIT_REDIRECT", "https://example.org/")
    error = facekit(tmp_path, "sources", "add", "vk", "--set", "owner=1").exception
    assert isinstance(error, SignInError)
    assert "nobody is there" in error.message
    assert "--token-file" in in_shell_words(error.remedy)
