"""Bytes in, upright RGB pictures out, safely; boxes, crops and thumbnails."""
