"""The whole app as its visitors see it: ``facekit serve --app`` on a library of real photos, in a browser."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("voila")
pytest.importorskip("playwright")

from browser import face_seen, overflow, overlap, place, until, violations
from playwright.sync_api import Browser, FileChooser, Locator, Page, expect
from service import PASSWORD, USERS, process

import facekit as fk
from facekit.server.accounts import Accounts
from facekit.server.database import ServiceStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from facekit.demo.photos import DemoPhotos

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
PATIENCE = 60_000  # ms: a kernel starts in two or three seconds, on a busy machine in more
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def app(demo_folder: Path, lfw: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The app without accounts, and folders from which photos may come."""
    folder = shutil.copytree(demo_folder, tmp_path_factory.mktemp("app") / "faces")
    roots = tmp_path_factory.mktemp("roots")
    for photo in sorted(lfw.glob("*/*.jpg"))[:400]:
        (roots / "album" / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, roots / "album" / photo.parent.name)
    (roots / "broken").mkdir()
    (roots / "broken" / "cut short.jpg").write_bytes(photo.read_bytes()[:3000])
    (roots / "broken" / "empty.png").write_bytes(b"")
    shutil.copy(photo, roots / "broken" / "whole.jpg")
    with process(folder, "--app", "--app-port", "0", "--root", str(roots)) as service:
        assert f"facekit shows {folder} at http://127.0.0.1:" in service.said
        yield SimpleNamespace(url=service.url, folder=folder, roots=roots)


@pytest.fixture(scope="module")
def closed_app(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The app with accounts."""
    folder = shutil.copytree(demo_folder, tmp_path_factory.mktemp("closed") / "faces")
    store = ServiceStore(folder)
    for name, role in USERS.items():
        Accounts(store).add(name, PASSWORD, role)
    store.close()
    with process(folder, "--app", "--app-port", "0") as service:
        yield SimpleNamespace(url=service.url, folder=folder)


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open the app as a visitor of one's own; errors and requests to other hosts fail the test."""
    pages: list[Page] = []
    problems: list[str] = []

    def opened(app: SimpleNamespace, **how: Any) -> Page:
        host = urlsplit(app.url).netloc

        def watch(url: str) -> None:
            if urlsplit(url).netloc not in {host, ""}:  # a blob has none
                problems.append(f"asked for {url}")

        page = chromium.new_context(**how).new_page()
        pages.append(page)
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: watch(request.url))
        page.on("websocket", lambda connection: watch(connection.url))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.goto(app.url)
        page.locator(".fk-appbar").wait_for()
        return page

    yield opened
    for page in pages:
        page.goto("about:blank")  # leaving ends the kernel
        page.context.close()
    assert not problems


def turn_to(page: Page, name: str) -> None:
    page.locator(".fk-appbar.fk-full").get_by_role("button", name=name, exact=True).click()


def choose_pictures(page: Page, *pictures: Path, faces: int = 1) -> Locator:
    """Give the page pictures of a person; the faces in them."""
    page.locator(".fk-uploader input[type=file]").set_input_files(pictures)
    found = page.locator(".fk-face")
    expect(found).to_have_count(faces)
    return found


def press_search(page: Page) -> None:
    page.locator(".fk-searchform button.fk-primary").click()
    form = page.locator(".fk-searchform")
    expect(form.locator(".fk-verdict")).not_to_be_empty()
    expect(form).to_have_attribute("aria-busy", "false")


def tiles(page: Page) -> Locator:
    return page.locator(".fk-tile:visible")


def names(page: Page) -> list[str]:
    return page.locator(".fk-tile:visible .fk-name").all_inner_texts()


def photo_names(hits: fk.Hits) -> list[str]:
    return [hit.photo.rpartition("/")[2] for hit in hits]


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def page_names(page: Page) -> list[str]:
    return page.get_by_role("navigation", name="Pages").get_by_role("button").all_inner_texts()


def test_of_two_people_in_a_picture_the_one_who_is_chosen_is_found(
    app: SimpleNamespace, demo_photos: DemoPhotos, visit: Callable[..., Page]
) -> None:
    both = demo_photos.folder / "both.jpg"
    hits = fk.open(app.folder).search(both, face=1)
    page = visit(app)
    faces = choose_pictures(page, both, faces=2)
    expect(faces.nth(0)).to_have_attribute("aria-pressed", "true")
    faces.nth(1).click()
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    press_search(page)
    expect(tiles(page)).to_have_count(len(hits))
    shown = [float(text) for text in page.locator(".fk-tile:visible .fk-value").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    found = dict(zip(names(page), zip(shown, tiles(page).all(), strict=True), strict=True))
    for name, hit in zip(photo_names(hits), hits, strict=True):
        similarity, tile = found[name]
        assert similarity == pytest.approx(hit.similarity, abs=0.02)  # the browser has encoded the probe again
        tile.scroll_into_view_if_needed()
        tile.locator(".fk-box").wait_for(state="attached")
        x, y, width, height = tile.locator("img").evaluate("""image => {
            const { x, y, width, height } = image.getBoundingClientRect();
            const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
            const [wide, high] = [image.naturalWidth * scale, image.naturalHeight * scale];
            return [x + (width - wide) / 2, y + (height - high) / 2, wide, high];
        }""")
        left, top, wide, high = hit.box
        face = (x + left * width, y + top * height, wide * width, high * height)
        assert place(tile.locator(".fk-box")) == pytest.approx(face, abs=1)


def test_the_large_view_frames_the_face_that_is_seen_there(
    app: SimpleNamespace, demo_photos: DemoPhotos, visit: Callable[..., Page]
) -> None:
    page = visit(app)
    choose_pictures(page, demo_photos.probe)
    press_search(page)
    tile = tiles(page).filter(has_text="both, mirrored.webp")
    tile.dblclick()
    large = page.get_by_role("dialog")
    expect(large.get_by_role("heading")).to_have_text("both, mirrored.webp")
    stage = large.locator(".fk-stage")
    until(page, lambda: large.locator("img").evaluate("image => image.complete && image.naturalWidth > 1000"))
    [larger] = [box for box in stage.locator("rect.fk-box").all() if "fk-chosen" not in str(box.get_attribute("class"))]
    assert overlap(place(larger), face_seen(page, stage, fk.open(app.folder))) > 0.8
    stage.locator("rect.fk-box.fk-chosen").wait_for(state="attached")
    large.get_by_label("Frame the faces").uncheck()
    expect(stage.locator("rect.fk-box").first).to_be_hidden()
    page.keyboard.press("Escape")
    expect(large).to_be_hidden()
    expect(tile).to_be_focused()


def test_hits_are_narrowed_and_saved(
    app: SimpleNamespace, grace_hopper: Path, visit: Callable[..., Page], tmp_path: Path
) -> None:
    page = visit(app)
    choose_pictures(page, grace_hopper)
    press_search(page)
    everywhere = tiles(page).count()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename == "facekit-hits.csv"
    download.value.save_as(tmp_path / "hits.csv")
    with (tmp_path / "hits.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photo"].rpartition("/")[2] for row in rows] == names(page)
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, everywhere + 1)]
    similarities = [float(row["similarity"]) for row in rows]

    threshold = round(similarities[2] - 0.005, 2)
    fewer = sum(similarity >= threshold for similarity in similarities)
    assert 0 < fewer < everywhere
    page.get_by_label("How alike the faces must be").fill(str(threshold))
    expect(tiles(page)).to_have_count(fewer)
    page.get_by_role("button", name="Reset").click()
    expect(tiles(page)).to_have_count(everywhere)
    page.get_by_label("Folder").select_option(label="backup (1)")
    expect(tiles(page)).to_have_count(1)
    expect(page.locator(".fk-verdict")).to_have_text("1 photo found")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    document = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [hit["photo"].rpartition("/")[2] for hit in document["hits"]] == ["hopper.jpg"]
    page.get_by_label("Taken from").fill("2100-01-01")
    expect(page.locator(".fk-verdict")).to_have_text("No photo of this person was found.")
    expect(tiles(page)).to_have_count(0)


def test_two_visitors_see_their_own_hits(
    app: SimpleNamespace, demo_photos: DemoPhotos, grace_hopper: Path, visit: Callable[..., Page]
) -> None:
    library = fk.open(app.folder)
    probes = (demo_photos.probe, grace_hopper)
    pages = [visit(app), visit(app)]
    for page, probe in zip(pages, probes, strict=True):
        choose_pictures(page, probe)
    for page in pages:
        press_search(page)
    for page, probe in zip(pages, probes, strict=True):
        hits = library.search(probe)
        expect(tiles(page)).to_have_count(len(hits))
        assert sorted(names(page)) == sorted(photo_names(hits))
    assert names(pages[0]) != names(pages[1])


def test_a_phone_in_russian_and_in_the_dark(
    app: SimpleNamespace, demo_photos: DemoPhotos, visit: Callable[..., Page]
) -> None:
    page = visit(app, **PHONE, color_scheme="dark", locale="ru-RU")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 24, 28)"
    choose_pictures(page, demo_photos.probe)
    expect(page.locator(".fk-card")).to_contain_text("Найдено 1 лицо.")
    page.get_by_role("button", name="Найти").tap()
    expect(page.locator(".fk-verdict")).to_have_text("Найдено 14 фотографий")
    expect(page.locator(".fk-verdict")).to_be_in_viewport()
    expect(tiles(page).first).to_be_in_viewport()
    assert overflow(page) <= 0
    tiles(page).first.tap()
    large = page.get_by_role("dialog", name="Фотография крупно")
    expect(large).to_be_visible()
    expect(large).to_contain_text("1 из 14")
    large.get_by_role("button", name="Закрыть").tap()
    expect(large).to_be_hidden()
    page.get_by_role("button", name="Галерея").tap()
    page.get_by_role("button", name="Все лица").tap()
    expect(page.locator(".fk-count:visible")).to_have_text("24 лица")
    assert overflow(page) <= 0
    page.get_by_role("button", name="Добавить фото").tap()
    expect(page.get_by_label("Папка с фотографиями")).to_be_visible()
    assert overflow(page) <= 0


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the focus is there."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.evaluate("node => node === document.activeElement"):
            return
    message = f"Tab never comes to {wanted}"
    raise AssertionError(message)


def test_the_keyboard_is_enough(app: SimpleNamespace, demo_photos: DemoPhotos, visit: Callable[..., Page]) -> None:
    page = visit(app)
    dialogs: list[FileChooser] = []
    page.on("filechooser", lambda dialog: dialogs.append(dialog))  # noqa: PLW0108 - Playwright takes no built-in
    tab_to(page, page.get_by_role("button", name="Choose pictures"))
    page.keyboard.press("Enter")
    until(page, lambda: dialogs)
    dialogs[0].set_files(demo_photos.folder / "both.jpg")
    faces = page.locator(".fk-face")
    expect(faces).to_have_count(2)
    tab_to(page, faces.nth(1))
    page.keyboard.press("Space")
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(faces.nth(1)).to_be_focused()
    tab_to(page, page.locator(".fk-searchform button.fk-primary"))
    page.keyboard.press("Enter")
    tiles(page).first.wait_for()
    tab_to(page, tiles(page).first)
    page.keyboard.press("ArrowRight")
    expect(tiles(page).nth(1)).to_be_focused()
    page.keyboard.press("Space")
    expect(page.locator(".fk-count:visible")).to_contain_text("1 selected")
    page.keyboard.press("Enter")
    large = page.get_by_role("dialog")
    expect(large).to_contain_text("2 of ")
    page.keyboard.press("ArrowRight")
    expect(large).to_contain_text("3 of ")
    page.keyboard.press("Escape")
    expect(large).to_be_hidden()
    expect(tiles(page).nth(2)).to_be_focused()


def in_both_themes(page: Page) -> list[str]:
    found = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        expect(page.locator(".fk-appbar").first).to_have_attribute("data-fk-theme", theme)
        found += violations(page, whole=True)
    return found


def test_axe_finds_nothing_serious_on_the_pages(
    app: SimpleNamespace, closed_app: SimpleNamespace, demo_photos: DemoPhotos, visit: Callable[..., Page]
) -> None:
    page = visit(closed_app)
    sign_in(page, "nobody")
    expect(page.get_by_role("alert").filter(has_text="wrong")).to_be_visible()
    assert in_both_themes(page) == []
    page = visit(app)
    choose_pictures(page, demo_photos.folder / "both.jpg", faces=2)
    press_search(page)
    assert in_both_themes(page) == []
    tiles(page).first.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert in_both_themes(page) == []
    page.keyboard.press("Escape")
    turn_to(page, "Gallery")
    tiles(page).first.click()
    assert in_both_themes(page) == []


# -- photos come in: the library has more of them from here on ---------------------------------------------------------


def test_files_that_can_not_be_used_are_listed_with_their_reasons(
    app: SimpleNamespace, visit: Callable[..., Page]
) -> None:
    page = visit(app)
    turn_to(page, "Add photos")
    path = page.get_by_label("Folder with photos")
    form = page.locator(".fk-ingestform")
    path.fill(str(app.folder))
    path.press("Enter")
    refusal = form.get_by_role("alert")
    expect(refusal).to_contain_text("Photos may not come from this folder.")
    assert str(app.folder) not in refusal.inner_text()
    assert refusal.inner_text().count("reference") == 1
    path.fill(str(app.roots / "no such folder"))
    path.press("Enter")
    expect(refusal).to_contain_text("no such folder")
    path.fill(str(app.roots / "broken"))
    path.press("Enter")
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="cut short.jpg")).to_contain_text("damaged")
    expect(rows.filter(has_text="empty.png")).to_contain_text(re.compile("not a photo|damaged"))
    expect(rows).to_have_count(3)
    expect(refusal).to_be_hidden()
    assert in_both_themes(page) == []
    turn_to(page, "Gallery")
    page.get_by_role("button", name="Could not be read 2").click()
    expect(tiles(page)).to_have_count(2)


def test_an_ingest_shows_how_far_it_is_and_can_be_cancelled(app: SimpleNamespace, visit: Callable[..., Page]) -> None:
    page = visit(app)
    before = fk.open(app.folder).stats()["files"]
    turn_to(page, "Add photos")
    page.get_by_label("Folder with photos").fill(str(app.roots / "album"))
    page.locator(".fk-ingestform button[type=submit]").click()
    expect(page.locator(".fk-progress-text")).to_have_text(re.compile(r"^[1-9]\d* of 400 files · .*files/s"))
    assert 0 < page.get_by_role("progressbar").evaluate("bar => bar.value / bar.max") < 1
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Stopped after")).to_be_visible()
    expect(page.locator(".fk-report")).to_contain_text("What is done is kept: start again to go on.")
    added = int(page.locator(".fk-numbers li").first.inner_text().split()[0])
    assert 0 < added < 400
    assert before < fk.open(app.folder).stats()["files"] < before + 400


# -- with accounts -----------------------------------------------------------------------------------------------------


def test_a_viewer_signs_in_stays_and_leaves(
    closed_app: SimpleNamespace, demo_photos: DemoPhotos, visit: Callable[..., Page]
) -> None:
    page = visit(closed_app)
    sign_in(page, "vi", "a wall of six bricks")
    alert = page.get_by_role("alert").filter(has_text="Name or password is wrong.")
    expect(alert).to_be_visible()
    assert page.locator(".fk-uploader").count() == 0
    sign_in(page, "vi")
    expect(page.locator(".fk-who")).to_have_text("vi (viewer)")
    assert page_names(page) == ["Search", "Gallery", "People"]
    choose_pictures(page, demo_photos.probe)
    press_search(page)
    expect(tiles(page)).to_have_count(len(demo_photos.expected))
    page.reload()
    expect(page.locator(".fk-who")).to_have_text("vi (viewer)")
    expect(page.locator(".fk-uploader")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Name")).to_be_visible()
    expect(page.locator(".fk-uploader")).to_have_count(0)
    assert page_names(page) == []
    page.reload()
    expect(page.get_by_label("Name")).to_be_visible()


@pytest.mark.parametrize(("name", "role"), [("ed", "editor"), ("ada", "administrator")])
def test_who_may_add_photos_gets_the_page_for_it(
    closed_app: SimpleNamespace, visit: Callable[..., Page], name: str, role: str
) -> None:
    page = visit(closed_app)
    sign_in(page, name)
    expect(page.locator(".fk-who")).to_have_text(f"{name} ({role})")
    assert page_names(page) == ["Search", "Gallery", "People", "Add photos", "Sources"]
    turn_to(page, "Add photos")
    expect(page.get_by_label("Folder with photos")).to_be_visible()


def test_who_is_locked_out_is_led_back_to_the_form(closed_app: SimpleNamespace, visit: Callable[..., Page]) -> None:
    page = visit(closed_app)
    sign_in(page, "vi")
    expect(page.locator(".fk-who")).to_have_text("vi (viewer)")
    command = [sys.executable, "-m", "facekit", "--library", str(closed_app.folder), "users"]
    subprocess.run([*command, "disable", "vi"], check=True, capture_output=True)
    turn_to(page, "Gallery")
    expect(page.get_by_text("Your session has ended. Please sign in again.")).to_be_visible()
    expect(page.locator(".fk-tile")).to_have_count(0)
    assert page_names(page) == []
    sign_in(page, "vi")
    expect(page.get_by_text("Name or password is wrong.")).to_be_visible()
    sign_in(page, "ed")
    expect(page.locator(".fk-who")).to_have_text("ed (editor)")
