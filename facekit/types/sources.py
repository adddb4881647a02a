"""Connected places that photos come from, and what syncs of them have come to, as small frozen records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Leftovers: TypeAlias = Literal["keep", "forget"]
"""What becomes of the photos of a place that is connected no more."""


class PlaceState(StrEnum):
    """How a connected place is: ``new`` was never synced, ``stopped`` says why in its ``problem``."""

    NEW = "new"
    READY = "ready"
    SYNCING = "syncing"
    PAUSED = "paused"
    STOPPED = "stopped"
    SIGN_IN = "sign-in"


@dataclass(frozen=True, slots=True)
class ConnectedPlace:
    """A place such as a cloud disk that is connected with a library.

    ``kind`` is what kind of place it is (``vk``), ``place`` which one, for people. ``problem`` says what ended the last
    sync before its end and ``remedy`` what to do, ``resume_at`` when it can go on. ``photos`` and ``bytes`` count what
    the library has of it; ``keep_originals`` says whether the photos' files are kept on this machine for good, and
    ``fetching`` how many bytes a sync that goes on has fetched.

    Examples
    --------
    >>> lib.sources.list()
    0 connected places
    """

    name: str
    kind: str
    place: str
    state: PlaceState
    problem: str | None
    remedy: str | None
    resume_at: datetime | None
    added_at: datetime
    synced_at: datetime | None
    photos: int
    bytes: int
    keep_originals: bool
    fetching: int | None = None

    @property
    def waits_for_nothing(self) -> bool:
        """Whether it can be synced now: it is not paused, and waits for no time to go on."""
        later = self.resume_at is not None and self.resume_at > datetime.now(UTC)
        return self.state is not PlaceState.PAUSED and not later

    @property
    def words(self) -> str:
        """How it is, in a line."""
        when = f"synced {self.synced_at.astimezone():%Y-%m-%d %H:%M}" if self.synced_at else "never synced"
        photos = f"{self.photos} photo{'' if self.photos == 1 else 's'}"
        problem = f" {self.problem} {self.remedy or ''}".rstrip() if self.problem else ""
        return f"{self.name} ({self.place}): {self.state}, {photos}, {when}.{problem}"


class ConnectedPlaces(tuple[ConnectedPlace, ...]):
    """Connected places, as a table in a notebook."""

    __slots__ = ()

    def __repr__(self) -> str:
        lines = [f"{len(self)} connected place{'' if len(self) == 1 else 's'}", *(one.words for one in self)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        columns = ("name", "place", "state", "photos", "synced_at", "problem")
        head = "".join(f"<th>{name}</th>" for name in columns)
        rows = ("".join(f"<td>{escape(_cell(getattr(one, name)))}</td>" for name in columns) for one in self)
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


@dataclass(frozen=True, slots=True)
class PlaceSync:
    """What a sync of one place has come to.

    ``found`` photos were listed, of which ``new`` ones had to be read and ``fetched`` were transferred (``bytes``); of
    a dry run ``new`` and ``bytes`` are what would come. ``missing`` are gone from the place. ``ingested``, ``faces``
    and ``failed`` count what became of those that were read. ``left_out`` counts what is no photo, by what it is.
    ``problem`` says what ended it before its end, ``sign_in`` that it wants somebody to sign in, ``stopped`` that
    somebody ended it.
    """

    name: str
    found: int = 0
    new: int = 0
    fetched: int = 0
    bytes: int = 0
    ingested: int = 0
    duplicates: int = 0
    missing: int = 0
    faces: int = 0
    failed: tuple[str, ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()
    dry_run: bool = False
    stopped: bool = False
    problem: str | None = None
    remedy: str | None = None
    resume_at: datetime | None = None
    sign_in: bool = False
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """What happened, in a line."""
        size = _size(self.bytes)
        if self.problem and not self.found:
            said = self.name
        elif self.dry_run:
            said = f"{self.name}: {self.found} photos, {self.new} would come ({size})"
        else:
            said = (
                f"{self.name}: {self.found} photos, {self.ingested} ingested, {self.duplicates} duplicates, "
                f"{len(self.failed)} failed, {self.missing} gone; {self.faces} faces; {self.fetched} fetched "
                f"({size}) in {self.seconds:.1f} s"
            )
        if self.left_out:
            said += "; left out: " + ", ".join(f"{number} {kind}" for kind, number in self.left_out)
        if self.problem:
            later = f" It can go on at {self.resume_at.astimezone():%Y-%m-%d %H:%M}." if self.resume_at else ""
            joined = ". It stopped early" if self.found or self.left_out else " stopped early"
            said += f"{joined}: {self.problem} {self.remedy or ''}".rstrip() + later
        return said + ("; stopped: sync it again to go on" if self.stopped else "")


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, place by place.

    Examples
    --------
    >>> lib.sources.sync(progress=False).ended_well
    True
    """

    places: tuple[PlaceSync, ...] = ()

    @property
    def ended_well(self) -> bool:
        """Whether all places were brought in to their end."""
        return not any(one.problem or one.stopped for one in self.places)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``facekit sources sync --json`` prints."""
        return {"places": [asdict(one) | _as_plain(one) for one in self.places]}

    def _lines(self) -> Iterator[str]:
        for one in self.places:
            yield one.words
            yield from _some(one.failed)

    def __repr__(self) -> str:
        return "\n".join(self._lines()) or "No place is connected. lib.sources.add connects one."

    def _repr_html_(self) -> str:
        return "<p>" + "<br>".join(map(escape, repr(self).splitlines())) + "</p>"


def _as_plain(one: PlaceSync) -> dict[str, Any]:
    """What of it JSON has no words for: jobs of a service keep it so."""
    later = one.resume_at and one.resume_at.isoformat()
    return {"left_out": dict(one.left_out), "failed": list(one.failed), "resume_at": later}


_MOST = 10  # said in words


def _some(failed: Sequence[str]) -> Iterator[str]:
    yield from (f"  {one}" for one in failed[:_MOST])
    if len(failed) > _MOST:
        yield f"  ... and {len(failed) - _MOST} more in .failed"


def _size(number: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value.astimezone():%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
