"""The page of connected places as a visitor of the real app sees it, with a place that one signs in to."""

from __future__ import annotations

import re
from threading import Event
from typing import TYPE_CHECKING

import pytest
from browser import chromium
from fake_service import after, jpeg
from fake_vk import FakeVk, vk_photos
from service import process

import facekit as fk

pytest.importorskip("voila")
pytest.importorskip("playwright")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from fake_service import Exchange, Fault
    from playwright.sync_api import Browser, Page

__all__ = ["chromium"]

PATIENCE = 60_000  # ms: a kernel starts in two or three seconds, on a busy machine in more


def turn_to(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("button", name=name, exact=True).click()


def once(seen: Event) -> Fault:
    """The right answer, as soon as the visitor has seen what they are to see."""

    async def fault(it: Exchange) -> None:
        while not seen.is_set():
            await it.sleep(0.05)
        await after(0)(it)

    return fault


def test_a_visitor_signs_in_syncs_looks_follows_the_link_and_disconnects(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "at home.jpg").write_bytes(jpeg(99))
    with fk.open(tmp_path / "library") as library:
        library.ingest(tmp_path / "photos", progress=False)
    with FakeVk(vk_photos(3)) as fake:
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        with process(tmp_path / "library", "--app", "--app-port", "0") as service:
            context = chromium.new_context(locale="en-US")
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            page.goto(service.url)
            page.locator(".fk-appbar").wait_for()
            turn_to(page, "Sources")
            page.get_by_label("or what kind of place it is").select_option("vk")
            page.get_by_label("Whose photos").fill(fake.settings()["owner"])
            seen = Event()
            fake.fail(once(seen), path="/pictures/", times=9)
            page.get_by_role("button", name="Sign in with VK").click()
            with context.expect_page() as opened:
                page.get_by_role("link", name="Open the page").click()
            expect(opened.value.get_by_text("facekit has what it needs")).to_be_visible()
            opened.value.close()
            card = page.get_by_role("region", name="vk")
            expect(card.get_by_role("progressbar")).to_be_visible()
            expect(card.get_by_text("syncing", exact=True)).to_be_visible()
            seen.set()
            expect(card.get_by_text("3 photos added")).to_be_visible()
            expect(card.get_by_text("ready", exact=True)).to_be_visible()

            turn_to(page, "Gallery")
            expect(page.locator(".fk-tile:visible")).to_have_count(4)
            page.get_by_label("Source").locator("visible=true").select_option("vk")
            expect(page.locator(".fk-tile:visible")).to_have_count(3)
            page.locator(".fk-tile:visible").first.press("Enter")
            link = page.locator(".fk-large[open]").get_by_role("link").first
            expect(link).to_have_attribute("href", re.compile(r"^https://vk\.(com|ru)/photo\d+_[123]$"))
            page.keyboard.press("Escape")

            turn_to(page, "Sources")
            card.get_by_role("button", name="Disconnect").click()
            card.get_by_role("button", name="Forget them").click()
            expect(page.get_by_text("No place is connected yet")).to_be_visible()
            turn_to(page, "Gallery")
            expect(page.locator(".fk-tile:visible")).to_have_count(1)
            content = page.content()
            page.goto("about:blank")  # leaving ends the kernel
            context.close()
        assert not [token for token in fake.tokens if token in content]
