"""The vector index against exact arithmetic, its filters against Python, and its repair."""

from __future__ import annotations

from datetime import datetime
from threading import Event, Thread
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index_rows import DIMENSION, FOLDERS, row, unit

from facekit.catalog import IndexRow
from facekit.catalog.records import Within
from facekit.index import IndexFilter, VectorIndex, drop_index, open_index
from facekit.index.protocol import Fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module", params=["lite", "milvus", "pgvector"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the indexes of a test are: in a file, and on servers."""
    if request.param == "lite":
        return str(tmp_path_factory.mktemp("index") / "vectors.db")
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(scope="module")
def filled(place: str) -> Iterator[VectorIndex]:
    """An index of the sixty rows, for all tests that leave them there."""
    name = f"test_{uuid4().hex}"
    index = open_index(place, name, DIMENSION)
    index.upsert([row(number) for number in range(60)])
    yield index
    index.close()
    drop_index(place, name)


@pytest.fixture
def opener(place: str, tmp_path: Path) -> Iterator[Callable[[], VectorIndex]]:
    """Opens the index of the test; opened again it is the same one."""
    name = f"test_{uuid4().hex}"
    where = str(tmp_path / "vectors.db") if place.endswith(".db") else place
    yield lambda: open_index(where, name, DIMENSION)
    drop_index(where, name)


def fits(one: IndexRow, where: IndexFilter) -> bool:
    sources, folders = where.within.sources, where.within.folders
    place = (not sources or one.source in sources) and (not folders or one.folder.startswith(folders))
    return (
        (place or one.face_id in where.also)
        and (one.usable or not where.usable_only)
        and (where.after is None or (one.taken_at is not None and one.taken_at >= where.after))
        and (where.before is None or (one.taken_at is not None and one.taken_at < where.before))
    )


dates = st.none() | st.datetimes(datetime(1999, 1, 1), datetime(2021, 1, 1))
filters = st.builds(
    IndexFilter,
    usable_only=st.booleans(),
    within=st.builds(
        Within,
        sources=st.lists(st.sampled_from(["local", "vk", "elsewhere"]), max_size=2, unique=True).map(tuple),
        folders=st.lists(st.sampled_from(FOLDERS), max_size=2, unique=True).map(tuple),
    ),
    after=dates,
    before=dates,
    also=st.lists(st.integers(0, 60).map("face{:03}".format), max_size=3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters, seed=st.integers(100, 200), limit=st.integers(1, 60))
def test_search_is_exact_and_filters_as_python_does(
    filled: VectorIndex,
    where: IndexFilter,
    seed: int,
    limit: int,
) -> None:
    rows = [row(number) for number in range(60)]
    filled.upsert(rows)  # again and again: an upsert of the same rows must not add any
    probe = unit(seed)
    expected = sorted(((float(one.vector @ probe), one.face_id) for one in rows if fits(one, where)), reverse=True)[
        :limit
    ]
    found = filled.search(probe, limit, where)
    assert [key for key, _ in found] == [key for _, key in expected]
    np.testing.assert_allclose([score for _, score in found], [score for score, _ in expected], atol=1e-5)


def test_an_upsert_of_the_same_rows_adds_none(filled: VectorIndex) -> None:
    for _ in range(3):
        filled.upsert([row(number) for number in range(60)])
        assert filled.count() == 60


def test_rows_survive_reopening_and_can_be_deleted(opener: Callable[[], VectorIndex]) -> None:
    index = opener()
    index.upsert([row(1), row(2), row(3)])
    index.delete(["face002", "never there"])
    assert index.search(unit(2), 3, IndexFilter(usable_only=False))[0][0] != "face002"
    index.close()
    index = opener()
    assert index.rows() == {f"face{number:03}": Fields.of(row(number)) for number in (1, 3)}
    index.upsert([row(4)])
    assert index.search(unit(4), 1, IndexFilter(usable_only=False)) == [("face004", pytest.approx(1.0))]
    index.close()


def test_an_upsert_replaces_vector_and_fields(opener: Callable[[], VectorIndex]) -> None:
    index = opener()
    index.upsert([row(1)])
    index.upsert([IndexRow("face001", unit(9), usable=False, source="vk", folder="/new/", taken_at=None)])
    assert index.count() == 1
    assert index.search(unit(9), 5, IndexFilter()) == []
    found = index.search(unit(9), 5, IndexFilter(usable_only=False, within=Within(folders=("/new/",))))
    assert found == [("face001", pytest.approx(1.0))]
    index.close()


def test_searches_go_on_while_the_index_is_compacted(opener: Callable[[], VectorIndex]) -> None:
    index = opener()
    index.upsert([row(number) for number in range(60)])
    done = Event()
    wrong: list[object] = []

    def look() -> None:
        while not done.is_set():
            try:
                found = index.search(unit(7), 1, IndexFilter(usable_only=False))
                if [key for key, _ in found] != ["face007"] or index.count() != 60:
                    wrong.append(found)
            except Exception as error:  # noqa: BLE001 - whatever it is, the main thread tells
                wrong.append(error)

    threads = [Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        index.compact()
    done.set()
    for thread in threads:
        thread.join()
    index.close()
    assert wrong == []
