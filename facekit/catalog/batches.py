"""Batches of work that many processes share: who has which, and for how long.

A process claims a batch for some seconds and renews that while it works. What it made and the word that the batch is
done are written in one transaction, which fails if somebody else has the batch by then: a batch may be begun more than
once, and counts once.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

from facekit.catalog.batch_tables import batches, work, workers
from facekit.catalog.locks import has_locks
from facekit.errors import LibraryError
from facekit.types.photos import FoundFile, PlaceFacts
from facekit.types.work import Claim, Kind, Options, State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from facekit.catalog.database import Database

MOST_TRIES = 3
"""Ours: a process may be killed, and a server be restarted, in the middle of a batch, and not three times for the same
one. Then its files are tried one by one, as often."""

LEASE_SECONDS = 20.0
"""Ours: a process that works renews it three times as often; one that died holds its batch up for so long."""

CANCELLED = "cancelled"
_DIED = "the process that worked on it died, or did not answer"
_ALIVE_SECONDS = 30.0  # since a worker said that it is there
_FORGET_SECONDS = 24 * 3600.0

_OPEN = (State.QUEUED, State.RUNNING)
_ORDER = (batches.c.priority.desc(), batches.c.since, batches.c.wave, batches.c.number)
_earlier = batches.alias("earlier")
_BLOCKED = sa.exists().where(
    _earlier.c.work_id == batches.c.work_id, _earlier.c.wave < batches.c.wave, _earlier.c.state.in_(_OPEN)
)


class LostClaimError(Exception):
    """A batch was taken for given up, and somebody else has it or has done it by now."""


class CancelledError(Exception):
    """Somebody cancelled the work that a batch is part of."""


class Batches:
    """What workers do with batches.

    Parameters
    ----------
    engine : Database
        A catalog on PostgreSQL.
    worker : str
        What tells this process from all others.
    lease : float
        Seconds for which a batch is claimed.
    """

    def __init__(self, engine: Database, worker: str, lease: float = LEASE_SECONDS) -> None:
        self._engine, self._worker, self.lease = engine, worker, lease
        refuse_file(engine)

    # -- one batch -----------------------------------------------------------------------------------------------

    def claim(self, batch_id: str | None = None, *, without: Collection[str] = ()) -> Claim | None:
        """Take the next batch, or the one that is named; None where it is not to be had, or there is none.

        ``without`` are works whose batches are left to others.
        """
        next_one = (
            sa.select(batches.c.batch_id)
            .join(work, work.c.work_id == batches.c.work_id)
            .where(batches.c.state == State.QUEUED, ~work.c.paused, batches.c.work_id.not_in(list(without)), ~_BLOCKED)
            .where(sa.true() if batch_id is None else batches.c.batch_id == batch_id)
            .order_by(*_ORDER)
            .limit(1)
            .with_for_update(skip_locked=True, of=batches)
        )
        taken = {"state": State.RUNNING, "worker": self._worker, "lease_until": self._until()}
        mine = (
            sa.update(batches)
            .where(batches.c.batch_id == next_one.scalar_subquery(), batches.c.work_id == work.c.work_id)
            .values(tries=batches.c.tries + 1, **taken)
            .returning(
                *(batches.c[name] for name in ("batch_id", "work_id", "kind", "wave", "files", "tries")),
                *(work.c[name] for name in ("roots", "options", "cancelled", "queued_at")),
            )
        )
        with self._engine.begin() as connection:
            row = connection.execute(mine).mappings().first()
        if row is None:
            return None
        options = options_of(row["options"])
        files = [_file(one) for one in row["files"]]
        return Claim(**dict(row) | {"kind": Kind(row["kind"]), "files": files, "options": options})

    def _until(self) -> sa.ColumnElement[Any]:
        return sa.func.clock_timestamp() + sa.literal(timedelta(seconds=self.lease), sa.Interval)

    def _mine(self, claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            batches.c.batch_id == claim.batch_id,
            batches.c.state == State.RUNNING,
            batches.c.worker == self._worker,
            batches.c.tries == claim.tries,
        )

    def renew(self, claim: Claim) -> bool:
        """Have a batch for some seconds more; False where it is lost."""
        with self._engine.begin() as connection:
            renewed = sa.update(batches).where(*self._mine(claim)).values(lease_until=self._until())
            return connection.execute(renewed).rowcount == 1

    def done(self, connection: sa.Connection, claim: Claim, report: dict[str, Any]) -> None:
        """Note that a batch is done, and what came of it, in the transaction that writes what it made.

        Raises
        ------
        LostClaimError
            If it is not this process's any more: then nothing of it may be written.
        """
        done = sa.update(batches).where(*self._mine(claim))
        if connection.execute(done.values(state=State.DONE, report=report, lease_until=None)).rowcount != 1:
            raise LostClaimError(claim.batch_id)

    def listed(self, claim: Claim, waves: Sequence[Sequence[FoundFile]], size: int, report: dict[str, Any]) -> None:
        """A listing is done: its files are to be read, ``size`` at a time, one wave after the other.

        Raises
        ------
        LostClaimError
            If it is not this process's any more.
        """
        with self._engine.begin() as connection:
            self._insert(
                connection, claim, [one for number, some in enumerate(waves, 1) for one in _cut(number, some, size)]
            )
            self.done(connection, claim, report)

    def read_first(
        self, claim: Claim, groups: Iterable[Sequence[FoundFile]], size: int, report: dict[str, Any]
    ) -> None:
        """Some files are to be read, ``size`` of a group at a time, and then the last batch is done once more.

        Parameters
        ----------
        claim : Claim
            The listing, which is done then, or the last batch, which is done again after the files.
        groups : iterable of sequences of FoundFile
            Files that are in the same place.
        size : int
            Files in a batch.
        report : dict
            What came of a listing.

        Raises
        ------
        LostClaimError
            If it is not this process's any more.
        """
        with self._engine.begin() as connection:
            self._insert(connection, claim, [one for some in groups for one in _cut(1, some, size)])
            self.done(connection, claim, report)
            if claim.kind is Kind.FINISH:
                again = sa.update(batches).where(batches.c.batch_id == claim.batch_id)
                connection.execute(again.values(state=State.QUEUED, tries=0, worker=None, report=None))

    @staticmethod
    def _insert(connection: sa.Connection, claim: Claim, pieces: Sequence[tuple[int, Sequence[FoundFile]]]) -> None:
        """Queue files of some work, with their waves; those of cancelled work are read by nobody."""
        now = sa.select(work.c.priority, work.c.queued_at, work.c.cancelled).where(work.c.work_id == claim.work_id)
        priority, since, cancelled = connection.execute(now.with_for_update()).one()
        same = {"priority": priority, "since": since}
        rows = [
            _new(claim.work_id, Kind.FILES, wave, number) | _holding([_plain(one) for one in some]) | same
            for number, (wave, some) in enumerate(pieces)
        ]
        if rows and not cancelled:
            connection.execute(sa.insert(batches), rows)

    def give_up(self, connection: sa.Connection, claim: Claim, files: Sequence[tuple[FoundFile, str, str]]) -> None:
        """Note of files of a batch that they can't be read: each with its status, and the reason in words.

        They are tried again on request, like those that were given up after some tries.
        """
        same = sa.select(work.c.priority, work.c.queued_at.label("since")).where(work.c.work_id == claim.work_id)
        alike = dict(connection.execute(same).mappings().one()) | {"state": State.DEAD}
        rows = [
            _new(claim.work_id, Kind.FILES, 1, number)
            | alike
            | _holding([_plain(file)])
            | {"problem": reason, "report": {"status": status}}
            for number, (file, status, reason) in enumerate(files)
        ]
        if rows:
            connection.execute(sa.insert(batches), rows)
            fewer = sa.update(batches).where(batches.c.batch_id == claim.batch_id, batches.c.count >= len(rows))
            connection.execute(fewer.values(count=batches.c.count - len(rows)))

    def given_up(self, work_id: str) -> list[tuple[FoundFile, str, str]]:
        """The files of some work that were given up, with the status (empty where there is none) and the reason."""
        query = sa.select(batches.c.files, batches.c.report, batches.c.problem)
        dead = (batches.c.work_id == work_id, batches.c.state == State.DEAD, batches.c.kind == Kind.FILES)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(*dead).order_by(batches.c.number)).all()
        return [
            (_file(one), (report or {}).get("status", ""), why or "") for files, report, why in rows for one in files
        ]

    def keep(self, connection: sa.Connection, claim: Claim, report: dict[str, Any]) -> None:
        """Note what comes of a batch that goes on, in the transaction that makes it so.

        Raises
        ------
        LostClaimError
            If it is not this process's any more.
        CancelledError
            If its work was cancelled.
        """
        here = sa.select(work.c.cancelled).where(work.c.work_id == claim.work_id).with_for_update()
        if connection.scalar(here):
            raise CancelledError(claim.work_id)
        if connection.execute(sa.update(batches).where(*self._mine(claim)).values(report=report)).rowcount != 1:
            raise LostClaimError(claim.batch_id)

    def kept(self, claim: Claim) -> dict[str, Any] | None:
        """What was noted of a batch, by whomever had it."""
        with self._engine.connect() as connection:
            found: dict[str, Any] | None = connection.scalar(
                sa.select(batches.c.report).where(batches.c.batch_id == claim.batch_id)
            )
        return found

    def failed(self, claim: Claim, problem: str) -> None:
        """A try went wrong: the batch is tried again, or its files one by one, or it is given up."""
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(batches).where(*self._mine(claim)).with_for_update()).mappings().all()
            _try_again(connection, rows, problem)

    def put_back(self, claim: Claim, problem: str = "") -> None:
        """Leave a batch to others, for a reason; that was no try."""
        left: dict[str, Any] = {
            "state": State.QUEUED,
            "worker": None,
            "lease_until": None,
            "tries": batches.c.tries - 1,
        }
        left |= {"problem": problem} if problem else {}
        with self._engine.begin() as connection:
            connection.execute(sa.update(batches).where(*self._mine(claim)).values(left))

    # -- all of them ---------------------------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Whether it is this process that looks after the batches until the end of the block; one at a time does."""
        with self._engine.begin() as connection:
            name = f"facekit sweep {self._engine.schema or ''}"
            key = sa.func.hashtextextended(name, 0)
            yield bool(connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(key))))

    def sweep(self) -> int:
        """Take back what processes have that are dead; returns how many batches that were."""
        late = sa.select(batches).where(batches.c.state == State.RUNNING, batches.c.lease_until < sa.func.now())
        with self._engine.begin() as connection:
            rows = connection.execute(late.with_for_update(skip_locked=True)).mappings().all()
            _try_again(connection, rows, _DIED)
        return len(rows)

    def waiting(self, limit: int, *, after: Claim | None = None) -> list[str]:
        """The ids of batches that may be begun now, in their order; of one work only the waves after a batch's."""
        some = sa.true() if after is None else sa.and_(batches.c.work_id == after.work_id, batches.c.wave > after.wave)
        query = (
            sa.select(batches.c.batch_id)
            .join(work, work.c.work_id == batches.c.work_id)
            .where(batches.c.state == State.QUEUED, ~work.c.paused, ~_BLOCKED, some)
            .order_by(*_ORDER)
        )
        with self._engine.connect() as connection:
            return list(connection.scalars(query.limit(limit)))

    def is_open(self, *, without: Collection[str] = ()) -> bool:
        """Whether anything is queued or running, but for works that are paused and those ``without``."""
        query = (
            sa.select(batches.c.batch_id)
            .join(work, work.c.work_id == batches.c.work_id)
            .where(batches.c.state.in_(_OPEN), ~work.c.paused, batches.c.work_id.not_in(list(without)))
        )
        with self._engine.connect() as connection:
            return connection.scalar(query.limit(1)) is not None

    def here(self) -> None:
        """Say that this worker is there; forget those that have not been seen for a day."""
        with self._engine.begin() as connection:
            seen = sa.update(workers).where(workers.c.worker == self._worker).values(seen_at=sa.func.now())
            if connection.execute(seen).rowcount == 0:
                connection.execute(sa.insert(workers).values(worker=self._worker, seen_at=sa.func.now()))
            connection.execute(sa.delete(workers).where(workers.c.seen_at < _ago(_FORGET_SECONDS)))

    def gone(self) -> None:
        """Say that this worker ends."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(workers).where(workers.c.worker == self._worker))


def refuse_file(engine: Database) -> None:
    """Refuse a catalog that is a file, which one process has. Raises LibraryError."""
    with engine.connect() as connection:
        shared = has_locks(connection)
    if not shared:
        message = f"Nothing can be done in the background: {engine.where} is a file, which one process has."
        remedy = "Let a service do it (facekit serve), or make a library on servers: facekit init DIR --catalog ..."
        raise LibraryError(message, remedy)


def alive(connection: sa.Connection) -> int:
    """How many workers there are."""
    query = sa.select(sa.func.count()).select_from(workers).where(workers.c.seen_at > _ago(_ALIVE_SECONDS))
    return int(connection.scalar(query) or 0)


def new_batch(work_id: str, kind: Kind, wave: int) -> dict[str, Any]:
    """A row of ``batches`` without files, and without the priority and the time of its work."""
    return _new(work_id, kind, wave, 0) | _holding([])


def _new(work_id: str, kind: Kind, wave: int, number: int) -> dict[str, Any]:
    fixed = {"batch_id": uuid4().hex, "work_id": work_id, "kind": kind, "wave": wave, "number": number}
    return fixed | {"state": State.QUEUED, "tries": 0}


def _cut(wave: int, files: Sequence[FoundFile], size: int) -> list[tuple[int, Sequence[FoundFile]]]:
    return [(wave, files[start : start + size]) for start in range(0, len(files), size)]


def options_of(said: dict[str, Any]) -> Options:
    """How some work is to be done, as its row says it."""
    return Options(**said | {"exclude": tuple(said["exclude"])})


def _holding(files: list[Any]) -> dict[str, Any]:
    return {"files": files, "count": len(files)}


def _try_again(connection: sa.Connection, rows: Sequence[sa.RowMapping], problem: str) -> None:
    """Batches that were begun in vain; they are locked."""
    for row in rows:
        here = sa.update(batches).where(batches.c.batch_id == row["batch_id"])
        free = {"worker": None, "lease_until": None, "problem": problem}
        if connection.scalar(sa.select(work.c.cancelled).where(work.c.work_id == row["work_id"])) and row["count"]:
            connection.execute(here.values(state=State.DEAD, **free | {"problem": CANCELLED}))
        elif row["tries"] < MOST_TRIES:
            connection.execute(here.values(state=State.QUEUED, **free))
        elif row["count"] > 1:
            alike = {name: row[name] for name in ("priority", "since")} | {"problem": problem}
            one_by_one = [
                _new(row["work_id"], Kind.FILES, row["wave"], row["number"]) | alike | _holding([file])
                for file in row["files"]
            ]
            connection.execute(sa.delete(batches).where(batches.c.batch_id == row["batch_id"]))
            connection.execute(sa.insert(batches), one_by_one)
        else:
            connection.execute(here.values(state=State.DEAD, **free))


def _ago(seconds: float) -> sa.ColumnElement[Any]:
    return sa.func.now() - sa.literal(timedelta(seconds=seconds), sa.Interval)


def _plain(file: FoundFile) -> list[Any]:
    return list((asdict(file) | {"path": file.path.hex()}).values())


def _file(said: Sequence[Any]) -> FoundFile:
    source, path, display, size, mtime_ns, *facts = said  # those without facts are of an older facekit
    known = PlaceFacts(**facts[0]) if facts and facts[0] else None
    return FoundFile(source, bytes.fromhex(path), display, size, mtime_ns, known)


def display_of(said: Sequence[Any]) -> str:
    """What a file of a batch is called, for people."""
    return _file(said).display
