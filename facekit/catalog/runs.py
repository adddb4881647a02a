"""Runs of ingest: when, of which folders, with which models, and what came of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

from facekit.catalog.locks import Kind, hold
from facekit.catalog.rows import RunRow, fetch, select
from facekit.catalog.tables import files, runs
from facekit.catalog.times import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facekit.catalog.database import Database


class Runs:
    """Reads and writes the runs of a catalog."""

    _engine: Database

    def start_run(
        self, roots: Sequence[str], detector: str, embedder: str, device: str, run_id: str | None = None
    ) -> str:
        """Open a run and return its id; one that is open under the id given stays as it is."""
        run_id = run_id or uuid4().hex
        run = {"run_id": run_id, "started_at": now(), "roots": list(roots)}
        run |= {"detector": detector, "embedder": embedder, "device": device}
        with self._engine.begin() as connection:
            if connection.scalar(sa.select(runs.c.run_id).where(runs.c.run_id == run_id)) is None:
                connection.execute(sa.insert(runs), run)
        return run_id

    def finish_run(self, run_id: str, report: dict[str, Any]) -> None:
        """Close a run with its report; a run without one was cut off."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(runs).where(runs.c.run_id == run_id).values(finished_at=now(), report=report),
            )

    def roots(self) -> list[str]:
        """What all runs were given."""
        with self._engine.connect() as connection:
            found = connection.scalars(sa.select(runs.c.roots)).all()
        return sorted({root for roots in found for root in roots})

    def last_run(self) -> RunRow | None:
        """The newest run, or None."""
        query = select(RunRow, runs).order_by(runs.c.started_at.desc()).limit(1)
        with self._engine.connect() as connection:
            return next(iter(fetch(connection, query, RunRow)), None)


def forget_in_runs(connection: sa.Connection) -> None:
    """Runs name files: those that failed, and those that were asked for; what the library has no more goes."""
    hold(connection, Kind.FACTS)
    left = list(connection.scalars(sa.select(files.c.display)))
    for run_id, roots, report in connection.execute(sa.select(runs.c.run_id, runs.c.roots, runs.c.report)).all():
        kept = [root for root in roots if any(_at(path, root) for path in left)]
        values: dict[str, Any] = {} if kept == roots else {"roots": kept}
        if report and isinstance(report.get("failed"), list):
            counts = Counter(one["status"] for one in report["failed"])
            values["report"] = report | {"failed": dict(counts)}
        if values:
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(values))


def move_roots(connection: sa.Connection, old: str, new: str) -> None:
    """Folders that were ingested are called otherwise; both without a separator at the end."""
    hold(connection, Kind.FACTS)
    for run_id, roots in connection.execute(sa.select(runs.c.run_id, runs.c.roots)).all():
        renamed = [
            new + root[len(old) :] if root == old or root.startswith((old + "/", old + "\\")) else root
            for root in roots
        ]
        if renamed != roots:
            connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(roots=renamed))


def _at(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
