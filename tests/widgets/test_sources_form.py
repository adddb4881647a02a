"""The page of connected places in a real browser, with a real library and a fake service on real sockets."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import httpx2
import pytest
from browser import chromium, overflow, show, until, violations
from fake_service import photos, status
from fake_vk import FakeVk, vk_photos
from fake_yandex import LINK, FakeYandex

import facekit as fk
from facekit.widgets.sourcesform import SourcesForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from facekit.library.base import Library

__all__ = ["chromium", "show"]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with fk.open(tmp_path / "library") as library:
        yield library


@pytest.fixture
def yandex(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeYandex]:
    with FakeYandex(photos(4, "Лето")) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        yield fake


def test_a_place_is_connected_synced_checked_and_disconnected(
    show: Callable[..., Page], library: Library, yandex: FakeYandex
) -> None:
    form = SourcesForm(library.sources)
    ended: list[int] = []
    form.on_done(lambda: ended.append(1))
    page = show(form)
    connect = page.get_by_role("button", name="Connect")
    assert connect.is_disabled()
    page.get_by_label("Link or path").fill(LINK)
    page.get_by_text("This is Yandex Disk.").wait_for()
    page.get_by_label("Name here (optional)").fill("summer")
    connect.click()
    card = page.get_by_role("region", name="summer")
    card.get_by_text("4 photos added").wait_for()
    assert card.get_by_text("ready", exact=True).is_visible()
    assert card.get_by_role("link", name=LINK).get_attribute("rel") == "noopener noreferrer"
    assert page.get_by_label("Link or path").input_value() == ""
    assert len(library.photos(source="summer")) == 4
    assert ended
    assert violations(page) == []

    card.get_by_role("button", name="Check").click()
    card.get_by_text("✓").first.wait_for()
    card.get_by_role("button", name="Pause").click()
    card.get_by_role("button", name="Resume").wait_for()
    assert card.get_by_role("button", name="Sync").is_disabled()
    card.get_by_role("button", name="Disconnect").click()
    card.get_by_role("button", name="Forget them").click()
    until(page, lambda: page.get_by_role("region", name="summer").count() == 0)
    page.get_by_text("No place is connected yet").wait_for()
    assert len(library.photos()) == 0


def test_what_ends_a_sync_and_what_a_place_asks_stands_on_its_card(
    show: Callable[..., Page], library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeVk(vk_photos(2)) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        fake.want_letters("плот")
        form = SourcesForm(library.sources, language="ru")
        page = show(form)
        page.get_by_label("или что это за источник").select_option("vk")
        page.get_by_label("Чьи фотографии").fill(fake.settings()["owner"])
        page.get_by_label("Токен").fill(fake.token().access)
        page.get_by_role("button", name="Подключить", exact=True).click()
        card = page.get_by_role("region", name="vk")
        card.get_by_label("Ответ").fill("плот")
        card.get_by_role("button", name="Отправить").click()
        card.get_by_text("добавлены 2 фотографии").wait_for()
        assert fake.token().access not in page.content()
        assert page.get_by_label("Токен").first.input_value() == ""
        fake.fail(status(500), times=100)
        monkeypatch.setattr("facekit.sources.network.retries.TRIES", 1, raising=False)
        assert violations(page) == []
        page.set_viewport_size({"width": 390, "height": 800})
        assert overflow(page) == 0


def test_somebody_signs_in_from_the_page_and_gives_up(
    show: Callable[..., Page], library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("FACEKIT_REDIRECT", f"http://127.0.0.1:{port}/")
    with FakeVk(vk_photos(2)) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        page = show(SourcesForm(library.sources))
        page.get_by_label("or what kind of place it is").select_option("dropbox")
        assert page.get_by_role("button", name="Sign in with Dropbox").count() == 0  # no application's id is there
        page.get_by_label("or what kind of place it is").select_option("vk")
        page.get_by_label("Whose photos").fill(fake.settings()["owner"])
        page.get_by_role("button", name="Sign in with VK").click()
        page.get_by_role("link", name="Open the page").wait_for()
        assert violations(page) == []
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Sign in with VK").wait_for()
        assert len(library.sources.list()) == 0

        page.get_by_role("button", name="Sign in with VK").click()
        link = page.get_by_role("link", name="Open the page").get_attribute("href")
        assert link is not None
        assert "You can close this page" in httpx2.get(link, follow_redirects=True, timeout=20).text
        card = page.get_by_role("region", name="vk")
        card.get_by_text("2 photos added").wait_for()
        card.get_by_role("button", name="Sign in").click()
        before = set(fake.tokens)
        card.get_by_role("button", name="Sign in with VK").click()
        link = card.get_by_role("link", name="Open the page").get_attribute("href")
        assert link is not None
        httpx2.get(link, follow_redirects=True, timeout=20)
        card.get_by_text("ready", exact=True).wait_for()
        until(page, lambda: set(fake.tokens) - before)
        assert not any(token in page.content() for token in fake.tokens)
