"""Photos from connected places: chosen by source and album, with links to their pages, in every door."""

from __future__ import annotations

import csv
import json
import shutil
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from connected import BOTH, HOPPER, ONLY_THERE, PORTRAIT, ROCKET, SELFIE, SUMMER, connect
from fake_vk import FakeVk, VkPhoto
from PIL import Image
from service import remote, served, sign_in
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.errors import RefusedError
from facekit.sources.links import safe_link, source_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.demo.photos import DemoPhotos
    from facekit.library.base import Library
    from facekit.library.local import LocalLibrary


@pytest.fixture
def library(demo_copy: Path) -> Iterator[LocalLibrary]:
    with fk.open(demo_copy) as library:
        connect(library)
        yield library


@pytest.fixture(scope="module")
def folder(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that all tests read, and none changes."""
    copied = shutil.copytree(demo_folder, tmp_path_factory.mktemp("connected") / "faces")
    with fk.open(copied) as library:
        connect(library)
    return copied


CHOSEN: list[tuple[dict[str, str], set[Any]]] = [
    ({"source": "vk-anna"}, {BOTH, SELFIE}),
    ({"source": "vk-boris"}, {PORTRAIT}),
    ({"source": "vk"}, {BOTH, SELFIE, PORTRAIT}),
    ({"source": "dropbox"}, {HOPPER, ROCKET}),
    ({"album": SUMMER}, {BOTH, PORTRAIT}),
    ({"album": SUMMER, "source": "vk"}, {BOTH, PORTRAIT}),
    ({"album": SUMMER, "source": "vk-boris"}, {PORTRAIT}),
    ({"album": "2020/Море"}, {SELFIE}),
    ({"album": "2020"}, {SELFIE}),
    ({"album": "Море"}, {SELFIE}),
    ({"album": "Family"}, {HOPPER}),
    ({"album": "Trips 👩‍🚀"}, {HOPPER}),
    ({"folder": "vk-anna:/2020"}, {SELFIE}),
    ({"folder": "vk-anna:/2020", "album": "Море"}, {SELFIE}),
    ({"folder": "vk-anna:/", "source": "vk"}, {BOTH, SELFIE}),
]


def check_choices(library: Library, probe: Path, choices: list[tuple[dict[str, str], set[Any]]] = CHOSEN) -> None:
    whole = {hit.photo_id for hit in library.search(probe, top_k=100, min_similarity=-1)}
    for asked, wanted in choices:
        paths = sorted(one.path for one in wanted)
        page = library.photo_page(**asked)  # type: ignore[arg-type]
        assert [photo.path for photo in page.photos] == paths, asked
        assert page.total == len(paths)
        first = {photo.photo_id: photo for photo in page.photos}
        for photo in first.values():
            (place,) = [one for one in wanted if one.path == photo.path]
            assert (photo.source, photo.album, photo.link) == (place.source, place.album or None, place.link)
        hits = library.search(probe, top_k=100, min_similarity=-1, **asked)  # type: ignore[arg-type]
        assert {hit.photo_id for hit in hits} == first.keys() & whole, asked
        for hit in hits:
            shown = first[hit.photo_id]
            assert (hit.photo, hit.source, hit.album, hit.link) == (shown.path, shown.source, shown.album, shown.link)
            assert hit.source_kind == shown.places[0].kind
        if "folder" not in asked:
            frame = library.photos(**asked)  # type: ignore[arg-type]
            assert frame["path"].tolist() == paths, asked
            links = dict(zip(frame["photo_id"], frame["link"], strict=True))
            assert {key: link for key, link in links.items() if isinstance(link, str)} == {
                key: photo.link for key, photo in first.items() if photo.link
            }


def test_photos_are_chosen_by_source_kind_album_and_part_of_it(library: LocalLibrary, demo_photos: DemoPhotos) -> None:
    check_choices(library, demo_photos.probe)
    elsewhere = library.photo_page(source="local", limit=200)
    assert not {photo.path.rpartition("/")[2] for photo in elsewhere.photos} & {one.photo for one in ONLY_THERE}
    assert {photo.link for photo in elsewhere.photos} == {None}


def test_a_service_and_its_client_choose_alike(folder: Path, demo_photos: DemoPhotos) -> None:
    with remote(folder) as library:
        check_choices(library, demo_photos.probe, CHOSEN[2::6])
        check_refusals(library, demo_photos.probe)
        (portrait,) = library.photo_page(source="vk-boris").photos
        assert library.photo(portrait.photo_id).places == portrait.places


def test_one_photo_in_several_sources_is_one_photo_with_several_places(library: LocalLibrary) -> None:
    (listed,) = library.photo_page(source="vk-boris").photos
    photo = library.photo(listed.photo_id)
    assert photo.paths == tuple(place.path for place in photo.places)
    links = {place.source: (place.kind, place.album, place.link) for place in photo.places}
    assert links == {"vk-boris": ("vk", PORTRAIT.album, PORTRAIT.link), "local": (None, None, None)}
    assert photo.copies == 2
    (row,) = library.photos(source="vk-boris").to_dict("records")
    assert (row["paths"], row["album"], row["link"]) == ([PORTRAIT.path], SUMMER, PORTRAIT.link)


def check_refusals(library: Library, probe: Path) -> None:
    for verb in (library.photos, library.photo_page, lambda **asked: library.search(probe, **asked)):
        with pytest.raises(RefusedError, match="no source 'vk-ann'") as caught:
            verb(source="vk-ann")
        assert {"local", "vk-anna", "vk-boris", "dropbox"} <= set(caught.value.remedy[:-1].replace(",", "").split())
        with pytest.raises(RefusedError, match="no album 'Зима' in dropbox") as caught:
            verb(album="Зима", source="dropbox")
        assert "Family/Trips 👩‍🚀" in caught.value.remedy
        assert SUMMER not in caught.value.remedy
        for nothing in ("", " ", "/", "a\0b"):
            with pytest.raises(RefusedError):
                verb(album=nothing)
            with pytest.raises(RefusedError):
                verb(source=nothing)
    with pytest.raises(fk.FacekitError, match="holds no photo"):
        library.photo_page(album="Море", folder="dropbox:/Family")


def test_what_there_is_not_is_refused_with_what_there_is(library: LocalLibrary, demo_photos: DemoPhotos) -> None:
    check_refusals(library, demo_photos.probe)
    library.storage.catalog.sources.remove("vk-anna")  # its photos stay
    assert library.photo_page(source="vk-anna").total == 2
    assert library.photo_page(source="vk").total == 1
    assert library.photo_page(album="Море").total == 1
    library.storage.catalog.sources.remove("vk-boris")
    with pytest.raises(RefusedError, match="no source 'vk'"):
        library.photo_page(source="vk")


def test_tables_name_album_and_link(folder: Path, demo_photos: DemoPhotos, tmp_path: Path) -> None:
    with fk.open(folder) as library:
        wanted = {(one.path, one.album, one.link) for one in (BOTH, SELFIE)}
        for ending, read in ((".csv", pd.read_csv), (".json", pd.read_json), (".parquet", pd.read_parquet)):
            frame = read(library.export("photos", tmp_path / f"photos{ending}", source="vk-anna"))
            assert set(frame[["path", "album", "link"]].itertuples(index=False, name=None)) == wanted
        with pytest.raises(RefusedError, match="faces can't be chosen"):
            library.export("faces", tmp_path / "faces.csv", album=SUMMER)
        hits = library.search(demo_photos.probe, album=SUMMER)
        assert set(hits.to_frame()["link"]) == {BOTH.link, PORTRAIT.link}
        assert {(one["album"], one["link"]) for one in hits.to_dict()["hits"]} == {
            (SUMMER, BOTH.link),
            (SUMMER, PORTRAIT.link),
        }


def test_hits_link_to_their_pages_and_nowhere_else(folder: Path, demo_photos: DemoPhotos, tmp_path: Path) -> None:
    with fk.open(folder) as library:
        hits = library.search(demo_photos.probe, album=SUMMER)
        for html in (hits._repr_html_(), hits.save_html(tmp_path / "hits.html").read_text(encoding="utf-8")):
            for one in (BOTH, PORTRAIT):
                words = source_words(one.source, "vk", one.album)
                assert f'<a href="{one.link}" target="_blank" rel="noopener noreferrer">{words}</a>' in html
        (rocket,) = library.photo_page(folder="dropbox:/", status="no_face").photos
        assert rocket.path == ROCKET.path
        assert safe_link(rocket.link) is None


def test_what_a_sync_brings_is_chosen_by_album_and_links_to_its_page(
    tmp_path: Path, astronaut: Path, grace_hopper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eileen, grace = (BytesIO() for _ in range(2))
    for picture, file in ((astronaut, eileen), (grace_hopper, grace)):
        Image.open(picture).convert("RGB").save(file, "JPEG")
    albums = [("77_1", eileen, "Лето 2019"), ("77_2", grace, "Работа/офис")]
    at_vk = [VkPhoto(key, f"{key}.jpg", file.getvalue(), album) for key, file, album in albums]
    own = tmp_path / "photos" / "eileen.jpg"
    own.parent.mkdir()
    own.write_bytes(eileen.getvalue())
    with FakeVk(at_vk) as fake, fk.open(tmp_path / "faces") as library:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        library.ingest(own.parent, progress=False)
        token = fake.token()
        library.sources.add("vk", name="vk-anna", settings=fake.settings(), token=token and token.access)
        library.sources.sync("vk-anna", progress=False)
        (hit,) = library.search(astronaut, album="Лето 2019")
        assert (hit.source, hit.source_kind, hit.link, hit.copies) == (
            *("vk-anna", "vk", "https://vk.com/photo77_1", 2),
        )
        assert {place.path for place in library.photo(hit.photo_id).places} == {str(own), hit.photo}
        assert f'href="{hit.link}"' in library.search(astronaut, source="vk")._repr_html_()
        assert "VK · Лето 2019" in library.search(astronaut, source="vk")._repr_html_()
        assert [one.photo for one in library.search(astronaut, source="local")] == [str(own)]
        (office,) = library.photo_page(source="vk", album=library.photos(source="vk-anna")["album"].max()).photos
        assert office.link == "https://vk.com/photo77_2"  # an album whose name has a slash is one album


@pytest.mark.parametrize(
    ("link", "opened"),
    [
        ("https://disk.yandex.ru/d/x?y=1", True),
        ("http://vk.com/photo1_2", False),
        ("http://127.0.0.1:8123/photo", True),
        ("http://127.0.0.1:8124/photo", False),
        ("https://user:secret@vk.com/", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://", False),
        ("https://a:b/", False),
        ("https://vk.com/\nx", False),
        ("//vk.com/", False),
        ("", False),
        (None, False),
    ],
)
def test_only_pages_over_https_or_of_a_named_service_are_linked(
    link: str | None,
    opened: bool,  # noqa: FBT001 - pytest gives it by its name
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACEKIT_VK_API", "http://127.0.0.1:8123/method")
    monkeypatch.setenv("FACEKIT_DROPBOX_API", "http://[broken")
    assert safe_link(link) == (link if opened else None)


def test_a_viewer_of_a_service_sees_albums_and_chooses_by_them(folder: Path) -> None:
    with served(folder, accounts=True) as client:
        who = sign_in(client, "vi")
        folders = client.get("/api/v1/folders", headers=who).json()
        assert {one["folder"]: one["kind"] for one in folders if one["kind"]} == {
            "vk-anna:/": "vk",
            f"vk-anna:/{SUMMER}/": "vk",
            "vk-anna:/2020/": "vk",
            "vk-anna:/2020/Море/": "vk",
            f"vk-boris:/{SUMMER}/": "vk",
            "dropbox:/": "dropbox",
            "dropbox:/Family/": "dropbox",
            "dropbox:/Family/Trips 👩‍🚀/": "dropbox",
        }
        page = client.get("/api/v1/photos", params={"folder": f"vk-anna:/{SUMMER}/"}, headers=who).json()
        assert [(one["path"], one["link"]) for one in page["photos"]] == [(BOTH.path, BOTH.link)]
        page = client.get("/api/v1/photos", params={"source": "vk-boris"}, headers=who).json()
        places = [place["path"] for place in page["photos"][0]["places"]]
        assert places == [PORTRAIT.path, "photos/portrait.png"]  # where it lies on the machine is not for everybody


def test_the_command_line_chooses_by_source_and_album(folder: Path, demo_photos: DemoPhotos, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["--library", str(folder), *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    rows = json.loads(run("photos", "--album", SUMMER, "--json"))
    assert [(row["path"], row["source"], row["link"]) for row in rows] == [
        (one.path, one.source, one.link) for one in (BOTH, PORTRAIT)
    ]
    assert "vk-boris" in run("photos", "--source", "vk-boris")
    found = json.loads(run("search", str(demo_photos.probe), "--source", "vk", "--album", SUMMER, "--json"))
    assert {hit["link"] for hit in found["hits"]} == {BOTH.link, PORTRAIT.link}
    run("export", "photos", "--source", "dropbox", "-o", str(tmp_path / "some.csv"))
    with (tmp_path / "some.csv").open(encoding="utf-8-sig") as file:
        assert {row["path"] for row in csv.DictReader(file)} == {HOPPER.path, ROCKET.path}
