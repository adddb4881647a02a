"""Connected places that photos come from, and what was listed there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from facekit.catalog.locks import Kind, hold
from facekit.catalog.records import file_id
from facekit.catalog.rows import among, by_key, chunks, delete, fetch, insert, select, set_meta
from facekit.catalog.source_tables import source_items, sources
from facekit.catalog.tables import files, photos
from facekit.catalog.times import now
from facekit.types.photos import Place, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from facekit.catalog.database import Database
    from facekit.catalog.rows import FileRow


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of ``sources``."""

    name: str
    kind: str
    settings: dict[str, str]
    keep_originals: bool
    paused: bool
    added_at: datetime
    synced_at: datetime | None = None
    problem: str | None = None
    remedy: str | None = None
    sign_in: bool = False
    resume_at: datetime | None = None
    cursor: dict[str, Any] | None = None
    listing: int = 0
    listing_open: bool = False


class ItemRow(NamedTuple):
    """A row of ``source_items``."""

    item_id: str
    source: str
    key: str
    version: str
    name: str
    album: str
    bytes: int | None
    content: str | None
    link: str | None
    modified: datetime | None
    taken_at: datetime | None
    latitude: float | None
    longitude: float | None
    listing: int
    gone: bool


class SourceTables:
    """Reads and writes what the catalog has of connected places. Each call that writes is one transaction."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine

    # -- places --------------------------------------------------------------------------------------------------

    def all(self) -> list[SourceRow]:
        """All, by name."""
        with self._engine.connect() as connection:
            return fetch(connection, select(SourceRow, sources).order_by(sources.c.name), SourceRow)

    def kinds(self) -> dict[str, str]:
        """The kind of each, by name."""
        with self._engine.connect() as connection:
            return kinds_of_sources(connection)

    def get(self, name: str) -> SourceRow | None:
        """The one of a name."""
        with self._engine.connect() as connection:
            found = fetch(connection, select(SourceRow, sources).where(sources.c.name == name), SourceRow)
        return found[0] if found else None

    def add(self, name: str, kind: str, settings: Mapping[str, str], *, keep_originals: bool) -> SourceRow:
        """A new one; there must be none of this name."""
        row = SourceRow(name, kind, dict(settings), keep_originals, paused=False, added_at=now())
        with self._engine.begin() as connection:
            connection.execute(sa.insert(sources), {key: getattr(row, key) for key in row.__slots__})
        return row

    def change(self, name: str, **values: Any) -> None:  # noqa: ANN401 - columns
        """Write other values into columns of one."""
        with self._engine.begin() as connection:
            connection.execute(sa.update(sources).where(sources.c.name == name).values(values))

    def remove(self, name: str) -> None:
        """Forget one, and what was listed there; its files stay."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(source_items).where(source_items.c.source == name))
            connection.execute(sa.delete(sources).where(sources.c.name == name))
            set_meta(connection, "erase", "due")

    # -- what is there -------------------------------------------------------------------------------------------

    def begin_listing(self, name: str) -> int:
        """A listing begins, from the beginning; returns its number."""
        with self._engine.begin() as connection:
            here = sources.c.name == name
            number = int(connection.scalar(sa.select(sources.c.listing).where(here)) or 0) + 1
            opened = {"listing": number, "listing_open": True, "cursor": None}
            connection.execute(sa.update(sources).where(here).values(opened))
        return number

    def keep_page(
        self, name: str, items: Sequence[ItemRow], gone: Sequence[str], cursor: Mapping[str, Any], *, last: bool
    ) -> None:
        """A page of a listing, and where it goes on; of ``gone`` keys, those that end in a slash mean all below."""
        by_id = {item.item_id: item for item in items}
        with self._engine.begin() as connection:
            hold(connection, Kind.FILES, by_id)
            delete(connection, source_items.c.item_id, list(by_id))
            insert(connection, source_items, [item._asdict() for item in by_id.values()])
            whole = [file_id(name, key.encode()) for key in gone if not key.endswith("/")]
            there = sa.update(source_items).where(source_items.c.source == name).values(gone=True)
            if whole:
                connection.execute(there.where(among(source_items.c.item_id, whole)))
            for folder in (key for key in gone if key.endswith("/")):
                connection.execute(there.where(source_items.c.key.startswith(folder, autoescape=True)))
            values = {"cursor": dict(cursor), "listing_open": not last}
            connection.execute(sa.update(sources).where(sources.c.name == name).values(values))

    def items(self, name: str) -> Iterator[ItemRow]:
        """All that is there, by key."""
        query = select(ItemRow, source_items).where(source_items.c.source == name, ~source_items.c.gone)
        with self._engine.connect() as connection:
            yield from fetch(connection, query.order_by(source_items.c.key), ItemRow)

    def item(self, name: str, key: str) -> ItemRow | None:
        """One that was listed, be it there now or not."""
        query = select(ItemRow, source_items).where(source_items.c.item_id == file_id(name, key.encode()))
        with self._engine.connect() as connection:
            found = fetch(connection, query, ItemRow)
        return found[0] if found else None

    def unseen(self, name: str, listing: int) -> list[str]:
        """Keys of what was there before a listing, and that it did not show."""
        query = sa.select(source_items.c.key).where(source_items.c.source == name, ~source_items.c.gone)
        with self._engine.connect() as connection:
            return list(connection.scalars(query.where(source_items.c.listing < listing).order_by(source_items.c.key)))

    def mark_gone(self, name: str, keys: Sequence[str]) -> None:
        """Some are not there any more."""
        ids = [file_id(name, key.encode()) for key in keys]
        with self._engine.begin() as connection:
            for some in chunks(ids):
                connection.execute(sa.update(source_items).where(among(source_items.c.item_id, some)).values(gone=True))

    def photos_with(self, contents: Iterable[str]) -> dict[str, str]:
        """The photos that bytes with some hashes are, by hash, where an item that has it was read."""
        same = (files.c.file_id == source_items.c.item_id, files.c.version == source_items.c.version)
        good = photos.c.status.in_([Status.OK, Status.NO_FACE])
        query = sa.select(source_items.c.content, files.c.photo_id).join(source_items, sa.and_(*same))
        query = query.join(photos, photos.c.photo_id == files.c.photo_id).where(good).order_by(files.c.photo_id)
        found: dict[str, str] = {}
        with self._engine.connect() as connection:
            for some in chunks(sorted(set(contents))):
                found |= by_key(connection, query.where(among(source_items.c.content, some)))
        return found

    def named_in_files(self) -> list[str]:
        """The sources that files are from, folders and those that were removed included."""
        with self._engine.connect() as connection:
            return list(connection.scalars(sa.select(files.c.source).distinct().order_by(files.c.source)))

    def albums(self) -> list[tuple[str, str]]:
        """The albums that files are in: source and album, by album."""
        query = sa.select(files.c.source, files.c.album).where(files.c.album.is_not(None), files.c.album != "")
        with self._engine.connect() as connection:
            rows = connection.execute(query.distinct()).all()
        return sorted(((source, album) for source, album in rows), key=lambda row: (row[1], row[0]))

    def photos_of(self, name: str) -> tuple[int, int]:
        """How many photos of one the library has, and their bytes; those that are missing do not count."""
        there = (files.c.source == name, files.c.missing_since.is_(None))
        query = sa.select(sa.func.count(sa.distinct(files.c.photo_id)), sa.func.coalesce(sa.func.sum(files.c.bytes), 0))
        with self._engine.connect() as connection:
            number, size = connection.execute(query.where(*there)).one()
        return int(number), int(size)


def kinds_of_sources(connection: sa.Connection) -> dict[str, str]:
    """The kind of each connected place, by name."""
    return {name: kind for name, kind in connection.execute(sa.select(sources.c.name, sources.c.kind))}  # noqa: C416


def place_of(file: FileRow, kinds: Mapping[str, str]) -> Place:
    """Where a photo lies, from a row of ``files`` and the kinds of places by name."""
    return Place(file.display, file.source, kinds.get(file.source), file.album or None, file.link or None)
