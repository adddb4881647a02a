"""A corpus of odd and broken image files, generated: what photo folders really hold, and what attackers put there."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pillow_heif
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.Image import Transpose

from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CORNERS = {
    "top left": (220, 30, 30),
    "top right": (30, 160, 40),
    "bottom left": (30, 50, 210),
    "bottom right": (240, 220, 40),
}

# How a picture has to be stored so that a viewer that obeys the orientation tag shows it upright (Exif 3.0, 4.6.5).
STORED = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "HEIF", "AVIF")
EXTENSIONS = {name: name.lower() for name in FORMATS} | {"JPEG": "jpg", "TIFF": "tif", "HEIF": "heic"}


def marker(width: int = 96, height: int = 64) -> Image.Image:
    """An RGB picture with another colour in each quarter, so that every turn and every mirroring shows."""
    pixels = np.empty((height, width, 3), np.uint8)
    top, left = slice(None, height // 2), slice(None, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    for place, colour in zip(
        ((top, left), (top, right), (bottom, left), (bottom, right)), CORNERS.values(), strict=True
    ):
        pixels[place] = colour
    return Image.fromarray(pixels)


def grey_ramp(dtype: type[np.generic], top: float, width: int = 96, height: int = 64) -> np.ndarray[Any, Any]:
    """A grey picture that rises from 0 at the left to `top` at the right."""
    return np.tile(np.linspace(0, top, width), (height, 1)).astype(dtype)


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode with Pillow, or HEIF with pillow-heif."""
    stream = BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(picture).save(stream, **options)
    else:
        picture.save(stream, kind, **options)
    return stream.getvalue()


def turned(kind: str, orientation: int) -> bytes:
    """The marker, stored turned and with the tag that turns it upright again."""
    operation = STORED[orientation]
    picture = marker() if operation is None else marker().transpose(operation)
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    return encode(picture, kind, exif=exif.tobytes(), **options)


def jpeg_with_exif(
    tags: Mapping[Any, Any], exif_tags: Mapping[Any, Any] | None = None, gps: Mapping[Any, Any] | None = None
) -> bytes:
    """A JPEG of the marker with these tags in IFD0, in the Exif IFD and in the GPS IFD."""
    exif = Image.Exif()
    exif.update(tags)
    if exif_tags:
        exif.get_ifd(IFD.Exif).update(exif_tags)
    if gps:
        exif.get_ifd(IFD.GPSInfo).update(gps)
    return encode(marker(), "JPEG", exif=exif)


def png_header(width: int, height: int, *, pixels: bytes = b"") -> bytes:
    """A PNG, 8-bit RGB, that claims a size and holds next to no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def gif_header(width: int, height: int) -> bytes:
    """A GIF that claims a size and has one frame of it, without pixels."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x01\x00\x00;"


def ycck_jpeg() -> bytes:
    """A four-component JPEG whose Adobe marker says YCCK: the components are stored as they are, only named so."""
    luma = marker().convert("YCbCr")
    stored = Image.merge("CMYK", (*luma.split(), Image.new("L", luma.size, 0)))
    data = bytearray(encode(stored, "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2  # the transform: 0 is CMYK, 2 is YCCK (Adobe Technical Note 5116)
    return bytes(data)


def jpeg_of_size(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    data = bytearray(encode(marker(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _modes() -> Iterator[tuple[str, bytes]]:
    """Every colour model and depth that a photo is stored in."""
    picture = marker()
    clear = picture.convert("RGBA")
    clear.putalpha(Image.fromarray(grey_ramp(np.uint8, 255)))
    palette = picture.quantize(8)
    yield "cmyk.jpg", encode(picture.convert("CMYK"), "JPEG", quality=95)
    yield "ycck.jpg", ycck_jpeg()
    yield "grey.jpg", encode(picture.convert("L"), "JPEG")
    yield "progressive.jpg", encode(picture, "JPEG", progressive=True)
    yield "subsampling_444.jpg", encode(picture, "JPEG", subsampling=0)
    yield "palette.png", encode(palette, "PNG")
    yield "palette_with_transparency.png", encode(palette, "PNG", transparency=0)
    yield "palette_with_alpha_table.png", encode(palette, "PNG", transparency=bytes(range(0, 256, 32)))
    yield "rgb_with_transparent_colour.png", encode(picture, "PNG", transparency=CORNERS["top left"])
    yield "grey_with_alpha.png", encode(clear.convert("LA"), "PNG")
    yield "rgba.png", encode(clear, "PNG")
    yield "rgba.webp", encode(clear, "WEBP", lossless=True)
    yield "rgba.tif", encode(clear, "TIFF")
    yield "rgba.avif", encode(clear, "AVIF")
    yield "rgba.heic", encode(clear, "HEIF")
    yield "one_bit.png", encode(picture.convert("1"), "PNG")
    yield "one_bit.tif", encode(picture.convert("1"), "TIFF", compression="group4")
    yield "grey_16_bit.png", encode(Image.fromarray(grey_ramp(np.uint16, 65535)), "PNG")
    yield "grey_16_bit.tif", encode(Image.fromarray(grey_ramp(np.uint16, 65535)), "TIFF")
    yield "rgb_16_bit.png", _opencv(".png", np.asarray(picture, np.uint16)[..., ::-1] * 257)
    yield "rgb_16_bit.tif", _opencv(".tif", np.asarray(picture, np.uint16)[..., ::-1] * 257)
    yield "grey_32_bit_integer.tif", encode(Image.fromarray(grey_ramp(np.int32, 2_000_000_000)), "TIFF")
    yield "grey_float.tif", encode(Image.fromarray(grey_ramp(np.float32, 1)), "TIFF")
    yield "grey_float_not_finite.tif", encode(Image.fromarray(np.full((64, 96), np.nan, np.float32)), "TIFF")
    yield "cmyk.tif", encode(picture.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "jpeg_compressed.tif", encode(picture, "TIFF", compression="jpeg")
    yield "big.tif", encode(picture, "TIFF", big_tiff=True)


def _frames() -> Iterator[tuple[str, bytes]]:
    """Files that hold more than one picture: the first counts."""
    several: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", marker().size, "black")]}
    yield "animated.gif", encode(marker(), "GIF", **several)
    yield "animated.webp", encode(marker(), "WEBP", lossless=True, **several)
    yield "animated.png", encode(marker(), "PNG", **several)
    yield "animated.avif", encode(marker(), "AVIF", **several)
    yield "two_pages.tif", encode(marker(), "TIFF", **several)
    yield "multi_picture.mpo", encode(marker(), "MPO", **several)
    yield "multi_picture.jpg", encode(marker(), "MPO", **several)


def _metadata() -> Iterator[tuple[str, bytes]]:
    """Good pictures with bad metadata."""
    jpeg = encode(marker(), "JPEG")
    noise = np.random.default_rng(6).bytes(2000)
    yield "exif_garbage.jpg", encode(marker(), "JPEG", exif=b"Exif\x00\x00" + bytes(range(256)) * 4)
    yield "exif_cut_short.jpg", encode(marker(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12\x01")
    yield "exif_that_points_to_itself.jpg", encode(marker(), "JPEG", exif=_looping_exif())
    yield "exif_garbage.png", encode(marker(), "PNG", exif=bytes(range(256)))
    yield "exif_garbage.webp", encode(marker(), "WEBP", exif=bytes(range(256)))
    yield "exif_orientation_99.jpg", jpeg_with_exif({Base.Orientation: 99})
    yield (
        "exif_dates_invalid.jpg",
        jpeg_with_exif({Base.DateTime: "0000:00:00 00:00:00"}, {Base.DateTimeOriginal: "2021:13:45 99:00:00"}),
    )
    yield (
        "exif_position_invalid.jpg",
        jpeg_with_exif({}, gps={GPS.GPSLatitudeRef: "Q", GPS.GPSLatitude: (999.0, 0.0, 0.0)}),
    )
    yield "colour_profile_garbage.jpg", encode(marker(), "JPEG", icc_profile=b"not a profile" * 9)
    yield "colour_profile_garbage.png", encode(marker(), "PNG", icc_profile=b"not a profile" * 9)
    yield "garbage_after_the_end.jpg", jpeg + noise
    yield "zeros_after_the_end.jpg", jpeg + bytes(4096)
    yield "motion_photo_with_video_after_the_end.jpg", jpeg + b"\x00\x00\x00\x18ftypmp42" + noise
    yield "tiff_with_broken_exif_pointer.tif", encode(marker(), "TIFF", tiffinfo={34665: 0x7FFFFFF0})


def _looping_exif() -> bytes:
    entry = struct.pack("<HHII", IFD.Exif, 4, 1, 8)  # the Exif IFD is said to be where IFD0 itself is
    return b"Exif\x00\x00II*\x00" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 8)


def _names() -> Iterator[tuple[str | bytes, bytes]]:
    """Good pictures with names that trip up programs."""
    jpeg = encode(marker(), "JPEG")
    yield "png_named.jpg", encode(marker(), "PNG")
    yield "jpeg_named.png", jpeg
    yield "webp_named.heic", encode(marker(), "WEBP")
    yield "jpeg_without_extension", jpeg
    yield "heic_named.dat", encode(marker(), "HEIF")
    yield "UPPER_CASE.JPG", jpeg
    yield "Фото с дачи, 9 мая.jpg", jpeg
    yield "👩‍👩‍👧 🎂.jpg", jpeg
    yield "日本の写真.png", encode(marker(), "PNG")
    yield "e\u0301 decomposed.jpg", jpeg
    yield "-rf --no-preserve-root.jpg", jpeg
    yield "percent %20 100% {0} $HOME.jpg", jpeg
    yield "long_" + "n" * 246 + ".jpg", jpeg  # 255 bytes, the most that Linux, macOS and Windows take
    if os.name == "posix":
        yield "new\nline, \"quotes\" and 'quotes' <b>.jpg", jpeg
        yield "back\\slash:colon*.jpg", jpeg
    if sys.platform == "linux":
        yield b"not_utf8_\xff\xfe\xc3.jpg", jpeg


def _sizes() -> Iterator[tuple[str, bytes]]:
    """Good pictures of extreme shapes."""
    yield "one_pixel.jpg", encode(marker(1, 1), "JPEG")
    yield "one_pixel.png", encode(marker(1, 1), "PNG")
    yield "one_pixel.gif", encode(marker(1, 1), "GIF")
    yield "strip_1_by_20000.png", encode(marker(1, 20000), "PNG")
    yield "strip_20000_by_1.jpg", encode(marker(20000, 1), "JPEG")


def _corrupt() -> Iterator[tuple[str, bytes]]:
    """Pictures that can't be decoded."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    for kind in FORMATS:
        data = encode(noise, kind)
        yield f"cut_in_half_{kind.lower()}.{EXTENSIONS[kind]}", data[: len(data) // 2]
        yield f"only_the_beginning_{kind.lower()}.{EXTENSIONS[kind]}", data[:40]
    yield "empty.jpg", b""
    yield "empty.png", b""
    yield "zeros.jpg", bytes(5000)
    yield "jpeg_markers_only.jpg", b"\xff\xd8\xff\xd9"
    yield "jpeg_of_no_height.jpg", jpeg_of_size(96, 0)
    yield "png_of_no_width.png", png_header(0, 100)
    yield "png_without_pixels.png", png_header(10, 10)
    yield "png_with_broken_checksum.png", _broken_checksum()
    yield "gif_of_no_size.gif", gif_header(0, 0)
    yield "tiff_garbage.tif", b"II*\x00\x08\x00\x00\x00" + np.random.default_rng(1).bytes(4000)
    yield "tiff_whose_directory_is_missing.tif", b"MM\x00*\x7f\xff\xff\xff"
    yield (
        "heic_garbage.heic",
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + np.random.default_rng(2).bytes(4000),
    )
    yield (
        "avif_garbage.avif",
        b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1avif" + np.random.default_rng(3).bytes(4000),
    )
    yield "webp_garbage.webp", b"RIFF\xff\xff\xff\x7fWEBPVP8 " + np.random.default_rng(4).bytes(4000)


def _broken_checksum() -> bytes:
    data = bytearray(encode(marker(), "PNG"))
    data[data.index(b"IDAT") + 10] ^= 0xFF
    return bytes(data)


def _unsupported() -> Iterator[tuple[str, bytes]]:
    """What is no photo, under a photo's name, and photos of kinds that are not read."""
    yield "one_byte.jpg", b"\xff"
    yield "web_page.jpg", b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>"
    yield "text.png", "Привет, это не картинка.\n".encode()
    yield "text_that_begins_with_bm.bmp", b"BMW is a maker of cars and of motorcycles."
    yield "document.jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
    yield "drawing.png", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    yield "video.heic", b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(100)
    yield "archive.jpg", b"PK\x03\x04\x14\x00" + bytes(100)
    yield "jpeg_2000.jpg", encode(marker(), "JPEG2000")
    yield "random.jpg", b"\x01" + np.random.default_rng(5).bytes(4000)
    yield "raw_dng.tif", encode(marker(), "TIFF", tiffinfo=_tags({50706: (1, bytes((1, 4, 0, 0)))}))
    yield "raw_nef.tif", encode(marker(), "TIFF", tiffinfo=_tags({254: (4, 1), 330: (4, 8)}))
    yield "raw_cr2.tif", b"II*\x00\x10\x00\x00\x00CR\x02\x00" + encode(marker(), "TIFF")[12:]
    yield "rgb_float.tif", _opencv(".tif", np.asarray(marker(), np.float32)[..., ::-1] / 255)
    yield "cielab.tif", encode(Image.merge("LAB", marker().split()), "TIFF")


def _tags(values: dict[int, tuple[int, Any]]) -> Any:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    directory = ImageFileDirectory_v2()
    for tag, (kind, value) in values.items():
        directory.tagtype[tag] = kind
        directory[tag] = value
    return directory


def _too_large() -> Iterator[tuple[str, bytes]]:
    """Headers that claim more pixels than any memory holds."""
    yield "bomb_400_megapixels.png", png_header(20_000, 20_000)
    yield "bomb_4_gigapixels.gif", gif_header(65_535, 65_535)
    yield "bomb_4_gigapixels.jpg", jpeg_of_size(65_500, 65_500)
    yield (
        "bomb_900_megapixels.bmp",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 30_000, 30_000, 1, 24, *[0] * 6),
    )
    yield (
        "bomb_268_megapixels.webp",
        b"RIFF\x2e\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00"
        + bytes(4)
        + b"\xff\x3f\x00" * 2
        + b"VP8L\x10\x00\x00\x00/\xff\xff\xff\x0f"
        + bytes(11),
    )
    yield "bomb_400_megapixels.tif", _bomb_tiff()


def _bomb_tiff() -> bytes:
    tags = ((256, 20_000), (257, 20_000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 20_000), (279, 10))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def _opencv(extension: str, pixels: np.ndarray[Any, Any]) -> bytes:
    done, data = cv2.imencode(extension, pixels)
    assert done
    return data.tobytes()


def entries() -> Iterator[tuple[str | bytes, bytes, Status]]:
    """Name, content and what has to become of it; `Status.OK` is a picture that decodes."""
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"):
        for orientation in STORED if kind == "JPEG" else (3, 6):
            yield f"turned_{kind.lower()}_{orientation}.{EXTENSIONS[kind]}", turned(kind, orientation), Status.OK
    for kind in FORMATS:
        yield f"plain_{kind.lower()}.{EXTENSIONS[kind]}", encode(marker(), kind), Status.OK
    groups = (
        (Status.OK, (_modes, _frames, _metadata, _names, _sizes)),
        (Status.CORRUPT, (_corrupt,)),
        (Status.UNSUPPORTED, (_unsupported,)),
        (Status.TOO_LARGE, (_too_large,)),
    )
    for status, sources in groups:
        for source in sources:
            for name, data in source():
                yield name, data, status


def write_corpus(folder: Path) -> dict[bytes, Status]:
    """Write every entry into a folder. Returns what has to become of each path; `Status.OK` is one that decodes."""
    expected = {}
    for name, data, status in entries():
        path = folder / os.fsdecode(name)
        path.write_bytes(data)
        expected[os.fsencode(path)] = status
    return expected
