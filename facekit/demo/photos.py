"""Real photos for the demo: two people and some still lifes, made from pictures that installed packages carry.

Only one picture of each person comes with a package, so every photo of a person is that picture as another camera,
phone or editor might have stored it: resized, dimmed, grey, mirrored, turned by EXIF, in another format, in a collage.
The demo therefore shows that everything works together, not how well faces are recognised.

The pictures, all free to use (``SOURCES.txt`` beside the photos names each one's author and licence):

- Eileen Collins, NASA, public domain (``astronaut.png`` of scikit-image);
- Grace Hopper, James S. Davis, US Navy, public domain (``grace_hopper.jpg`` of matplotlib);
- a cat and a cup of coffee, CC0, and a rocket, public domain (scikit-image);
- a pavilion and a flower, CC BY 2.0 (scikit-learn).
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import pillow_heif
from filelock import FileLock
from PIL import Image, ImageEnhance, ImageOps

from facekit.errors import FacekitError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

PERSON = "Eileen Collins"
EXIF_ORIENTATION = 0x0112  # Exif 2.3, table 4: how the stored pixels have to be turned
QUALITY = 90  # of JPEG, WEBP and HEIC: high enough that only the edit matters
SOURCES = "SOURCES.txt"
TITLE = "The photos of facekit's demo, made from pictures that Python packages carry."


@dataclass(frozen=True, slots=True)
class DemoPhotos:
    """A folder of photos, a picture to search with, and what the search should find.

    Parameters
    ----------
    folder : Path
        The photos, some of them in a subfolder.
    probe : Path
        A picture of `person` outside `folder`; no photo has the same bytes or the same pixels.
    person : str
        Who is on the probe.
    expected : tuple of str
        The photos that show `person`: paths below `folder` with forward slashes, sorted.
    """

    folder: Path
    probe: Path
    person: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture that an installed package carries, with its author and licence."""

    package: str
    path: str
    credit: str

    def locate(self) -> Path:
        """Where the file is on this machine; the package isn't imported."""
        spec = importlib.util.find_spec(self.package)
        file = Path(spec.origin).parent / self.path if spec and spec.origin else None
        if file is None or not file.is_file():
            message = f"The demo's picture {self.path} of the package {self.package} is not on this machine."
            raise FacekitError(message, 'Install it with: pip install "facekit[demo]"')
        return file


COLLINS = _Picture("skimage", "data/astronaut.png", "Eileen Collins; NASA; public domain")
HOPPER = _Picture(
    "matplotlib",
    "mpl-data/sample_data/grace_hopper.jpg",
    "Grace Hopper; James S. Davis, US Navy, NH 96919-KN; public domain",
)
CAT = _Picture("skimage", "data/chelsea.png", "the cat Chelsea; Stefan van der Walt; CC0 1.0")
COFFEE = _Picture("skimage", "data/coffee.png", "a cup of coffee; Rachel Michetti; CC0 1.0")
ROCKET = _Picture("skimage", "data/rocket.jpg", "Falcon 9 with DSCOVR; SpaceX; public domain")
PAVILION = _Picture("sklearn", "datasets/images/china.jpg", "a pavilion; danielbuechele on Flickr; CC BY 2.0")
FLOWER = _Picture("sklearn", "datasets/images/flower.jpg", "a flower; vultilion on Flickr; CC BY 2.0")


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo to be made: its name (the ending is the format), what it shows from left to right, and the edits.

    ``crop`` is left, upper, right, lower in pixels of the picture; ``orientation`` is EXIF's: the pixels are stored
    turned so that a viewer who follows the tag shows them upright.
    """

    name: str
    shows: tuple[_Picture, ...]
    scale: float = 1
    crop: tuple[int, int, int, int] | None = None
    mirrored: bool = False
    brightness: float = 1
    grey: bool = False
    orientation: int = 1


PHOTOS = (
    _Photo("portrait.png", (COLLINS,)),
    _Photo("portrait, large.jpg", (COLLINS,), scale=2.5),
    _Photo("portrait, small.jpg", (COLLINS,), scale=0.5),
    _Photo("IMG_0001.jpg", (COLLINS,), scale=2, orientation=6),
    _Photo("IMG_0002.jpg", (COLLINS,), orientation=3),
    _Photo("IMG_0003.heic", (COLLINS,), scale=1.5),
    _Photo("selfie.webp", (COLLINS,), mirrored=True),
    _Photo("evening.jpg", (COLLINS,), brightness=0.4),
    _Photo("newspaper.tif", (COLLINS,), grey=True),
    _Photo("Айлин Коллинз.jpg", (COLLINS,), scale=0.8),
    _Photo("launch day 🚀.jpg", (COLLINS,), scale=1.2, brightness=1.2),
    _Photo("both.jpg", (COLLINS, HOPPER)),
    _Photo("both, mirrored.webp", (HOPPER, COLLINS), scale=1.5, mirrored=True),
    _Photo("album page.png", (CAT, COLLINS, COFFEE, HOPPER), scale=0.8),
    _Photo("hopper.jpg", (HOPPER,)),
    _Photo("hopper, small.jpg", (HOPPER,), scale=0.5),
    _Photo("hopper, mirrored.png", (HOPPER,), mirrored=True),
    _Photo("IMG_0004.jpg", (HOPPER,), scale=2, orientation=8),
    _Photo("IMG_0005.heic", (HOPPER,), scale=1.5),
    _Photo("Грейс Хоппер.tif", (HOPPER,), grey=True),
    _Photo("backup/hopper.jpg", (HOPPER,)),  # the same bytes as hopper.jpg
    _Photo("cat.png", (CAT,)),
    _Photo("coffee.webp", (COFFEE,)),
    _Photo("rocket.jpg", (ROCKET,), orientation=6),
    _Photo("pavilion.jpg", (PAVILION,)),
    _Photo("flower.heic", (FLOWER,)),
)
PROBE = _Photo("probe.jpg", (COLLINS,), crop=(90, 0, 390, 300), scale=1.3, brightness=0.9)


def build_demo_photos(folder: str | os.PathLike[str]) -> DemoPhotos:
    """Make the demo's photos in `folder`, or do nothing where they already are.

    The photos are built beside `folder` and appear in one step, so that an interrupted run leaves none behind.

    Parameters
    ----------
    folder : path
        A folder that doesn't exist yet, is empty, or holds demo photos of this or another version.

    Returns
    -------
    DemoPhotos
        26 photos (about 5 MB) in ``folder/photos``, the probe ``folder/probe.jpg``.

    Raises
    ------
    FacekitError
        If a package that carries a picture isn't installed, or `folder` holds something else.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not _is_finished(folder):
            _refuse_foreign(folder)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as temporary:
                new = Path(temporary, "new")
                _build(new)
                shutil.rmtree(folder, ignore_errors=True)
                new.rename(folder)
    return DemoPhotos(
        folder=folder / "photos",
        probe=folder / PROBE.name,
        person=PERSON,
        expected=tuple(sorted(photo.name for photo in PHOTOS if COLLINS in photo.shows)),
    )


def _is_finished(folder: Path) -> bool:
    return (
        _read_sources(folder) == _sources_text()
        and all((folder / "photos" / photo.name).is_file() for photo in PHOTOS)
        and (folder / PROBE.name).is_file()
    )


def _refuse_foreign(folder: Path) -> None:
    """Refuse to replace what we didn't make."""
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not empty and not _read_sources(folder).startswith(TITLE):
        message = f"{folder} holds something other than facekit's demo photos."
        raise FacekitError(message, "Choose a folder that does not exist yet.")


def _read_sources(folder: Path) -> str:
    file = folder / SOURCES
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _sources_text() -> str:
    """Who made what, for people; being the same for the same photos, it also tells whether a folder is up to date."""
    lines = [
        TITLE,
        "They were resized, cropped, mirrored, dimmed, turned, joined or stored in another format, as below.",
        "CC BY 2.0: https://creativecommons.org/licenses/by/2.0/",
        "CC0 1.0: https://creativecommons.org/publicdomain/zero/1.0/",
    ]
    for photo in (PROBE, *PHOTOS):
        optional = [field for field in fields(photo) if field.default is not MISSING]
        edits = {f.name: getattr(photo, f.name) for f in optional if getattr(photo, f.name) != f.default}
        lines += ["", photo.name, *(f"    {picture.credit} ({picture.package})" for picture in photo.shows)]
        lines += [f"    {name}: {value}" for name, value in edits.items()]
    return "\n".join(lines) + "\n"


def _build(folder: Path) -> None:
    """Make every photo, the probe and the list of sources in a new folder."""
    files = {picture: picture.locate() for photo in PHOTOS for picture in photo.shows}
    for photo in PHOTOS:
        target = folder / "photos" / photo.name
        target.parent.mkdir(parents=True, exist_ok=True)
        _make(photo, [files[picture] for picture in photo.shows], target)
    _make(PROBE, [files[picture] for picture in PROBE.shows], folder / PROBE.name)
    (folder / SOURCES).write_text(_sources_text(), encoding="utf-8")


def _make(photo: _Photo, files: Sequence[Path], target: Path) -> None:
    """Write one photo; one without edits in its picture's own format keeps the picture's bytes."""
    if photo == _Photo(photo.name, photo.shows) and len(files) == 1 and files[0].suffix == target.suffix:
        shutil.copyfile(files[0], target)
        return
    _save(_render(photo, files), photo.orientation, target)


def _render(photo: _Photo, files: Sequence[Path]) -> Image.Image:
    """The edited picture, upright, RGB or grey."""
    image = _side_by_side([Image.open(file).convert("RGB") for file in files])
    if photo.crop:
        image = image.crop(photo.crop)
    if photo.scale != 1:
        image = ImageOps.scale(image, photo.scale, Image.Resampling.LANCZOS)
    if photo.mirrored:
        image = ImageOps.mirror(image)
    if photo.brightness != 1:
        image = ImageEnhance.Brightness(image).enhance(photo.brightness)
    return ImageOps.grayscale(image) if photo.grey else image


def _side_by_side(images: Sequence[Image.Image]) -> Image.Image:
    """Several pictures in one row on white, with a gap between them, none of them scaled."""
    if len(images) == 1:
        return images[0]
    gap = 16
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    page = Image.new("RGB", (width, max(image.height for image in images)), "white")
    left = 0
    for image in images:
        page.paste(image, (left, 0))
        left += image.width + gap
    return page


def _save(image: Image.Image, orientation: int, target: Path) -> None:
    """Store an upright image with its pixels turned as the EXIF orientation says."""
    stored = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    if target.suffix == ".heic":
        pillow_heif.from_pillow(image).save(target, quality=QUALITY)
    elif orientation == 1:
        image.save(target, quality=QUALITY)
    else:
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        image.transpose(stored[orientation]).save(target, quality=QUALITY, exif=exif)
