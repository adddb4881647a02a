"""The vector index, which is derived from the catalog and may be made anew from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from facekit.index.protocol import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facekit.catalog import Catalog, IndexRow
    from facekit.index import VectorIndex

_TOGETHER = 10_000  # faces: Milvus Lite makes a file at each end of so many; killed, they are written again


def apply_due(catalog: Catalog, index: VectorIndex) -> None:
    """Bring the vector index up to all changes of the catalog.

    Cut off anywhere, also by a kill, it is done again the next time.
    """
    more = True
    while more:  # in parts, between which others have their turn
        with catalog.outbox.alone():
            more = _apply_some(catalog, index)


def _apply_some(catalog: Catalog, index: VectorIndex) -> bool:
    """Do some of what is due, alone. Returns whether there may be more."""
    due = catalog.outbox.next(_TOGETHER)
    wanted = {one.face_id for one in due}
    there: set[str] = set()

    def rows() -> Iterator[IndexRow]:
        for row in catalog.index_rows(face_ids=wanted):
            there.add(row.face_id)
            yield row

    if due:
        index.upsert(rows())
        if gone := sorted(wanted - there):
            index.delete(gone)
        catalog.outbox.strike(due)
    return len(due) == _TOGETHER


def catch_up(catalog: Catalog, index: VectorIndex) -> None:
    """Do what is due; where the index holds another number of faces than it should then, compare it as a whole.

    So an index that is new is filled, and one that lost rows is mended.
    """
    apply_due(catalog, index)
    with catalog.outbox.alone():
        balance = catalog.outbox.balance()
        if not balance.due and index.count() != balance.vectors:  # else somebody else is changing the catalog
            _reconcile(catalog, index)


def make_anew(catalog: Catalog, index: VectorIndex) -> tuple[int, int]:
    """Write all faces into the vector index as the catalog has them, and take out all others.

    Returns how many those are. What is changed meanwhile is due, and comes after it.
    """
    wanted: set[str] = set()

    def rows() -> Iterator[IndexRow]:
        for row in catalog.index_rows():
            wanted.add(row.face_id)
            yield row

    with catalog.outbox.alone():
        index.upsert(rows())
        stale = sorted(index.rows().keys() - wanted)
        if stale:
            index.delete(stale)
    return len(wanted), len(stale)


def _reconcile(catalog: Catalog, index: VectorIndex) -> None:
    """Make the vector index hold just what the catalog says. What is changed meanwhile is due, and comes after it."""
    held = index.rows()
    wrong: set[str] = set()
    wanted: set[str] = set()
    for row in catalog.index_rows():
        wanted.add(row.face_id)
        if held.get(row.face_id) != Fields.of(row):
            wrong.add(row.face_id)
    stale = sorted(held.keys() - wanted)
    if stale:
        index.delete(stale)
    if wrong:
        index.upsert(catalog.index_rows(face_ids=wrong))
    if wrong or stale:
        logger.info("The vector index was repaired: {} faces written, {} removed.", len(wrong), len(stale))
