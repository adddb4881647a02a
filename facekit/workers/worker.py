"""A process that does batches of a library's work, beside others like it on this machine and on others.

What it has is in the catalog: killed at any moment, it loses nothing but the batch in hand, which somebody else begins
again when its lease is over.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from loguru import logger

from facekit.catalog.batches import LEASE_SECONDS, LostClaimError
from facekit.errors import FacekitError, LibraryBusyError
from facekit.index.sync import apply_due
from facekit.system.workers import WorkerPool
from facekit.workers.outages import Outages
from facekit.workers.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from facekit.library.local import LocalLibrary
    from facekit.types.work import Claim
    from facekit.workers.bell import Bell

_POLL_SECONDS = 1.0  # between two looks for work where there was none
_SWEEP_SECONDS = 5.0
_MOST_RUNG = 10_000  # messages at a time
_CATALOG, _INDEX = "The catalog", "The vector index"
_LOOK_AGAIN_SECONDS = 60.0  # whether folders that were not there are there now


class Worker:
    """Claims batches and does them, one after another.

    Parameters
    ----------
    library : LocalLibrary
        One on servers.
    lease : float
        Seconds for which a batch is claimed, and after which it is taken back from a process that died.
    sweep : float
        Seconds between two looks for such batches.
    bell : Bell, optional
        Tells of new work at once.
    middlewares : sequence
        FastStream's, for the bell.
    """

    def __init__(
        self,
        library: LocalLibrary,
        *,
        lease: float = LEASE_SECONDS,
        sweep: float = _SWEEP_SECONDS,
        bell: Bell | None = None,
        middlewares: Sequence[Any] = (),
    ) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        self._catalog, self._library = library.storage.catalog, library
        self._batches = self._catalog.batches(self.name, lease)
        self._sweep_seconds = sweep
        self._bell, self._middlewares = bell, middlewares
        self._done = 0
        self._unseen: dict[str, float] = {}  # works whose folders are not there for this machine, and since when
        self.not_here: list[str] = []
        """Folders that were not there for this machine, so that others were left what is to be done there."""
        self._outages = Outages()
        self._problem: FacekitError | None = None
        self._stop = Event()

    def stop(self) -> None:
        """Do the batch in hand, and no more."""
        self._stop.set()

    def run(self, *, once: bool = False) -> int:
        """Do batches until `stop`; with ``once``, until nothing is left that this machine can do.

        Returns how many were done.

        Raises
        ------
        FacekitError
            If another facekit has upgraded the catalog.
        """
        logger.info("Worker {} begins", self.name)
        with WorkerPool() as pool, self._sweeping():
            tasks = Tasks(self._library, self._batches, pool)
            if self._bell is None or once:
                self._poll(tasks, once=once)
            else:
                look = self._bell.listen(
                    self.name,
                    lambda: self._turn(tasks),
                    self._missing,
                    self._stop,
                    self._sweep_seconds,
                    self._middlewares,
                )
                asyncio.run(look)
        logger.info("Worker {} ends after {} batches", self.name, self._done)
        if self._problem is not None:
            raise self._problem
        return self._done

    def _poll(self, tasks: Tasks, *, once: bool) -> None:
        while not self._stop.is_set():
            if self._turn(tasks):
                continue
            if once and not self._is_open():
                return
            self._stop.wait(_POLL_SECONDS)

    def _turn(self, tasks: Tasks) -> bool:
        """Do the next batch; False where none is to be had now."""
        try:
            claim = self._batches.claim(without=self._not_here())
        except FacekitError as error:
            self._outages.failed(_CATALOG, error)
            return False
        self._outages.worked(_CATALOG)
        if claim is None or not self._do(tasks, claim):
            return False
        self._done += 1
        if self._bell is not None:
            self._ring_for_what_follows(self._bell, claim)
        return True

    def _ring_for_what_follows(self, bell: Bell, claim: Claim) -> None:
        try:
            then = self._batches.waiting(_MOST_RUNG, after=claim)
        except FacekitError as error:
            self._outages.failed(_CATALOG, error)
            return
        if then:
            bell.ring(then)

    def _is_open(self) -> bool:
        try:
            return self._batches.is_open(without=self._not_here())
        except FacekitError:
            return True

    def _missing(self) -> list[str]:
        """Batches of which no message waits."""
        try:
            with self._batches.turn() as mine:
                return self._batches.waiting(_MOST_RUNG) if mine else []
        except FacekitError:
            return []

    def _do(self, tasks: Tasks, claim: Claim) -> bool:
        """Do a batch; False where it is left to others, or to another time."""
        try:
            with self._renewing(claim):  # to load the models may take longer than a lease, too
                root = tasks.unseen(claim)
                if not root:
                    tasks.do(claim)
            if root:
                self._leave(claim, root)
                return False
        except LostClaimError:
            logger.warning("A batch took too long, and somebody else has it")
        except LibraryBusyError:
            self._put_back(claim)
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it is written down with the batch
            logger.opt(exception=not isinstance(error, FacekitError)).warning("A batch failed: {}", error)
            return self._failed(claim, error)
        return True

    def _leave(self, claim: Claim, lacking: str) -> None:
        """Leave a batch, and what belongs to it, to others for a while: this machine lacks something."""
        self._unseen[claim.work_id] = monotonic()
        if lacking not in self.not_here:
            self.not_here.append(lacking)
        self._put_back(claim, f"{lacking} is not there for {self.name}")

    def _put_back(self, claim: Claim, problem: str = "") -> None:
        try:
            self._batches.put_back(claim, problem)
        except FacekitError as error:  # somebody takes it back when its lease is over
            self._outages.failed(_CATALOG, error)

    def _failed(self, claim: Claim, error: Exception) -> bool:
        words = error.message if isinstance(error, FacekitError) else f"{type(error).__name__}: {error}"
        try:
            self._batches.failed(claim, words)
        except FacekitError as away:
            self._outages.failed(_CATALOG, away)
            return False
        return True

    def _not_here(self) -> list[str]:
        now = monotonic()
        self._unseen = {key: since for key, since in self._unseen.items() if now - since < _LOOK_AGAIN_SECONDS}
        return list(self._unseen)

    @contextmanager
    def _renewing(self, claim: Claim) -> Iterator[None]:
        """Keep a batch while it is being done."""
        over = Event()

        def renew() -> None:
            while not over.wait(self._batches.lease / 3):
                try:
                    if not self._batches.renew(claim):
                        return
                except FacekitError as error:
                    self._outages.failed(_CATALOG, error)

        thread = Thread(target=renew, name="facekit-renew", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextmanager
    def _sweeping(self) -> Iterator[None]:
        """Look after what others left, now and then, and say that this worker is there."""
        over = Event()

        def sweep() -> None:
            while True:
                try:
                    self._look_after()
                    self._outages.worked(_CATALOG, "sweep")
                except FacekitError as error:
                    self._outages.failed(_CATALOG, error, "sweep")
                except Exception:  # noqa: BLE001 - it is tried again
                    logger.exception("What others left could not be looked after")
                if over.wait(self._sweep_seconds):
                    return

        thread = Thread(target=sweep, name="facekit-sweep", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            try:
                self._batches.gone()
            except FacekitError as error:
                self._outages.failed(_CATALOG, error)

    def _look_after(self) -> None:
        self._problem = self._catalog.upgraded_elsewhere()
        if self._problem is not None:
            self._stop.set()
            return
        self._batches.here()
        with self._batches.turn() as mine:
            late = self._batches.sweep() if mine else 0
        if late:
            logger.warning("{} batches of workers that died are begun again", late)
        storage = self._library.storage
        with storage.models.shared() as models:  # an index that is away may take its time to say so
            try:
                apply_due(self._catalog, models.index)
            except storage.backend.away as error:
                self._outages.failed(_INDEX, error)
            else:
                self._outages.worked(_INDEX)
