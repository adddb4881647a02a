"""The demo's photos: made once, in one step, from real pictures, with the edits that their list names."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

import facekit.demo.photos
from facekit.demo.photos import PHOTOS, build_demo_photos
from facekit.errors import FacekitError

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.demo.photos import DemoPhotos

FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".heic": "HEIF"}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three photos instead of all, where a test builds them again."""
    monkeypatch.setattr(facekit.demo.photos, "PHOTOS", PHOTOS[:3])


def photos(demo: DemoPhotos) -> dict[str, Path]:
    return {path.relative_to(demo.folder).as_posix(): path for path in demo.folder.rglob("*") if path.is_file()}


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of the last change of everything below a folder."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")]}


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures of the same shape, 0..255, after scaling to the same size."""
    size = (128, 128)
    delta = ImageChops.difference(one.convert("RGB").resize(size), other.convert("RGB").resize(size))
    return float(np.mean(ImageStat.Stat(delta).mean))


def test_photos_are_real_files_of_the_format_they_are_named_for(demo_photos: DemoPhotos) -> None:
    pillow_heif.register_heif_opener()
    found = photos(demo_photos)
    assert len(found) == 26
    for path in [*found.values(), demo_photos.probe]:
        with Image.open(path) as image:
            image.load()
            assert image.format == FORMATS[path.suffix]


def test_expected_photos_exist_and_are_some_of_all(demo_photos: DemoPhotos) -> None:
    found = photos(demo_photos)
    assert set(demo_photos.expected) < set(found)
    assert list(demo_photos.expected) == sorted(demo_photos.expected)
    assert any(not name.isascii() for name in demo_photos.expected)


def test_probe_is_no_photo_of_the_folder(demo_photos: DemoPhotos) -> None:
    assert demo_photos.folder not in demo_photos.probe.parents
    assert demo_photos.probe.read_bytes() not in [path.read_bytes() for path in photos(demo_photos).values()]


@pytest.mark.parametrize("name", ["IMG_0001.jpg", "IMG_0002.jpg"])
def test_exif_turns_the_stored_pixels_upright(demo_photos: DemoPhotos, astronaut: Path, name: str) -> None:
    with Image.open(demo_photos.folder / name) as stored, Image.open(astronaut) as original:
        assert difference(ImageOps.exif_transpose(stored), original) < 3
        assert difference(stored, original) > 30


def test_exif_turns_a_photo_the_other_way(demo_photos: DemoPhotos, grace_hopper: Path) -> None:
    with Image.open(demo_photos.folder / "IMG_0004.jpg") as stored, Image.open(grace_hopper) as original:
        assert stored.size == (1200, 1024)
        assert difference(ImageOps.exif_transpose(stored), original) < 3


def test_edits_are_made(demo_photos: DemoPhotos, astronaut: Path) -> None:
    with Image.open(astronaut) as original:
        with Image.open(demo_photos.folder / "selfie.webp") as mirrored:
            assert difference(mirrored, ImageOps.mirror(original)) < 3
        with Image.open(demo_photos.folder / "newspaper.tif") as grey:
            assert grey.mode == "L"
            assert difference(grey, ImageOps.grayscale(original)) < 1
        with Image.open(demo_photos.folder / "evening.jpg") as dim:
            brightness = ImageStat.Stat(dim.convert("L")).mean[0] / ImageStat.Stat(original.convert("L")).mean[0]
            assert brightness == pytest.approx(0.4, abs=0.02)


def test_unedited_photos_keep_their_bytes(demo_photos: DemoPhotos, astronaut: Path, grace_hopper: Path) -> None:
    assert (demo_photos.folder / "portrait.png").read_bytes() == astronaut.read_bytes()
    assert (demo_photos.folder / "hopper.jpg").read_bytes() == grace_hopper.read_bytes()
    assert (demo_photos.folder / "backup" / "hopper.jpg").read_bytes() == grace_hopper.read_bytes()


def test_sources_name_every_photo_and_its_licence(demo_photos: DemoPhotos) -> None:
    blocks = (demo_photos.folder.parent / "SOURCES.txt").read_text(encoding="utf-8").split("\n\n")[1:]
    assert {block.splitlines()[0] for block in blocks} == {*photos(demo_photos), demo_photos.probe.name}
    assert all("public domain" in block or "CC0 1.0" in block or "CC BY 2.0" in block for block in blocks)


def test_finished_folder_is_left_alone(demo_photos: DemoPhotos) -> None:
    before = state(demo_photos.folder.parent)
    assert build_demo_photos(demo_photos.folder.parent) == demo_photos
    assert state(demo_photos.folder.parent) == before


@pytest.mark.usefixtures("few")
def test_lost_photo_comes_back(tmp_path: Path) -> None:
    demo = build_demo_photos(tmp_path / "demo")
    (demo.folder / "portrait.png").unlink()
    assert (build_demo_photos(tmp_path / "demo").folder / "portrait.png").is_file()


@pytest.mark.usefixtures("few")
def test_photos_of_another_version_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_demo_photos(tmp_path / "demo")
    monkeypatch.setattr(facekit.demo.photos, "PHOTOS", PHOTOS[1:3])
    demo = build_demo_photos(tmp_path / "demo")
    assert set(photos(demo)) == {"portrait, large.jpg", "portrait, small.jpg"}


@pytest.mark.usefixtures("few")
def test_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(facekit.demo.photos, "_save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_demo_photos(tmp_path / "demo")
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(photos(build_demo_photos(tmp_path / "demo"))) == 3


@pytest.mark.usefixtures("few")
def test_two_at_once_build_one_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(build_demo_photos, [tmp_path / "demo"] * 2)
    assert one == other
    assert len(photos(one)) == 3
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [tmp_path / "demo"]


@pytest.mark.usefixtures("few")
def test_empty_folder_is_filled(tmp_path: Path) -> None:
    assert len(photos(build_demo_photos(tmp_path))) == 3


def test_folder_with_other_things_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "SOURCES.txt").write_text("my own list", encoding="utf-8")
    with pytest.raises(FacekitError, match="something other") as caught:
        build_demo_photos(tmp_path)
    assert "folder" in caught.value.remedy
    assert (tmp_path / "SOURCES.txt").read_text(encoding="utf-8") == "my own list"


def test_missing_package_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    with pytest.raises(FacekitError, match="matplotlib") as caught:
        build_demo_photos(tmp_path / "demo")
    assert 'pip install "facekit[demo]"' in caught.value.remedy
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
