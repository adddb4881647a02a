"""Photos, faces and vectors as tables, from a library that this process has open itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from facekit.library.base import Library
from facekit.search.filters import places_meant
from facekit.storage import frames as tables

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from facekit.catalog.records import Within
    from facekit.people.who import Who
    from facekit.storage.storage import Storage
    from facekit.types.arrays import FloatArray
    from facekit.types.photos import Status, TableName


class LocalTables(Library):
    """The part of a `LocalLibrary` that makes tables."""

    _storage: Storage

    @override
    def photos(
        self,
        status: Status | str | None = None,
        *,
        person: Who | None = None,
        together_with: Who | Sequence[Who] | None = None,
        year: int | None = None,
        source: str | None = None,
        album: str | None = None,
    ) -> pd.DataFrame:
        self._storage.alive()
        others: list[Any] = list(together_with) if isinstance(together_with, list | tuple) else [together_with]
        people = [self._photo_ids(one) for one in (person, *others) if one is not None]
        shown = set.intersection(*people) if people else None
        within = self._within(source=source, album=album)
        return tables.photos_frame(self._storage.catalog, status, photo_ids=shown, year=year, within=within)

    @override
    def faces(self) -> pd.DataFrame:
        self._storage.alive()
        return tables.faces_frame(self._storage.catalog)

    @override
    def embeddings(self, *, include_poor: bool = False) -> tuple[list[str], FloatArray]:
        self._storage.alive()
        return self._storage.catalog.embeddings(include_poor=include_poor)

    @override
    def export(
        self,
        table: TableName,
        path: str | os.PathLike[str],
        *,
        include_poor: bool = False,
        source: str | None = None,
        album: str | None = None,
    ) -> Path:
        self._storage.alive()
        self._storage.outside(path)
        within = self._within(source=source, album=album)
        return tables.export(self._storage.catalog, table, path, include_poor=include_poor, within=within)

    def export_all(self, table: TableName, path: Path) -> Path:
        """Write a table with every column that there is."""
        self._storage.alive()
        return tables.export(self._storage.catalog, table, path, include_poor=True, all_columns=True)

    def _within(self, **asked: Any) -> Within:  # noqa: ANN401 - see `places_meant`
        return places_meant(self._storage.catalog, self._storage.mounts, **asked)

    def _photo_ids(self, who: Who) -> set[str]:
        return set(self._storage.catalog.people.photo_ids(self.people.get(who).person_id))
