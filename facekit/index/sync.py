"""The vector index, which is derived from the catalog and may be made anew from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from facekit.index.protocol import Fields, batched

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
        balance, held = catalog.outbox.balance(), index.count()
    if balance.due or held == balance.vectors:  # where something is due somebody else is changing the catalog
        return
    if held:
        _compare(catalog, index)
    else:
        catalog.outbox.note_all()
    apply_due(catalog, index)


def make_anew(catalog: Catalog, index: VectorIndex) -> tuple[int, int]:
    """Write all faces into the vector index as the catalog has them, and take out all others; how many those are."""
    catalog.outbox.note_all()
    wanted = {row.face_id for row in catalog.index_rows()}
    stale = sorted(index.rows().keys() - wanted)
    catalog.outbox.note_faces(stale)
    apply_due(catalog, index)
    return len(wanted), len(stale)


def _compare(catalog: Catalog, index: VectorIndex) -> None:
    """Have the index look again at each face of which it does not hold what the catalog says.

    That may take long for many faces, and nobody is kept from anything: what is changed meanwhile is due anyway.
    """
    held = index.rows()
    wrong = [row.face_id for row in catalog.index_rows() if held.pop(row.face_id, None) != Fields.of(row)]
    for some in batched([*wrong, *sorted(held)], _TOGETHER):
        catalog.outbox.note_faces(some)
    if wrong or held:
        logger.info("The vector index is repaired: {} faces written, {} removed.", len(wrong), len(held))
