"""What a library on servers is made of, for all who open it; one in a folder has it in its ``library.toml``."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facekit.catalog import outbox
from facekit.catalog.locks import Kind, hold
from facekit.catalog.rows import set_meta
from facekit.catalog.staging import Bound
from facekit.catalog.tables import meta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from facekit.catalog.database import Database

_KEY = "library"
_PATHS = sa.select(meta.c.value).where(meta.c.key == "paths")


class Bindings:
    """A document in the catalog, beside what a change of models has bound the library to."""

    def __init__(self, engine: Database) -> None:
        self._engine = engine

    def begin(self, document: Mapping[str, Any]) -> bool:
        """Write the document of a new library; False where there is one already, which stays."""
        with suppress(sa.exc.IntegrityError), self._engine.begin() as connection:
            connection.execute(sa.insert(meta), {"key": _KEY, "value": json.dumps(dict(document))})
            return True
        return False

    def write(self, changed: Mapping[str, Any]) -> None:
        """Change parts of the document; the others stay."""
        with self._engine.begin() as connection:
            self._change(connection, changed)

    def move(self, servers: Mapping[str, str], bound: Bound | None) -> None:
        """Change addresses in the document; with other vectors, the index has to look at every face again."""
        with self._engine.begin() as connection:
            if bound is not None:
                outbox.note_all(connection)
            self._change(connection, {"servers": dict(servers)})
            if bound is not None:
                set_meta(connection, "bound", json.dumps(bound._asdict()))

    @staticmethod
    def _change(connection: sa.Connection, changed: Mapping[str, Any]) -> None:
        query = sa.select(meta.c.value).where(meta.c.key == _KEY).with_for_update()
        held = connection.execute(query).scalar_one()
        written = json.dumps(json.loads(held) | dict(changed))
        connection.execute(sa.update(meta).where(meta.c.key == _KEY).values(value=written))

    def paths_of(self, machine: str) -> str:
        """The machine whose own paths photos are known by: the first that asks."""
        with self._engine.connect() as connection:
            found: str | None = connection.scalar(_PATHS)
        if found is not None:
            return found
        with self._engine.begin() as connection:
            hold(connection, Kind.FACTS)
            found = connection.scalar(_PATHS)
            if found is None:
                set_meta(connection, "paths", machine)
            return found or machine

    def read(self) -> tuple[dict[str, Any], Bound | None] | None:
        """The document, and what the last change of models bound the library to; None where there is no library."""
        with self._engine.connect() as connection:
            return read_bindings(connection)


def read_bindings(connection: sa.Connection) -> tuple[dict[str, Any], Bound | None] | None:
    """See `Bindings.read`."""
    query = sa.select(meta.c.key, meta.c.value).where(meta.c.key.in_([_KEY, "bound"]))
    found = {key: json.loads(value) for key, value in connection.execute(query)}
    if _KEY not in found:
        return None
    return found[_KEY], Bound(**found["bound"]) if "bound" in found else None
