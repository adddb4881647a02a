"""Names of people, as they are kept and shown."""

from __future__ import annotations

import unicodedata

from facekit.errors import FacekitError

_LONGEST_NAME = 200


def composed(text: str) -> str:
    """A text with composed characters (NFC) and single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def clean_name(name: str | None) -> str | None:
    """A name as it is kept: composed characters, single spaces; None for an empty one.

    Raises
    ------
    FacekitError
        If it is longer than 200 characters, or holds any that can't be written.
    """
    text = composed(name or "")
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in text):
        message = f"The name {text!r} holds characters that can't be written."
        raise FacekitError(message, "Type it anew.")
    if len(text) > _LONGEST_NAME:
        message = f"A name of {len(text)} characters is too long."
        raise FacekitError(message, f"Take at most {_LONGEST_NAME}.")
    return text or None
