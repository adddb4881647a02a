"""The one class that talks SQL. Everything it writes in one call is one transaction."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import sqlalchemy as sa
from loguru import logger

from facekit.catalog.database import Database
from facekit.catalog.hidden import hide, reveal
from facekit.catalog.migrations import SCHEMA
from facekit.catalog.pages import Pages
from facekit.catalog.people import PeopleTables
from facekit.catalog.people_copy import COPY, copy_people, state_of_people
from facekit.catalog.places import move_files, move_roots, place_key
from facekit.catalog.records import Change, FileState, IndexRow, file_id, folder_of
from facekit.catalog.rows import among, chunks, column, delete, face_row, insert, set_meta
from facekit.catalog.staging import Staging
from facekit.catalog.tables import faces, files, meta, photos, runs
from facekit.catalog.times import now
from facekit.errors import FacekitError, LibraryError
from facekit.system.disk_space import check_room
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from facekit.catalog.records import FileRecord, Move, PhotoRecord
    from facekit.types.arrays import FloatArray
    from facekit.types.photos import PhotoFacts


FILE = "catalog.duckdb"


def open_catalog(folder: Path) -> Catalog:
    """The catalog of a library in a folder; it is made where there is none.

    Raises
    ------
    LibraryError
        If it can't be opened.
    """
    path = folder / FILE
    try:
        catalog = Catalog(f"duckdb:///{path}", path)
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


class Catalog:
    """Photos, faces, files and runs behind a SQLAlchemy URL (``duckdb:///...`` or ``postgresql://...``)."""

    def __init__(self, url: str, path: Path | None = None) -> None:
        self._engine = Database(url, path)
        self.pages = Pages(self._engine)
        self.people = PeopleTables(self._engine)
        self.staging = Staging(self._engine)
        where = f"the catalog {path}" if path else "the catalog"
        try:
            with self._engine.begin() as connection:
                found = SCHEMA.prepare(connection, where, path)
                if found is None:
                    set_meta(connection, "looks", "all")
        except BaseException:
            self._engine.close()
            raise
        self.upgraded = found not in {None, SCHEMA.version}
        if self.upgraded:
            logger.bind(notice=True).info("Upgraded {} from schema {} to {}.", where, found, SCHEMA.version)
        # A copy of the people that an older facekit made is as old as the catalog was.
        self._people_at_first = () if self.upgraded else state_of_people(self._engine)

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

    # -- whether the vector index is known to hold just what the catalog holds -----------------------------------

    @property
    def index_is_current(self) -> bool:
        """False from the first change of a face until `index_caught_up`: a crash in between is seen on opening."""
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(meta.c.value).where(meta.c.key == "index")) == "current"

    def index_caught_up(self) -> None:
        """Note that the vector index now holds every change."""
        with self._engine.begin() as connection:
            self._set_index_state(connection, "current")

    @staticmethod
    def _set_index_state(connection: sa.Connection, state: str) -> None:
        set_meta(connection, "index", state)

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

    def start_run(self, roots: Sequence[str], detector: str, embedder: str, device: str) -> str:
        """Open a run and return its id."""
        run_id = uuid4().hex
        row = {"run_id": run_id, "started_at": now(), "roots": list(roots)}
        row |= {"detector": detector, "embedder": embedder, "device": device}
        with self._engine.begin() as connection:
            connection.execute(sa.insert(runs), row)
        return run_id

    def finish_run(self, run_id: str, report: dict[str, Any]) -> None:
        """Close a run with its report; a run without one was cut off."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(runs).where(runs.c.run_id == run_id).values(finished_at=now(), report=report),
            )

    def file_states(self, source: str) -> dict[bytes, FileState]:
        """Every known file of a source, by path."""
        query = sa.select(
            files.c.path,
            files.c.photo_id,
            files.c.bytes,
            files.c.mtime_ns,
            photos.c.status,
            files.c.missing_since,
        ).join(photos, photos.c.photo_id == files.c.photo_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(files.c.source == source)).all()
        return {
            bytes(path): FileState(photo_id, size, mtime, Status(status), missing_since is not None)
            for path, photo_id, size, mtime, status, missing_since in rows
        }

    def has_file(self, source: str, path: bytes) -> bool:
        """Whether a file is known."""
        query = sa.select(files.c.file_id).where(files.c.file_id == file_id(source, path))
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    def photo_statuses(self) -> dict[str, tuple[Status, str | None]]:
        """Status and reason of every known content, by photo id."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(photos.c.photo_id, photos.c.status, photos.c.reason)).all()
        return {photo_id: (Status(status), reason) for photo_id, status, reason in rows}

    def save(
        self,
        new_photos: Sequence[PhotoRecord],
        new_files: Sequence[FileRecord],
        *,
        run_id: str,
        detector: str,
        embedder: str,
    ) -> Change:
        """Write photos with their faces, and files; what they replace goes."""
        photo_ids = [photo.photo_id for photo in new_photos]
        file_ids = [file_id(record.file.source, record.file.path) for record in new_files]
        with self._engine.begin() as connection:
            self._set_index_state(connection, "behind")
            before = column(connection, sa.select(files.c.photo_id), files.c.file_id, file_ids)
            replaced = column(connection, sa.select(faces.c.face_id), faces.c.photo_id, photo_ids)
            reveal(connection, [*photo_ids, *(face.face_id for photo in new_photos for face in photo.faces)])
            delete(connection, files.c.file_id, file_ids)
            delete(connection, faces.c.photo_id, photo_ids)
            delete(connection, photos.c.photo_id, photo_ids)
            insert(connection, photos, [_photo_row(photo, run_id) for photo in new_photos])
            face_rows = [
                face_row(photo.photo_id, face, detector, embedder) for photo in new_photos for face in photo.faces
            ]
            insert(connection, faces, face_rows)
            if face_rows:
                set_meta(connection, "assign", "due")
            insert(connection, files, [_file_row(*pair) for pair in zip(new_files, file_ids, strict=True)])
            orphans = self._forget_photos_without_files(connection, before)
            if orphans.photos:
                set_meta(connection, "erase", "due")
        kept = {row["face_id"] for row in face_rows}
        touched = {*photo_ids, *(record.photo_id for record in new_files), *before} - set(orphans.photos)
        return Change(sorted(touched), sorted((set(replaced) - kept) | set(orphans.faces)), orphans.photos)

    def remove_files(self, source: str, paths: Iterable[bytes]) -> Change:
        """Forget files, and photos that no other file shows."""
        file_ids = [file_id(source, path) for path in paths]
        with self._engine.begin() as connection:
            self._set_index_state(connection, "behind")
            before = column(connection, sa.select(files.c.photo_id), files.c.file_id, file_ids)
            delete(connection, files.c.file_id, file_ids)
            orphans = self._forget_photos_without_files(connection, before)
            _forget_in_runs(connection)
            set_meta(connection, "erase", "due")
        return replace(orphans, touched=sorted(set(before) - set(orphans.photos)))

    @staticmethod
    def _forget_photos_without_files(connection: sa.Connection, photo_ids: Sequence[str]) -> Change:
        shown = set(column(connection, sa.select(files.c.photo_id), files.c.photo_id, photo_ids))
        orphans = sorted(set(photo_ids) - shown)
        face_ids = column(connection, sa.select(faces.c.face_id), faces.c.photo_id, orphans)
        delete(connection, faces.c.photo_id, orphans)
        delete(connection, photos.c.photo_id, orphans)
        hide(connection, [*face_ids, *orphans])
        return Change([], face_ids, orphans)

    def mark_missing(self, source: str, paths: Iterable[bytes], *, missing: bool) -> Change:
        """Note that files have vanished, or are back."""
        file_ids = [file_id(source, path) for path in paths]
        value = now() if missing else None
        with self._engine.begin() as connection:
            connection.execute(sa.update(files).where(among(files.c.file_id, file_ids)).values(missing_since=value))
            touched = column(connection, sa.select(files.c.photo_id), files.c.file_id, file_ids)
            if touched:
                self._set_index_state(connection, "behind")
        return Change(sorted(set(touched)), [], [])

    def several(self, source: str) -> dict[str, list[bytes]]:
        """Photos of which several files of a source are known and not missing: their paths, by photo id."""
        there = (files.c.source == source, files.c.missing_since.is_(None))
        many = sa.select(files.c.photo_id).where(*there).group_by(files.c.photo_id).having(sa.func.count() > 1)
        query = sa.select(files.c.photo_id, files.c.path).where(*there, files.c.photo_id.in_(many))
        found: dict[str, list[bytes]] = {}
        with self._engine.connect() as connection:
            for photo_id, path in connection.execute(query.order_by(files.c.file_id)):
                found.setdefault(photo_id, []).append(bytes(path))
        return found

    def relocate(self, source: str, moves: Sequence[Move], roots: tuple[str, str]) -> Change:
        """Files lie elsewhere, and the folders that were ingested are called otherwise (old, new).

        A path that is known already stays as it is known.
        """
        with self._engine.begin() as connection:
            change = move_files(connection, source, moves)
            move_roots(connection, *roots)
        return change

    # -- reading -------------------------------------------------------------------------------------------------

    def rows(self, table: sa.Table, photo_ids: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Rows of `photos`, `faces` or `files`, of all photos or of those named, ordered by photo and first column."""
        query = sa.select(table).order_by(table.c.photo_id, table.columns[0])
        with self._engine.connect() as connection:
            if photo_ids is not None:
                query = query.where(among(table.c.photo_id, photo_ids))
            return [dict(row) for row in connection.execute(query).mappings()]

    def faces_by_id(self, face_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Rows of `faces` without their embeddings, by face id. Unknown ids are left out."""
        query = sa.select(*(column for column in faces.c if column.name != "embedding"))
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(among(faces.c.face_id, face_ids))).mappings()
            return {row["face_id"]: dict(row) for row in rows}

    def places(
        self, photo_ids: Iterable[str] | None = None, *, folder: str | None = None, source: str | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """The files of each photo, the one to show first: see `facekit.catalog.places.place_order`."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows(files, photo_ids):
            found.setdefault(row["photo_id"], []).append(row)
        for places in found.values():
            places.sort(key=place_key(folder, source))
        return found

    def taken_at(self, photo_ids: Iterable[str] | None = None) -> dict[str, datetime | None]:
        """When photos were taken, by photo id."""
        return {row["photo_id"]: row["taken_at"] for row in self.rows(photos, photo_ids)}

    def turns(self, photo_ids: Iterable[str] | None = None) -> dict[str, int]:
        """By how many degrees clockwise photos must be turned to stand upright, by photo id; the others stand so."""
        query = sa.select(photos.c.photo_id, photos.c.turn).where(photos.c.turn != 0)
        if photo_ids is not None:
            query = query.where(among(photos.c.photo_id, photo_ids))
        with self._engine.connect() as connection:
            return {photo_id: int(turn) for photo_id, turn in connection.execute(query)}

    def index_rows(self, photo_ids: Iterable[str] | None = None, faces: sa.Table = faces) -> Iterator[IndexRow]:
        """What the vector index should hold of `faces` or `staged_faces`, for all photos or for those named."""
        wanted = None if photo_ids is None else sorted(set(photo_ids))
        places = self.places(wanted)
        taken = self.taken_at(wanted)
        query = sa.select(faces.c.face_id, faces.c.photo_id, faces.c.reason, faces.c.embedding)
        query = query.where(faces.c.embedding.is_not(None))
        for chunk in chunks(sorted(places)):
            with self._engine.connect() as connection:
                rows = connection.execute(query.where(among(faces.c.photo_id, chunk))).all()
            for key, photo_id, reason, embedding in rows:
                first = places[photo_id][0]
                vector = np.frombuffer(embedding, np.float32)
                yield IndexRow(key, vector, reason is None, first["source"], first["folder"], taken[photo_id])

    def embeddings(self, *, include_poor: bool) -> tuple[list[str], FloatArray]:
        """Face ids and their embeddings, float32 (N, D), ordered by face id."""
        query = sa.select(faces.c.face_id, faces.c.embedding).where(faces.c.embedding.is_not(None))
        if not include_poor:
            query = query.where(faces.c.reason.is_(None))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(faces.c.face_id)).all()
        if not rows:
            return [], np.zeros((0, 0), np.float32)
        return [row[0] for row in rows], np.stack([np.frombuffer(row[1], np.float32) for row in rows])

    def faces_at_second_places(self, source: str | None, folder: str | None) -> list[str]:
        """Faces of photos that lie in several places, of which any is in the source and folder.

        The vector index holds one place a face; these are the faces for which that is not enough.
        """
        several = sa.select(files.c.photo_id).group_by(files.c.photo_id).having(sa.func.count() > 1)
        here = sa.select(files.c.photo_id).where(*_place_conditions(source, folder))
        query = sa.select(faces.c.face_id).where(faces.c.photo_id.in_(several), faces.c.photo_id.in_(here))
        with self._engine.connect() as connection:
            return list(connection.scalars(query.order_by(faces.c.face_id)))

    def has_photos(self, folder: str) -> bool:
        """Whether any file is, or was, in a folder, which ends with a slash, or below it."""
        query = sa.select(files.c.file_id).where(*_place_conditions(None, folder)).limit(1)
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    def counts(self) -> dict[str, Any]:
        """Numbers of photos by status, of files, of faces and of those that search uses."""
        with self._engine.connect() as connection:
            by_status = connection.execute(sa.select(photos.c.status, sa.func.count()).group_by(photos.c.status)).all()
            return {
                "photos": dict(sorted((status, count) for status, count in by_status)),
                "files": connection.scalar(sa.select(sa.func.count()).select_from(files)),
                "missing_files": connection.scalar(
                    sa.select(sa.func.count()).select_from(files).where(files.c.missing_since.is_not(None)),
                ),
                "faces": connection.scalar(sa.select(sa.func.count()).select_from(faces)),
                "usable_faces": connection.scalar(
                    sa.select(sa.func.count()).select_from(faces).where(faces.c.reason.is_(None)),
                ),
                "indexable_faces": connection.scalar(
                    sa.select(sa.func.count()).select_from(faces).where(faces.c.embedding.is_not(None)),
                ),
                "bytes": int(connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(photos.c.bytes), 0))) or 0),
            }

    def roots(self) -> list[str]:
        """What all runs were given."""
        with self._engine.connect() as connection:
            found = connection.scalars(sa.select(runs.c.roots)).all()
        return sorted({root for roots in found for root in roots})

    def last_run(self) -> dict[str, Any] | None:
        """The newest run, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(runs).order_by(runs.c.started_at.desc()).limit(1)).mappings().first()
        return dict(row) if row else None


def _forget_in_runs(connection: sa.Connection) -> None:
    """Runs name files: those that failed, and those that were asked for; what the library has no more goes."""
    left = list(connection.scalars(sa.select(files.c.display)))
    for run_id, roots, report in connection.execute(sa.select(runs.c.run_id, runs.c.roots, runs.c.report)).all():
        kept = [root for root in roots if any(_at(path, root) for path in left)]
        values: dict[str, Any] = {} if kept == roots else {"roots": kept}
        if report and isinstance(report.get("failed"), list):
            counts = Counter(one["status"] for one in report["failed"])
            values["report"] = report | {"failed": dict(counts)}
        if values:
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(values))


def _at(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _place_conditions(source: str | None, folder: str | None) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if source is not None:
        conditions.append(files.c.source == source)
    if folder is not None:
        conditions.append(files.c.folder.startswith(folder, autoescape=True))
    return conditions


_NO_FACTS: dict[str, Any] = dict.fromkeys(
    ("width", "height", "format", "taken_at", "camera", "latitude", "longitude"),
)


def _photo_row(photo: PhotoRecord, run_id: str) -> dict[str, Any]:
    facts: PhotoFacts | None = photo.facts
    row = {"photo_id": photo.photo_id, "status": photo.status.value, "reason": photo.reason, "bytes": photo.size}
    return (
        row
        | (asdict(facts) if facts else _NO_FACTS)
        | {"turn": photo.turn, "faces": len(photo.faces), "run_id": run_id}
    )


def _file_row(record: FileRecord, key: str) -> dict[str, Any]:
    file = record.file
    return {
        "file_id": key,
        "source": file.source,
        "path": file.path,
        "display": file.display,
        "folder": folder_of(file.display),
        "photo_id": record.photo_id,
        "bytes": file.size,
        "mtime_ns": file.mtime_ns,
        "missing_since": None,
    }
