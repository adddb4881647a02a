"""Names of people, as they are kept and shown."""

from __future__ import annotations

import unicodedata

from facekit.arguments import LONGEST_NAME
from facekit.errors import RefusedError


def composed(text: str) -> str:
    """A text with composed characters (NFC) and single spaces; halves of characters become question marks."""
    whole = text.encode("utf-8", "replace").decode()
    return " ".join(unicodedata.normalize("NFC", whole).split())


def clean_name(name: str | None) -> str | None:
    """A name as it is kept: composed characters, single spaces; None for an empty one.

    Raises
    ------
    FacekitError
        If it is longer than 200 characters, or holds any that can't be written.
    """
    if not isinstance(name, str | None):
        message = f"{name!r} is no name."
        raise RefusedError(message, "Names are text.")
    text = composed(name or "")
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in "".join((name or "").split())):
        message = f"The name {name!r} holds characters that can't be written."
        raise RefusedError(message, "Type it anew.")
    if len(text) > LONGEST_NAME:
        message = f"A name of {len(text)} characters is too long."
        raise RefusedError(message, f"Take at most {LONGEST_NAME}.")
    return text or None
