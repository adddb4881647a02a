"""Who is meant: the ways in which people and faces can be given to a verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from facekit.arguments import LONGEST_TEXT, is_written, no_such_person
from facekit.errors import RefusedError, UnknownIdError
from facekit.types.people import Person

if TYPE_CHECKING:
    from collections.abc import Sequence

Who: TypeAlias = "Person | str"
"""A person, an id, a name (upper and lower case are alike), or six first digits of an id or more: in this order."""

Faces: TypeAlias = "str | Sequence[str]"
"""One face id, or several."""


class NotAPersonError(RefusedError):
    """Something was given for a person that is none."""


def person_meant(who: object) -> str:
    """The id, name or beginning of an id that somebody gave for a person.

    Raises
    ------
    NotAPersonError
        If it is neither a person nor a text.
    UnknownIdError
        If it is a text that no person can have for a name.
    """
    if isinstance(who, Person):
        return who.person_id
    if isinstance(who, str):
        if len(who) > LONGEST_TEXT or not is_written(who):  # nobody's name is like that
            raise no_such_person(who)
        return who
    message = f"A person can't be named by {type(who).__name__}."
    raise NotAPersonError(message, "Give a name, an id, or a Person; lib.people lists the people.")


def listed_faces(faces: Faces) -> list[str]:
    """Ids of faces, each once."""
    return list(dict.fromkeys([faces] if isinstance(faces, str) else faces))


def no_such_face(face_id: object) -> UnknownIdError:
    """The error of an id that no face has."""
    message = f"The library has no face {face_id!r}."
    return UnknownIdError(message, "lib.faces() lists all faces, lib.people.faces those of a person.")


def no_face_named() -> UnknownIdError:
    """The error of an empty list of faces."""
    message = "No face was named."
    return UnknownIdError(message, "lib.faces() lists all faces, lib.people.faces those of a person.")


def no_such_run(run_id: object) -> UnknownIdError:
    """The error of an id that no run has."""
    message = f"There is no run {run_id!r}."
    return UnknownIdError(message, "lib.people.runs() lists the runs.")
