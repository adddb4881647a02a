"""What workers do for a library on servers, as one sees it who may bring photos in, wherever the library is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from facekit.errors import UnknownIdError
from facekit.library.documents import parse
from facekit.library.local import LocalLibrary
from facekit.library.remote import RemoteLibrary
from facekit.types.work import Background

if TYPE_CHECKING:
    from facekit.library.base import Library

_MOST_SHOWN = 200  # batches that were given up: nobody reads more


def background_of(library: Library) -> Background | None:
    """How the work stands that workers do; None where there can't be any, or whoever asks may not bring photos in."""
    if isinstance(library, RemoteLibrary):
        if "ingest" not in library.identity.scopes:
            return None
        said = library.session.get("queue")
        return None if said is None else parse(Background, said)
    if not isinstance(library, LocalLibrary) or library.storage.backend.work is None:
        return None
    work, due = library.storage.backend.work, library.storage.catalog.outbox.balance().due
    given_up = work.dead(_MOST_SHOWN)
    return Background(**work.numbers(), index_due=due, oldest_seconds=work.oldest_seconds(), given_up=given_up)


def try_again(library: Library, key: str) -> int:
    """Have workers try again what they gave up; see `facekit.catalog.work.WorkTables.retry`."""
    if isinstance(library, RemoteLibrary):
        return int(library.session.tell("POST", f"queue/{key}/retry")["again"])
    work = cast("LocalLibrary", library).storage.backend.work
    if work is None:
        message = "There is no work with this id."
        raise UnknownIdError(message, "A library in a folder has no workers.")
    return work.retry(key)
