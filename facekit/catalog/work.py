"""Work that many processes share, as those see it who ask for it: how far it is, and that it stops or goes on."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

from facekit.catalog.batch_tables import batches, work
from facekit.catalog.batches import CANCELLED, alive, display_of, new_batch, options_of, refuse_file
from facekit.catalog.locks import Kind as Locked
from facekit.catalog.locks import has_locks, hold
from facekit.catalog.rows import delete
from facekit.errors import LibraryBusyError, RefusedError, UnknownIdError
from facekit.types.work import DeadBatch, Kind, State, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from facekit.catalog.batches import Batches
    from facekit.catalog.database import Database
    from facekit.types.work import Claim, Options

SCAN_WAVE, FINISH_WAVE = 0, 9
_STATES = tuple(State)
_LAST = 10  # finished works that are listed, however old they are: ours
_SAME = ("work_id", "roots", "priority", "queued_at", "finished_at", "report")
_COUNTS = batches.c.problem.is_distinct_from(CANCELLED)
"""What was cancelled is neither done nor given up."""


class WorkTables:
    """Reads and changes the work that workers share.

    Parameters
    ----------
    engine : Database
        A catalog on PostgreSQL.
    """

    def __init__(self, engine: Database) -> None:
        self._engine = engine
        refuse_file(engine)

    def add(
        self, roots: Sequence[str], options: Options, priority: int = 0, work_id: str | None = None
    ) -> tuple[str, str]:
        """Ask for folders to be ingested, or for other models; returns the work's id, and that of its first batch.

        ``work_id`` is an id that nothing else has, by default a new one.

        Raises
        ------
        LibraryBusyError
            If it is a change of models, and there is another one.
        """
        work_id = work_id or uuid4().hex
        asked = {"work_id": work_id, "roots": list(roots), "options": asdict(options), "priority": priority}
        asked |= {"paused": False, "cancelled": False, "files_done": 0}
        rows = [new_batch(work_id, Kind.SCAN, SCAN_WAVE), new_batch(work_id, Kind.FINISH, FINISH_WAVE)]
        with self._engine.begin() as connection:
            if options.models:
                hold(connection, Locked.FACTS)  # two that ask at once
                refuse_while_models_change(connection)
            since = connection.scalar(sa.select(sa.func.clock_timestamp()))
            connection.execute(sa.insert(work), asked | {"queued_at": since})
            connection.execute(sa.insert(batches), [row | {"priority": priority, "since": since} for row in rows])
        return work_id, rows[0]["batch_id"]

    # -- looking -------------------------------------------------------------------------------------------------

    def all(self) -> list[Work]:
        """All work, newest first."""
        return self._works(sa.true(), sa.true())

    def get(self, work_id: str) -> Work | None:
        """Some work as it is now; None where there is none, or it was forgotten."""
        found = self._works(work.c.work_id == work_id, batches.c.work_id == work_id)
        return found[0] if found else None

    def _works(self, which: sa.ColumnElement[bool], of_them: sa.ColumnElement[bool]) -> list[Work]:
        counts = sa.select(batches.c.work_id, batches.c.state, sa.func.sum(batches.c.count)).where(of_them, _COUNTS)
        held_up = sa.select(batches.c.work_id, batches.c.state, batches.c.problem).where(
            of_them,
            sa.or_(batches.c.kind != Kind.FILES, batches.c.state == State.QUEUED),
            *(batches.c.state != State.DONE, batches.c.problem.is_not(None)),
        )
        listing = sa.select(batches.c.work_id).where(of_them, batches.c.kind == Kind.SCAN)
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(work).where(which).order_by(work.c.queued_at.desc())).mappings().all()
            files = {
                (work_id, state): int(count)
                for work_id, state, count in connection.execute(counts.group_by(batches.c.work_id, batches.c.state))
            }
            problems = {
                work_id: (state, problem)
                for work_id, state, problem in connection.execute(held_up.order_by(batches.c.kind))
            }
            unlisted = set(connection.scalars(listing.where(batches.c.state.in_([State.QUEUED, State.RUNNING]))))
        found = []
        for row in rows:
            key = row["work_id"]
            numbers: dict[str, Any] = {state.value: files.get((key, state.value), 0) for state in _STATES}
            last, problem = problems.get(key, (State.DONE, ""))
            begun = bool(numbers["running"] or numbers["done"])
            state = _state(row, failed=last == State.DEAD, unlisted=key in unlisted, begun=begun)
            numbers["done"] += row["files_done"]
            numbers |= {name: row[name] for name in _SAME} | {"state": state}
            numbers["models"] = options_of(row["options"]).words
            found.append(Work(**numbers, problem="" if state == CANCELLED else problem))
        return found

    def recent(self) -> list[Work]:
        """Work that is not finished, and the last that is: ten, or all of one day; newest first."""
        every = self.all()
        yesterday = datetime.now(UTC) - timedelta(days=1)
        last = [one.work_id for one in every if one.finished_at is not None][:_LAST]
        return [one for one in every if one.finished_at is None or one.finished_at > yesterday or one.work_id in last]

    def numbers(self) -> dict[str, int]:
        """Files that are queued, running, done and dead, and workers that are there."""
        by_state = sa.select(batches.c.state, sa.func.sum(batches.c.count)).where(_COUNTS).group_by(batches.c.state)
        with self._engine.connect() as connection:
            found = {state: int(count) for state, count in connection.execute(by_state)}
            numbers = {state.value: found.get(state, 0) for state in _STATES}
            numbers["done"] += int(connection.scalar(sa.select(sa.func.sum(work.c.files_done))) or 0)
            return numbers | {"workers": alive(connection)}

    def stands_still(self, work_id: str) -> bool:
        """Whether nobody does anything of some work, because no worker is there, or those that are can't.

        What is paused waits, and does not stand still.
        """
        mine = sa.select(batches.c.batch_id).where(batches.c.work_id == work_id)
        running = mine.where(batches.c.state == State.RUNNING)
        left = mine.where(batches.c.state == State.QUEUED, batches.c.problem.is_not(None))
        paused = sa.select(work.c.paused).where(work.c.work_id == work_id)
        with self._engine.connect() as connection:
            if connection.scalar(paused):
                return False
            if not alive(connection):
                return True
            return connection.scalar(running.limit(1)) is None and connection.scalar(left.limit(1)) is not None

    def oldest_seconds(self) -> float:
        """For how long the oldest work waits of which something is queued and that is not paused; 0 where none does."""
        since = sa.select(sa.func.min(work.c.queued_at)).where(
            ~work.c.paused,
            sa.exists().where(batches.c.work_id == work.c.work_id, batches.c.state == State.QUEUED),
        )
        with self._engine.connect() as connection:
            age = connection.scalar(sa.select(sa.func.now() - since.scalar_subquery()))
        return age.total_seconds() if age else 0.0

    def dead(self, limit: int | None = None) -> list[DeadBatch]:
        """What was given up, newest work first; at most so many batches."""
        query = sa.select(*(batches.c[name] for name in ("batch_id", "work_id", "kind", "files", "problem")))
        query = query.where(batches.c.state == State.DEAD, batches.c.problem != CANCELLED)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(batches.c.since.desc(), batches.c.number).limit(limit)).all()
        return [
            DeadBatch(batch_id, work_id, Kind(kind), [display_of(one) for one in files], problem)
            for batch_id, work_id, kind, files, problem in rows
        ]

    # -- stopping and going on -----------------------------------------------------------------------------------

    def pause(self, work_id: str, *, paused: bool) -> None:
        """Begin no batch of some work, or go on with it; what is running is done.

        Raises
        ------
        UnknownIdError
            If there is no such work.
        RefusedError
            If it is to be paused, and is done or cancelled: the end of it would never be written down.
        """
        with self._engine.begin() as connection:
            row = self._lock(connection, work_id)
            if paused and (row["cancelled"] or row["finished_at"] is not None):
                message = f"{work_id} is {CANCELLED if row['cancelled'] else 'done'}: nothing of it waits."
                raise RefusedError(message, "facekit jobs lists what is going on.")
            connection.execute(sa.update(work).where(work.c.work_id == work_id).values(paused=paused))

    def cancel(self, work_id: str) -> int:
        """Begin nothing more of some work; what is running is done, and what is done is kept.

        Returns the number of files that are not read. Raises UnknownIdError.
        """
        queued = (batches.c.work_id == work_id, batches.c.state == State.QUEUED, batches.c.kind != Kind.FINISH)
        with self._engine.begin() as connection:
            if self._lock(connection, work_id)["finished_at"] is not None:
                return 0
            count = connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(batches.c.count), 0)).where(*queued))
            connection.execute(sa.update(batches).where(*queued).values(state=State.DEAD, problem=CANCELLED))
            # Not paused any more: what is done is counted, and the end of it written down.
            connection.execute(sa.update(work).where(work.c.work_id == work_id).values(cancelled=True, paused=False))
        return int(count or 0)

    def withdraw(self, work_id: str) -> None:
        """Take some work back as if nobody had asked for it; what is done is kept, but for what is running."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(batches).where(batches.c.work_id == work_id))
            connection.execute(sa.delete(work).where(work.c.work_id == work_id))

    def retry(self, key: str) -> int:
        """Try again what was given up: of some work, or one batch. Returns how many files or listings that are.

        Raises
        ------
        UnknownIdError
            If there is neither such work nor such a batch.
        RefusedError
            If nothing of it was given up.
        LibraryBusyError
            If it is a change of models, and there is another one by now.
        """
        with self._engine.begin() as connection:
            one = connection.scalar(sa.select(batches.c.work_id).where(batches.c.batch_id == key))
            work_id = one or key
            if options_of(self._lock(connection, work_id)["options"]).models:
                refuse_while_models_change(connection, but=work_id)
            dead = [batches.c.work_id == work_id, batches.c.state == State.DEAD, batches.c.problem != CANCELLED]
            dead += [batches.c.batch_id == key] if one else []
            again = sa.update(batches).where(*dead).values(state=State.QUEUED, tries=0)
            begun = connection.execute(again.returning(batches.c.kind, batches.c.count)).all()
            if not begun:
                message = f"Nothing of {key} was given up."
                raise RefusedError(message, "What was, and its ids: facekit jobs --dead")
            over = batches.c.state.in_([State.DONE, State.DEAD])
            end = (batches.c.work_id == work_id, batches.c.kind == Kind.FINISH, over)
            connection.execute(sa.update(batches).where(*end).values(state=State.QUEUED, tries=0))
            connection.execute(sa.update(work).where(work.c.work_id == work_id).values(finished_at=None))
        return sum(max(1, count) for kind, count in begun if kind != Kind.FINISH) or 1

    def forget(self, names: Iterable[str]) -> None:
        """Forget finished work that names one of these paths, and what was given up of them: they were removed."""
        gone = set(names)
        dead = sa.select(batches.c.batch_id, batches.c.files).where(batches.c.state == State.DEAD)
        over = sa.select(work.c.work_id, work.c.roots, work.c.report).where(work.c.finished_at.is_not(None))
        with self._engine.begin() as connection:
            given_up = [key for key, files in connection.execute(dead) if gone.intersection(map(display_of, files))]
            delete(connection, batches.c.batch_id, given_up)
            finished = [key for key, *said in connection.execute(over) if gone.intersection(_paths_in(*said))]
            delete(connection, batches.c.work_id, finished)
            delete(connection, work.c.work_id, finished)

    @staticmethod
    def _lock(connection: sa.Connection, work_id: str) -> sa.RowMapping:
        query = sa.select(work).where(work.c.work_id == work_id).with_for_update()
        row = connection.execute(query).mappings().first()
        if row is None:
            message = f"There is no work with the id {work_id}."
            raise UnknownIdError(message, "facekit jobs lists them.")
        return row

    # -- the end -------------------------------------------------------------------------------------------------

    def finish(
        self,
        held: Batches,
        claim: Claim,
        summed: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
        problem: str = "",
    ) -> dict[str, Any]:
        """Write down what came of some work; its batches go, but for those that were given up.

        What somebody wants tried again meanwhile keeps it open.

        Parameters
        ----------
        held : Batches
            The worker that has the last batch.
        claim : Claim
            The last batch.
        summed : callable
            Makes a report of those of the batches, after what was written down before, if anything was.
        problem : str
            Why it failed; it can be tried again like a batch that was given up.

        Returns
        -------
        dict
            What ``summed`` made.

        Raises
        ------
        LostClaimError
            If another worker has the last batch by now.
        """
        here = work.c.work_id == claim.work_id
        mine = (batches.c.work_id == claim.work_id, batches.c.kind != Kind.FINISH)
        over = sa.or_(batches.c.state == State.DONE, batches.c.problem == CANCELLED)
        said = sa.select(batches.c.batch_id, batches.c.state, batches.c.count, batches.c.report).where(*mine, over)
        with self._engine.begin() as connection:
            before = self._lock(connection, claim.work_id)["report"]
            held.done(connection, claim, {})
            query = said.order_by(batches.c.wave, batches.c.number).with_for_update()
            rows = connection.execute(query).mappings().all()
            report = summed([one for one in [before, *(row["report"] for row in rows)] if one])
            delete(connection, batches.c.batch_id, [row["batch_id"] for row in rows])
            left = sa.select(batches.c.batch_id).where(*mine, batches.c.state.in_([State.QUEUED, State.RUNNING]))
            still = connection.scalar(left.limit(1)) is not None
            done = sum(row["count"] for row in rows if row["state"] == State.DONE)
            values = {"report": report, "files_done": work.c.files_done + done}
            values |= {} if still else {"finished_at": sa.func.now()}
            connection.execute(sa.update(work).where(here).values(values))
            if still:
                again = sa.update(batches).where(batches.c.batch_id == claim.batch_id)
                connection.execute(again.values(state=State.QUEUED, tries=0))
            elif problem:
                failed = sa.update(batches).where(batches.c.batch_id == claim.batch_id)
                connection.execute(failed.values(state=State.DEAD, problem=problem))
        return report


def refuse_while_models_change(connection: sa.Connection, *, but: str = "") -> None:
    """Refuse to begin a change of models while workers are at one, ``but`` that with an id. Raises LibraryBusyError."""
    if not has_locks(connection):  # one process has it, and no workers
        return
    left = sa.or_(batches.c.state == State.RUNNING, sa.and_(batches.c.state == State.QUEUED, ~work.c.cancelled))
    some = sa.exists().where(batches.c.work_id == work.c.work_id, left)
    for work_id, options in connection.execute(sa.select(work.c.work_id, work.c.options).where(some)):
        if work_id != but and (models := options_of(options).words):
            message = f"Workers are changing the library's models to {models} ({work_id})."
            raise LibraryBusyError(message, f"Wait until facekit jobs says done, or: facekit jobs --cancel {work_id}")


def _paths_in(roots: Iterable[str], report: dict[str, Any] | None) -> set[str]:
    said = report or {}
    named = {one["path"] for name in ("failed", "names_lost", "unreadable") for one in said.get(name, ())}
    return {*roots, *named, *(one["photo"] for one in said.get("unmatched", ()))}


def _state(row: sa.RowMapping, *, failed: bool, unlisted: bool, begun: bool) -> str:
    if row["cancelled"]:
        return CANCELLED
    if failed:
        return "failed"
    if row["finished_at"] is not None:
        return "done"
    if row["paused"]:
        return "paused"
    if unlisted:
        return "listing"
    return "running" if begun else "queued"
