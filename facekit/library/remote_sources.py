"""The connected places of a library that a service owns."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import TypeAdapter
from typing_extensions import override

from facekit.arguments import check_place, check_sync
from facekit.errors import SignInError
from facekit.ingest.progress import check_progress
from facekit.library.follow import follow_sync
from facekit.library.sources import Sources
from facekit.sources.asking import ask_here
from facekit.sources.item import Check, Checks, Prompt
from facekit.sources.kinds import kind_of_address, kinds
from facekit.sources.signing_in.loopback import given_up
from facekit.types.sources import ConnectedPlace, ConnectedPlaces, SyncReport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from facekit.ingest.progress import Progress
    from facekit.library.session import Session
    from facekit.sources.item import Ask
    from facekit.types.sources import Leftovers

_EVERY = 1.0  # seconds between two looks at whether somebody has signed in
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
        stop: Event | None = None,
    ) -> ConnectedPlace:
        check_place(place, settings, token)
        if not token and _has_to_sign_in(place):
            wanted: dict[str, Any] = {"place": place, "name": name, "settings": dict(settings or {})}
            return self._sign_in(wanted | {"keep_originals": keep_originals}, ask, stop)
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
    def sign_ins(self) -> frozenset[str]:
        return frozenset(one["name"] for one in self._session.get("source-kinds") if one.get("can_sign_in"))

    def _sign_in(self, wanted: dict[str, Any], ask: Ask | None, stop: Event | None) -> ConnectedPlace:
        """Have the user sign in where the service leads them; wait for what comes of it there."""
        begun = self._session.tell("POST", "source-sign-ins", **wanted)
        path = f"source-sign-ins/{quote(begun['sign_in_id'], safe='')}"
        (ask or ask_here)(Prompt("Sign in on this page (10 minutes):", link=begun["address"]))
        stop = stop or Event()
        while (seen := self._session.get(path))["state"] == "waiting":
            if stop.wait(_EVERY):
                self._session.send("DELETE", f"/api/v1/{path}")
                raise given_up()
        if seen["state"] == "failed":
            raise SignInError(seen["problem"], seen["remedy"] or "")
        return self.get(seen["name"])

    @override
    def reconnect(
        self, name: str, *, token: str | None = None, ask: Ask | None = None, stop: Event | None = None
    ) -> ConnectedPlace:
        if not token:
            return self._sign_in({"source": name}, ask, stop)
        return _PLACE.validate_python(self._session.tell("POST", _path(name, "reconnect"), token=token))

    @override
    def check(self, name: str) -> Checks:
        return Checks(Check(**one) for one in self._session.tell("POST", _path(name, "check")))


def _has_to_sign_in(place: str) -> bool:
    """Whether nothing of a place is to be had without signing in to it, so far as is known here."""
    found = kind_of_address(place)
    kind = found[0] if found else kinds().get(place.replace("_", "-"))
    secret = kind.secret_of(place) if kind is not None and kind.secret_of else None
    return kind is not None and kind.needs_token and kind.sign_in is not None and not secret


def _path(name: str, verb: str = "") -> str:
    return f"sources/{quote(name, safe='')}" + (f"/{verb}" if verb else "")
