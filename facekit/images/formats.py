"""Telling what a file is from its first bytes. The name decides nothing, except what is worth reporting."""

from __future__ import annotations

import re

SNIFF_BYTES = 64
"""How much of a file's beginning `sniff` wants; the brands of a HEIF or AVIF file are the last thing it looks for."""

_EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "GIF": {".gif"},
    "WEBP": {".webp"},
    "BMP": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
    "HEIF": {".heic", ".heics", ".heif", ".heifs", ".hif"},
    "AVIF": {".avif"},
}

PICTURE_EXTENSIONS = frozenset().union(*_EXTENSIONS.values())
"""Lower-case file extensions of the formats that `facekit.images.decode` reads."""

_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBPVP8", "WEBP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),  # BigTIFF
    (0, b"MM\x00+", "TIFF"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}  # ISO/IEC 23008-12
_AVIF_BRANDS = {b"avif", b"avis"}  # AV1 Image File Format 1.1, section 6
_ANY_CODEC_BRANDS = {b"mif1", b"msf1"}  # the container; the codec stands among the compatible brands
_BMP_HEADER_SIZES = {12, 40, 52, 56, 64, 108, 124}  # BITMAPCOREHEADER to BITMAPV5HEADER

_OTHER_CONTENT = (
    (0, b"%PDF", "a PDF document"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (0, b"FUJIFILMCCD-RAW", "a raw camera file"),
    (0, b"IIRO", "a raw camera file"),
    (0, b"IIU\x00", "a raw camera file"),
    (8, b"CR", "a raw camera file"),
    (4, b"ftypcrx ", "a raw camera file"),
    (4, b"ftyp", "a video"),
    (8, b"AVI ", "a video"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
)
"""What else is found in photo folders: offset, magic bytes, words for people."""


def sniff(head: bytes) -> str | None:
    """Tell a picture's format from the first `SNIFF_BYTES` of its content.

    Returns
    -------
    str or None
        JPEG, PNG, GIF, WEBP, BMP, TIFF, HEIF or AVIF; None for anything else.
    """
    for offset, magic, kind in _SIGNATURES:
        if head.startswith(magic, offset):
            return None if kind == "TIFF" and head.startswith(b"CR", 8) else kind  # CR2, a raw camera file
    # Two letters are too little evidence for a BMP: many a text begins with BM.
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return None


def _sniff_brands(head: bytes) -> str | None:
    major = head[8:12]
    end = min(int.from_bytes(head[:4], "big"), len(head))
    compatible = {head[start : start + 4] for start in range(16, end, 4)}
    if major in _AVIF_BRANDS or (major in _ANY_CODEC_BRANDS and compatible & _AVIF_BRANDS):
        return "AVIF"
    return "HEIF" if major in _HEIF_BRANDS | _ANY_CODEC_BRANDS else None


def describe(head: bytes) -> str:
    """Say for people what content that `sniff` does not know seems to be, from its first kilobyte."""
    for offset, magic, words in _OTHER_CONTENT:
        if head.startswith(magic, offset):
            return words
    text = head.decode("utf-8", "ignore").lstrip("\ufeff \t\r\n").lower()
    if "<svg" in text:
        return "an SVG drawing"
    if text.startswith("<"):
        return "a web page or an XML document"
    if re.fullmatch(rb"[\t\n\r\x20-\x7e\x80-\xff]+", head) and text:
        return "text"
    return "nothing of a known format"
