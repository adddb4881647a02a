"""Reads that belong together: inside a transaction they see what it wrote, inside a snapshot they see one moment."""

from __future__ import annotations

from contextlib import contextmanager
from threading import local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from facekit.catalog.database import Database


class Snapshots:
    """Connections for reading. Those who read and write one part of the catalog derive from it."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine
        self._current = local()

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        """A connection for reading; inside a transaction (`work`) that one, which sees what was written in it."""
        current: sa.Connection | None = getattr(self._current, "connection", None)
        if current is not None:
            yield current
            return
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A snapshot: all that this thread reads here inside the block is as it was at one moment."""
        with self._connect() as connection:
            before = getattr(self._current, "connection", None)
            self._current.connection = connection
            try:
                yield
            finally:
                self._current.connection = before
