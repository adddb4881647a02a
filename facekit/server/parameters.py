"""What requests may hold, for the routes: the rules are those of `facekit.arguments`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field

from facekit.arguments import ID, LISTED, LONGEST_PATH, LONGEST_TEXT, PAGE, POSITION, START_OF_ID
from facekit.server.refusal import Refusal

_DIGITS = "32 hexadecimal digits."

IdInPath = Annotated[str, Path(pattern=ID, description=_DIGITS)]
AnId = Annotated[str, Field(pattern=ID, description=_DIGITS)]
RunId = Annotated[str, Path(pattern=START_OF_ID, description="The first six of its 32 hexadecimal digits, or more.")]

Offset = Annotated[int, Query(ge=POSITION.least, le=POSITION.most, description="Position of the first one.")]
Limit = Annotated[int, Query(ge=PAGE.least, le=PAGE.most, description="How many.")]
Few = Annotated[int, Query(ge=LISTED.least, le=LISTED.most, description="The most to return.")]

Name = Annotated[str, Field(max_length=LONGEST_TEXT)]
PersonOf = Annotated[
    str | None, Query(max_length=LONGEST_TEXT, description="Only photos that show this person: a name, or an id.")
]
SOURCE_WORDS = 'Only photos from this source, by its name ("local", "vk-anna"), or from all of a kind ("vk").'
ALBUM_WORDS = "Only photos of this album of a connected place, or of those in it."
NO_SUCH_PLACE: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "There is no such source or album."}
}
SourceOf = Annotated[str | None, Query(max_length=LONGEST_TEXT, description=SOURCE_WORDS)]
AlbumOf = Annotated[str | None, Query(max_length=LONGEST_PATH, description=ALBUM_WORDS)]
GivenPath = Annotated[str, Field(min_length=1, max_length=LONGEST_PATH)]
