"""Names of people, as they are kept and shown."""

from __future__ import annotations

import unicodedata

from facekit.errors import FacekitError

_LONGEST_NAME = 200


def clean_name(name: str | None) -> str | None:
    """A name as it is kept: composed characters, single spaces; None for an empty one.

    Raises
    ------
    FacekitError
        If it is longer than 200 characters.
    """
    text = " ".join(unicodedata.normalize("NFC", name or "").split())
    if len(text) > _LONGEST_NAME:
        message = f"A name of {len(text)} characters is too long."
        raise FacekitError(message, f"Take at most {_LONGEST_NAME}.")
    return text or None
