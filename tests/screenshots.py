"""Pictures of the app's pages: ``python tests/screenshots.py [FOLDER] [--only NAME ...]``.

The app is started on a library of the demo's photos, and shown light, dark, and as a phone would show it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from browser import CHROMIUM, FLAGS
from fake_service import photos as plain_photos
from fake_yandex import LINK, FakeYandex
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from service import PASSWORD, process

import facekit as fk
from facekit.demo.photos import build_demo_photos
from facekit.server.accounts import Accounts
from facekit.server.database import ServiceStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from facekit.demo.photos import DemoPhotos

FOLDER = Path(__file__).parent.parent / ".github" / "screenshots"
PAGES = ("ingest", "gallery", "search", "large", "people", "sources", "signin")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True, "is_mobile": True},
}
NAMES = tuple(f"{page}-{look}" for look in LOOKS for page in PAGES)
COLOURS = 256  # of a palette: with fewer, the photos in it look poor


def settle(page: Page) -> None:
    """Wait until all pictures are painted."""
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    page.evaluate("document.activeElement.blur()")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)


def turn_to(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("button", name=name).click()


def show_pages(page: Page, photos: DemoPhotos, shoot: Callable[[str], None]) -> None:
    """Bring the photos in, look at them, search them, open a hit, name the people: a picture of each."""
    turn_to(page, "Add photos")
    page.get_by_label("Folder with photos").fill(str(photos.folder))
    page.locator(".fk-ingestform button[type=submit]").click()
    expect(page.get_by_role("heading", name="Done in")).to_be_visible(timeout=60_000)
    shoot("ingest")
    turn_to(page, "Gallery")
    expect(page.locator(".fk-tile:visible")).not_to_have_count(0)
    shoot("gallery")
    turn_to(page, "Search")
    page.locator(".fk-uploader input[type=file]").set_input_files(photos.probe)
    expect(page.locator(".fk-face")).to_have_count(1)
    page.locator(".fk-searchform button.fk-primary").click()
    expect(page.locator(".fk-tile:visible")).to_have_count(len(photos.expected))
    shoot("search")
    page.locator(".fk-tile:visible", has_text="both.jpg").press("Enter")
    expect(page.locator(".fk-large[open]")).to_be_visible()
    shoot("large")
    page.keyboard.press("Escape")
    turn_to(page, "People")
    page.get_by_role("button", name="Find people").click()
    expect(page.locator(".fk-last")).to_contain_text("found", timeout=60_000)
    for name in ("Eileen Collins", "Grace Hopper"):
        if page.locator(".fk-peoplecards .fk-card", has_text=name).count():  # named when the first pictures were taken
            continue
        page.locator(".fk-peoplecards .fk-card", has_text="Unnamed").first.get_by_role("button").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.keyboard.press("Enter")
        expect(page.locator(".fk-last")).to_contain_text(name)
        page.get_by_role("button", name="‹ Everybody").click()
    page.locator(".fk-peoplecards .fk-card").first.get_by_role("button").click()
    expect(page.locator(".fk-tile:visible")).not_to_have_count(0)
    shoot("people")
    turn_to(page, "Sources")
    page.locator(".fk-sourcesform:visible").wait_for()
    if not page.get_by_role("region", name="summer").count():  # connected when the first pictures were taken
        page.get_by_label("Link or path").fill(LINK)
        page.get_by_text("This is Yandex Disk.").wait_for()
        page.get_by_label("Name here (optional)").fill("summer")
        page.get_by_role("button", name="Connect", exact=True).click()
        expect(page.get_by_role("region", name="summer").get_by_text("ready", exact=True)).to_be_visible(timeout=60_000)
    page.get_by_text("Connect a place", exact=True).click()
    page.get_by_label("or what kind of place it is").select_option("vk")
    shoot("sources")


def save(picture: bytes, file: Path) -> None:
    """Write a PNG that is small enough to be kept with the code."""
    image = Image.open(BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS).save(file, optimize=True)
    sys.stdout.write(f"{file} ({file.stat().st_size // 1000} kB)\n")


def take(folder: Path, only: set[str]) -> None:
    """Write the pictures that are wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    looks = [look for look in LOOKS if any(name.endswith(f"-{look}") for name in only)]
    with (
        tempfile.TemporaryDirectory(prefix="facekit-") as temporary,
        sync_playwright() as playwright,
        ExitStack() as stack,
    ):
        library = Path(temporary) / "library"
        photos = build_demo_photos(Path(temporary) / "demo")
        fk.open(library).close()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def visit(url: str, look: str) -> tuple[Page, Callable[[str], None]]:
            page = browser.new_context(**LOOKS[look], locale="en-US").new_page()
            page.goto(url)
            page.locator(".fk-appbar").wait_for()

            def shoot(name: str) -> None:
                if f"{name}-{look}" in only:
                    settle(page)
                    save(page.screenshot(), folder / f"{name}-{look}.png")

            return page, shoot

        fake = stack.enter_context(FakeYandex(plain_photos(12, "Summer")))
        os.environ |= fake.variables() | {"FACEKIT_VK_CLIENT_ID": "one that nobody has"}
        with process(library, "--app", "--app-port", "0", "--root", temporary) as app:
            for look in looks:
                page, shoot = visit(app.url, look)
                show_pages(page, photos, shoot)
                page.context.close()
                with fk.open(library) as served:  # so that the next one brings them in again
                    served.remove(photos.folder)
            store = ServiceStore(library)  # from the first account on, everybody has to sign in
            Accounts(store).add("anna", PASSWORD, "admin")
            store.close()
            for look in looks:
                page, shoot = visit(app.url, look)
                page.get_by_label("Name").wait_for()
                shoot("signin")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"by default {FOLDER.name} in .github")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    asked = parser.parse_args()
    take(asked.folder, set(asked.only))


if __name__ == "__main__":
    main()
