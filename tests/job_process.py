"""A service's jobs without the service, in a process of its own: of a kind that counts, and notes what it does."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.server.job_kinds import KINDS, Kind, Outcome
from facekit.server.jobs import Jobs
from facekit.server.shared_store import SharedServiceStore

if TYPE_CHECKING:
    from facekit.server.job_kinds import Work

STEPS = 10


@dataclass(frozen=True, slots=True)
class Counting:
    """``path`` is a file to which each step is written; "NAME.held" beside it keeps it after the third step."""

    path: str


def count(asked: Counting, work: Work) -> Outcome:
    file = Path(asked.path)
    for step in range(1, STEPS + 1):
        with file.open("a") as notes:
            notes.write(f"{os.getpid()} {step}\n")
        work.progress(step, STEPS)
        while step == 3 and file.with_suffix(".held").exists() and not work.stop.is_set():
            time.sleep(0.01)
        if work.stop.is_set():
            break
    return Outcome({"counted": step}, stopped=work.stop.is_set())


KIND: Kind[Any] = Kind("count", Counting, count)


def jobs_of(store: Any) -> Jobs:
    """The jobs of a store, for a process or for who asks it something."""
    KINDS["count"] = KIND
    return Jobs(store, None, lambda _: None, lambda _: True)  # type: ignore[arg-type]


def serve(url: str, schema: str, until: Path) -> None:
    """Do jobs, until a file is there."""
    store = SharedServiceStore(url, schema)
    jobs = jobs_of(store)
    jobs.start()
    while not until.exists():
        time.sleep(0.02)
    jobs.close()
    store.close()
