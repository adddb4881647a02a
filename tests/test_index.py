"""The vector index against exact arithmetic, its filters against Python, and its repair."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facekit.catalog import IndexRow
from facekit.errors import VectorIndexError
from facekit.index import IndexFilter, MilvusIndex
from facekit.index.protocol import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIMENSION = 16
FOLDERS = ["/", "/a/", "/a/b/", "/a0/", "/a_b%/", '/a"b/', "/a\\b/", "/Фото/Лето 🌞/", "/line\nbreak'/"]


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def row(number: int) -> IndexRow:
    taken = None if number % 3 == 0 else datetime(2000 + number % 20, 5, 1)
    source = "local" if number % 4 else "vk"
    return IndexRow(f"face{number:03}", unit(number), number % 5 != 0, source, FOLDERS[number % len(FOLDERS)], taken)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusIndex]:
    index = MilvusIndex(str(tmp_path_factory.mktemp("index") / "vectors.db"), DIMENSION)
    yield index
    index.close()


def fits(one: IndexRow, where: IndexFilter) -> bool:
    place = (where.source is None or one.source == where.source) and (
        where.folder is None or one.folder.startswith(where.folder)
    )
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
    source=st.none() | st.sampled_from(["local", "vk", "elsewhere"]),
    folder=st.none() | st.sampled_from(FOLDERS),
    after=dates,
    before=dates,
    also=st.lists(st.integers(0, 60).map("face{:03}".format), max_size=3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=filters, seed=st.integers(100, 200), limit=st.integers(1, 60))
def test_search_is_exact_and_filters_as_python_does(
    index: MilvusIndex,
    where: IndexFilter,
    seed: int,
    limit: int,
) -> None:
    rows = [row(number) for number in range(60)]
    index.upsert(rows)  # again and again: an upsert of the same rows must not add any
    assert index.count() == 60
    probe = unit(seed)
    expected = sorted(((float(one.vector @ probe), one.face_id) for one in rows if fits(one, where)), reverse=True)[
        :limit
    ]
    found = index.search(probe, limit, where)
    assert [key for key, _ in found] == [key for _, key in expected]
    np.testing.assert_allclose([score for _, score in found], [score for score, _ in expected], atol=1e-5)


def test_rows_survive_reopening_and_can_be_deleted_and_cleared(tmp_path: Path) -> None:
    path = str(tmp_path / "vectors.db")
    index = MilvusIndex(path, DIMENSION)
    index.upsert([row(1), row(2), row(3)])
    index.delete(["face002", "never there"])
    index.close()
    index = MilvusIndex(path, DIMENSION)
    assert index.rows() == {f"face{number:03}": Fields.of(row(number)) for number in (1, 3)}
    index.clear()
    assert (index.count(), index.rows()) == (0, {})
    index.upsert([row(4)])
    assert index.search(unit(4), 1, IndexFilter(usable_only=False)) == [("face004", pytest.approx(1.0))]
    index.close()


def test_an_upsert_replaces_vector_and_fields(tmp_path: Path) -> None:
    index = MilvusIndex(str(tmp_path / "vectors.db"), DIMENSION)
    index.upsert([row(1)])
    index.upsert([IndexRow("face001", unit(9), usable=False, source="vk", folder="/new/", taken_at=None)])
    assert index.count() == 1
    assert index.search(unit(9), 5, IndexFilter()) == []
    found = index.search(unit(9), 5, IndexFilter(usable_only=False, folder="/new/"))
    assert found == [("face001", pytest.approx(1.0))]
    index.close()


def test_a_broken_index_says_so_and_can_be_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    index = MilvusIndex(str(path), DIMENSION)
    index.upsert([row(number) for number in range(30)])
    index.close()
    for parquet in path.rglob("*.parquet"):
        parquet.write_bytes(parquet.read_bytes()[:40])
    with pytest.raises(VectorIndexError, match=r"vectors\.db can't be opened"):
        MilvusIndex(str(path), DIMENSION)
    broken = MilvusIndex.set_aside(path)
    assert broken.exists()
    again = MilvusIndex(str(path), DIMENSION)
    assert again.count() == 0
    again.close()
