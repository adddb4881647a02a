"""What is done in the background: pieces of work, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - the service reads the annotations
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facekit.types.photos import Detail, FoundFile


class Kind(StrEnum):
    """What a batch is: a listing of folders (or of photos), files to be read, or the end of it all."""

    SCAN = "scan"
    FILES = "files"
    FINISH = "finish"


class State(StrEnum):
    """How a batch stands. A dead one was given up: its ``problem`` says why."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Options:
    """How some work is done: see `Library.ingest`, and `Library.reembed` for a change of models.

    ``models`` are the names and versions of those that the library is to be changed to; empty for an ingest.
    """

    detail: Detail = "normal"
    exclude: tuple[str, ...] = ()
    models: dict[str, Any] = field(default_factory=dict)
    skip_unreadable: bool = False

    @property
    def words(self) -> str:
        """The models, with their versions; empty for an ingest."""
        named = [
            f"{self.models[name]} {self.models[f'{name}_version']}" for name in ("detector", "embedder") if self.models
        ]
        return " + ".join(named)


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch that a process has for now. ``tries`` tells it from what others, or it itself, had before."""

    batch_id: str
    work_id: str
    kind: Kind
    wave: int
    files: list[FoundFile]
    tries: int
    roots: list[str]
    options: Options
    cancelled: bool
    queued_at: datetime


@dataclass(frozen=True, slots=True)
class DeadBatch:
    """Files that were given up after some tries, and what the last one met."""

    batch_id: str
    work_id: str
    kind: Kind
    paths: list[str]
    problem: str


@dataclass(frozen=True, slots=True)
class Background:
    """How the work that workers do stands as a whole: files by state, workers that are there, what waits how long.

    ``index_due`` are faces that the vector index has to look at, ``oldest_seconds`` the age of the oldest work that
    waits, and ``given_up`` the first of what was given up, newest first.
    """

    queued: int
    running: int
    done: int
    dead: int
    workers: int
    index_due: int
    oldest_seconds: float
    given_up: list[DeadBatch]


@dataclass(frozen=True, slots=True)
class Work:
    """Some work, and how many of its files stand how.

    ``state`` is "listing", "queued", "running", "paused", "done", "cancelled" or "failed"; ``problem`` says why it
    failed, or why it does not begin. ``models`` are those that it changes the library to; empty for an ingest.
    """

    work_id: str
    roots: list[str]
    priority: int
    state: str
    queued_at: datetime
    finished_at: datetime | None
    queued: int
    running: int
    done: int
    dead: int
    problem: str = ""
    report: dict[str, Any] | None = field(default=None, repr=False)
    models: str = ""
