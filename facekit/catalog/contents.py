"""What the catalog holds of photos, files and faces, as it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import sqlalchemy as sa

from facekit.catalog.places import below, lies, place_key
from facekit.catalog.records import EVERYWHERE, FileState, IndexRow, file_id
from facekit.catalog.rows import FaceRow, FileRow, PhotoRow, among, chunks, fetch, fields_of, select
from facekit.catalog.tables import faces, files, photos
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from facekit.catalog.database import Database
    from facekit.catalog.records import Within
    from facekit.types.arrays import FloatArray
    from facekit.types.photos import FoundFile


Kind = TypeVar("Kind", FileRow, PhotoRow, FaceRow)
_TABLES: dict[type, sa.Table] = {FileRow: files, PhotoRow: photos, FaceRow: faces}


class Contents:
    """Reads photos, files and faces from a catalog."""

    _engine: Database

    # -- photos and files ----------------------------------------------------------------------------------------

    def rows(self, kind: type[Kind], photo_ids: Iterable[str] | None = None) -> list[Kind]:
        """Rows of a kind, of all photos or of those named, ordered by photo and id.

        Parameters
        ----------
        kind : type
            `PhotoRow`, `FileRow` or `FaceRow`.
        photo_ids : iterable of str, optional
            Unknown ids are passed over.
        """
        table = _TABLES[kind]
        query = select(kind, table).order_by(table.c.photo_id, table.c[fields_of(kind)[0]])
        if photo_ids is not None:
            query = query.where(among(table.c.photo_id, photo_ids))
        with self._engine.connect() as connection:
            return fetch(connection, query, kind)

    def places(self, photo_ids: Iterable[str] | None = None, within: Within = EVERYWHERE) -> dict[str, list[FileRow]]:
        """The files of each photo, the one to show first: see `facekit.catalog.places.place_order`."""
        found: dict[str, list[FileRow]] = {}
        for row in self.rows(FileRow, photo_ids):
            found.setdefault(row.photo_id, []).append(row)
        for places in found.values():
            places.sort(key=place_key(within))
        return found

    def taken_at(self, photo_ids: Iterable[str] | None = None) -> dict[str, datetime | None]:
        """When photos were taken, by photo id."""
        query = sa.select(photos.c.photo_id, photos.c.taken_at)
        if photo_ids is not None:
            query = query.where(among(photos.c.photo_id, photo_ids))
        with self._engine.connect() as connection:
            return {photo_id: taken_at for photo_id, taken_at in connection.execute(query)}  # noqa: C416 - see `by_key`

    def turns(self, photo_ids: Iterable[str] | None = None) -> dict[str, int]:
        """By how many degrees clockwise photos must be turned to stand upright, by photo id; the others stand so."""
        query = sa.select(photos.c.photo_id, photos.c.turn).where(photos.c.turn != 0)
        if photo_ids is not None:
            query = query.where(among(photos.c.photo_id, photo_ids))
        with self._engine.connect() as connection:
            return {photo_id: int(turn) for photo_id, turn in connection.execute(query)}

    def statuses(self, photo_ids: Iterable[str]) -> dict[str, tuple[Status, str | None]]:
        """Status and reason of contents, by photo id; unknown ids are left out."""
        query = sa.select(photos.c.photo_id, photos.c.status, photos.c.reason)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(among(photos.c.photo_id, photo_ids))).all()
        return {photo_id: (Status(status), reason) for photo_id, status, reason in rows}

    def file_states(self, source: str) -> dict[bytes, FileState]:
        """Every known file of a source, by path."""
        return {path: state for (_, path), state in self._states(files.c.source == source).items()}

    def file_names(self, source: str) -> list[tuple[bytes, bytes]]:
        """What every known file of a source is called, without the source's name, and its path.

        They are the same but for a connected place, whose paths are keys.
        """
        query = sa.select(files.c.path, files.c.display, files.c.version).where(files.c.source == source)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        skip = len(source) + len(":/")
        return [
            (bytes(path) if version is None else display[skip:].encode(), bytes(path))
            for path, display, version in rows
        ]

    def shown_names(self, found: Iterable[tuple[str, bytes]]) -> list[str]:
        """What people call those of some files that lie at connected places, by source and path."""
        query = sa.select(files.c.display).where(among(files.c.file_id, [file_id(*one) for one in found]))
        with self._engine.connect() as connection:
            return list(connection.scalars(query.where(files.c.version.is_not(None))))

    def states_of(self, found: Iterable[FoundFile]) -> dict[tuple[str, bytes], FileState]:
        """Those of some files that are known, by source and path."""
        return self._states(among(files.c.file_id, [file_id(file.source, file.path) for file in found]))

    def _states(self, where: sa.ColumnElement[bool]) -> dict[tuple[str, bytes], FileState]:
        query = sa.select(
            files.c.source,
            files.c.path,
            files.c.photo_id,
            files.c.bytes,
            files.c.mtime_ns,
            photos.c.status,
            files.c.missing_since,
            files.c.version,
        ).join(photos, photos.c.photo_id == files.c.photo_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(where)).all()
        return {
            (source, bytes(path)): FileState(photo_id, size, mtime, Status(status), missing_since is not None, version)
            for source, path, photo_id, size, mtime, status, missing_since, version in rows
        }

    def has_file(self, source: str, path: bytes) -> bool:
        """Whether a file is known."""
        query = sa.select(files.c.file_id).where(files.c.file_id == file_id(source, path))
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    def several(self, source: str) -> dict[str, list[bytes]]:
        """Duplicates: photos of which several files of a source are known and not missing: their paths, by photo id."""
        there = (files.c.source == source, files.c.missing_since.is_(None))
        many = sa.select(files.c.photo_id).where(*there).group_by(files.c.photo_id).having(sa.func.count() > 1)
        query = sa.select(files.c.photo_id, files.c.path).where(*there, files.c.photo_id.in_(many))
        found: dict[str, list[bytes]] = {}
        with self._engine.connect() as connection:
            for photo_id, path in connection.execute(query.order_by(files.c.file_id)):
                found.setdefault(photo_id, []).append(bytes(path))
        return found

    def has_photos(self, folder: str) -> bool:
        """Whether any file is, or was, in a folder, which ends with a slash, or below it."""
        query = sa.select(files.c.file_id).where(below(files.c.folder, folder)).limit(1)
        with self._engine.connect() as connection:
            return connection.scalar(query) is not None

    def has_files_of(self, source: str) -> bool:
        """Whether any file is from a source."""
        query = sa.select(files.c.file_id).where(files.c.source == source).limit(1)
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

    # -- faces ---------------------------------------------------------------------------------------------------

    def faces_by_id(self, face_ids: Iterable[str]) -> dict[str, FaceRow]:
        """Faces by their ids. Unknown ids are left out."""
        query = select(FaceRow, faces).where(among(faces.c.face_id, face_ids))
        with self._engine.connect() as connection:
            return {row.face_id: row for row in fetch(connection, query, FaceRow)}

    def index_rows(
        self,
        photo_ids: Iterable[str] | None = None,
        *,
        face_ids: Iterable[str] | None = None,
        faces: sa.Table = faces,
    ) -> Iterator[IndexRow]:
        """What the vector index should hold of `faces` or `staged_faces`: of all, of some photos, or of some faces."""
        columns = (faces.c.face_id, faces.c.embedding, faces.c.reason)
        places = (photos.c.source, photos.c.folder, photos.c.taken_at)
        query = sa.select(*columns, *places).join(photos, photos.c.photo_id == faces.c.photo_id)
        query = query.where(faces.c.embedding.is_not(None), photos.c.files > 0)
        if face_ids is not None:
            key, wanted = faces.c.face_id, sorted(set(face_ids))
        elif photo_ids is not None:
            key, wanted = photos.c.photo_id, sorted(set(photo_ids))
        else:
            with self._engine.connect() as connection:
                key, wanted = photos.c.photo_id, sorted(connection.scalars(sa.select(photos.c.photo_id)))
        for chunk in chunks(wanted):
            with self._engine.connect() as connection:
                rows = connection.execute(query.where(among(key, chunk))).all()
            for face_id, embedding, reason, source, folder, taken_at in rows:
                yield IndexRow(face_id, np.frombuffer(embedding, np.float32), reason is None, source, folder, taken_at)

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

    def faces_at_second_places(self, within: Within) -> list[str]:
        """Faces of photos that lie in several places, of which any is one of those that are asked for.

        The vector index holds one place a face; these are the faces for which that is not enough.
        """
        several = sa.select(photos.c.photo_id).where(photos.c.files > 1)
        here = sa.select(files.c.photo_id).where(lies(files, within))
        query = sa.select(faces.c.face_id).where(faces.c.photo_id.in_(several), faces.c.photo_id.in_(here))
        with self._engine.connect() as connection:
            return list(connection.scalars(query.order_by(faces.c.face_id)))
