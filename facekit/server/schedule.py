"""Connected places that a service keeps fresh by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING

from loguru import logger

from facekit.errors import FacekitError
from facekit.server.job import Sync

if TYPE_CHECKING:
    from facekit.library.local import LocalLibrary
    from facekit.server.jobs import Jobs
    from facekit.types.sources import ConnectedPlace

_LOOK_SECONDS = 30.0
_WHO = "schedule"


class SyncSchedule:
    """Queues a sync of each connected place when it is due.

    Parameters
    ----------
    library : LocalLibrary
        The library.
    jobs : Jobs
        Where syncs are queued.
    every : timedelta
        How long after a sync the next one is due; of one that ended before its end, after it was tried.
    """

    def __init__(self, library: LocalLibrary, jobs: Jobs, every: timedelta) -> None:
        self._library, self._jobs, self._every = library, jobs, every
        self._closing = Event()
        self._thread = Thread(target=self._run, name="facekit-schedule", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; what is queued stays so."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def queue_due(self) -> list[str]:
        """Queue the syncs that are due now; returns their places' names."""
        jobs = [job for job in self._jobs.list() if job.sync is not None]
        open_ones = {job.sync.source for job in jobs if job.sync and not job.ended}
        tried = {job.sync.source: job.created_at for job in reversed(jobs) if job.sync}
        due = [place for place in self._library.sources.list() if self._is_due(place, tried.get(place.name))]
        names = [place.name for place in due if place.name not in open_ones]
        for name in names:
            self._jobs.add(Sync(name), _WHO)
        return names

    def _is_due(self, place: ConnectedPlace, tried: datetime | None) -> bool:
        times = [moment for moment in (place.synced_at, tried) if moment is not None]
        return place.waits_for_nothing and (not times or max(times) + self._every <= datetime.now(UTC))

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.queue_due()
            except FacekitError as error:  # the database is away, and may be back later
                logger.warning("No sync can be queued now: {}", error)
            self._closing.wait(_LOOK_SECONDS)
