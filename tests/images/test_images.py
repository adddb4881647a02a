"""Decoding: whatever the bytes, upright RGB pixels or a reason; compared with Pillow and OpenCV."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_images import CORNERS, FORMATS, STORED, encode, entries, grey_ramp, jpeg_with_exif, marker, png_header, turned
from PIL import Image, ImageFile, ImageOps
from PIL.ExifTags import GPS, IFD, Base

from facekit.errors import FacekitError, PhotoError
from facekit.images.decode import decode, read_image, thumbnail
from facekit.images.files import Limits, content_id, display_name, read_bytes
from facekit.images.formats import PICTURE_EXTENSIONS, sniff
from facekit.types.photos import DecodedPhoto, Status

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")  # Pillow's remarks on broken files

ODD = {os.fsencode(name): (data, status) for name, data, status in entries()}


def odd(name: str) -> bytes:
    return ODD[name.encode()][0]


def reference(data: bytes) -> np.ndarray[Any, Any]:
    """RGB, as OpenCV decodes it."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1]


def difference(one: Any, other: Any) -> float:
    """Mean absolute difference, 0..255."""
    first, second = np.asarray(one, np.float64), np.asarray(other, np.float64)
    assert first.shape == second.shape
    return float(np.abs(first - second).mean())


def assert_sound(photo: DecodedPhoto) -> None:
    image, facts = photo.image, photo.facts
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert min(image.shape[:2]) >= 1
    assert image.shape[0] <= facts.height
    assert image.shape[1] <= facts.width
    assert facts.format in FORMATS
    assert (facts.latitude is None) == (facts.longitude is None)


# -- the corpus ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=display_name(name).encode("unicode_escape").decode()) for name in ODD]
)
def test_every_odd_file_decodes_or_says_why_not(name: bytes) -> None:
    data, expected = ODD[name]
    label = display_name(name)
    if expected is Status.OK:
        photo = decode(data, name=label)
        assert_sound(photo)
        assert photo.image.shape[:2] == (photo.facts.height, photo.facts.width)
        assert max(decode(data, name=label, max_side=20).image.shape[:2]) <= 20
    else:
        with pytest.raises(PhotoError) as caught:
            decode(data, name=label)
        assert caught.value.status is expected
        assert caught.value.reason.startswith(label)
        assert len(caught.value.reason) > len(label) + 10
        assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(ODD) == len(list(entries())) >= 45
    assert {status for _, status in ODD.values()} == {Status.OK, Status.CORRUPT, Status.UNSUPPORTED, Status.TOO_LARGE}


def test_pillows_settings_are_left_alone_and_its_bomb_warning_stays_inside() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, set(Image.OPEN))
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with pytest.raises(Image.DecompressionBombWarning):
            Image.open(BytesIO(png_header(10_000, 10_000)))  # so the check below can fail
        with pytest.raises(PhotoError) as caught:
            decode(png_header(10_000, 10_000), name="100 megapixels, none of them there")
    assert caught.value.status is Status.CORRUPT
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, set(Image.OPEN)) == before


# -- orientation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", STORED)
def test_all_eight_orientations_come_out_upright(kind: str, orientation: int) -> None:
    photo = decode(turned(kind, orientation), name="turned")
    assert (photo.facts.width, photo.facts.height) == (96, 64)
    found = {
        "top left": photo.image[8, 8],
        "top right": photo.image[8, -8],
        "bottom left": photo.image[-8, 8],
        "bottom right": photo.image[-8, -8],
    }
    for corner, colour in CORNERS.items():
        assert np.abs(found[corner].astype(int) - colour).max() <= 12, corner


@pytest.mark.parametrize("orientation", STORED)
def test_orientation_equals_pillows_exif_transpose(orientation: int, grace_hopper: Path) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    data = encode(Image.open(grace_hopper), "JPEG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    np.testing.assert_array_equal(decode(data, name="turned").image, np.asarray(expected))
    np.testing.assert_array_equal(read_image(Image.open(BytesIO(data))), np.asarray(expected))


# -- colours and depths --------------------------------------------------------------------------------------------


def test_an_ordinary_jpeg_equals_pillows_pixels(grace_hopper: Path) -> None:
    data = grace_hopper.read_bytes()
    photo = decode(data, name="grace_hopper.jpg")
    np.testing.assert_array_equal(photo.image, np.asarray(Image.open(grace_hopper).convert("RGB")))
    assert difference(photo.image, reference(data)) < 1
    assert (photo.facts.width, photo.facts.height, photo.facts.format, photo.scale) == (512, 600, "JPEG", 1.0)


def test_ordinary_photos_equal_opencvs_pixels(ordinary_photos: Path) -> None:
    paths = sorted(ordinary_photos.glob("*.jpg"))
    assert paths
    for path in paths:
        photo = decode(path.read_bytes(), name=path.name)
        assert difference(photo.image, reference(path.read_bytes())) < 1, path.name
        assert photo.image.shape[:2] == (photo.facts.height, photo.facts.width)


@pytest.mark.parametrize(
    "name",
    [
        "cmyk.jpg",
        "grey.jpg",
        "progressive.jpg",
        "palette.png",
        "one_bit.png",
        "grey_16_bit.png",
        "grey_16_bit.tif",
        "rgb_16_bit.png",
        "rgb_16_bit.tif",
        "plain_bmp.bmp",
        "plain_gif.gif",
        "plain_webp.webp",
        "jpeg_compressed.tif",
    ],
)
def test_colours_equal_opencvs(name: str) -> None:
    assert difference(decode(odd(name), name=name).image, reference(odd(name))) < 2


@pytest.mark.parametrize(
    "name", ["cmyk.jpg", "ycck.jpg", "cmyk.tif", "rgb_16_bit.png", "plain_heif.heic", "plain_avif.avif"]
)
def test_colours_survive_their_colour_model(name: str) -> None:
    assert difference(decode(odd(name), name=name).image, marker()) < 4


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    image = decode(odd("grey_16_bit.png"), name="ramp").image
    expected = np.rint(grey_ramp(np.uint16, 65535) / 257)
    np.testing.assert_array_equal(image, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("dtype", "top", "brightest"),
    [
        (np.float32, 1.0, 255),
        (np.float32, 0.5, 128),
        (np.float32, 200.0, 255),
        (np.float32, 65535.0, 255),
        (np.float32, 1e9, 255),
        (np.int32, 1, 1),
        (np.int32, 255, 255),
        (np.int32, 65535, 255),
        (np.int32, 2_000_000_000, 255),
    ],
)
def test_deep_grey_is_stretched_over_the_range_it_seems_to_use(dtype: type, top: float, brightest: int) -> None:
    image = decode(encode(Image.fromarray(grey_ramp(dtype, top)), "TIFF"), name="deep").image
    assert abs(int(image.max()) - brightest) <= 1
    assert image.min() == 0
    assert (np.diff(image[0, :, 0].astype(int)) >= 0).all()


def test_negative_values_are_lifted_and_values_that_are_no_numbers_count_as_zero() -> None:
    values = np.array([[-1.0, 0.0, 1.0, np.inf, -np.inf, np.nan]], np.float32)
    image = decode(encode(Image.fromarray(values), "TIFF"), name="odd numbers").image
    assert image[0, :, 0].tolist() == [0, 128, 255, 128, 128, 128]


@pytest.mark.parametrize("name", ["rgba.png", "rgba.webp", "rgba.tif"])
def test_transparency_is_put_on_white(name: str) -> None:
    alpha = grey_ramp(np.uint8, 255)[..., None] / 255
    expected = np.asarray(marker()) * alpha + 255 * (1 - alpha)
    assert difference(decode(odd(name), name=name).image, expected) < 1


def test_a_transparent_palette_entry_and_a_transparent_colour_become_white() -> None:
    for name in ("palette_with_transparency.png", "rgb_with_transparent_colour.png"):
        quarters = {
            tuple(decode(odd(name), name=name).image[row, column].tolist()) for row in (8, -8) for column in (8, -8)
        }
        assert len(quarters & {(255, 255, 255)}) == 1, name


@pytest.mark.parametrize(
    "name", ["animated.gif", "animated.webp", "animated.png", "animated.avif", "two_pages.tif", "multi_picture.mpo"]
)
def test_the_first_frame_stands_for_the_whole(name: str) -> None:
    assert difference(decode(odd(name), name=name).image, marker()) < 4


# -- reduced scale -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_side", [600, 500, 300, 100, 33, 1])
def test_shrinking_keeps_the_picture(max_side: int, grace_hopper: Path, astronaut: Path) -> None:
    for path in (grace_hopper, astronaut):
        full = decode(path.read_bytes(), name=path.name)
        small = decode(path.read_bytes(), name=path.name, max_side=max_side)
        height, width = full.image.shape[:2]
        assert (small.facts.width, small.facts.height) == (width, height)
        assert max(small.image.shape[:2]) == min(max_side, max(width, height))
        assert abs(small.image.shape[1] - width * small.image.shape[0] / height) <= 1
        expected = cv2.resize(full.image, small.image.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert difference(small.image, expected) < 3  # Pillow's own filters differ from INTER_AREA by up to 2.5 here
        assert_sound(small)


@pytest.mark.parametrize("max_side", [512, 600, 601, 10_000])
def test_nothing_is_enlarged(max_side: int, grace_hopper: Path) -> None:
    photo = decode(grace_hopper.read_bytes(), name="grace_hopper.jpg", max_side=max_side)
    assert photo.image.shape[0] == min(600, max_side)
    assert photo.scale <= 1


def test_a_turned_photo_is_shrunk_by_its_longer_side() -> None:
    photo = decode(turned("JPEG", 6), name="turned", max_side=48)
    assert photo.image.shape == (32, 48, 3)
    assert (photo.facts.width, photo.facts.height) == (96, 64)


def test_a_thin_strip_keeps_a_pixel_of_width() -> None:
    assert decode(odd("strip_1_by_20000.png"), name="strip", max_side=100).image.shape == (100, 1, 3)


# -- what the header says ------------------------------------------------------------------------------------------

TAKEN = datetime(2019, 7, 6, 5, 4, 3)


@pytest.mark.parametrize(
    ("tags", "exif_tags", "expected"),
    [
        ({}, {Base.DateTimeOriginal: "2019:07:06 05:04:03"}, TAKEN),
        ({}, {Base.DateTimeOriginal: "2019-07-06T05:04:03"}, TAKEN),
        ({Base.DateTime: "2020:01:01 00:00:00"}, {Base.DateTimeOriginal: "2019:07:06 05:04:03"}, TAKEN),
        ({Base.DateTime: "2020:01:01 00:00:00"}, {Base.DateTimeDigitized: "2019:07:06 05:04:03"}, TAKEN),
        ({Base.DateTime: "2019:07:06 05:04:03"}, {Base.DateTimeOriginal: "0000:00:00 00:00:00"}, TAKEN),
        ({Base.DateTime: "2019:07:06 05:04:03"}, {Base.DateTimeOriginal: "    :  :     :  :  "}, TAKEN),
        ({Base.DateTime: "2019:02:30 05:04:03"}, {}, None),
        ({Base.DateTime: "0001:01:01 00:00:00"}, {}, None),
        ({Base.DateTime: "yesterday"}, {}, None),
        ({}, {}, None),
    ],
)
def test_when_a_photo_was_taken(tags: dict[int, str], exif_tags: dict[int, str], expected: datetime | None) -> None:
    assert decode(jpeg_with_exif(tags, exif_tags), name="dated").facts.taken_at == expected


@pytest.mark.parametrize(
    ("maker", "model", "expected"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D750", "NIKON D750"),
        ("samsung", "SM-G991B", "samsung SM-G991B"),
        (" Apple\x00", "iPhone  12 \x00", "Apple iPhone 12"),
        (None, "E-M1", "E-M1"),
        ("Leica", None, "Leica"),
        ("", "  ", None),
        (None, None, None),
    ],
)
def test_which_camera(maker: str | None, model: str | None, expected: str | None) -> None:
    tags = {tag: value for tag, value in ((Base.Make, maker), (Base.Model, model)) if value is not None}
    assert decode(jpeg_with_exif(tags), name="camera").facts.camera == expected


@pytest.mark.parametrize(
    ("south", "latitude", "west", "longitude", "expected"),
    [
        ("N", (59.0, 56.0, 19.0), "E", (30.0, 18.0, 31.0), (59.938611, 30.308611)),
        ("S", (33.0, 51.5, 0.0), "W", (70.0, 0.0, 36.0), (-33.858333, -70.01)),
        ("N", (0.0, 0.0, 0.0), "E", (0.0, 0.0, 0.0), None),
        ("N", (91.0, 0.0, 0.0), "E", (30.0, 0.0, 0.0), None),
        ("N", (45.0, 0.0, 0.0), "E", (181.0, 0.0, 0.0), None),
        ("?", (45.0, 0.0, 0.0), "E", (30.0, 0.0, 0.0), None),
        ("N", (45.0,), "E", (30.0, 0.0, 0.0), None),
    ],
)
def test_where_it_was_taken(
    south: str,
    latitude: tuple[float, ...],
    west: str,
    longitude: tuple[float, ...],
    expected: tuple[float, float] | None,
) -> None:
    gps = {
        GPS.GPSLatitudeRef: south,
        GPS.GPSLatitude: latitude,
        GPS.GPSLongitudeRef: west,
        GPS.GPSLongitude: longitude,
    }
    facts = decode(jpeg_with_exif({}, gps=gps), name="place").facts
    if expected is None:
        assert facts.latitude is facts.longitude is None
    else:
        assert (facts.latitude, facts.longitude) == pytest.approx(expected, abs=1e-5)


def test_a_position_divided_by_zero_is_unknown() -> None:
    rational = (0).to_bytes(4, "little") + (0).to_bytes(4, "little")
    data = jpeg_with_exif(
        {},
        gps={
            GPS.GPSLatitudeRef: "N",
            GPS.GPSLatitude: (7.0, 7.0, 7.0),
            GPS.GPSLongitudeRef: "E",
            GPS.GPSLongitude: (7.0, 7.0, 7.0),
        },
    )
    seven = (7).to_bytes(4, "big") + (1).to_bytes(4, "big")
    assert data.count(seven) == 6
    facts = decode(data.replace(seven, rational), name="no fix").facts
    assert facts.latitude is facts.longitude is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_every_format_tells_its_facts(kind: str) -> None:
    exif = Image.Exif()
    exif[Base.Make] = "Facekit"
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2019:07:06 05:04:03"
    facts = decode(encode(marker(), kind, exif=exif.tobytes()), name="facts").facts
    assert (facts.taken_at, facts.camera, facts.format) == (TAKEN, "Facekit", kind)


# -- limits --------------------------------------------------------------------------------------------------------


def test_the_number_of_pixels_is_checked_before_they_are_decoded() -> None:
    without_pixels = png_header(100, 100)
    with pytest.raises(PhotoError, match="damaged"):
        decode(without_pixels, name="photo", limits=Limits(max_pixels=10_000))
    with pytest.raises(PhotoError, match=r"photo has 100 x 100 pixels") as caught:
        decode(without_pixels, name="photo", limits=Limits(max_pixels=9_999))
    assert caught.value.status is Status.TOO_LARGE


def test_the_number_of_bytes_is_checked_first() -> None:
    with pytest.raises(PhotoError, match=r"photo has 7 bytes") as caught:
        decode(b"1234567", name="photo", limits=Limits(max_bytes=6))
    assert caught.value.status is Status.TOO_LARGE


def test_the_limit_on_pixels_is_pillows() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Limits().max_pixels == 2 * Image.MAX_IMAGE_PIXELS


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space of a process")
def test_too_little_memory_is_too_large_and_not_a_crash() -> None:
    script = """
        import resource
        from io import BytesIO
        from PIL import Image
        from facekit.errors import PhotoError
        from facekit.images.decode import decode

        stream = BytesIO()
        Image.new("1", (12000, 12000)).save(stream, "PNG")
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20,) * 2)
        try:
            decode(stream.getvalue(), name="large.png")
        except PhotoError as error:
            print(error.status)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "too_large\n"


# -- any bytes at all ----------------------------------------------------------------------------------------------

SEEDS = [data for data, status in ODD.values() if status is Status.OK and len(data) < 5000]
SMALL = Limits(max_pixels=1_000_000)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A picture with a few bytes changed, cut out, put in, or its end cut off; more often near its beginning."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, min(len(data), draw(st.sampled_from([64, 256, 5000])))))
        patch = draw(st.binary(max_size=8))
        match draw(st.sampled_from(["change", "insert", "delete", "truncate"])):
            case "change":
                data[start : start + len(patch)] = patch
            case "insert":
                data[start:start] = patch
            case "delete":
                del data[start : start + 1 + len(patch)]
            case "truncate":
                del data[max(1, start) :]
    return bytes(data)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutated(), st.sampled_from([None, 40]))
def test_damaged_pictures_decode_or_raise_a_photo_error(data: bytes, max_side: int | None) -> None:
    try:
        photo = decode(data, name="damaged", max_side=max_side, limits=SMALL)
    except PhotoError as error:
        assert error.status in {Status.CORRUPT, Status.UNSUPPORTED, Status.TOO_LARGE}  # noqa: PT017
        assert error.reason.startswith("damaged ")  # noqa: PT017
    else:
        assert_sound(photo)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_photo_but_never_a_crash(data: bytes) -> None:
    with pytest.raises(PhotoError):
        decode(data, name="bytes")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.binary(max_size=300))
def test_no_exif_whatever_stops_a_good_picture(kind: str, exif: bytes) -> None:
    photo = decode(encode(marker(), kind, exif=b"Exif\x00\x00" + exif), name="exif")
    assert photo.image.size == 96 * 64 * 3


# -- telling formats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_sniffing_knows_each_format(kind: str) -> None:
    assert sniff(encode(marker(), kind)[:64]) == kind


@pytest.mark.parametrize("brand", [b"mif1", b"msf1"])
def test_a_container_is_told_by_its_compatible_brands(brand: bytes) -> None:
    assert sniff(b"\x00\x00\x00\x1cftyp" + brand + bytes(4) + b"miafheicmif1") == "HEIF"
    assert sniff(b"\x00\x00\x00\x1cftyp" + brand + bytes(4) + b"miafavifmif1") == "AVIF"


def test_the_extensions_are_those_that_the_decoders_register() -> None:
    """Besides Pillow's: .dib, a BMP, and .mpo, a JPEG; and those of pillow-heif. .avifs is an animation."""
    Image.init()
    registered = {extension for extension, kind in Image.registered_extensions().items() if kind in FORMATS}
    pillow_heif_registers = {".heic", ".heics", ".heif", ".heifs", ".hif"}
    assert (registered | pillow_heif_registers | {".dib", ".mpo"}) - {".avifs"} == PICTURE_EXTENSIONS


# -- reading files -------------------------------------------------------------------------------------------------


def io_error(path: Any, limits: Limits = Limits()) -> PhotoError:  # noqa: B008 - it is frozen
    with pytest.raises(PhotoError) as caught:
        read_bytes(path, limits)
    return caught.value


def test_a_file_is_read_by_any_kind_of_path(tmp_path: Path) -> None:
    path = tmp_path / "фото.jpg"
    path.write_bytes(b"content\r\n\x1a")
    for form in (path, str(path), os.fsencode(path)):
        assert read_bytes(form) == b"content\r\n\x1a"


def test_what_the_system_says_is_in_the_reason(tmp_path: Path) -> None:
    missing = io_error(tmp_path / "missing.jpg")
    assert missing.status is Status.IO_ERROR
    assert missing.reason == f"{tmp_path / 'missing.jpg'} can't be read: No such file or directory"
    assert io_error(tmp_path).status is Status.IO_ERROR
    assert io_error(tmp_path / "n\x00l").status is Status.IO_ERROR
    assert "too long" in io_error(tmp_path / ("n" * 300)).reason


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in io_error(tmp_path / "pipe.jpg").reason
    assert "not a regular file" in io_error("/dev/zero").reason


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    with path.open("wb") as stream:
        stream.truncate(10**12)  # a hole: nothing is written
    assert io_error(path).status is Status.TOO_LARGE
    assert "1,000,000,000,000 bytes" in io_error(path).reason


def test_a_file_that_grows_while_it_is_read_is_to_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "growing.jpg"
    path.write_bytes(b"begin")
    stat_before = os.fstat

    def grow_after(descriptor: int) -> os.stat_result:
        found = stat_before(descriptor)
        with path.open("ab") as stream:
            stream.write(b" and more")
        return found

    monkeypatch.setattr(os, "fstat", grow_after)
    error = io_error(path)
    assert error.status is Status.IO_ERROR
    assert "changed" in error.reason


# -- reading whatever is at hand -----------------------------------------------------------------------------------


def test_read_image_takes_paths_bytes_pictures_and_arrays(grace_hopper: Path) -> None:
    expected = np.asarray(Image.open(grace_hopper).convert("RGB"))
    forms = (grace_hopper, str(grace_hopper), grace_hopper.read_bytes(), Image.open(grace_hopper), expected)
    for form in forms:
        np.testing.assert_array_equal(read_image(form), expected)
        assert read_image(form, max_side=100).shape == (100, 85, 3)


def test_read_image_takes_grey_and_transparent_arrays() -> None:
    grey = grey_ramp(np.uint8, 255)
    np.testing.assert_array_equal(read_image(grey), np.repeat(grey[..., None], 3, axis=2))
    rgba = np.dstack([np.asarray(marker()), grey])
    expected = np.asarray(marker()) * (grey[..., None] / 255) + 255 - grey[..., None]
    assert difference(read_image(rgba), expected) < 1


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(7, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_read_image_says_what_array_it_expects(wrong: np.ndarray[Any, Any]) -> None:
    with pytest.raises(FacekitError, match=r"\(H, W, 3\) RGB"):
        read_image(wrong)


def test_read_image_refuses_anything_else() -> None:
    with pytest.raises(FacekitError, match="can't be read from int"):
        read_image(5)  # type: ignore[arg-type]


def test_a_lazily_opened_picture_that_is_cut_short_is_corrupt(grace_hopper: Path) -> None:
    picture = Image.open(BytesIO(grace_hopper.read_bytes()[:20_000]))
    with pytest.raises(PhotoError, match="cut short") as caught:
        read_image(picture)
    assert caught.value.status is Status.CORRUPT


# -- names, thumbnails, ids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/photos/я.jpg", "/photos/я.jpg"),
        ("/photos/я.jpg".encode(), "/photos/я.jpg"),
        (b"/photos/\xff\xfe.jpg", "/photos/\ufffd\ufffd.jpg"),
        ("/photos/\udcff.jpg", "/photos/\ufffd.jpg"),
        (f"/photos/{chr(0xD800)}.jpg", "/photos/\ufffd.jpg"),
    ],
)
def test_names_for_people_can_always_be_encoded(path: str | bytes, expected: str) -> None:
    assert display_name(path) == expected
    assert display_name(path).encode()


@given(st.binary(min_size=1))
def test_any_bytes_have_a_name(path: bytes) -> None:
    assert display_name(path).encode()


def test_a_thumbnail_is_a_small_jpeg(grace_hopper: Path) -> None:
    image = read_image(grace_hopper)
    small = Image.open(BytesIO(thumbnail(image, max_side=128)))
    assert (small.format, small.size, small.mode) == ("JPEG", (109, 128), "RGB")
    expected = cv2.resize(image, (109, 128), interpolation=cv2.INTER_AREA)
    assert difference(Image.open(BytesIO(thumbnail(image, max_side=128, quality=95))), expected) < 4
    assert len(thumbnail(image, quality=30)) < len(thumbnail(image))
    assert Image.open(BytesIO(thumbnail(read_image(marker())))).size == (96, 64)


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # b2sum -l 128 of GNU coreutils
        (b"", "cae66941d9efbd404e4d88758ea67670"),
        (b"abc", "cf4ab791c62b8d2b2109c90275287816"),
    ],
)
def test_the_content_id_is_blake2b_128(data: bytes, expected: str) -> None:
    assert content_id(data) == expected
