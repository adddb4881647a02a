"""Pictures that a client sends to a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facekit.sources.mounts import Mounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.images.inputs import ImageSource


def sent_picture(source: ImageSource, name: str) -> tuple[str, bytes]:
    """A picture's name and the content of an image file of it."""
    from facekit.images.crops import as_png
    from facekit.images.decode import read_image
    from facekit.images.files import display_name, read_bytes
    from facekit.images.inputs import given_picture

    given = given_picture(Mounts.here({}).picture(source))
    if isinstance(given, bytes):
        return name, given
    if isinstance(given, Path):
        return display_name(given), read_bytes(given)
    return name, as_png(read_image(given))


def form_files(pictures: Sequence[tuple[str, bytes]]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Pictures as the parts of a form, without their names."""
    return [("file", ("probe", content, "application/octet-stream")) for _, content in pictures]
