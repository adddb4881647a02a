"""What facekit asks of a vector index. It is derived from the catalog: it may be deleted at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from facekit.catalog.records import EVERYWHERE, Within
from facekit.errors import VectorIndexError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from facekit.catalog.records import IndexRow
    from facekit.types.arrays import FloatArray

Row = TypeVar("Row")

MAX_LIMIT = 16_384
"""The most neighbours that one search may ask for: the limit of a Milvus server, kept everywhere."""


NO_DATE = -(2**62)
"""Stands for "not known" in `Fields.taken_at`: Milvus compares nulls differently from version to version."""


def gone(where: str) -> VectorIndexError:
    """What is said of an index that was there, and is no more."""
    message = f"The vector index {where} is gone: another process has deleted it."
    return VectorIndexError(message, "Open the library again; the vectors are in the catalog.")


def first_line(error: BaseException) -> str:
    """What an error says, without its stack and a full stop."""
    text = str(getattr(error, "message", "") or error)
    return (text.splitlines() or [type(error).__name__])[0].rstrip(".")


def batched(items: Iterable[Row], size: int) -> Iterator[tuple[Row, ...]]:
    """As Python has it from 3.12 on."""
    iterator = iter(items)
    return iter(lambda: tuple(islice(iterator, size)), ())


def seconds(moment: datetime | None) -> int:
    """A moment on a camera's clock as a whole number that sorts like it."""
    return NO_DATE if moment is None else int(moment.replace(tzinfo=UTC).timestamp())


class Fields(NamedTuple):
    """What the index holds of a face beside its vector."""

    usable: bool
    source: str
    folder: str
    taken_at: int

    @classmethod
    def of(cls, row: IndexRow) -> Fields:
        """The fields of a row from the catalog."""
        return cls(row.usable, row.source, row.folder, seconds(row.taken_at))


@dataclass(frozen=True, slots=True)
class IndexFilter:
    """Which faces a search may return.

    ``within`` says where their photo lies; ``after`` is inclusive, ``before`` exclusive; ``also`` names faces
    whose photo is known to lie there although the index holds another place of it.
    """

    usable_only: bool = True
    within: Within = EVERYWHERE
    after: datetime | None = None
    before: datetime | None = None
    also: Sequence[str] = ()


class VectorIndex(Protocol):
    """Cosine similarity search over L2-normalised vectors."""

    def upsert(self, rows: Iterable[IndexRow]) -> None:
        """Write rows, replacing those with the same face id, so that a search sees them."""

    def delete(self, face_ids: Sequence[str]) -> None:
        """Forget faces; unknown ids are no error."""

    def compact(self) -> None:
        """After it no byte of a deleted face, nor of a row that was replaced, is left in the index's files.

        Only one thread may change the index meanwhile; others may search it.
        """

    def search(self, vector: FloatArray, limit: int, where: IndexFilter) -> list[tuple[str, float]]:
        """The faces nearest to `vector`, float32 (D,), as (face id, cosine similarity), best first."""

    def count(self, *, exact: bool = True) -> int:
        """Number of faces held; not ``exact``, as a search sees them, which may be some seconds old."""

    def rows(self) -> dict[str, Fields]:
        """What is held, by face id, without the vectors."""

    def close(self) -> None:
        """Write what is pending and give the files back."""
