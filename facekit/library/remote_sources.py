"""The connected places of a library that a service owns."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import TypeAdapter
from typing_extensions import override

from facekit.arguments import check_place, check_sync
from facekit.ingest.progress import check_progress
from facekit.library.follow import follow_sync
from facekit.library.sources import Sources
from facekit.sources.asking import ask_here
from facekit.sources.item import Check, Checks
from facekit.types.sources import ConnectedPlace, ConnectedPlaces, SyncReport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from facekit.ingest.progress import Progress
    from facekit.library.session import Session
    from facekit.sources.item import Ask
    from facekit.types.sources import Leftovers

_PLACE = TypeAdapter(ConnectedPlace)
_PLACES = TypeAdapter(list[ConnectedPlace])


class RemoteSources(Sources):
    """See `Sources`. Places are connected with the service, which fetches from them.

    Parameters
    ----------
    session : Session
        With the service.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @override
    def list(self) -> ConnectedPlaces:
        return ConnectedPlaces(_PLACES.validate_python(self._session.get("sources")))

    @override
    def get(self, name: str) -> ConnectedPlace:
        return _PLACE.validate_python(self._session.get(_path(name)))

    @override
    def add(
        self,
        place: str,
        *,
        name: str | None = None,
        settings: Mapping[str, str] | None = None,
        token: str | None = None,
        keep_originals: bool | None = None,
        ask: Ask | None = None,
    ) -> ConnectedPlace:
        check_place(place, settings, token)
        how: dict[str, Any] = {
            "name": name,
            "settings": dict(settings or {}),
            "token": token,
            "keep_originals": keep_originals,
        }
        return _PLACE.validate_python(self._session.tell("POST", "sources", place=place, **how))

    @override
    def sync(
        self,
        *names: str,
        since: date | str | None = None,
        album: str | None = None,
        dry_run: bool = False,
        most_bytes: int | None = None,
        progress: Progress = True,
        stop: Event | None = None,
        ask: Ask | None = None,
    ) -> SyncReport:
        """See `Sources.sync`. The service goes on when this is cut off."""
        check_progress(progress)
        check_sync(names, album, most_bytes)
        how: dict[str, Any] = {"since": since and str(since), "album": album, "dry_run": dry_run}
        wanted = names or tuple(one.name for one in self.list() if one.waits_for_nothing)
        paths = [_path(name, "sync") for name in wanted]
        jobs = [self._session.tell("POST", path, **how, most_bytes=most_bytes)["job_id"] for path in paths]
        return follow_sync(self._session, jobs, progress, stop or Event(), ask or ask_here)

    @override
    def pause(self, name: str, paused: bool = True) -> ConnectedPlace:
        return _PLACE.validate_python(self._session.tell("POST", _path(name, "pause"), paused=paused))

    @override
    def remove(self, name: str, *, photos: Leftovers = "keep") -> int:
        return int(self._session.tell("POST", _path(name, "remove"), photos=photos)["forgotten"])

    @override
    def reconnect(self, name: str, *, token: str | None = None, ask: Ask | None = None) -> ConnectedPlace:
        return _PLACE.validate_python(self._session.tell("POST", _path(name, "reconnect"), token=token))

    @override
    def check(self, name: str) -> Checks:
        return Checks(Check(**one) for one in self._session.tell("POST", _path(name, "check")))


def _path(name: str, verb: str = "") -> str:
    return f"sources/{quote(name, safe='')}" + (f"/{verb}" if verb else "")
