"""Finished photos into a library: what was said of changed files, thumbnails, the catalog, then the vector index."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from facekit.catalog import FileRecord
from facekit.ingest.edited_files import Thumbnails, carry_edited
from facekit.ingest.names_lost import lost_names, named_faces
from facekit.system.waiting import waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import sqlalchemy as sa

    from facekit.catalog.records import PhotoRecord
    from facekit.ingest.pipeline import Item
    from facekit.ingest.report import LostName
    from facekit.models.protocols import Detector, Embedder
    from facekit.storage.storage import Storage

FREE_BYTES = 200 * 2**20  # below this nothing is stored: Milvus Lite can lose rows when a flush meets a full disk


class Stored(NamedTuple):
    """What became of finished files.

    ``lost`` ones were not stored, and are to be read again; ``twice`` are photos that the same run had stored before.
    """

    items: list[Item]
    lost: list[Item]
    names_lost: list[LostName]
    twice: Collection[str] = ()


class Store:
    """Writes what a pipeline made into a library.

    Parameters
    ----------
    storage : Storage
        The library.
    detector, embedder : Detector, Embedder
        The models that made it.
    vectors : str
        The name of their index: nothing is written where the library has another one by now.
    run_id : str
        The run that it is part of.
    """

    def __init__(self, storage: Storage, detector: Detector, embedder: Embedder, vectors: str, run_id: str) -> None:
        self._storage, self._catalog = storage, storage.catalog
        self._blobs, self._check_room = storage.blobs, storage.backend.check_room
        self._models, self._vectors = (detector, embedder), vectors
        self._run_id = run_id

    def write(
        self, items: Sequence[Item], also: Callable[[sa.Connection, Stored], None] = lambda _connection, _stored: None
    ) -> Stored:
        """Write finished files: thumbnails, then the catalog in one transaction, then the vector index.

        Files whose photo was forgotten after they were read are not written: they were given each other's names, or
        somebody removed the photo meanwhile.

        Parameters
        ----------
        items : sequence of Item
            What `Pipeline.run` yielded.
        also : callable, optional
            What else is part of the catalog's transaction: it gets the connection, and what is returned.
        """
        self._check_room(FREE_BYTES)
        detector, embedder = self._models
        known = {item.photo_id for item in items if item.record}
        known |= self._catalog.statuses({item.photo_id for item in items} - known).keys()
        there = [item for item in items if item.photo_id in known]
        with waiting_for("the library: storing photos"):
            self._blobs.put({item.photo_id: jpeg for item in there if (jpeg := item.thumbnail)})
            records = {item.photo_id: item.record for item in there if item.record}
            edited, leaving = self._edited(there, records)
            if edited:  # what waits for a photo that comes back counts before what its file held
                self._catalog.people.reveal(face.face_id for _, record in edited for face in record.faces)
            paths = self._leaving(leaving)
            named = named_faces(self._catalog, paths)
            kept = carry_edited(self._catalog, edited, leaving, Thumbnails(self._blobs, self._catalog, there))
            names_lost = lost_names({face: who for face, who in named.items() if face not in kept}, paths)

            stored = Stored([], [], names_lost)

            def finished(connection: sa.Connection, lost: Sequence[FileRecord], twice: Collection[str]) -> None:
                nonlocal stored
                gone = {(record.file.source, record.file.path) for record in lost}
                missed = [item for item in items if (item.file.source, item.file.path) in gone]
                stored = Stored([item for item in items if item not in missed], missed, names_lost, twice)
                also(connection, stored)

            change = self._catalog.save(
                list(records.values()),
                [FileRecord(item.file, item.photo_id) for item in items],
                run_id=self._run_id,
                detector=detector.name,
                embedder=embedder.name,
                vectors=self._vectors,
                also=finished,
            )
            self._storage.follow(change)
        return stored

    def _leaving(self, leaving: Mapping[str, int]) -> dict[str, str]:
        """Photos that no file shows any more when so many files fewer show them: with where they lay."""
        found = self._catalog.places([photo_id for photo_id, count in leaving.items() if count > 0])
        return {key: places[0].display for key, places in found.items() if len(places) <= leaving[key]}

    def _edited(
        self, items: Sequence[Item], records: Mapping[str, PhotoRecord]
    ) -> tuple[list[tuple[str, PhotoRecord]], Counter[str]]:
        """Photos in changed files, with what took their place, and how many files fewer show each photo then."""
        edited: list[tuple[str, PhotoRecord]] = []
        leaving: Counter[str] = Counter()
        before = self._catalog.states_of([item.file for item in items])
        for item in items:
            state, new = before.get((item.file.source, item.file.path)), item.photo_id
            old = state.photo_id if state else None
            if old != new:
                leaving[new] -= 1
            if old and old != new:
                leaving[old] += 1
                edited += [(old, records[new])] if new in records else []
        return edited, leaving
