"""Which of a photo's files is shown, and how paths change when a folder moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facekit.catalog.locks import Kind, hold
from facekit.catalog.records import Change, FileMove, file_id, folder_of
from facekit.catalog.rows import FileRow, among, delete, fetch, insert, select
from facekit.catalog.tables import files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def place_order(folder: str | None = None, source: str | None = None) -> tuple[sa.ColumnElement[Any], ...]:
    """How a photo's files are ordered: the first is the one to show.

    Files that are there come before those that have vanished; then those in the folder and source that were asked for;
    then shorter paths, older files, and the rest by name. `place_key` says the same of rows.
    """
    asked = [
        *([files.c.folder.startswith(folder, autoescape=True)] if folder is not None else []),
        *([files.c.source == source] if source is not None else []),
    ]
    there = sa.case((files.c.missing_since.is_(None), 0), else_=1)
    inside = [sa.case((sa.and_(*asked), 0), else_=1)] if asked else []
    return (there, *inside, sa.func.length(files.c.display), files.c.mtime_ns, files.c.display, files.c.file_id)


def place_key(folder: str | None = None, source: str | None = None) -> Callable[[FileRow], tuple[Any, ...]]:
    """The order of `place_order`, as a key to sort rows of ``files`` by."""

    def key(row: FileRow) -> tuple[Any, ...]:
        inside = (folder is None or row.folder.startswith(folder)) and (source is None or row.source == source)
        return (row.missing_since is not None, not inside, len(row.display), row.mtime_ns, row.display, row.file_id)

    return key


def move_files(connection: sa.Connection, source: str, moves: Sequence[FileMove]) -> Change:
    """Files lie elsewhere; see `facekit.catalog.catalog.Catalog.relocate`."""
    by_id = {file_id(source, move.old): move for move in moves}
    hold(connection, Kind.FILES, {*by_id, *(file_id(move.source, move.new) for move in moves)})
    rows = fetch(connection, select(FileRow, files).where(among(files.c.file_id, by_id)), FileRow)
    hold(connection, Kind.PHOTOS, {row.photo_id for row in rows})
    delete(connection, files.c.file_id, list(by_id))
    new = [_moved(row, by_id[row.file_id]) for row in rows]
    ids = [row.file_id for row in new]
    there = set(connection.scalars(sa.select(files.c.file_id).where(among(files.c.file_id, ids))))
    insert(connection, files, [row._asdict() for row in new if row.file_id not in there])
    return Change(sorted({row.photo_id for row in rows}), [], [])


def _moved(row: FileRow, move: FileMove) -> FileRow:
    return row._replace(
        file_id=file_id(move.source, move.new),
        source=move.source,
        path=move.new,
        display=move.display,
        folder=folder_of(move.display),
        missing_since=None if move.there else row.missing_since or move.now,
    )
