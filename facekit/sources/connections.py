"""The connected places of a library, as sources and as files."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING

from typing_extensions import override

from facekit.errors import PhotoError, RefusedError, SourceError
from facekit.images.files import Limits
from facekit.sources.asking import nobody
from facekit.sources.connected import ConnectedSource, Scope
from facekit.sources.item import Tools
from facekit.sources.kinds import kind_named
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from facekit.catalog.sources import SourceRow, SourceTables
    from facekit.errors import FacekitError
    from facekit.sources.item import Access, Ask, Connector, SourceKind
    from facekit.sources.originals import Originals

_AGAIN_SECONDS = 60.0  # before a place that can't be read is asked again: each time may take minutes of waits


class Connections:
    """Makes sources of the connected places that a catalog knows.

    Parameters
    ----------
    tables : SourceTables
        The catalog's.
    originals : Originals
        Where fetched photos are kept.
    access : callable
        Makes, for a place, what gives its connector tokens.
    """

    def __init__(self, tables: SourceTables, originals: Originals, access: Callable[[SourceRow], Access]) -> None:
        self.tables, self.originals, self._access = tables, originals, access
        self._readers: dict[str, _Reader] = {}
        self._opened, self._lock = ExitStack(), Lock()

    def row(self, name: str) -> SourceRow:
        """What the catalog has of a place. Raises RefusedError where none is called so."""
        row = self.tables.get(name)
        if row is None:
            there = ", ".join(one.name for one in self.tables.all())
            message = f"No source is called {name!r}."
            raise RefusedError(message, f"There are: {there}." if there else "lib.sources.add connects one.")
        return row

    def is_connected(self, name: str) -> bool:
        """Whether a place is called so."""
        return self.tables.get(name) is not None

    @contextmanager
    def connector(self, row: SourceRow, *, ask: Ask | None = None, stop: Event | None = None) -> Iterator[Connector]:
        """What talks to a place, until the end of the block. Raises SourceError."""
        tools = Tools(self._access(row), ask or nobody, stop or Event())
        with tools.opened:
            yield kind_named(row.kind).connect(row.settings, tools)

    @staticmethod
    def check(kind: SourceKind, settings: Mapping[str, str]) -> None:
        """Refuse settings that can't be right. Raises RefusedError. Nothing is asked of the place."""
        tools = Tools(lambda _refused: None, nobody, Event())
        with tools.opened:
            kind.connect(settings, tools)

    @contextmanager
    def source(
        self,
        name: str,
        *,
        scope: Scope | None = None,
        ask: Ask | None = None,
        stop: Event | None = None,
        shown: bool = False,
    ) -> Iterator[ConnectedSource]:
        """A place, to be listed and read until the end of the block. Raises RefusedError and SourceError."""
        row = self.row(name)
        with self.connector(row, ask=ask, stop=stop) as connector:
            yield ConnectedSource(row, self.tables, connector, self.originals, scope, shown=shown)

    def reader(self, name: str) -> ConnectedSource:
        """A place whose photos are read one by one; the same for as long as it is connected.

        While the place can't be read, none of them can: that is each one's `PhotoError`, and it is asked again later.
        """
        row = self.row(name)
        with self._lock:
            found = self._readers.get(name)
            if found is None or found.row.settings != row.settings:
                connector = self._opened.enter_context(self.connector(row))
                found = self._readers[name] = _Reader(row, self.tables, connector, self.originals)
        return found

    def file(self, name: str, key: bytes, version: str | None, *, fetch: bool) -> Path | None:
        """The file of a photo of a place, where this machine has it, or can ``fetch`` it and it is as it was.

        Raises
        ------
        PhotoError
            If it can't be fetched.
        """
        if version is None:
            return None
        here = self.originals.find(name, key.decode(), version)
        if here is not None or not fetch:
            return here
        item = self.tables.item(name, key.decode())
        if item is None or item.gone or item.version != version:
            return None
        try:
            return self.reader(name).path(key, Limits().max_bytes)
        except (SourceError, RefusedError) as error:
            raise _not_fetched(name, error) from error

    def close(self) -> None:
        """Close what `reader` opened."""
        with self._lock:
            self._readers.clear()
            self._opened.close()

    def forget(self, name: str, *, kept: bool) -> None:
        """Forget a place that is connected no more, with what was fetched from it; ``kept`` originals stay."""
        self._readers.pop(name, None)
        self.originals.forget_source(name, kept=kept)


class _Reader(ConnectedSource):
    """A place whose photos are read one by one. See `Connections.reader`."""

    _away: FacekitError | None = None
    _ask_at = 0.0

    @override
    def path(self, key: bytes, most_bytes: int) -> Path:
        if self._away is not None and monotonic() < self._ask_at:
            raise _not_fetched(self.name, self._away)
        try:
            found = super().path(key, most_bytes)
        except SourceError as error:
            self._away, self._ask_at = error, monotonic() + _AGAIN_SECONDS
            raise _not_fetched(self.name, error) from error
        self._away = None
        return found


def _not_fetched(name: str, error: FacekitError) -> PhotoError:
    return PhotoError(Status.MISSING, f"The photo can't be fetched from {name}: {error}")
