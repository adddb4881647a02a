"""A connected place, such as a cloud disk, as a source of photos like a folder."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from threading import Lock
from typing import TYPE_CHECKING

from loguru import logger

from facekit.catalog.records import file_id
from facekit.catalog.sources import ItemRow
from facekit.errors import PhotoError, SourceError
from facekit.images.files import display_name, read_bytes
from facekit.sources.item import SourceItem, as_part, as_text
from facekit.types.photos import FoundFile, PlaceFacts, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from facekit.catalog.sources import SourceRow, SourceTables
    from facekit.images.files import Limits
    from facekit.sources.item import Connector, ItemPage
    from facekit.sources.originals import Originals


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a place is wanted.

    ``since`` is the day from which photos are taken (or changed, where nobody knows when they were taken), ``album``
    the name of one with all below it, ``most_bytes`` how much may be fetched in all.
    """

    since: date | None = None
    album: str | None = None
    most_bytes: int | None = None

    def holds(self, item: ItemRow) -> bool:
        """Whether an item is wanted."""
        if self.album is not None and not (_plain(item.album) + "/").startswith(_plain(self.album).strip("/") + "/"):
            return False
        if self.since is None:
            return True
        at = item.taken_at or (item.modified and item.modified.astimezone().replace(tzinfo=None))
        return at is not None and at >= datetime.combine(self.since, time())


_SOON = 1.0  # seconds after which a listing shows itself, ours


class ConnectedSource:
    """A source, as `facekit.sources.Source` describes it: its files are known by their keys.

    The listing is kept in the catalog, page by page: cut off, it goes on where it was. What is not there any more is
    asked for once more before it counts as gone, and of a place that answers with errors nothing counts as gone.

    Parameters
    ----------
    row : SourceRow
        The place.
    tables : SourceTables
        Where listings are kept.
    connector : Connector
        What talks to it.
    originals : Originals
        Where fetched photos are kept.
    scope : Scope, optional
        What is wanted.
    shown : bool
        Whether a listing that takes longer than a second shows how far it is.

    Attributes
    ----------
    fetched : int
        Photos that were fetched.
    bytes : int
        Bytes of them.
    """

    def __init__(
        self,
        row: SourceRow,
        tables: SourceTables,
        connector: Connector,
        originals: Originals,
        scope: Scope | None = None,
        *,
        shown: bool = False,
    ) -> None:
        self.name, self.row = row.name, row
        self._keep = row.keep_originals
        self._tables, self._connector, self._originals = tables, connector, originals
        self._scope, self._shown = scope or Scope(), shown
        self._outside: set[bytes] = set()
        self.problems: list[tuple[str, str]] = []
        self.skipped: dict[bytes, str] = {}
        self.left_out_by_kind: Mapping[str, int] = {}
        self.fetched = self.bytes = 0
        self._counting = Lock()

    @property
    def root(self) -> str:
        """``vk:/``."""
        return f"{self.name}:/"

    def scan(self) -> Iterator[FoundFile]:
        """List the photos. Raises SourceError."""
        from tqdm.auto import tqdm

        unit, hidden = " photos listed", not self._shown
        with tqdm(desc=self.name, unit=unit, delay=_SOON, leave=False, disable=hidden) as bar:
            self._list(bar.update)
        self._outside.clear()
        for row in self._tables.items(self.name):
            if self._scope.holds(row):
                yield self.found(row)
            else:
                self._outside.add(row.key.encode())
        if self._outside:
            self.left_out_by_kind = {**self.left_out_by_kind, "outside what was asked for": len(self._outside)}

    def found(self, row: ItemRow) -> FoundFile:
        """An item as a file."""
        moment = 0 if row.modified is None else int(row.modified.timestamp()) * 10**9
        place = (row.album, row.link, row.content, row.taken_at, row.latitude, row.longitude)
        facts = PlaceFacts(row.version, *place)
        return FoundFile(self.name, row.key.encode(), shown_as(self.name, row), row.bytes or 0, moment, facts)

    def holds(self, path: bytes) -> bool:
        """Whether a key is of what is wanted of the place now."""
        return path not in self._outside

    def left_out(self, path: bytes) -> str | None:  # noqa: ARG002 - as every source has it
        """None: what is left out of a place was never listed."""
        return None

    def gone(self, path: bytes) -> bool:
        """Whether the place said that there is no such photo any more."""
        row = self._tables.item(self.name, path.decode())
        return row is not None and row.gone

    def read(self, file: FoundFile, limits: Limits) -> bytes:
        """A photo's bytes, fetched where they are not here.

        Raises
        ------
        PhotoError
            If it is too large, or can't be had although others can.
        SourceError
            If none can be had for now.
        """
        return read_bytes(self.path(file.path, limits.max_bytes), limits, file.display)

    def path(self, key: bytes, most_bytes: int) -> Path:
        """The file of a photo on this machine, fetched where it is not here; raises as `read` does."""
        row = self._tables.item(self.name, key.decode())
        if row is None:
            raise PhotoError(Status.IO_ERROR, f"{self.root} does not list this photo any more: sync it")
        keep, size = self._keep, row.bytes or 0

        def write(target: BinaryIO) -> None:
            self._check_budget(size)
            self._connector.fetch(_item(row), target, most_bytes)
            with self._counting:  # several threads fetch
                self.fetched, self.bytes = self.fetched + 1, self.bytes + target.tell()

        try:
            return self._originals.get(self.name, row.key, row.version, write, keep=keep, size=size)
        except PhotoError as error:
            if error.status is not Status.MISSING:
                raise
            self._tables.mark_gone(self.name, [row.key])
            raise PhotoError(Status.IO_ERROR, error.reason) from error

    def _check_budget(self, size: int) -> None:
        most = self._scope.most_bytes
        if most is not None and self.bytes + size > most:
            message = f"{self.bytes:,} bytes were fetched from {self.name}, of at most {most:,}."
            raise SourceError(message, "Sync it again to go on.")

    # -- the listing ---------------------------------------------------------------------------------------------

    def _list(self, count: Callable[[int], object]) -> None:
        row = self._tables.get(self.name)
        if row is None:
            message = f"No source is called {self.name!r} any more."
            raise SourceError(message, "lib.sources.list() shows what is connected.")
        number, left_out = row.listing, Counter[str]()
        fresh = row.cursor is None
        for page in self._connector.pages(row.cursor):
            if page.begins or fresh:
                number, fresh = self._tables.begin_listing(self.name), False
                left_out.clear()
            left_out.update(page.left_out or {})
            items = [self._row(item, number) for item in page.items if item.key == as_text(item.key)]
            if len(items) < len(page.items):  # no database can hold their names
                left_out["unnamable"] += len(page.items) - len(items)
            self.left_out_by_kind = left_out
            self._tables.keep_page(self.name, items, page.gone, page.cursor, last=page.last)
            count(len(items))
            if page.last:
                self._end(page, number)
                return
        message = f"{self.name} ended its list before its end."
        raise SourceError(message, "Sync it again to go on.")

    def _end(self, page: ItemPage, number: int) -> None:
        if not page.whole:
            return
        unseen = self._tables.unseen(self.name, number)
        if unseen:
            gone = self._connector.gone(unseen)
            self._tables.mark_gone(self.name, sorted(gone.intersection(unseen)))
            logger.info("{}: {} of {} photos that were not listed again are gone", self.name, len(gone), len(unseen))

    def _row(self, item: SourceItem, number: int) -> ItemRow:
        taken = item.taken_at and item.taken_at.replace(tzinfo=None)
        modified = item.modified and (item.modified if item.modified.tzinfo else item.modified.replace(tzinfo=UTC))
        return ItemRow(
            item_id=file_id(self.name, item.key.encode()),
            source=self.name,
            key=item.key,
            version=as_text(item.version),
            name=as_part(as_text(item.name)),
            album="/".join(as_part(as_text(part)) for part in item.album.split("/") if part.strip()),
            bytes=item.size,
            content=item.content,
            link=item.link and as_text(item.link),
            modified=modified,
            taken_at=taken,
            latitude=item.latitude,
            longitude=item.longitude,
            listing=number,
            gone=False,
        )


def shown_as(source: str, row: ItemRow) -> str:
    """What people call an item: ``vk:/Summer/a.jpg``."""
    inside = f"{row.album}/{row.name}" if row.album else row.name
    return f"{source}:/{display_name(inside.encode(errors='surrogatepass'))}"


def _item(row: ItemRow) -> SourceItem:
    return SourceItem(
        row.key,
        row.version,
        row.name,
        row.album,
        row.bytes,
        row.content,
        row.link,
        row.modified,
        row.taken_at,
        row.latitude,
        row.longitude,
    )


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
