"""Names of files and people as text: they may hold anything, and must not steer a terminal or split a line of a log."""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1: ISO/IEC 6429), what ends a line, and what turns the direction of the text around
# (Unicode Technical Report 36, "Bidirectional Text Spoofing"). Letters of every script stay as they are.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_STEERING_BUT_LINES = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_HALVES = re.compile("[\ud800-\udfff]")


def one_line(text: object) -> str:
    r"""A text on one line, with what steers a terminal written out: ``\x1b``, ``\n``, ``\u202e``."""
    return _STEERING.sub(_written_out, _HALVES.sub("\ufffd", str(text)))


def lines(text: object) -> str:
    """The same for a text of ours that has several lines, which stay."""
    return _STEERING_BUT_LINES.sub(_written_out, _HALVES.sub("\ufffd", str(text)))


def shortened(text: str, longest: int) -> str:
    """A text with its middle left out where it has more characters than that."""
    if len(text) <= longest:
        return text
    left = (longest - 1) // 2
    return f"{text[:left]}…{text[len(text) - (longest - 1 - left) :]}"


def _written_out(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]
