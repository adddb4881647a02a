"""What verbs may be asked with: each rule once, for a library in a folder, for the client, and for the service."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from facekit.errors import RefusedError, UnknownIdError
from facekit.types.people import SHORT_ID
from facekit.types.photos import Status, TableName

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``least`` to ``most``, both of them included."""

    least: int
    most: int

    def holds(self, value: object) -> bool:
        """Whether it is such a number; what is not a number is none of them."""
        number: Any = value
        return isinstance(value, Real) and bool(self.least <= number <= self.most)

    def has_whole(self, value: object) -> bool:
        """Whether it is such a number without a fraction; numpy's count, too, and True does not."""
        return isinstance(value, Integral) and not isinstance(value, bool) and self.holds(value)


PAGE = Range(1, 200)
"""How many rows a page may have."""
LISTED = Range(1, 10_000)
"""How many entries of the journal, questions or pairs of people a list may have."""
YEAR = Range(1, 9999)  # `datetime` knows no others
"""Years of photos."""
POSITION = Range(0, 2**31)  # more rows than any library has
"""Where a page may begin."""
SIMILARITY = Range(-1, 1)
"""Cosine similarities."""
DISTANCE = Range(0, 2)
"""Cosine distances."""
NUMBER = Range(1, 2**31)
"""Of faces or people in a clustering, or of an entry of the journal."""
BYTES = Range(1, 2**53)
"""The most to be fetched from a place; JSON's numbers are exact up to there."""
TOP_K = Range(1, 10_000)
"""Photos that a search returns; a library in a folder takes more, and returns what the index can."""

ID = "^[0-9a-f]{32}$"
"""An id of a photo, a face, a person, a run or a job."""
START_OF_ID = f"^[0-9a-f]{{{SHORT_ID},32}}$"
"""What is enough of an id, where it is the only one that begins so."""

LONGEST_NAME = 200  # characters, as it is kept
LONGEST_TEXT = 256  # characters of a name as it is typed, or of what is looked for in names
LONGEST_PATH = 4096  # characters: PATH_MAX of Linux


def is_id(value: object) -> bool:
    """Whether it has the form of an id."""
    return isinstance(value, str) and re.fullmatch(ID, value) is not None


def starts_id(value: object) -> bool:
    """Whether it may be enough of an id."""
    return isinstance(value, str) and re.fullmatch(START_OF_ID, value) is not None


def checked_id(value: object, what: str) -> str:
    """The id of a photo or a face: what has not the form of one is nothing's. Raises UnknownIdError."""
    if not is_id(value):
        raise no_such(what)
    return str(value)


def no_such(what: str) -> UnknownIdError:
    """The error of an id that no photo or face has."""
    message = f"The library has no {what} with this id."
    return UnknownIdError(message, "It may have been removed; load the page again.")


def no_picture() -> UnknownIdError:
    """The error of a photo or a face that there is, and of which no picture is kept."""
    return UnknownIdError("No picture is kept of this.")


def no_such_person(text: str) -> UnknownIdError:
    """The error of what is neither a name nor an id of anybody."""
    message = f"There is no person {text!r}."
    return UnknownIdError(message, "lib.people lists the people; give a name, or at least six digits of an id.")


def checked_page(limit: int) -> int:
    """How many rows a page is to have. Raises RefusedError."""
    if not PAGE.has_whole(limit):
        message = f"A page of {limit!r} was asked for."
        raise RefusedError(message, f"Ask for {PAGE.least} to {PAGE.most}.")
    return int(limit)


def checked_listed(limit: int) -> int:
    """How many a list is to have at most. Raises RefusedError."""
    if not LISTED.has_whole(limit):
        message = f"A list of {limit!r} was asked for."
        raise RefusedError(message, f"Ask for {LISTED.least} to {LISTED.most}.")
    return int(limit)


def checked_entry(number: int | None) -> int | None:
    """The number of an entry of the journal, if one is meant. Raises UnknownIdError: other numbers no entry has."""
    if number is None:
        return None
    if not NUMBER.has_whole(number):
        message = f"{number!r} is no number of an entry."
        raise UnknownIdError(message, "lib.people.journal() lists what was done.")
    return int(number)


def checked_year(year: int | None) -> int | None:
    """The year that is meant, if any. Raises RefusedError."""
    if year is None:
        return None
    if not YEAR.has_whole(year):
        message = f"{year!r} is no year."
        raise RefusedError(message, "Give a number, such as 2024.")
    return int(year)


def is_written(text: str) -> bool:
    """Whether it is made of whole characters; halves (lone surrogates) can neither be sent nor stored."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def checked_part(text: str) -> str:
    """What is looked for in names. Raises RefusedError."""
    if not isinstance(text, str):
        message = f"{text!r} is no part of a name."
        raise RefusedError(message, "Names are text.")
    if not is_written(text):
        message = f"{text!r} holds characters that can't be written."
        raise RefusedError(message, "Type it anew.")
    if len(text) > LONGEST_TEXT:
        message = f"A text of {len(text)} characters is in no name."
        raise RefusedError(message, f"Take at most {LONGEST_TEXT}.")
    return text


def checked_place_name(name: str, what: str) -> str:
    """The name of a source or an album, with composed letters as they are kept. Raises RefusedError."""
    fits = isinstance(name, str) and name.strip("/ ") and len(name) <= LONGEST_PATH
    if not fits or any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):
        message = f"There is no {what} {str(name)[:LONGEST_TEXT]!r}."
        raise RefusedError(message, "lib.folders() lists sources and albums.")
    return unicodedata.normalize("NFC", name)


def check_place(place: object, settings: object, token: object) -> None:
    """What a place is to be connected with. Raises RefusedError, which never shows the token."""
    if not isinstance(place, str):
        message = f"{place!r} is no address and no kind of place."
        raise RefusedError(message, "Give a text, such as https://disk.yandex.ru/d/... or vk.")
    if not isinstance(settings, Mapping | None) or not all(isinstance(name, str) for name in settings or ()):
        message = f"settings={type(settings).__name__} is no mapping of names to texts."
        raise RefusedError(message, 'Write settings={"album": "Summer"}.')
    if not isinstance(token, str | None):
        message = "token= is no text."
        raise RefusedError(message, "Give the token as the service shows it.")


def check_sync(names: Sequence[object], album: object, most_bytes: object) -> None:
    """Which places, and what of them, are to be synced. Raises RefusedError."""
    if odd := [name for name in names if not isinstance(name, str)]:
        message = f"{odd[0]!r} is no name of a source."
        raise RefusedError(message, 'Names are texts, one after the other: lib.sources.sync("vk", "summer").')
    if album is not None and not (isinstance(album, str) and album.strip("/ ") and is_written(album)):
        message = f"{album!r} is no name of an album."
        raise RefusedError(message, "Give it as the place calls it, such as Summer or 2019/Summer.")
    if most_bytes is not None and not BYTES.has_whole(most_bytes):
        message = f"most_bytes={most_bytes!r} is no number of bytes."
        raise RefusedError(message, "Give a whole number, such as 5_000_000_000 for 5 GB.")


def checked_position(offset: int) -> int:
    """Where a page begins. Raises RefusedError."""
    if not POSITION.has_whole(offset):
        message = f"A page from position {offset!r} on was asked for."
        raise RefusedError(message, "Positions are counted from 0.")
    return int(offset)


def checked_similarity(value: float) -> float:
    """A cosine similarity, as a plain float.

    Raises
    ------
    RefusedError
        If it is not from -1 to 1.
    """
    if not SIMILARITY.holds(value):
        message = f"{value!r} is no similarity to search from."
        raise RefusedError(message, "Cosine similarities go from -1 to 1; facekit calibrate suggests some.")
    return float(value)


def checked_status(status: Status | str | None) -> Status | None:
    """The status that is meant, if any. Raises RefusedError."""
    if status is not None and status not in list(Status):
        message = f"There is no status {str(status)!r}."
        raise RefusedError(message, f"Take one of {', '.join(Status)}.")
    return None if status is None else Status(status)


def checked_table(table: str) -> str:
    """A table that can be exported. Raises RefusedError."""
    if table not in get_args(TableName):
        message = f"There is no table {table!r}."
        raise RefusedError(message, f"Take one of {', '.join(get_args(TableName))}.")
    return table


def checked_roots(roots: Sequence[T]) -> Sequence[T]:
    """What is to be ingested: one folder at least. Raises RefusedError."""
    if not roots:
        message = "No folder was named."
        raise RefusedError(message, "Call ingest with the folders that hold the photos.")
    return roots
