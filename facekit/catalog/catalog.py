"""The catalog as a whole: opening it, and what is written into it. Each call that writes is one transaction."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING

import sqlalchemy as sa
from loguru import logger

from facekit.catalog.batches import Batches
from facekit.catalog.bindings import Bindings
from facekit.catalog.contents import Contents
from facekit.catalog.copying import Copies
from facekit.catalog.database import Database
from facekit.catalog.hidden import hide, reveal
from facekit.catalog.locks import Kind, hold, hold_schema, share_schema
from facekit.catalog.migrations import SCHEMA
from facekit.catalog.outbox import Outbox, note
from facekit.catalog.pages import Pages
from facekit.catalog.people import PeopleTables
from facekit.catalog.people_copy import COPY, copy_people, state_of_people
from facekit.catalog.places import keep_places, move_files, rename_files
from facekit.catalog.postgresql import prepare_server
from facekit.catalog.records import Change, file_id, folder_of
from facekit.catalog.rows import FileRow, PhotoRow, among, column, delete, face_values, insert, set_meta
from facekit.catalog.runs import Runs, forget_in_runs, move_roots
from facekit.catalog.server import CatalogServer
from facekit.catalog.source_tables import source_items
from facekit.catalog.sources import SourceTables
from facekit.catalog.staging import Staging, refuse_other_models
from facekit.catalog.tables import faces, files, meta, photos, staged_faces, staged_photos
from facekit.catalog.times import now
from facekit.catalog.work import WorkTables, refuse_while_models_change
from facekit.errors import FacekitError, LibraryError
from facekit.system.disk_space import check_room
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from facekit.catalog.records import FileMove, FileRecord, PhotoRecord
    from facekit.catalog.rows import Values
    from facekit.types.photos import FoundFile


FILE = "catalog.duckdb"


def open_catalog(folder: Path, *, shown: Path | None = None) -> Catalog:
    """The catalog of a library in a folder; it is made where there is none.

    Parameters
    ----------
    folder : Path
        Where it lies.
    shown : Path, optional
        The folder that it is moved to afterwards, and that the user is told.

    Raises
    ------
    LibraryError
        If it can't be opened.
    """
    path = folder / FILE
    try:
        catalog = Catalog(f"duckdb:///{path}", path, shown=shown and shown / FILE)
    except FacekitError:
        raise
    except Exception as error:
        message = f"The catalog {path} can't be opened: {str(error).splitlines()[0]}."
        raise LibraryError(message, "To rescue what can be read: facekit doctor --repair.") from error
    if catalog.upgraded:
        try:
            catalog.keep_people(folder)
        except (FacekitError, OSError) as error:  # it is tried again when the library is closed
            logger.warning("The copy of people and names is still that of the older facekit: {}", error)
    return catalog


class Catalog(Contents, Runs, Copies):
    """Photos, faces, files and runs behind a SQLAlchemy URL (``duckdb:///...`` or ``postgresql://...``).

    Parameters
    ----------
    url, path, schema
        See `facekit.catalog.database.Database`.
    shown : Path, optional
        What the user is told in place of ``path``.
    upgrade : bool
        Whether one on a server that an older facekit made is brought to the newest schema: others may be using it.

    Raises
    ------
    LibraryError
        If the server can't be reached, its database does not know all letters, or facekit is too old or too new for
        what is there.
    """

    def __init__(
        self,
        url: str,
        path: Path | None = None,
        *,
        schema: str | None = None,
        shown: Path | None = None,
        upgrade: bool = False,
    ) -> None:
        self._engine = Database(url, path, schema)
        self.pages = Pages(self._engine)
        self.people = PeopleTables(self._engine)
        self.staging = Staging(self._engine)
        self.bindings = Bindings(self._engine)
        self.server = CatalogServer(self._engine)
        self.outbox = Outbox(self._engine)
        self.sources = SourceTables(self._engine)
        where = f"the catalog {shown}" if shown else self._engine.where
        try:
            found = self._prepare(where, path, upgrade=upgrade)
        except BaseException:
            self._engine.close()
            raise
        self.upgraded = found not in {None, SCHEMA.version}
        if self.upgraded:
            logger.bind(notice=True).info("Upgraded {} from schema {} to {}.", where, found, SCHEMA.version)
        # A copy of the people that an older facekit made is as old as the catalog was.
        self._people_at_first = () if self.upgraded else state_of_people(self._engine)

    def _prepare(self, where: str, path: Path | None, *, upgrade: bool) -> int | None:
        """See that the tables are there and of the newest version; returns the version that was found, if any was."""
        on_server, schema = self._engine.on_server, self._engine.schema
        with self._engine.begin() as connection:
            if on_server:
                hold_schema(connection, schema)
                prepare_server(connection, where, schema)
                if not upgrade:
                    SCHEMA.check(connection, where)
            found = SCHEMA.prepare(connection, where, path)
            if found is None and upgrade:
                message = f"There is nothing to upgrade in {where}."
                raise LibraryError(message, "See that the address and the library's name are right.")
            if found is None:
                set_meta(connection, "looks", "all")
        if on_server:
            self._engine.guard = self._refuse_another_schema
        return found

    def _refuse_another_schema(self, connection: sa.Connection) -> None:
        """The catalog may have been upgraded since it was opened, and may not be until the transaction ends."""
        share_schema(connection, self._engine.schema)
        if connection.scalar(sa.select(meta.c.value).where(meta.c.key == "schema")) != str(SCHEMA.version):
            SCHEMA.check(connection, self._engine.where)

    @property
    def schema(self) -> str:
        """What tells the library from others in the same database; empty in a file."""
        return self._engine.schema or ""

    @cached_property
    def work(self) -> WorkTables:
        """The work that many processes share. Raises LibraryError for a catalog that is a file."""
        return WorkTables(self._engine)

    def batches(self, worker: str, lease: float) -> Batches:
        """The batches of that work, for a worker that has a name and claims them for some seconds at a time."""
        return Batches(self._engine, worker, lease)

    def refuse_while_models_change(self) -> None:
        """Refuse to begin a change of models while workers are at one. Raises LibraryBusyError."""
        with self._engine.connect() as connection:
            refuse_while_models_change(connection)

    def upgraded_elsewhere(self) -> LibraryError | None:
        """What is to be said where another facekit has upgraded the catalog since it was opened."""
        with self._engine.connect() as connection:
            found = SCHEMA.version_of(connection)
        if found == SCHEMA.version:
            return None
        message = f"Another facekit has upgraded {self._engine.where} (to schema {found}; this one knows"
        return LibraryError(f"{message} {SCHEMA.version}).", "Upgrade facekit here, too, and start it again.")

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """A transaction for what several tables are about."""
        return self._engine.begin()

    def keep_people(self, folder: Path) -> None:
        """Copy what is known about people beside the catalog, where it was changed since the catalog was opened."""
        state = state_of_people(self._engine)
        if any(state) and (state != self._people_at_first or not (folder / COPY).exists()):
            self.copy_people_beside(folder)
            self._people_at_first = state

    def copy_people_beside(self, folder: Path) -> None:
        """Make the copy of what is known about people anew, or the first one."""
        check_room(folder)
        copy_people(self._engine, folder / COPY)

    def copy_to(self, path: Path) -> None:
        """Write the catalog as it is now into a new file, while it is used."""
        self._engine.copy_to(path)

    def copy_people_to(self, path: Path) -> None:
        """Write what is known about people into a file."""
        copy_people(self._engine, path)

    def close(self) -> None:
        """Give the database back."""
        self._engine.close()

    @property
    def looked_all_ways(self) -> bool:
        """Whether all photos were looked at in other orientations too, which older releases did not do."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(meta.c.value).where(meta.c.key == "looks")) == "all"

    @property
    def erase_due(self) -> bool:
        """True from a removal until what was removed stands in no file any more: `erase` may have been cut off."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(meta.c.value).where(meta.c.key == "erase")) == "due"

    def erase(self) -> bool:
        """See that the catalog's file holds nothing but what is live. False where it was read all the time."""
        return self._engine.rewrite(sa.update(meta).where(meta.c.key == "erase").values(value="done"))

    # -- ingest --------------------------------------------------------------------------------------------------

    def save(
        self,
        new_photos: Sequence[PhotoRecord],
        new_files: Sequence[FileRecord],
        *,
        run_id: str,
        detector: str,
        embedder: str,
        vectors: str | None = None,
        also: Callable[[sa.Connection, Sequence[FileRecord], Collection[str]], None] | None = None,
    ) -> Change:
        """Write photos with their faces, and files; what they replace goes.

        A file whose photo is neither among the new ones nor in the catalog is not written: it is lost. ``vectors`` is
        the name of the index of the models that made the faces. ``also`` is called with the connection, the lost
        files, and those of the new photos that the same run has made good use of before, before the transaction ends.

        Raises
        ------
        LibraryBusyError
            If a change of models has bound the library to another index: locks end with a connection that is cut off.
        """
        photo_ids = [photo.photo_id for photo in new_photos]
        with self._engine.begin() as connection:
            file_ids = [file_id(record.file.source, record.file.path) for record in new_files]
            hold(connection, Kind.FILES, file_ids)
            before = column(connection, sa.select(files.c.photo_id), files.c.file_id, file_ids)
            shown = sorted({record.photo_id for record in new_files} - set(photo_ids))
            hold(connection, Kind.PHOTOS, {*before, *photo_ids, *shown})
            if vectors is not None:
                refuse_other_models(connection, vectors)
            known = {*photo_ids, *column(connection, sa.select(photos.c.photo_id), photos.c.photo_id, shown)}
            lost = [record for record in new_files if record.photo_id not in known]
            new_files = [record for record in new_files if record.photo_id in known]
            file_ids = [file_id(record.file.source, record.file.path) for record in new_files]
            before = column(connection, sa.select(files.c.photo_id), files.c.file_id, file_ids)
            good = (photos.c.run_id == run_id, photos.c.status.in_([Status.OK, Status.NO_FACE]))
            twice = column(connection, sa.select(photos.c.photo_id).where(*good), photos.c.photo_id, photo_ids)
            replaced = column(connection, sa.select(faces.c.face_id), faces.c.photo_id, photo_ids)
            reveal(connection, [*photo_ids, *(face.face_id for photo in new_photos for face in photo.faces)])
            delete(connection, files.c.file_id, file_ids)
            delete(connection, faces.c.photo_id, photo_ids)
            delete(connection, photos.c.photo_id, photo_ids)
            insert(connection, photos, [_photo_values(photo, run_id) for photo in new_photos])
            inside = [(photo.photo_id, face) for photo in new_photos for face in photo.faces]
            insert(connection, faces, [face_values(*one, detector, embedder) for one in inside])
            insert(connection, files, [_file_values(*pair) for pair in zip(new_files, file_ids, strict=True)])
            kept = {face.face_id for _, face in inside if face.embedding is not None}
            touched = {*photo_ids, *(record.photo_id for record in new_files), *before}
            change = self._follow_files(connection, touched, leaving=before, without=set(replaced) - kept)
            if inside:
                set_meta(connection, "assign", "due")
            if change.photos:
                set_meta(connection, "erase", "due")
            if also is not None:
                also(connection, lost, twice)
        return replace(change, lost=lost)

    def remove_files(self, source: str, paths: Iterable[bytes]) -> Change:
        """Forget files, and photos that no other file shows."""
        file_ids = [file_id(source, path) for path in paths]
        with self._engine.begin() as connection:
            hold(connection, Kind.FILES, file_ids)
            before = column(connection, sa.select(files.c.photo_id), files.c.file_id, file_ids)
            hold(connection, Kind.PHOTOS, before)
            delete(connection, files.c.file_id, file_ids)
            delete(connection, source_items.c.item_id, file_ids)
            change = self._follow_files(connection, before, leaving=before)
            forget_in_runs(connection)
            set_meta(connection, "erase", "due")
        return change

    @staticmethod
    def _follow_files(
        connection: sa.Connection, touched: Iterable[str], *, leaving: Sequence[str], without: Iterable[str] = ()
    ) -> Change:
        """Whatever is to be done where files of photos were changed, in the same transaction.

        Of those ``leaving``, the photos that no file shows any more are forgotten. ``without`` are faces that went.
        """
        shown = set(column(connection, sa.select(files.c.photo_id), files.c.photo_id, leaving))
        orphans = sorted(set(leaving) - shown)
        face_ids = column(connection, sa.select(faces.c.face_id), faces.c.photo_id, orphans)
        delete(connection, faces.c.photo_id, orphans)
        delete(connection, photos.c.photo_id, orphans)
        for table in (staged_photos, staged_faces):
            delete(connection, table.c.photo_id, orphans)
        hide(connection, [*face_ids, *orphans])
        change = Change(sorted(set(touched) - set(orphans)), sorted({*without, *face_ids}), orphans)
        keep_places(connection, change.touched)
        note(connection, change)
        return change

    def mark_missing(self, source: str, paths: Iterable[bytes], *, missing: bool) -> Change:
        """Note that files have vanished, or are back."""
        file_ids = [file_id(source, path) for path in paths]
        value = now() if missing else None
        with self._engine.begin() as connection:
            hold(connection, Kind.FILES, file_ids)
            touched = column(connection, sa.select(files.c.photo_id), files.c.file_id, file_ids)
            hold(connection, Kind.PHOTOS, touched)
            connection.execute(sa.update(files).where(among(files.c.file_id, file_ids)).values(missing_since=value))
            return self._follow_files(connection, touched, leaving=[])

    def rename(self, source: str, found: Sequence[FoundFile]) -> Change:
        """Write down what files of a connected place are called there now, their albums and links."""
        with self._engine.begin() as connection:
            touched = rename_files(connection, source, found)
            return self._follow_files(connection, touched, leaving=[])

    def relocate(self, source: str, moves: Sequence[FileMove], roots: tuple[str, str]) -> Change:
        """Files lie elsewhere, and the folders that were ingested are called otherwise (old, new).

        A path that is known already stays as it is known; photos that lay in no other file are forgotten.
        """
        with self._engine.begin() as connection:
            moved = move_files(connection, source, moves)
            change = self._follow_files(connection, moved, leaving=moved)
            move_roots(connection, *roots)
            if change.photos:
                set_meta(connection, "erase", "due")
        return change


_NO_FACTS = dict.fromkeys(("width", "height", "format", "taken_at", "camera", "latitude", "longitude"))


def _photo_values(photo: PhotoRecord, run_id: str) -> Values:
    return PhotoRow(
        photo_id=photo.photo_id,
        status=photo.status.value,
        reason=photo.reason,
        bytes=photo.size,
        **(asdict(photo.facts) if photo.facts else _NO_FACTS),
        turn=photo.turn,
        faces=len(photo.faces),
        run_id=run_id,
    )._asdict()


def _file_values(record: FileRecord, key: str) -> Values:
    file, said = record.file, record.file.facts
    return FileRow(
        file_id=key,
        source=file.source,
        path=file.path,
        display=file.display,
        folder=folder_of(file.display),
        photo_id=record.photo_id,
        bytes=file.size,
        mtime_ns=file.mtime_ns,
        missing_since=None,
        **({} if said is None else {"version": said.version, "album": said.album, "link": said.link}),
    )._asdict()
