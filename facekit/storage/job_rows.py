"""What a service's jobs say of photos: it goes when the photos go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from loguru import logger

from facekit.text.names import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_BUSY_SECONDS = 30.0  # while the service writes
_PATHS = ("path", "photo")  # the fields of a report that hold a path, and nothing else
_PARTS_OF_NAMES = frozenset("_-~+&@#%=$")  # besides letters and digits

ERASE = ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)")
"""What makes SQLite's file hold nothing that was deleted."""

_jobs = sa.table(
    "jobs",
    *map(sa.column, ("job_id", "path", "problem", "state", "finished_at")),
    sa.column("report", sa.JSON),
    sa.column("removed", sa.JSON(none_as_null=True)),
)


class Names:
    """What is to be forgotten.

    Parameters
    ----------
    names : iterable of str
        Whole paths: of photos, or of a folder whose photos are removed.
    """

    def __init__(self, names: Iterable[str]) -> None:
        whole = {name.rstrip(os.sep) or os.sep for name in names}
        whole = {name for name in whole if whole.isdisjoint(_above(name))}  # a folder stands for all below it
        self._names = whole | {one_line(name) for name in whole}  # as errors write them
        # Of many names few folders: a text that names none of these names none of them.
        self._in: dict[str, list[str]] = {}
        for name in self._names:
            self._in.setdefault(os.path.dirname(name), []).append(name)  # noqa: PTH120 - as it is written

    def without(self, value: Any, own: str = "") -> Any:  # noqa: ANN401 - JSON
        """A document without the items that name something; a sentence that does is None. ``own`` is what it is of."""
        if isinstance(value, str):
            return None if self._in_sentence(value, own) else value
        if isinstance(value, dict):
            own = self._own(value) or own
            return {key: self._field(key, one, own) for key, one in value.items()}
        if isinstance(value, list):
            return [self.without(one, own) for one in value if not self._named(one, own)]
        return value

    def path(self, path: str) -> str | None:
        """A path, unless it is one of the names, or lies below one."""
        return path if self._names.isdisjoint([path, *_above(path)]) else None

    def _field(self, key: str, value: Any, own: str) -> Any:  # noqa: ANN401 - JSON
        return self.path(value) if key in _PATHS and isinstance(value, str) else self.without(value, own)

    def _named(self, value: Any, own: str) -> bool:  # noqa: ANN401 - JSON
        if isinstance(value, dict):
            own = self._own(value) or own
            return any(
                self._field(key, one, own) is None if isinstance(one, str) else self._named(one, own)
                for key, one in value.items()
            )
        if isinstance(value, list):
            return any(self._named(one, own) for one in value)
        return isinstance(value, str) and self._in_sentence(value, own)

    def _own(self, item: dict[str, Any]) -> str:
        """The path that an item is about, where that stays: it may begin as a name does, and go on after a space."""
        paths = (item.get(key) for key in _PATHS)
        return next((one for one in paths if isinstance(one, str) and self.path(one)), "")

    def _in_sentence(self, text: str, own: str) -> bool:
        near = (name for above, names in self._in.items() if above in text for name in names)
        return any(_stands_in(text, name, own) or _stands_in(text, name, one_line(own)) for name in near)


def _above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the nearest first."""
    while (above := os.path.dirname(path)) not in {path, ""}:  # noqa: PTH120 - as it is written
        yield above
        path = above


def forget_in_jobs(folder: Path, names: Sequence[str]) -> None:
    """Take what names something out of a service's jobs, and rewrite the file, which keeps what was deleted.

    The folder of a job that has not ended stays: it is what the job is to do.

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
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": _BUSY_SECONDS})
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            changed = forget_rows(connection, names)
            connection.exec_driver_sql("COMMIT")
            for statement in ERASE if changed else ():
                connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:  # the photos are removed all the same
        logger.warning("What the service's jobs say of removed photos could not be erased: {}", error.orig)
    finally:
        engine.dispose()


def forget_rows(connection: sa.Connection, names: Sequence[str]) -> bool:
    """Take what names something out of the rows of jobs; whether anything was changed.

    What is written down of a job that runs now is to name them neither: the names are left with it until it ends.

    Parameters
    ----------
    connection : sa.Connection
        In a transaction that nobody else writes jobs beside.
    names : sequence of str
        Whole paths: of photos, or of a folder whose photos are removed.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_table("jobs"):  # accounts, and no service yet
        return False
    running = "removed" in {column["name"] for column in inspector.get_columns("jobs")}  # by a service of today
    forget, changed = Names(names), False
    columns = [_jobs.c[name] for name in ("job_id", "path", "problem", "report")]
    for row in connection.execute(sa.select(*columns, _jobs.c.finished_at.is_not(None).label("ended"))).all():
        before = (row.path, row.problem, row.report)
        kept = forget.path(row.path) or ""
        after = kept if row.ended else row.path, forget.without(row.problem, kept), forget.without(row.report, kept)
        if after != before:
            changed = True
            values = dict(zip(("path", "problem", "report"), after, strict=True))
            connection.execute(sa.update(_jobs).where(_jobs.c.job_id == row.job_id).values(values))
    if running:
        of_running = sa.select(_jobs.c.job_id, _jobs.c.removed).where(_jobs.c.state == "running")
        for job_id, removed in connection.execute(of_running).all():
            changed = True
            more = [*(removed or []), *names]
            connection.execute(sa.update(_jobs).where(_jobs.c.job_id == job_id).values(removed=more))
    return changed


def _stands_in(text: str, name: str, own: str) -> bool:
    """Whether a sentence holds a path, or one below it, and not just a part of a longer one, such as ``own``."""
    at = text.find(name)
    while at >= 0:
        before, after = text[max(at - 1, 0) : at], text[at + len(name) :][:2]
        begins = not (_is_part(before) or before in {".", "/", "\\"})
        ends = not (_is_part(after[:1]) or (after[:1] == "." and (_is_part(after[1:]) or after[1:] == ".")))
        if begins and ends and not _lies_in(text, own, at, at + len(name)):
            return True
        at = text.find(name, at + 1)
    return False


def _lies_in(text: str, own: str, start: int, end: int) -> bool:
    """Whether a part of a text is part of a path that stands there, too, and goes on before it or after it."""
    at = text.find(own) if own else -1
    while 0 <= at <= start:
        if end <= at + len(own):
            return True
        at = text.find(own, at + 1)
    return False


def _is_part(letter: str) -> bool:
    """Whether a name of a file goes on with it; a dot and a space may also end one that stands in a sentence."""
    return letter.isalnum() or letter in _PARTS_OF_NAMES
