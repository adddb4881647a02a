"""The connected places of a library that this process has open itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from time import perf_counter
from typing import TYPE_CHECKING

from typing_extensions import override

from facekit.arguments import check_place, check_sync
from facekit.catalog.times import now
from facekit.errors import FacekitError, RefusedError, SignInError, SourceError
from facekit.ingest.progress import check_progress
from facekit.ingest.run import statuses_to_try_again
from facekit.ingest.scan import is_same
from facekit.library.ingesting import note_end, run_ingest
from facekit.library.sources import Sources
from facekit.sources.asking import NobodyThereError, ask_here
from facekit.sources.connected import Scope
from facekit.sources.item import Checks, Token
from facekit.sources.kinds import kind_named, kind_of_address, kinds, shown
from facekit.sources.mounts import checked_name, named_mount
from facekit.sources.signing_in.loopback import sign_in
from facekit.sources.signing_in.oauth import has_application
from facekit.system.waiting import watching
from facekit.types.sources import ConnectedPlace, ConnectedPlaces, PlaceState, PlaceSync, SyncReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from threading import Event

    from facekit.catalog.sources import SourceRow
    from facekit.ingest.progress import Progress
    from facekit.ingest.report import IngestReport
    from facekit.library.ingesting import OpenLibrary
    from facekit.sources.connected import ConnectedSource
    from facekit.sources.item import Ask, SourceKind
    from facekit.types.sources import Leftovers


class LocalSources(Sources):
    """See `Sources`.

    Parameters
    ----------
    library : OpenLibrary
        The library.
    """

    def __init__(self, library: OpenLibrary) -> None:
        self._library, self._storage = library, library.storage
        self._tables, self._connections = self._storage.catalog.sources, self._storage.connections

    @override
    def list(self) -> ConnectedPlaces:
        return ConnectedPlaces(map(self._place, self._tables.all()))

    @override
    def get(self, name: str) -> ConnectedPlace:
        return self._place(self._connections.row(name))

    def _place(self, row: SourceRow) -> ConnectedPlace:
        photos, size = self._tables.photos_of(row.name)
        return ConnectedPlace(
            name=row.name,
            kind=row.kind,
            place=self._whose(row),
            state=self._state(row),
            problem=row.problem,
            remedy=row.remedy,
            resume_at=row.resume_at,
            added_at=row.added_at,
            synced_at=row.synced_at,
            photos=photos,
            bytes=size,
            keep_originals=row.keep_originals,
        )

    def _whose(self, row: SourceRow) -> str:
        try:
            with self._connections.connector(row) as connector:
                return connector.whose
        except FacekitError:  # made by a newer facekit, or without its package
            return row.kind

    def _state(self, row: SourceRow) -> PlaceState:
        if row.name in self._library.syncing:
            return PlaceState.SYNCING
        if row.paused:
            return PlaceState.PAUSED
        if row.problem:
            return PlaceState.SIGN_IN if row.sign_in else PlaceState.STOPPED
        return PlaceState.READY if row.synced_at else PlaceState.NEW

    # -- connecting ----------------------------------------------------------------------------------------------

    @override
    def add(
        self,
        place: str,
        *,
        name: str | None = None,
        settings: Mapping[str, str] | None = None,
        token: str | Token | None = None,
        keep_originals: bool | None = None,
        ask: Ask | None = None,
        stop: Event | None = None,
    ) -> ConnectedPlace:
        check_place(place, settings, token.access if isinstance(token, Token) else token)
        kind, wanted, name = self.checked(place, name=name, settings=settings)
        keep = kind.keep_originals if keep_originals is None else keep_originals
        token = token or (kind.secret_of(place) if kind.secret_of else None)
        given = self._token(kind, token, ask, stop) if token or kind.needs_token_for(wanted) else None
        with self._storage.changing("Connecting a place"):
            if self._tables.get(name) is not None:
                raise _taken(name)
            if given is not None:
                self._storage.tokens.put(name, given)
            row = self._tables.add(name, kind.name, wanted, keep_originals=keep)
        return self._place(row)

    def checked(
        self, place: str, *, name: str | None = None, settings: Mapping[str, str] | None = None
    ) -> tuple[SourceKind, dict[str, str], str]:
        """What `add` makes of a place: its kind, all its settings, and its name. Raises RefusedError as that does."""
        self._storage.alive()
        kind, found = self._kind(place)
        wanted = found | {key: str(value) for key, value in (settings or {}).items()}
        if unknown := sorted(wanted.keys() - kind.settings.keys()):
            message = f"{kind.words} has no setting {unknown[0]!r}."
            raise RefusedError(message, f"It has: {', '.join(kind.settings) or 'none'}.")
        if found and name is None and (there := self._connected_as(kind.name, wanted)) is not None:
            message = f"{shown(place)} is connected already, as {there}."
            raise RefusedError(message, f"Sync it: facekit sources sync {there}. Another name= connects it once more.")
        name = self._free_name(kind.name) if name is None else self._checked(name)
        self._connections.check(kind, wanted)
        return kind, wanted, name

    @staticmethod
    def _kind(place: str) -> tuple[SourceKind, dict[str, str]]:
        if place.strip().replace("_", "-").lower() in kinds():
            return kind_named(place.strip().lower()), {}
        found = kind_of_address(place)
        if found is None:
            message = f"{shown(place)!r} is no address that facekit knows, and no kind of place."
            remedy = f"Give an address, or one of {', '.join(kinds())}. Folders are brought in by lib.ingest."
            raise RefusedError(message, remedy)
        return found

    @staticmethod
    def _token(kind: SourceKind, token: str | Token | None, ask: Ask | None, stop: Event | None) -> Token:
        if token:
            return token if isinstance(token, Token) else Token(token.strip())
        if kind.sign_in is None:
            message = f"{kind.words} wants a token."
            raise SignInError(message, "Give it as token=, or to facekit sources add when it asks.")
        try:
            return sign_in(kind.sign_in, ask or ask_here, stop=stop)
        except NobodyThereError:
            message = f"{kind.words} wants somebody to sign in, and nobody is there: no terminal and no notebook."
            raise SignInError(message, "Give it a token, as token=, or sign in from a terminal.") from None

    def _free_name(self, wanted: str) -> str:
        """A name that no place has, and had."""
        taken = {*(row.name for row in self._tables.all()), *self._storage.mounts.roots}
        number, name = 1, wanted
        while name in taken or self._storage.catalog.has_photos(f"{name}:/"):
            number += 1
            name = f"{wanted}-{number}"
        return name

    def _checked(self, name: str) -> str:
        checked = checked_name(name, "a source's name")
        if self._tables.get(checked) is not None or checked in self._storage.mounts.roots:
            raise _taken(checked)
        if self._storage.catalog.has_photos(f"{checked}:/"):  # another place's may have the same keys
            message = f"The library has photos that are known as {checked}:/, of a place that is not connected now."
            raise RefusedError(message, f'Choose another name, or forget them first: lib.remove("{checked}:/").')
        return checked

    @override
    def pause(self, name: str, paused: bool = True) -> ConnectedPlace:
        self._storage.alive()
        self._connections.row(name)
        self._tables.change(name, paused=paused)
        return self.get(name)

    @override
    def sign_ins(self) -> frozenset[str]:
        return frozenset(kind.name for kind in kinds().values() if kind.sign_in and has_application(kind.sign_in))

    @override
    def reconnect(
        self, name: str, *, token: str | Token | None = None, ask: Ask | None = None, stop: Event | None = None
    ) -> ConnectedPlace:
        self._storage.alive()
        row = self._connections.row(name)
        self._storage.tokens.put(name, self._token(kind_named(row.kind), token, ask, stop))
        self._tables.change(name, problem=None, remedy=None, sign_in=False, resume_at=None)
        return self.get(name)

    @override
    def remove(self, name: str, *, photos: Leftovers = "keep") -> int:
        self._storage.alive()
        if photos not in {"keep", "forget"}:
            message = f"photos={photos!r} is neither 'keep' nor 'forget'."
            raise RefusedError(message, "Say whether the library keeps the photos.")
        row = self._connections.row(name)
        forgotten, _ = self._tables.photos_of(name)
        if photos == "forget" and self._storage.catalog.has_photos(f"{name}:/"):
            self._library.remove(f"{name}:/")
        with self._storage.changing("Disconnecting a place"):
            self._revoke(row)
            self._storage.tokens.forget(name)
            self._tables.remove(name)
            self._connections.forget(name, kept=photos == "keep")
            self._storage.erase()  # a link may be all that it takes to see what it leads to
        return forgotten if photos == "forget" else 0

    def _revoke(self, row: SourceRow) -> None:
        try:
            if self._storage.tokens.get(row.name) is not None:
                with self._connections.connector(row) as connector:
                    connector.revoke()
        except FacekitError:  # what the service can't be told now is forgotten here all the same
            return

    @override
    def check(self, name: str) -> Checks:
        self._storage.alive()
        with self._connections.connector(self._connections.row(name), ask=ask_here) as connector:
            return Checks(connector.check())

    def at(self, root: object) -> str | None:
        """The name of what an address, or ``vk:/``, means; a new address is connected. None for any other text.

        Raises
        ------
        FacekitError
            If it can't be connected.
        """
        if not isinstance(root, str):
            return None
        named = named_mount(root)
        if named is not None and named[1] == b"" and self._connections.is_connected(named[0]):
            return named[0]
        found = kind_of_address(root) if "://" in root else None
        if found is None:
            return None
        kind, settings = found
        return self._connected_as(kind.name, settings) or self.add(root).name

    def _connected_as(self, kind: str, settings: Mapping[str, str]) -> str | None:
        same = (row.name for row in self._tables.all() if (row.kind, row.settings) == (kind, settings))
        return next(same, None)

    def opened(self, name: str, stop: Event | None) -> AbstractContextManager[ConnectedSource]:
        """A place as a source, for as long as it is being brought in."""
        return self._connections.source(name, ask=ask_here, stop=stop)

    # -- syncing -------------------------------------------------------------------------------------------------

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
        self._storage.alive()
        check_progress(progress)
        check_sync(names, album, most_bytes)
        scope = Scope(_day(since), album, most_bytes)
        rows = [self._connections.row(name) for name in dict.fromkeys(names)] or [
            row for row in self._tables.all() if not row.paused and not (row.resume_at and row.resume_at > now())
        ]
        for name in names:
            self.not_paused(name)
        done = []
        for row in rows:
            done.append(self._sync(row, scope, progress, stop, ask or ask_here, dry_run=dry_run))
            if done[-1].stopped:
                break
        return SyncReport(tuple(done))

    def not_paused(self, name: str) -> None:
        """Refuse a place that is paused, and one that there is not. Raises RefusedError."""
        if self._connections.row(name).paused:
            message = f"The source {name} is paused."
            raise RefusedError(message, f'lib.sources.pause("{name}", False) lets it go on.')

    def _sync(
        self, row: SourceRow, scope: Scope, progress: Progress, stop: Event | None, ask: Ask, *, dry_run: bool
    ) -> PlaceSync:
        start = perf_counter()
        with self._storage.changing("A sync"), watching(self._library.folder, stop) as watch:
            self._library.syncing.add(row.name)
            done = PlaceSync(row.name)
            reports: list[IngestReport] = []
            source: ConnectedSource | None = None
            self._connections.originals.tidy_up()
            try:
                with self._connections.source(
                    row.name, scope=scope, ask=ask, stop=stop, shown=progress is True
                ) as source:
                    if dry_run:
                        return self._would_come(source)
                    run_ingest(self._library, [source], progress, stop=stop, notes=watch.notes, begun=reports.append)
            except SourceError as error:
                note_end(self._storage, row.name, error)
                done = _ended(done, error)
            finally:
                self._library.syncing.discard(row.name)
        return replace(_counted(done, source, reports), seconds=perf_counter() - start)

    def _would_come(self, source: ConnectedSource) -> PlaceSync:
        """List a place; say what would be read."""
        states = self._storage.catalog.file_states(source.name)
        try:
            there = [*source.scan()]
        except SourceError as error:
            return _ended(PlaceSync(source.name, dry_run=True), error)
        again = statuses_to_try_again(None)
        new = [file for file in there if not is_same(file, states.get(file.path), again)]
        sizes = {(file.facts and file.facts.content) or file.path: file.size for file in new}  # equal ones come once
        known = self._tables.photos_with(key for key in sizes if isinstance(key, str))
        size = sum(size for key, size in sizes.items() if key not in known)
        left_out = tuple(source.left_out_by_kind.items())
        return PlaceSync(source.name, len(there), len(new), bytes=size, left_out=left_out, dry_run=True)


def _ended(done: PlaceSync, error: SourceError) -> PlaceSync:
    sign_in_again = isinstance(error, SignInError)
    return replace(done, problem=error.message, remedy=error.remedy, resume_at=error.resume_at, sign_in=sign_in_again)


def _counted(done: PlaceSync, source: ConnectedSource | None, reports: Sequence[IngestReport]) -> PlaceSync:
    if source is not None:
        left_out = tuple(source.left_out_by_kind.items())
        done = replace(done, fetched=source.fetched, bytes=source.bytes, left_out=left_out)
    for report in reports:
        done = replace(
            done,
            found=report.found,
            new=report.found - report.unchanged,
            ingested=report.ingested,
            duplicates=report.duplicates,
            missing=report.missing,
            faces=report.faces,
            # Named in full, so that they are found where their photos are to be forgotten.
            failed=tuple(
                one.reason if one.path in one.reason else f"{one.path}: {one.reason}" for one in report.failed
            ),
            stopped=report.stopped,
        )
    return done


def _taken(name: str) -> RefusedError:
    return RefusedError(f"{name} is the name of a source or a mount already.", "Choose another one: name=.")


def _day(since: date | str | None) -> date | None:
    if since is None or (isinstance(since, date) and not isinstance(since, datetime)):
        return since
    try:
        return datetime.fromisoformat(str(since)).date()
    except ValueError as error:
        message = f"{str(since)[:100]!r} is no day."
        raise RefusedError(message, "Write it as 2024-05-31.") from error
