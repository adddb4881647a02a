"""A catalog copied into another one."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

import facekit as fk
from facekit.catalog import copying, open_catalog
from facekit.catalog.copying import contents, copy_catalog
from facekit.catalog.people_tables import persons
from facekit.catalog.tables import faces, meta
from facekit.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facekit.catalog import Catalog


@pytest.fixture
def source(demo_folder: Path, tmp_path: Path) -> Iterator[Catalog]:
    folder = shutil.copytree(demo_folder, tmp_path / "faces")
    with fk.open(folder) as library:
        library.people.cluster()
        library.people.name(library.people.page().people[0], "Анна")
        library.people.undo()
    with closing(open_catalog(folder)) as catalog:
        yield catalog


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Catalog]:
    (tmp_path / "new").mkdir()
    with closing(open_catalog(tmp_path / "new")) as catalog:
        yield catalog


def test_every_table_is_copied(source: Catalog, target: Catalog) -> None:
    steps: list[tuple[int, int]] = []
    held = copy_catalog(source._engine, target._engine, "faces", lambda *step: steps.append(step))
    assert held == contents(source._engine) == contents(target._engine)
    assert held["faces"].rows == source.counts()["faces"]
    assert held["people_journal"].rows
    assert steps == sorted(steps)
    assert steps[-1] == (sum(one.rows for one in held.values()),) * 2


def test_a_copy_that_was_cut_off_goes_on_where_it_was(
    source: Catalog, target: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_PAGE", 5)
    whole = sum(one.rows for one in contents(source._engine).values())
    inserted = 0

    def count(_connection: object, statement: object, rows: list[object], *_more: object) -> None:
        nonlocal inserted
        if isinstance(statement, sa.Insert) and statement.table is not meta:
            inserted += len(rows)

    def stop(done: int, _total: int) -> None:
        if done >= limit:
            raise KeyboardInterrupt

    sa.event.listen(target._engine._engine, "before_execute", count)
    for limit in range(10, whole, 10):  # noqa: B007 - `stop` reads it
        with pytest.raises(KeyboardInterrupt):
            copy_catalog(source._engine, target._engine, "faces", stop)
        with pytest.raises(LibraryError, match="is being filled from faces, not from others"):
            copy_catalog(source._engine, target._engine, "others")
    held = copy_catalog(source._engine, target._engine, "faces")
    assert held == contents(source._engine)
    assert inserted < 2 * whole  # pages that were there were not copied again
    assert target.filled_from == "faces"
    target.note_whole()
    assert target.filled_from is None
    with pytest.raises(LibraryError, match="not empty"):
        copy_catalog(source._engine, target._engine, "faces")


def test_what_differs_is_seen_and_copied_again(source: Catalog, target: Catalog) -> None:
    def lose(done: int, total: int) -> None:
        if done == total:  # all is there, and not compared yet
            with target._engine.begin() as connection:
                face = connection.scalar(sa.select(faces.c.face_id).limit(1))
                connection.execute(sa.update(faces).where(faces.c.face_id == face).values(x=0.125))

    with pytest.raises(LibraryError, match="differs from faces in faces"):
        copy_catalog(source._engine, target._engine, "faces", lose)
    assert copy_catalog(source._engine, target._engine, "faces") == contents(source._engine)


def test_a_target_that_holds_anything_is_refused(source: Catalog, target: Catalog) -> None:
    with source._engine.connect() as connection:
        one = dict(connection.execute(sa.select(persons).limit(1)).mappings().one())
    with target._engine.begin() as connection:
        connection.execute(sa.insert(persons), one)
    with pytest.raises(LibraryError, match="not empty: it holds persons"):
        copy_catalog(source._engine, target._engine, "faces")
