"""The index follows the catalog some faces at a time, and those who save need not wait for all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from writers import RUN, file, photo

from facekit.index import sync
from facekit.index.opening import open_index
from facekit.index.protocol import Fields

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from facekit.catalog import Catalog

PHOTOS = [f"p{number}" for number in range(7)]
ENDS = 60  # seconds; without an end it waits for what waits for it


def test_others_save_while_an_index_is_compared_and_filled(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "_TOGETHER", 2)
    index = open_index(str(tmp_path / "vectors.db"), "vectors", 8)
    catalog.save([photo(key) for key in PHOTOS], [file(f"/a/{key}", key) for key in PHOTOS], **RUN)
    real, saved = type(index).rows, []

    def rows(self: object) -> dict[str, Fields]:
        found = real(self)
        if not saved:
            saved.append("late")
            with ThreadPoolExecutor(1) as other:
                other.submit(save_another).result(ENDS)
        return found

    def save_another() -> None:
        catalog.save([photo("late")], [file("/a/late", "late")], **RUN)
        sync.apply_due(catalog, index)

    def wanted() -> dict[str, Fields]:
        return {row.face_id: Fields.of(row) for row in catalog.index_rows()}

    sync.catch_up(catalog, index)
    assert index.rows() == wanted()
    before = list(catalog.index_rows())
    index.delete([row.face_id for row in before[:3]])
    index.upsert([replace(before[3], face_id="f" * 32), replace(before[4], folder="/elsewhere/")])
    monkeypatch.setattr(type(index), "rows", rows)
    sync.catch_up(catalog, index)
    assert saved == ["late"]
    assert len(index.rows()) == len(PHOTOS) + 1
    assert index.rows() == wanted()
    assert catalog.outbox.balance().due == 0
    index.close()
