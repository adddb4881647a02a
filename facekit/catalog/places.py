"""Which of a photo's files is shown, and how paths change when a folder moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facekit.catalog.locks import Kind, hold
from facekit.catalog.records import EVERYWHERE, FileMove, file_id, folder_of
from facekit.catalog.rows import FileRow, among, chunks, delete, fetch, insert, select
from facekit.catalog.tables import INDEXED, files, photos

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.catalog.records import Within
    from facekit.types.photos import FoundFile


def below(column: sa.ColumnElement[str], folder: str) -> sa.ColumnElement[bool]:
    """Whether a column of folders names a folder, which ends with a slash, or one below it: as an index has it."""
    within = sa.func.left(column, INDEXED).startswith(folder[:INDEXED], autoescape=True)
    return within if len(folder) <= INDEXED else sa.and_(within, column.startswith(folder, autoescape=True))


def lies(table: sa.Table, within: Within) -> sa.ColumnElement[bool]:
    """Whether a row of ``files``, or the first place of a photo, lies there."""
    asked: list[sa.ColumnElement[bool]] = []
    if within.sources:
        asked.append(table.c.source.in_(within.sources))
    if within.folders:
        asked.append(sa.or_(*(below(table.c.folder, folder) for folder in within.folders)))
    return sa.and_(sa.true(), *asked)


def place_order(within: Within = EVERYWHERE) -> tuple[sa.ColumnElement[Any], ...]:
    """How a photo's files are ordered: the first is the one to show.

    Files that are there come before those that have vanished; then those in the places that were asked for;
    then shorter paths, older files, and the rest by name. `place_key` says the same of rows.
    """
    there = sa.case((files.c.missing_since.is_(None), 0), else_=1)
    inside = [sa.case((lies(files, within), 0), else_=1)] if within else []
    return (there, *inside, sa.func.length(files.c.display), files.c.mtime_ns, files.c.display, files.c.file_id)


def place_key(within: Within = EVERYWHERE) -> Callable[[FileRow], tuple[Any, ...]]:
    """The order of `place_order`, as a key to sort rows of ``files`` by."""

    def key(row: FileRow) -> tuple[Any, ...]:
        inside = within.has(row.source, row.folder)
        return (row.missing_since is not None, not inside, len(row.display), row.mtime_ns, row.display, row.file_id)

    return key


def keep_places(connection: sa.Connection, photo_ids: Sequence[str]) -> None:
    """Write into photos which of their files is the first, after a change of the files."""
    columns = [files.c[name] for name in ("photo_id", "source", "display", "folder")]
    gone = files.c.missing_since.is_not(None).label("missing")
    rank = sa.func.row_number().over(partition_by=files.c.photo_id, order_by=place_order()).label("rank")
    number = sa.func.count().over(partition_by=files.c.photo_id).label("files")
    ranked = sa.select(*columns, gone, rank, number)
    for chunk in chunks(photo_ids):
        first = ranked.where(among(files.c.photo_id, chunk)).subquery("first")
        values = {name: first.c[name] for name in ("source", "display", "folder", "missing", "files")}
        here = (photos.c.photo_id == first.c.photo_id, first.c.rank == 1)
        connection.execute(sa.update(photos).values(values).where(*here))


def move_files(connection: sa.Connection, source: str, moves: Sequence[FileMove]) -> list[str]:
    """Files lie elsewhere; see `facekit.catalog.catalog.Catalog.relocate`. Returns the photos that lay in them."""
    by_id = {file_id(source, move.old): move for move in moves}
    hold(connection, Kind.FILES, {*by_id, *(file_id(move.source, move.new) for move in moves)})
    rows = fetch(connection, select(FileRow, files).where(among(files.c.file_id, by_id)), FileRow)
    hold(connection, Kind.PHOTOS, {row.photo_id for row in rows})
    delete(connection, files.c.file_id, list(by_id))
    new = [_moved(row, by_id[row.file_id]) for row in rows]
    ids = [row.file_id for row in new]
    there = set(connection.scalars(sa.select(files.c.file_id).where(among(files.c.file_id, ids))))
    insert(connection, files, [row._asdict() for row in new if row.file_id not in there])
    return sorted({row.photo_id for row in rows})


def rename_files(connection: sa.Connection, source: str, found: Sequence[FoundFile]) -> list[str]:
    """Files of a connected place have another name, album or link there. Returns the photos that lie in them."""
    now = {file_id(source, file.path): (file.display, file.facts) for file in found if file.facts is not None}
    columns = [files.c[name] for name in ("file_id", "photo_id", "display", "album", "link")]
    known = connection.execute(sa.select(*columns).where(files.c.source == source)).all()
    before = {row.file_id: row for row in known if row.file_id in now}
    other = {
        key: {"display": display, "folder": folder_of(display), "album": said.album, "link": said.link}
        for key, (display, said) in now.items()
        if key in before and tuple(before[key][2:]) != (display, said.album, said.link)
    }
    if not other:
        return []
    photo_ids = sorted({before[key].photo_id for key in other})
    hold(connection, Kind.FILES, other)
    hold(connection, Kind.PHOTOS, photo_ids)
    rows = fetch(connection, select(FileRow, files).where(among(files.c.file_id, other)), FileRow)
    delete(connection, files.c.file_id, [row.file_id for row in rows])
    insert(connection, files, [row._asdict() | other[row.file_id] for row in rows])
    return photo_ids


def _moved(row: FileRow, move: FileMove) -> FileRow:
    return row._replace(
        file_id=file_id(move.source, move.new),
        source=move.source,
        path=move.new,
        display=move.display,
        folder=folder_of(move.display),
        missing_since=None if move.there else row.missing_since or move.now,
    )
