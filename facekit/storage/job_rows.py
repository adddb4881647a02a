"""What a service's finished jobs say of photos, in ``service.db`` beside the catalog: it goes when the photos go."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_BUSY_SECONDS = 30.0  # while the service writes


def forget_in_jobs(folder: Path, names: Sequence[str]) -> None:
    """Take what names something out of the jobs that have ended, and rewrite the file, which keeps what was deleted.

    Parameters
    ----------
    folder : Path
        A library's folder; it needs no ``service.db``.
    names : sequence of str
        Whole paths: of photos, or of a folder whose photos are removed.
    """
    path = folder / "service.db"
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            _forget(connection, names)
    except sqlite3.Error as error:  # the photos are removed all the same
        logger.warning("What the service's jobs say of removed photos could not be erased: {}", error)


def _forget(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone()
    if not there:  # accounts, and no service yet
        return
    rows = "SELECT job_id, path, problem, report FROM jobs WHERE finished_at IS NOT NULL"
    changed = False
    connection.execute("BEGIN IMMEDIATE")
    for job_id, path, problem, report in connection.execute(rows).fetchall():
        before = (path, problem, None if report is None else json.loads(report))
        after = _without(path, names) or "", _without(problem, names), _without(before[2], names)
        if after != before:
            changed = True
            made = None if report is None else json.dumps(after[2])
            connection.execute(
                "UPDATE jobs SET path = ?, problem = ?, report = ? WHERE job_id = ?", (*after[:2], made, job_id)
            )
    connection.execute("COMMIT")
    if changed:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _without(value: Any, names: Iterable[str]) -> Any:  # noqa: ANN401 - JSON
    """A report without the items that name something; a text that does is None."""
    if isinstance(value, str):
        return None if any(name in value for name in names) else value
    if isinstance(value, dict):
        return {key: _without(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_without(one, names) for one in value if not _names(one, names)]
    return value


def _names(value: Any, names: Iterable[str]) -> bool:  # noqa: ANN401 - JSON
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return _without(value, names) is None if isinstance(value, str) else any(_names(one, names) for one in parts)
