"""The uploader in a real browser: pictures are made small and upright there, and their faces are found here."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import overflow, until, violations
from PIL import Image

from facekit.widgets.uploader import Uploader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from playwright.sync_api import Page

    from facekit.demo.photos import DemoPhotos
    from facekit.library.base import Library

ORIENTATION = 0x0112  # the EXIF tag

# What a browser hands over when files are dropped or pasted.
HAND_OVER = """([kind, target, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], name, { type }));
  }
  const options = { bubbles: true, cancelable: true };
  const event = kind === "drop"
    ? new DragEvent("drop", { ...options, dataTransfer: transfer })
    : new ClipboardEvent("paste", { ...options, clipboardData: transfer });
  document.querySelector(target).dispatchEvent(event);
}"""


def choose(page: Page, files: Path | Sequence[Path] | dict[str, Any]) -> None:
    page.locator("input[type=file]").set_input_files(files)  # type: ignore[arg-type]


def hand_over(page: Page, kind: str, path: Path, target: str = ".fk-uploader") -> None:
    content = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(HAND_OVER, [kind, target, [[path.name, "image/jpeg", content]]])


def large_photo(path: Path, astronaut: Path) -> Path:
    """Twelve megapixels with the noise of a sensor, stored lying on its side as phones do."""
    with Image.open(astronaut) as picture:
        upright = picture.convert("RGB").resize((3000, 4000), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).integers(0, 24, (4000, 3000, 1), np.uint8)
    upright = Image.fromarray(np.clip(np.asarray(upright, np.uint16) + noise, 0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(path, quality=92, exif=exif)
    return path


def test_a_photo_of_twelve_megapixels_arrives_small_and_upright(
    demo_library: Library, astronaut: Path, tmp_path: Path, show: Callable[..., Page]
) -> None:
    path = large_photo(tmp_path / "phone.jpg", astronaut)
    assert path.stat().st_size > 2_000_000
    uploader = Uploader(demo_library)
    page = show(uploader)
    choose(page, path)
    page.get_by_text("1 face found.").wait_for()
    [(data, face)] = uploader.pictures
    with Image.open(BytesIO(data)) as arrived:
        assert arrived.size == (1200, 1600)
        assert arrived.getexif().get(ORIENTATION, 1) == 1
    assert len(data) < 1_000_000
    assert face == 0
    box = uploader.probes[0]["faces"][0]["box"]
    assert box[1] + box[3] < 0.5  # the face is at the top of the portrait


def test_the_second_face_can_be_picked_and_is_the_one_that_is_found(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    uploader = Uploader(demo_library)
    page = show(uploader)
    choose(page, demo_photos.folder / "both.jpg")
    group = page.get_by_role("group", name="both.jpg")
    group.wait_for()
    versions: list[int] = []
    uploader.observe(lambda change: versions.append(change.new), "version")

    def best() -> str:
        pictures, faces = zip(*uploader.pictures, strict=True)
        hit = next(hit for hit in demo_library.search(list(pictures), face=list(faces)) if "both" not in hit.photo)
        return hit.photo.rpartition("/")[2]

    def people(name: str) -> str:
        return "Hopper" if "opper" in name or name in {"IMG_0004.jpg", "IMG_0005.heic"} else "Collins"

    first = people(best())
    second = group.get_by_role("button", name="Face 2 of 2")
    assert second.get_attribute("aria-pressed") == "false"
    second.focus()
    page.keyboard.press("Enter")
    until(page, lambda: [face for _, face in uploader.pictures] == [1])
    group.get_by_role("button", name="Face 2 of 2", pressed=True).and_(page.locator(":focus")).wait_for()
    assert {first, people(best())} == {"Collins", "Hopper"}
    assert versions == [2]


def test_the_frames_lie_over_the_faces(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    page = show(Uploader(demo_library))
    choose(page, demo_photos.folder / "both.jpg")
    picture = page.locator(".fk-picture")
    picture.wait_for()
    page.locator(".fk-face").nth(1).wait_for()
    frames = [page.locator(".fk-face").nth(index).bounding_box() for index in range(2)]
    page.add_style_tag(content=".fk-face { visibility: hidden }")
    around = picture.bounding_box()
    for frame, face in zip(frames, demo_library.faces_in(picture.screenshot()), strict=True):
        assert frame is not None
        assert around is not None
        middle = (frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
        x, y, width, height = face.box
        assert around["x"] + x * around["width"] < middle[0] < around["x"] + (x + width) * around["width"]
        assert around["y"] + y * around["height"] < middle[1] < around["y"] + (y + height) * around["height"]


def test_a_picture_without_a_face_stays_and_is_not_searched(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    uploader = Uploader(demo_library)
    page = show(uploader)
    choose(page, [demo_photos.folder / "cat.png", demo_photos.probe])
    page.get_by_text("No face was found in this picture.").wait_for()
    page.get_by_text("1 picture is ready to search with.").wait_for()
    assert page.get_by_role("img", name="cat.png").is_visible()
    assert len(uploader.probes) == 2
    assert len(uploader.pictures) == 1


def test_what_is_no_picture_or_too_large_is_refused_by_name(
    demo_library: Library, tmp_path: Path, show: Callable[..., Page]
) -> None:
    uploader = Uploader(demo_library)
    page = show(uploader)
    (tmp_path / "letter <b>.txt").write_text("Dear Anna")
    (tmp_path / "raw.heic").write_bytes(bytes(9 * 2**20))
    choose(page, [tmp_path / "letter <b>.txt", tmp_path / "raw.heic"])
    page.get_by_text("letter <b>.txt: This is not a picture.").wait_for()
    page.get_by_text("raw.heic: The file is too large: at most 8 MB.").wait_for()
    assert uploader.probes == []
    page.get_by_role("button", name="Dismiss: letter <b>.txt").click()
    assert page.locator(".fk-refused li").all_text_contents() == [
        "raw.heic: The file is too large: at most 8 MB.✕\ufe0e"
    ]


def test_a_file_that_goes_away_is_refused_and_the_others_are_taken(
    demo_library: Library, demo_photos: DemoPhotos, tmp_path: Path, show: Callable[..., Page]
) -> None:
    uploader = Uploader(demo_library)
    page = show(uploader)
    page.evaluate("""() => { // as when the card that it lies on is pulled out
      const read = Blob.prototype.arrayBuffer;
      Blob.prototype.arrayBuffer = function () {
        return this.name === "gone.heic" ? Promise.reject(new DOMException("gone")) : read.call(this);
      };
    }""")
    (tmp_path / "gone.heic").write_bytes(b"not there")
    choose(page, [tmp_path / "gone.heic", demo_photos.probe])
    page.get_by_text("gone.heic: The file can't be read.").wait_for()
    until(page, lambda: len(uploader.pictures) == 1)
    assert page.locator("[aria-busy=true]").count() == 0


def test_a_damaged_picture_is_said_in_words(demo_library: Library, tmp_path: Path, show: Callable[..., Page]) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    uploader = Uploader(demo_library)
    page = show(uploader)
    choose(page, tmp_path / "cut.jpg")
    page.get_by_text("The picture is damaged or cut short.").wait_for()
    assert uploader.pictures == []


def test_what_the_browser_cannot_show_is_shown_by_python(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    path = demo_photos.folder / "IMG_0003.heic"
    uploader = Uploader(demo_library)
    page = show(uploader)
    choose(page, path)
    page.get_by_role("button", name="Face 1 of 1", pressed=True).wait_for()
    until(page, lambda: page.get_by_role("img", name="IMG_0003.heic").evaluate("image => image.naturalWidth") == 640)
    assert uploader.pictures == [(path.read_bytes(), 0)]


def test_more_than_eight_pictures_are_refused(
    demo_library: Library, demo_photos: DemoPhotos, tmp_path: Path, show: Callable[..., Page]
) -> None:
    names = [tmp_path / f"{number}.jpg" for number in range(10)]
    for name in names:
        name.write_bytes((demo_photos.folder / "portrait, small.jpg").read_bytes())
    uploader = Uploader(demo_library)
    page = show(uploader)
    choose(page, names)
    page.get_by_text("9.jpg: At most 8 pictures can be searched for at once.").wait_for()
    until(page, lambda: [probe["name"] for probe in uploader.probes] == [f"{number}.jpg" for number in range(8)])
    # A page that does not keep to it is stopped here.
    uploader._handle_custom_msg({"kind": "picture", "id": "x", "name": "x"}, [memoryview(b"x")])
    assert len(uploader.probes) == 8
    page.get_by_text("x is one picture too many").wait_for()


def test_pictures_are_dropped_and_pasted(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    uploader = Uploader(demo_library)
    page = show(uploader)
    hand_over(page, "drop", demo_photos.probe)
    until(page, lambda: len(uploader.pictures) == 1)
    hand_over(page, "paste", demo_photos.folder / "hopper.jpg", "body")
    until(page, lambda: len(uploader.pictures) == 2)
    page.evaluate("document.body.append(Object.assign(document.createElement('textarea'), { id: 'note' }))")
    page.locator("#note").focus()
    hand_over(page, "paste", demo_photos.probe, "#note")  # that one goes into the text
    page.wait_for_timeout(300)
    assert page.locator(".fk-card").count() == 2
    page.get_by_role("button", name="Choose pictures").focus()
    hand_over(page, "paste", demo_photos.folder / "evening.jpg", "body")
    until(page, lambda: len(uploader.pictures) == 3)


def test_a_picture_is_removed(demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]) -> None:
    uploader = Uploader(demo_library)
    page = show(uploader)
    choose(page, [demo_photos.probe, demo_photos.folder / "hopper.jpg"])
    page.get_by_text("2 pictures are ready to search with.").wait_for()
    page.get_by_role("button", name=f"Remove {demo_photos.probe.name}").click()
    until(page, lambda: [probe["name"] for probe in uploader.probes] == ["hopper.jpg"])
    page.get_by_text("1 picture is ready to search with.").wait_for()
    assert page.locator(".fk-card").count() == 1
    uploader.clear()
    until(page, lambda: page.locator(".fk-card").count() == 0)
    assert uploader.pictures == []


def test_the_camera_takes_a_picture_and_is_let_go(demo_library: Library, show: Callable[..., Page]) -> None:
    uploader = Uploader(demo_library)
    page = show(uploader)
    page.evaluate("""() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => window.stream = await ask(wanted);
    }""")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("dialog").get_by_role("button", name="Take the picture").click()
    until(page, lambda: [probe["name"] for probe in uploader.probes] == ["camera.jpg"])
    assert not page.get_by_role("dialog").is_visible()
    assert page.evaluate("window.stream.getTracks().map((track) => track.readyState)") == ["ended"]


@pytest.mark.parametrize("leave", ["document.querySelector('dialog').close()", "ending.abort()"])
def test_a_camera_that_is_allowed_too_late_is_let_go(
    leave: str, demo_library: Library, show: Callable[..., Page]
) -> None:
    page = show(Uploader(demo_library))
    page.evaluate("""() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        await new Promise((done) => (window.allow = done));
        return (window.stream = await ask(wanted));
      };
    }""")
    page.get_by_role("button", name="Use the camera").click()
    page.evaluate(leave)
    page.evaluate("allow()")
    until(page, lambda: page.evaluate("window.stream?.getTracks().map((track) => track.readyState)") == ["ended"])


def test_a_camera_that_is_not_allowed_is_said(demo_library: Library, show: Callable[..., Page]) -> None:
    page = show(Uploader(demo_library))
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no')); }")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_text("The camera can't be used").wait_for()
    assert not page.get_by_role("dialog").is_visible()


def test_a_fault_of_ours_is_said_with_a_reference(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(picture: object) -> None:
        message = "/secret/path"
        raise RuntimeError(message)

    monkeypatch.setattr(demo_library, "faces_in", broken)
    page = show(Uploader(demo_library))
    choose(page, demo_photos.probe)
    page.get_by_role("alert").get_by_text("reference").wait_for()
    assert page.get_by_text("secret").count() == 0
    assert page.locator("[aria-busy=true]").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    theme: str, demo_library: Library, demo_photos: DemoPhotos, tmp_path: Path, show: Callable[..., Page]
) -> None:
    (tmp_path / "letter.txt").write_text("Dear Anna")
    page = show(Uploader(demo_library), theme=theme)
    choose(page, [demo_photos.folder / "both.jpg", demo_photos.folder / "cat.png", tmp_path / "letter.txt"])
    page.get_by_text("1 picture is ready to search with.").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("dialog").wait_for()
    assert violations(page) == []


def test_it_fits_a_phone_and_speaks_russian(
    demo_library: Library, demo_photos: DemoPhotos, show: Callable[..., Page]
) -> None:
    page = show(Uploader(demo_library), width=320, locale="ru-RU")
    choose(page, [demo_photos.folder / "both.jpg", demo_photos.probe])
    page.get_by_text("Готово к поиску 2 снимка.").wait_for()
    assert page.get_by_text("Найдено 2 лица.").is_visible()
    assert page.get_by_text("Найдено 1 лицо.").is_visible()
    assert overflow(page) <= 0
