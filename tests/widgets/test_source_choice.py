"""Photos from connected places on the screen: chosen by source and album, and linked to their pages."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from browser import overflow, until, violations
from connected import BOTH, HOPPER, ONLY_THERE, PORTRAIT, ROCKET, SELFIE, SUMMER, connect

import facekit as fk
from facekit.sources.links import source_words
from facekit.widgets.gallery import Gallery
from facekit.widgets.panels import BrowsePanel
from facekit.widgets.searchform import SearchForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from facekit.demo.photos import DemoPhotos
    from facekit.library.local import LocalLibrary


@pytest.fixture(scope="module")
def library(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalLibrary]:
    """One that all tests read."""
    with fk.open(shutil.copytree(demo_folder, tmp_path_factory.mktemp("connected") / "faces")) as library:
        connect(library)
        yield library


def test_the_gallery_is_narrowed_by_source_and_album(library: LocalLibrary, show: Callable[..., Page]) -> None:
    panel = BrowsePanel(library)
    assert panel.places.layout.display is None
    everything = panel.choice.counts["all"]
    page = show(panel.places, width=390)
    source, album = page.get_by_label("Source"), page.get_by_label("album")
    names = [
        source_words("dropbox", "dropbox"),
        "On disk",
        source_words("vk-anna", "vk"),
        source_words("vk-boris", "vk"),
    ]
    assert source.locator("option").all_inner_texts() == ["All sources", *names]
    assert page.locator(".fk-field span").all_inner_texts() == ["Source", "Folder or album"]
    assert album.locator("optgroup").evaluate_all("all => all.map((one) => one.label)") == names
    source.select_option("vk-anna")
    until(page, lambda: panel.gallery.total == 2)
    assert panel.choice.counts["all"] == 2
    assert page.locator(".fk-field span").all_inner_texts() == ["Source", "Album"]
    album.select_option(f"{SUMMER} (1)")
    until(page, lambda: panel.gallery.total == 1)
    assert panel.gallery.tiles[0]["title"] == BOTH.path
    source.select_option("vk-boris")  # where another album has this name
    until(page, lambda: panel.places.folder == "")
    until(page, lambda: panel.gallery.tiles[0]["title"] == PORTRAIT.path)
    source.select_option("")
    until(page, lambda: panel.gallery.total == everything)
    assert (violations(page), overflow(page)) == ([], 0)
    panel.show("faces")
    assert panel.places.layout.display == "none"


def test_a_search_is_narrowed_by_an_album(
    library: LocalLibrary, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    form = SearchForm(library, ready=True)
    page = show(form, locale="ru-RU")
    page.get_by_label("Источник").select_option("vk-anna")
    page.get_by_label("Альбом").select_option("2020/Море (1)")
    until(page, lambda: form.folder)
    assert [hit.photo for hit in library.search(demo_photos.probe, **form.filters())] == [SELFIE.path]


def test_a_photo_says_where_it_is_from_and_leads_there(library: LocalLibrary, show: Callable[..., Page]) -> None:
    gallery = Gallery(library)
    (photo,) = library.photo_page(source="vk-boris").photos
    gallery.opened = photo.photo_id
    page = show(gallery)
    words = source_words("vk-boris", "vk", SUMMER)
    assert page.locator(".fk-tile", has_text="portrait.png").locator(".fk-origin").inner_text() == words
    links = page.locator(".fk-large").get_by_role("link", name=words)
    assert [link.get_attribute("href") for link in links.all()] == [PORTRAIT.link] * 2  # above, and among the facts
    assert {link.get_attribute("rel") for link in links.all()} == {"noopener noreferrer"}
    assert {link.get_attribute("target") for link in links.all()} == {"_blank"}
    places = page.locator(".fk-places > *").all_inner_texts()
    assert places == [words, next(path for path in photo.paths if path != PORTRAIT.path)]
    assert violations(page) == []


def test_what_is_no_page_is_not_linked(library: LocalLibrary) -> None:
    gallery = Gallery(library)
    for one in (ROCKET, HOPPER):
        (photo,) = [photo for photo in library.photo_page(source="dropbox").photos if photo.path == one.path]
        gallery.opened = photo.photo_id
        first = gallery.large["places"][0]
        assert (first["path"], first["link"]) == (one.path, None)
        assert first["words"]


def test_where_all_lie_in_folders_nothing_is_to_choose(demo_library: LocalLibrary) -> None:
    panel = BrowsePanel(demo_library)
    assert panel.places.layout.display == "none"
    assert {tile["origin"] for tile in panel.gallery.tiles} == {""}
    connect(demo_library)
    panel.refresh()
    assert panel.places.layout.display is None
    assert len({tile["origin"] for tile in panel.gallery.tiles}) > len(ONLY_THERE)
