"""A job of the service, and what it was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - pydantic reads the annotations
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from facekit.arguments import DISTANCE, LONGEST_PATH, LONGEST_TEXT, NUMBER
from facekit.clustering.methods import Method  # noqa: TC001 - pydantic reads the annotation
from facekit.types.photos import SMALLEST_LOOK, Detail

JobKind: TypeAlias = Literal["ingest", "reembed", "cluster", "sync"]


Look: TypeAlias = Literal["normal", "fine"] | Annotated[int, Field(ge=SMALLEST_LOOK, le=2**15)]
"""A `facekit.types.photos.Detail` that somebody asks for."""


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


ENDED = frozenset({JobState.DONE, JobState.CANCELLED, JobState.FAILED})


@dataclass(frozen=True, slots=True)
class FolderIngest:
    """Which folder's photos are to come in; see `facekit.library.base.Library.ingest`.

    ``anywhere`` says that the service's own user asked for it, who is not bound to the roots.
    """

    path: str
    detail: Detail = "normal"
    anywhere: bool = False
    exclude: list[str] | None = None


@dataclass(frozen=True, slots=True)
class ModelChange:
    """Which models a library is to change to; see `facekit.library.base.Library.reembed`."""

    detector: str | None = None
    embedder: str | None = None
    detail: Look = "normal"
    skip_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Clustering:
    """How the faces are to be grouped; see `facekit.people.base.People.cluster`."""

    method: Method | None = None
    eps: Annotated[float, Field(ge=DISTANCE.least, le=DISTANCE.most)] | None = None
    min_faces: Annotated[int, Field(ge=NUMBER.least, le=NUMBER.most)] = 2
    people: Annotated[int, Field(ge=NUMBER.least, le=NUMBER.most)] | None = None
    accept: bool = True


@dataclass(frozen=True, slots=True)
class Sync:
    """Which connected place is to be brought in; see `facekit.library.sources.Sources.sync`."""

    source: Annotated[str, Field(max_length=LONGEST_TEXT)]
    since: str | None = None
    album: Annotated[str, Field(max_length=LONGEST_PATH)] | None = None
    dry_run: bool = False
    most_bytes: Annotated[int, Field(ge=1, le=2**53)] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What only the user can do before a job goes on; see `facekit.sources.item.Prompt`."""

    text: str
    link: str | None = None
    image: str | None = None
    answer: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """An ingest of one folder, a change of models, a clustering, or a sync of a connected place.

    ``path``, ``detail`` and ``exclude`` are an ingest's, ``models`` is a change's, ``clustering`` a clustering's,
    ``sync`` a sync's; ``question`` is what the user has to do for it to go on, and is known to the service that runs it
    alone;
    ``anywhere`` says that the service's own user asked for it, who is not bound to the roots; ``cancelled`` that it is
    to stop. ``total`` is None until the files are listed, and for a clustering; times are UTC.
    """

    job_id: str
    path: str
    detail: Detail
    user: str
    anywhere: bool
    state: JobState
    cancelled: bool
    done: int
    total: int | None
    report: dict[str, Any] | None
    problem: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    kind: JobKind = "ingest"
    models: ModelChange | None = None
    clustering: Clustering | None = None
    exclude: list[str] | None = None
    sync: Sync | None = None
    question: Question | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED
