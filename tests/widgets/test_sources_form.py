"""The page of connected places in a real browser, with a real library and a fake service on real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    page.get_by_label("Address").fill(LINK)
    page.get_by_text("This is Yandex Disk.").wait_for()
    page.get_by_label("Name here (optional)").fill("summer")
    connect.click()
    card = page.get_by_role("region", name="summer")
    card.get_by_text("4 photos added").wait_for()
    assert card.get_by_text("ready").is_visible()
    assert card.get_by_role("link", name=LINK).get_attribute("rel") == "noopener noreferrer"
    assert page.get_by_label("Address").input_value() == ""
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
        page.get_by_label("или вид источника").select_option("vk")
        page.get_by_label("owner").fill(fake.settings()["owner"])
        page.get_by_label("Токен").fill(fake.token().access)
        page.get_by_role("button", name="Подключить", exact=True).click()
        card = page.get_by_role("region", name="vk")
        card.get_by_label("Ответ").fill("плот")
        card.get_by_role("button", name="Отправить").click()
        card.get_by_text("добавлены 2 фотографии").wait_for()
        assert fake.token().access not in page.content()
        assert page.get_by_label("Токен").first.input_value() == ""
        fake.fail(status(500), times=100)
        monkeypatch.setattr("facekit.sources.retries.TRIES", 1, raising=False)
        assert violations(page) == []
        page.set_viewport_size({"width": 390, "height": 800})
        assert overflow(page) == 0
