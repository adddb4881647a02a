"""The gallery in a real browser, over the demo's library: its JavaScript and its Python together."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from browser import face_seen, overflow, overlap, place, until, violations

from facekit.widgets.gallery import Gallery
from facekit.widgets.tiles import FaceTiles, PhotoTiles, Tile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from facekit.demo.photos import DemoPhotos
    from facekit.library.base import Library


class Many:
    """Tiles without end: photos of the demo under other names."""

    kind = "photos"

    def __init__(self, library: Library, total: int, **facts: Any) -> None:
        self.library = library
        self._total = total
        self._facts = facts
        self._photos = library.photo_page("ok", limit=10).photos

    def total(self) -> int:
        return self._total

    def page(self, offset: int, limit: int) -> list[Tile]:
        numbers = range(offset, min(offset + limit, self._total))
        return [replace(self._tile(number), **self._facts) for number in numbers]

    def thumbnail(self, tile: Tile) -> bytes | None:
        return self.library.thumbnail(tile.photo_id)

    def _tile(self, number: int) -> Tile:
        photo = self._photos[number % len(self._photos)]
        boxes = tuple(face.box for face in photo.faces)
        return Tile(str(number), photo.photo_id, f"photo {number}.jpg", f"/photos/photo {number}.jpg", boxes)


def labels(page: Page) -> list[str]:
    return page.locator(".fk-tile .fk-name").all_text_contents()


def test_the_box_lies_over_the_face_at_every_size(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    hits = demo_library.search(demo_photos.probe)
    for width in (360, 1024):
        page = show(Gallery(hits), width=width)
        for name in ("IMG_0001.jpg", "portrait, large.jpg"):
            tile = page.locator(".fk-tile", has_text=name)
            box = tile.locator("rect.fk-box")
            box.wait_for(state="attached")
            assert overlap(place(box), face_seen(page, tile.locator("img"), demo_library)) > 0.6


def test_clicks_select_as_in_a_file_manager(demo_library: Library, show: Callable[..., Page]) -> None:
    gallery = Gallery(Many(demo_library, 30))
    page = show(gallery)
    tiles = page.get_by_role("option")
    tiles.nth(2).click()
    until(page, lambda: gallery.selected == ["2"])
    tiles.nth(5).click(modifiers=["Shift"])
    until(page, lambda: gallery.selected == ["2", "3", "4", "5"])
    tiles.nth(3).click(modifiers=["ControlOrMeta"])
    until(page, lambda: gallery.selected == ["2", "4", "5"])
    tiles.nth(9).locator(".fk-mark").click()
    until(page, lambda: gallery.selected == ["2", "4", "5", "9"])
    assert page.get_by_role("option", selected=True).count() == 4
    assert page.get_by_role("status").first.text_content() == "30 photos · 4 selected"
    page.get_by_role("button", name="Clear the selection").click()
    until(page, lambda: gallery.selected == [])


def test_a_selection_is_made_by_keyboard_and_outlives_the_page(
    demo_library: Library, show: Callable[..., Page]
) -> None:
    gallery = Gallery(Many(demo_library, 30), page_size=12)
    page = show(gallery)
    press = page.keyboard.press
    page.get_by_role("option").first.focus()
    press("ArrowRight")
    press("Space")
    press("Shift+ArrowRight")
    press("Shift+ArrowRight")
    until(page, lambda: gallery.selected == ["1", "2", "3"])
    press("PageDown")
    until(page, lambda: gallery.page == 1)
    page.get_by_role("option", name="photo 12.jpg").and_(page.locator(":focus")).wait_for()
    press("End")
    press("Space")
    until(page, lambda: gallery.selected == ["1", "2", "3", "23"])
    press("Home")
    press("ArrowDown")  # one row on: as many as are beside each other
    below = int(re.findall(r"\d+", str(page.locator(":focus").get_attribute("title")))[0])
    columns = page.locator(".fk-grid").evaluate("grid => getComputedStyle(grid).gridTemplateColumns.split(' ').length")
    assert below == 12 + columns
    press("Control+a")
    until(page, lambda: len(gallery.selected) == 3 + 12)
    press("Escape")
    until(page, lambda: gallery.selected == [])


def test_python_reads_and_writes_what_is_selected(demo_library: Library, show: Callable[..., Page]) -> None:
    seen: list[list[str]] = []
    gallery = Gallery(Many(demo_library, 30))
    gallery.observe(lambda change: seen.append(change.new), "selected")
    page = show(gallery)
    page.get_by_role("option").nth(4).click()
    until(page, lambda: seen == [["4"]])
    gallery.selected = ["7", "8"]
    page.locator(".fk-tile[aria-selected=true]").nth(1).wait_for()
    assert page.get_by_role("option", selected=True).count() == 2


def test_a_hundred_thousand_photos_cost_what_a_page_costs(demo_library: Library, show: Callable[..., Page]) -> None:
    gallery = Gallery(Many(demo_library, 100_000), page_size=20)
    page = show(gallery)

    def cost() -> tuple[int, int, int]:
        page.locator(".fk-tile .fk-boxes").nth(19).wait_for(state="attached")
        state = {name: value for name, value in gallery.get_state().items() if isinstance(value, list)}
        nodes = page.evaluate("document.querySelectorAll('.fk-grid *').length")
        return nodes, len(state["tiles"]), len(state["thumbs"])

    first = cost()
    assert page.get_by_text("100,000 photos").is_visible()
    page.get_by_role("button", name="Last page").click()
    until(page, lambda: labels(page)[-1] == "photo 99999.jpg")
    assert cost() == first
    number = page.get_by_role("textbox")
    number.fill("2500")
    number.press("Enter")
    until(page, lambda: labels(page)[0] == "photo 49980.jpg")
    page.get_by_role("button", name="Previous page").click()
    until(page, lambda: labels(page)[0] == "photo 49960.jpg")
    assert gallery.page == 2498
    assert cost() == first


def test_the_large_view_works_by_keyboard_alone(demo_library: Library, show: Callable[..., Page]) -> None:
    gallery = Gallery(Many(demo_library, 9), page_size=4)
    page = show(gallery)
    press = page.keyboard.press
    page.get_by_role("option").nth(3).focus()
    press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("4 of 9").wait_for()
    assert gallery.opened == "3"
    picture = dialog.locator(".fk-content")
    whole = place(picture)
    press("+")
    press("+")
    assert place(picture)[2] == pytest.approx(whole[2] * 2.25, rel=0.02)
    press("0")
    assert place(picture) == pytest.approx(whole)
    press("ArrowRight")  # on to the next page
    dialog.get_by_text("5 of 9").wait_for()
    assert (gallery.opened, gallery.page) == ("4", 1)
    press("ArrowLeft")
    press("ArrowLeft")
    dialog.get_by_text("3 of 9").wait_for()
    press("Escape")
    dialog.wait_for(state="hidden")
    until(page, lambda: gallery.opened == "")
    assert page.locator(":focus").get_attribute("title") == "/photos/photo 2.jpg"


def test_a_second_view_or_a_hidden_one_does_not_block_the_page(
    demo_library: Library, show: Callable[..., Page]
) -> None:
    gallery = Gallery(Many(demo_library, 3))
    page = show(gallery)
    page.evaluate("""async () => {
      const host = document.createElement("div");
      document.body.append(host);
      (await import("./widget.js")).default.render({ model, el: host, signal: ending.signal });
    }""")
    dialogs = page.locator("dialog[open]")
    page.get_by_role("option").first.dblclick()
    dialogs.get_by_text("1 of 3").wait_for()
    assert dialogs.count() == 1
    page.keyboard.press("Escape")
    until(page, lambda: gallery.opened == "")
    page.get_by_role("option").nth(1).click()
    until(page, lambda: gallery.selected == ["1"])
    page.evaluate("document.querySelectorAll('.fk-gallery').forEach((view) => (view.parentElement.hidden = true))")
    gallery.opened = "2"
    until(page, lambda: page.evaluate("model.get('large').key") == "2")
    assert dialogs.count() == 0


def test_a_page_that_is_turned_and_a_photo_that_is_stepped_to_are_read_out(
    demo_library: Library, show: Callable[..., Page]
) -> None:
    page = show(Gallery(Many(demo_library, 9), page_size=4))
    page.get_by_role("button", name="Next page").click()
    status = page.get_by_role("status")
    until(page, lambda: status.first.text_content() == "9 photos · page 2 of 3")
    page.get_by_role("option").first.dblclick()
    page.keyboard.press("ArrowRight")
    page.get_by_role("dialog").get_by_role("status").get_by_text("6 of 9").wait_for()
    assert page.get_by_role("dialog").get_by_role("status").get_by_text("photo 5.jpg").is_visible()


def test_the_large_view_frames_all_faces_at_every_zoom_and_tells_the_facts(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    gallery = Gallery(demo_library.search(demo_photos.probe))
    page = show(gallery)
    page.locator(".fk-tile", has_text="both.jpg").dblclick()
    dialog = page.get_by_role("dialog")
    box = dialog.locator("rect.fk-box.fk-chosen")
    box.wait_for(state="attached")
    assert dialog.locator("rect.fk-box").count() == 2
    until(page, lambda: dialog.locator("img").evaluate("image => image.complete && image.naturalWidth > 600"))
    image, stage = dialog.locator(".fk-content img"), dialog.locator(".fk-stage")
    thickness = box.evaluate("node => getComputedStyle(node).strokeWidth")
    for _ in range(2):
        faces = demo_library.faces_in(demo_photos.folder / "both.jpg")
        x, y, width, height = place(image)
        seen = [(x + f.box[0] * width, y + f.box[1] * height, f.box[2] * width, f.box[3] * height) for f in faces]
        assert max(overlap(place(box), one) for one in seen) > 0.8
        face = place(box)
        page.mouse.move(face[0] + face[2] / 2, face[1] + face[3] / 2)
        page.mouse.wheel(0, -300)
    assert place(image)[2] > place(stage)[2]
    assert box.evaluate("node => getComputedStyle(node).strokeWidth") == thickness
    before = place(image)
    page.mouse.down()
    page.mouse.move(300, 500)
    page.mouse.up()
    assert place(image) != before
    facts = dict(zip(dialog.locator("dt").all_text_contents(), dialog.locator("dd").all_text_contents(), strict=True))
    assert facts["File"].endswith("both.jpg")
    assert facts["Faces"] == "2"
    assert facts["Similarity"] == f"{gallery.large['faces'][gallery.large['chosen']]['similarity']:.3f}"
    assert re.fullmatch(r"\d+ × \d+", facts["Pixels"])
    dialog.get_by_label("Frame the faces").uncheck()
    assert not box.is_visible()
    dialog.get_by_role("button", name="Close").click()
    until(page, lambda: gallery.opened == "")


def test_a_photo_whose_file_is_gone_is_still_seen_small(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    path = demo_photos.folder / "cat.png"
    gallery = Gallery(demo_library)
    page = show(gallery)
    path.rename(path.with_suffix(".away"))  # and not deleted: other tests want the same file with the same date
    try:
        page.locator(".fk-tile", has_text="cat.png").dblclick()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("alert").wait_for()
    finally:
        path.with_suffix(".away").rename(path)
    assert dialog.locator("img").is_visible()
    assert "cat.png" in str(dialog.locator("dd").first.text_content())


def test_names_are_text_whatever_they_look_like(demo_library: Library, show: Callable[..., Page]) -> None:
    name = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'> Анна & 猫.jpg"
    gallery = Gallery(Many(demo_library, 2, label=name, title=name, person=name, note=name))
    page = show(gallery)
    assert labels(page) == [name, name]
    page.get_by_role("option").first.dblclick()
    page.get_by_role("dialog").get_by_text(name).first.wait_for()
    assert page.evaluate("window.hurt") is None
    assert name not in gallery._repr_mimebundle_()[0]["text/html"]


def test_nothing_to_show_is_said(demo_library: Library, show: Callable[..., Page]) -> None:
    page = show(Gallery(PhotoTiles(demo_library, "corrupt")))
    assert page.get_by_text("No photos here.").is_visible()
    assert page.get_by_role("status").first.text_content() == "0 photos"
    assert not page.get_by_role("navigation").is_visible()


@pytest.mark.parametrize(("locale", "words"), [("en-US", "damaged"), ("ru-RU", "повреждена")])
def test_a_tile_of_a_damaged_photo_says_what_is_wrong_in_a_word(
    demo_library: Library, show: Callable[..., Page], tmp_path: Path, locale: str, words: str
) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    demo_library.ingest(tmp_path / "torn.jpg", progress=False)
    page = show(Gallery(PhotoTiles(demo_library, "corrupt")), locale=locale)
    note = page.get_by_role("option").locator(".fk-note")
    note.wait_for()
    assert note.text_content() == words
    assert str(tmp_path) in str(note.get_attribute("title"))  # the reason in full


def test_a_page_that_cannot_be_read_is_said_and_the_old_one_stays(
    demo_library: Library, show: Callable[..., Page]
) -> None:
    gallery = Gallery(demo_library, page_size=5)
    page = show(gallery)
    before = labels(page)
    demo_library.close()
    page.get_by_role("button", name="Next page").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "is closed" in str(alert.text_content())
    assert (gallery.page, labels(page)) == (0, before)
    until(page, lambda: page.get_by_role("textbox").input_value() == "1")
    assert page.locator("[aria-busy]").count() == 0


@pytest.mark.parametrize("thumbnail", [None, b"\xff\xd8\xff not a picture"])
def test_a_picture_that_is_not_there_or_broken_is_said(
    thumbnail: bytes | None, demo_library: Library, show: Callable[..., Page]
) -> None:
    tiles = Many(demo_library, 3)
    tiles.thumbnail = lambda tile: thumbnail  # type: ignore[method-assign]
    page = show(Gallery(tiles))
    page.get_by_text("no picture kept").nth(2).wait_for()
    assert page.get_by_role("option", name="photo 1.jpg").is_visible()
    assert page.locator(".fk-tile img").count() == 0


def test_faces_are_shown_as_faces(demo_library: Library, show: Callable[..., Page]) -> None:
    tiles = FaceTiles(demo_library)
    gallery = Gallery(tiles)
    page = show(gallery)
    assert page.get_by_text(f"{tiles.total()} faces").is_visible()
    page.get_by_role("option").first.dblclick()
    page.get_by_role("dialog").locator("rect.fk-chosen.fk-box").wait_for(state="attached")
    assert gallery.opened == gallery.tiles[0]["face_id"]


def test_a_finger_opens_with_a_tap_and_selects_with_the_mark(demo_library: Library, show: Callable[..., Page]) -> None:
    gallery = Gallery(Many(demo_library, 6))
    page = show(gallery, width=360, height=740, touch=True)
    page.get_by_role("option").nth(1).locator(".fk-mark").tap()
    until(page, lambda: gallery.selected == ["1"])
    page.get_by_role("option").nth(2).locator("img").tap()
    page.get_by_role("dialog").get_by_text("3 of 6").wait_for()
    assert gallery.selected == ["1"]
    assert overflow(page) <= 0


@pytest.mark.parametrize("width", [320, 360, 2560])
def test_it_fits_the_window(width: int, demo_library: Library, show: Callable[..., Page]) -> None:
    page = show(Gallery(Many(demo_library, 100_000, label="a_name_that_is_far_too_long_" * 5)), width=width)
    page.get_by_role("option").first.wait_for()
    assert overflow(page) <= 0
    small = page.locator("button:visible, input:visible").evaluate_all(
        "nodes => nodes.map(node => node.getBoundingClientRect()).filter(box => box.height < 36 || box.width < 36)"
    )
    assert small == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    theme: str, demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    gallery = Gallery(Many(demo_library, 9, similarity=0.5, note="the file is damaged", person="Anna"), page_size=4)
    page = show(gallery, theme=theme)
    assert page.locator(".fk").get_attribute("data-fk-theme") == theme
    page.get_by_role("option").nth(1).click()
    assert violations(page) == []
    page.keyboard.press("Enter")
    page.get_by_role("dialog").locator("rect").first.wait_for(state="attached")
    assert violations(page) == []


@pytest.mark.parametrize(
    ("total", "words"), [(1, "1 фотография"), (2, "2 фотографии"), (5, "5 фотографий"), (21, "21 фотография")]
)
def test_russian_counts_as_russians_do(
    total: int, words: str, demo_library: Library, show: Callable[..., Page]
) -> None:
    page = show(Gallery(Many(demo_library, total)), locale="ru-RU")
    assert page.get_by_role("status").first.text_content() == words
    assert page.get_by_role("listbox", name="Фотографии").is_visible()


def test_the_language_can_be_switched_while_it_is_open(demo_library: Library, show: Callable[..., Page]) -> None:
    gallery = Gallery(Many(demo_library, 3))
    page = show(gallery)
    gallery.opened = "1"
    page.get_by_role("dialog", name="Photo in large").wait_for()
    gallery.language = "ru"
    page.get_by_role("dialog", name="Фотография крупно").get_by_text("2 из 3").wait_for()


def test_show_starts_from_the_beginning(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    gallery = Gallery(demo_library, page_size=6)
    page = show(gallery)
    page.get_by_role("button", name="Next page").click()
    until(page, lambda: gallery.page == 1)
    page.get_by_role("option").first.click()
    until(page, lambda: len(gallery.selected) == 1)
    hits = demo_library.search(demo_photos.probe)
    gallery.show(hits)
    page.get_by_text(f"{len(hits)} photos").wait_for()
    assert (gallery.page, gallery.selected) == (0, [])
    assert [tile["key"] for tile in gallery.tiles] == [hit.photo_id for hit in hits[:6]]


def test_refresh_takes_in_what_was_removed(demo_library: Library, demo_photos: DemoPhotos) -> None:
    total = PhotoTiles(demo_library).total()
    gallery = Gallery(demo_library, page_size=total - 1)
    gallery.page = 1
    assert len(gallery.tiles) == 1
    demo_library.remove(gallery.tiles[0]["title"])
    gallery.refresh()
    assert (gallery.page, gallery.total, len(gallery.tiles)) == (0, total - 1, total - 1)


def test_a_view_that_is_taken_away_leaves_nothing_behind(demo_library: Library, show: Callable[..., Page]) -> None:
    page = show(Gallery(Many(demo_library, 3)))
    page.evaluate("ending.abort()")
    assert page.evaluate("Object.values(model.listeners).flat().length") == 0


def test_without_a_front_end_it_is_a_small_table_of_pictures(demo_library: Library) -> None:
    data, _ = Gallery(demo_library)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"].count("<img") == min(24, PhotoTiles(demo_library).total())
    assert len(data["text/html"]) < 300_000
    json.dumps(data)
