"""What somebody gives for a picture: a path, the content of a file in any form, a PIL image or an array."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote_to_bytes

import numpy as np
from PIL import Image as Pillow

from facekit.errors import FacekitError
from facekit.system.files import user_path

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from facekit.types.arrays import Image

ImageSource: TypeAlias = (
    "str | bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO | Mapping[str, Any] | Pillow.Image | Image"
)
"""A path (``~`` is the home folder) or a ``data:`` URI, the bytes of an image file, a file opened with "rb", a file of
ipywidgets' FileUpload, a PIL image, or an array ``uint8 (H, W, 3)``, RGB."""

_KINDS = "Give a path, the bytes of an image file, a file opened with 'rb', a PIL image or a NumPy array."


def given_picture(source: object) -> Path | bytes | Pillow.Image | np.ndarray[Any, Any]:
    """The path, the content, the PIL image or the array that was given.

    Raises
    ------
    FacekitError
        If it is none of these, or its content can't be had.
    """
    if isinstance(source, Mapping) and "content" in source:  # a file of ipywidgets' FileUpload
        source = source["content"]
    if isinstance(source, bytes | np.ndarray | Pillow.Image):
        return source
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str) and source[:5].lower() == "data:":
        return _from_uri(source)
    if isinstance(source, str | os.PathLike):
        return user_path(source)
    if callable(getattr(source, "read", None)):
        return _from_file(source)
    message = f"A picture can't be read from {type(source).__name__}."
    raise FacekitError(message, _KINDS)


def _from_uri(uri: str) -> bytes:
    """The content of a ``data:`` URI (RFC 2397)."""
    head, comma, body = uri.partition(",")
    try:
        if comma and head.lower().endswith(";base64"):
            return base64.b64decode(unquote_to_bytes(body), validate=True)
    except binascii.Error as error:
        message = f"The data URI {head} is damaged: {error}."
        raise FacekitError(message, "Copy it whole.") from error
    if comma:
        return unquote_to_bytes(body)
    message = f"{uri} is no data URI: it has no comma."
    raise FacekitError(message, "Copy it whole.")


def _from_file(file: Any) -> bytes:  # noqa: ANN401 - whatever has `read`
    """The content of an open file, from its beginning."""
    try:
        if getattr(file, "seekable", bool)():
            file.seek(0)
        data = file.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed, or its text is no text
        message = f"The file that was given can't be read: {error}."
        raise FacekitError(message, "Open it anew, with 'rb'.") from error
    if not isinstance(data, bytes):
        message = f"The file that was given holds {type(data).__name__}, not bytes."
        raise FacekitError(message, "Open it with 'rb'.")
    return data
