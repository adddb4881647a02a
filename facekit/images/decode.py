"""Bytes in, upright RGB pixels out, safely: content decides, headers are checked before pixels are decoded.

Pillow's process-wide settings are never touched. Its plugins are called directly, each only for the content that it
is meant for, so that a hostile file can't pick a decoder that nobody expects and the only size limit is `Limits`.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from facekit.errors import FacekitError, PhotoError
from facekit.images.exif import header_facts, orientation
from facekit.images.files import (
    DEFAULT_LIMITS,
    Limits,
    _words,
    display_name,
    read_bytes,
)
from facekit.images.formats import SNIFF_BYTES, describe, sniff
from facekit.images.inputs import given_picture
from facekit.images.orientation import turned
from facekit.types.photos import DecodedPhoto, Status

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import BinaryIO

    import numpy.typing as npt
    from PIL.ImageFile import ImageFile

    from facekit.images.inputs import ImageSource
    from facekit.types.arrays import Image


_PLUGINS: dict[str, Callable[[Any], ImageFile]] = {
    "JPEG": JpegImageFile,  # also MPO: its first picture is an ordinary JPEG
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "AVIF": AvifImageFile,
}

_FIRST_TURNED_BY_90 = 5  # EXIF orientations 5 to 8 exchange width and height
_NEW_SUBFILE_TYPE, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 254, 262, 330, 50706  # TIFF 6.0, TIFF/EP, DNG 1.7
_RAW_PHOTOMETRICS = {32803, 34892}  # colour filter array, linear raw (TIFF/EP, DNG 1.7)


def decode(data: bytes, *, name: str, max_side: int | None = None, limits: Limits = DEFAULT_LIMITS) -> DecodedPhoto:
    """Decode an encoded photo to upright pixels.

    The content decides what the photo is, never its name. The first frame of an animation and the first page of
    a TIFF stand for the whole; transparency is put on white; embedded colour profiles are not applied.
    16-bit grey is scaled to 8 bits. Grey of 32 bits is taken to range over 0..255 or 0..65535, grey in floating point
    over 0..1; where that does not hold it, from its lowest number, or 0, to its highest. Broken EXIF is ignored.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What to call the photo in an error, usually its path (see `display_name`).
    max_side : int, optional
        Shrink so that the longer side has at most this many pixels (a JPEG is decoded at a reduced scale to begin
        with). A smaller photo is never enlarged.
    limits : Limits, optional
        Larger photos are refused before their pixels are decoded.

    Returns
    -------
    DecodedPhoto
        ``image`` is uint8 (H, W, 3), RGB, contiguous and writable; ``facts`` describes the full-size upright photo.

    Raises
    ------
    PhotoError
        With status ``corrupt`` (damaged, cut short, empty), ``unsupported`` (no picture, or of a kind that
        is not read) or ``too_large`` (over a limit, or more than the memory holds).
    """
    try:
        return _decode(data, name, max_side, limits)
    except PhotoError:
        raise
    except (MemoryError, Pillow.DecompressionBombError) as error:
        reason = f"{name} needs more memory than there is or is allowed: {_words(error)}"
        raise PhotoError(Status.TOO_LARGE, reason) from error
    except Exception as error:  # decoders raise almost anything on damaged data
        raise PhotoError(Status.CORRUPT, f"{name} is damaged or cut short: {_words(error)}") from error


def _decode(data: bytes, name: str, max_side: int | None, limits: Limits) -> DecodedPhoto:
    kind = _recognise(data, name, limits)
    picture = open_picture(kind, BytesIO(data), name)
    width, height = picture.size
    if width * height > limits.max_pixels:
        reason = f"{name} has {width} x {height} pixels; at most {limits.max_pixels:,} in all are allowed"
        raise PhotoError(Status.TOO_LARGE, reason)
    target = _target_size(width, height, max_side)
    if kind == "JPEG":
        picture.draft(None, target)
    else:
        picture.load()
        width, height = picture.size  # a HEIF header may have told another size than the picture has
        target = _target_size(width, height, max_side)
    # Metadata may stand behind the pixels (PNG), and a TIFF is turned upright while it loads: first load, then ask.
    image = _shrink(_to_rgb(picture), target)
    exif = _exif(picture)
    turn = orientation(exif)
    if turn >= _FIRST_TURNED_BY_90:
        width, height = height, width
    return DecodedPhoto(_upright(image, turn), header_facts(exif, width, height, kind))


def _recognise(data: bytes, name: str, limits: Limits) -> str:
    if not data:
        raise PhotoError(Status.CORRUPT, f"{name} is empty (0 bytes)")
    if len(data) > limits.max_bytes:
        reason = f"{name} has {len(data):,} bytes; at most {limits.max_bytes:,} are allowed"
        raise PhotoError(Status.TOO_LARGE, reason)
    kind = sniff(data[:SNIFF_BYTES])
    if kind is not None:
        return kind
    if not data.strip(b"\x00"):
        raise PhotoError(Status.CORRUPT, f"{name} holds nothing but zero bytes, as after a failed copy or recovery")
    raise PhotoError(Status.UNSUPPORTED, f"{name} is not a photo that can be read: it holds {describe(data[:1024])}")


def open_picture(kind: str, stream: BinaryIO, name: str) -> ImageFile:
    """Open a picture of a kind that `facekit.images.formats.sniff` told; its pixels are not decoded yet.

    Raises
    ------
    PhotoError
        With status ``unsupported``: raw camera data, colours that are not read.
    """
    try:
        picture = _plugin(kind)(stream)
    except SyntaxError as error:
        if kind == "TIFF" and "unknown pixel mode" in str(error):
            reason = (
                f"{name} is a TIFF of a kind that is not read (raw camera data, or several floating-point channels)"
            )
            raise PhotoError(Status.UNSUPPORTED, reason) from error
        raise
    if isinstance(picture, TiffImageFile) and _is_raw(picture):
        reason = f"{name} is a raw camera file: it holds sensor data and a small preview, which is not used"
        raise PhotoError(Status.UNSUPPORTED, reason)
    if picture.mode == "LAB":
        raise PhotoError(Status.UNSUPPORTED, f"{name} has CIELAB colours, which are not read")
    return picture


def _plugin(kind: str) -> Callable[[Any], ImageFile]:
    if kind == "HEIF":
        from pillow_heif import HeifImageFile  # 30 ms that only those with such photos pay

        return HeifImageFile
    return _PLUGINS[kind]


def _is_raw(picture: TiffImageFile) -> bool:
    """Whether a TIFF is a raw camera file, whose first page is a small preview (DNG, NEF, ARW and their like)."""
    tags = picture.tag_v2
    is_preview = tags.get(_NEW_SUBFILE_TYPE, 0) == 1 and _SUB_IFDS in tags
    return _DNG_VERSION in tags or is_preview or tags.get(_PHOTOMETRIC) in _RAW_PHOTOMETRICS


def _target_size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    longer = max(width, height)
    if max_side is None or longer <= max_side:
        return width, height
    return max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))


def _to_rgb(picture: Pillow.Image) -> Image:
    if picture.mode.startswith("I;16"):
        return _grey_to_rgb((np.asarray(picture).astype(np.uint32) + 128) // 257)  # rounded; 65535 / 255 = 257
    if picture.mode in {"I", "F"}:
        return _grey_to_rgb(_stretch(np.asarray(picture)))
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        white = Pillow.new("RGB", picture.size, "white")
        white.paste(rgba, mask=rgba)
        return np.asarray(white)
    return np.asarray(picture.convert("RGB"))


def _stretch(grey: npt.NDArray[Any]) -> npt.NDArray[Any]:
    values = np.nan_to_num(grey.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    lowest = min(0.0, float(values.min()))
    values -= lowest
    highest = float(values.max())
    usual = (1.0,) if grey.dtype.kind == "f" else (255.0, 65535.0)
    ceiling = next((ceiling for ceiling in usual if lowest == 0 and highest <= ceiling), highest)
    stretched: npt.NDArray[Any] = np.rint(values * (255.0 / ceiling))
    return stretched


def _grey_to_rgb(grey: npt.NDArray[Any]) -> Image:
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _shrink(image: Image, size: tuple[int, int]) -> Image:
    """Resize to (width, height), which must not be larger than the image."""
    if size == (image.shape[1], image.shape[0]):
        return image
    import cv2  # 50 ms that a small photo need not pay

    # Down to a half, interpolation leaves no pixel out and takes a fifth of the time that averaging areas takes.
    mild = image.shape[1] <= 2 * size[0] and image.shape[0] <= 2 * size[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if mild else cv2.INTER_AREA), np.uint8)


def _exif(picture: Pillow.Image) -> Pillow.Exif:
    try:
        return picture.getexif()
    except Exception:  # noqa: BLE001 - broken EXIF raises almost anything, and must not stop a good picture
        return Pillow.Exif()


def _upright(image: Image, turn: int) -> Image:
    """Apply an EXIF orientation, 1 to 8 (Exif 3.0, tag 274); the result is contiguous and writable."""
    if turn >= _FIRST_TURNED_BY_90:
        image = image.transpose(1, 0, 2)
    if turn in {3, 4, 7, 8}:
        image = image[::-1]
    if turn in {2, 3, 6, 7}:
        image = image[:, ::-1]
    return np.require(image, np.uint8, ["C", "W"])


def read_image(
    source: ImageSource | bytes | os.PathLike[Any] | Pillow.Image | npt.NDArray[Any],
    *,
    max_side: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Image:
    """Turn whatever someone has at hand into an upright RGB picture.

    Parameters
    ----------
    source : str, PathLike, bytes, bytearray, memoryview, file, mapping, PIL.Image.Image or ndarray
        A path, ``~`` being the home folder, or a ``data:`` URI; or the content of an image file (``bytes`` is never a
        path); or a file opened with "rb", or one of ipywidgets' FileUpload; or a Pillow image, whose EXIF
        orientation is applied; or an array, uint8, ``(H, W, 3)`` RGB, ``(H, W, 4)`` RGBA or ``(H, W)`` grey.
    max_side : int, optional
        Shrink so that the longer side has at most this many pixels; a smaller picture is never enlarged.
    limits : Limits, optional
        Larger files are refused before their pixels are decoded.

    Returns
    -------
    ndarray, uint8 (H, W, 3)
        RGB, 0..255, contiguous and writable. Transparency is put on white. An array that has this form already
        is returned as it is, not copied.

    Raises
    ------
    PhotoError
        If a file or its content can't be read; see `decode` and `read_bytes`.
    FacekitError
        If an array has another shape or type, or the source is none of these things.

    Examples
    --------
    >>> picture = fk.read_image(demo.folder / "IMG_0001.jpg", max_side=512)
    >>> picture.shape, picture.dtype
    ((512, 512, 3), dtype('uint8'))
    """
    given = given_picture(source)
    if isinstance(given, np.ndarray):
        given = _picture_from_array(given)
    if isinstance(given, Pillow.Image):
        return _from_picture(given, max_side)
    name = "the picture" if isinstance(given, bytes) else display_name(given)
    data = given if isinstance(given, bytes) else read_bytes(given, limits)
    return decode(data, name=name, max_side=max_side, limits=limits).image


def _picture_from_array(array: npt.NDArray[Any]) -> Pillow.Image:
    fits = array.dtype == np.uint8 and array.size > 0
    if not (fits and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in {3, 4}))):  # noqa: PLR2004
        message = f"The array has dtype {array.dtype} and shape {array.shape}."
        raise FacekitError(message, "Give uint8, 0..255, as (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey.")
    return Pillow.fromarray(array)


def _from_picture(picture: Pillow.Image, max_side: int | None) -> Image:
    try:
        image = _shrink(_to_rgb(picture), _target_size(*picture.size, max_side))
    except Exception as error:  # a Pillow image reads its file only now
        raise PhotoError(Status.CORRUPT, f"the picture is damaged or cut short: {_words(error)}") from error
    return _upright(image, orientation(_exif(picture)))


def thumbnail(image: Image, max_side: int = 512, quality: int = 80) -> bytes:
    """Make a small JPEG of a picture.

    Parameters
    ----------
    image : ndarray, uint8 (H, W, 3)
        RGB, upright.
    max_side : int, optional
        Longest side of the result in pixels; a smaller picture is never enlarged.
    quality : int, optional
        JPEG quality as libjpeg counts it, 1..95.

    Returns
    -------
    bytes
        A baseline JPEG file without metadata.
    """
    height, width = image.shape[:2]
    stream = BytesIO()
    Pillow.fromarray(_shrink(image, _target_size(width, height, max_side))).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def turned_thumbnail(jpeg: bytes, turn: int) -> bytes:
    """A thumbnail turned clockwise by 0, 90, 180 or 270 degrees."""
    return thumbnail(turned(read_image(jpeg), turn)) if turn % 360 else jpeg
