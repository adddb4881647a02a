"""What the routes of the service work with: the library, the jobs, the metrics, and who may see what."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import Depends, Request

from facekit.errors import PhotoError, WorkerTimeoutError
from facekit.images.preparation import decode_probe
from facekit.server.jobs import Jobs
from facekit.server.paths import Paths
from facekit.server.prometheus import Metrics
from facekit.server.schedule import SyncSchedule
from facekit.server.source_sign_ins import SourceSignIns
from facekit.server.stores import open_store
from facekit.system.workers import Done, WorkerPool
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta
    from pathlib import Path

    from facekit.library.local import LocalLibrary
    from facekit.storage.relocation import Relocation
    from facekit.types.arrays import Image

T = TypeVar("T")

# As many searches at once as the models run side by side (see facekit.models.device); more would only wait inside.
SEARCHES_AT_ONCE = 2
_DECODE_SECONDS = 30.0  # the largest pictures that are accepted take some 3 s


class Service:
    """One library, served.

    Parameters
    ----------
    library : LocalLibrary
        The library, which this process owns.
    roots : sequence of Path
        Folders below which those who are not the service's own user may have photos ingested and files written.
    sync_every : timedelta, optional
        How often connected places are synced.
    """

    def __init__(self, library: LocalLibrary, roots: Sequence[Path] = (), sync_every: timedelta | None = None) -> None:
        self.library = library
        self.paths = Paths(library, roots)
        self.store = open_store(library.storage.backend)
        self.metrics = Metrics()
        if library.storage.backend.work is not None:
            self.metrics.observe_work(library.storage.catalog)
        self.jobs = Jobs(self.store, library, self.metrics.observe_ingest, self.paths.below_roots)
        self.sign_ins = SourceSignIns(library.sources)
        self._schedule = None if sync_every is None else SyncSchedule(library, self.jobs, sync_every)
        self._decoders = WorkerPool(SEARCHES_AT_ONCE, timeout=_DECODE_SECONDS)
        self._searches = ThreadPoolExecutor(SEARCHES_AT_ONCE, thread_name_prefix="facekit-search")
        self._drawings = ThreadPoolExecutor(SEARCHES_AT_ONCE, thread_name_prefix="facekit-drawing")

    def start(self) -> None:
        """Load the models, start the decoders, and take up unfinished jobs."""
        _ = self.library.detector, self.library.embedder
        for _result in self._decoders.imap(decode_probe, [(b"", "nothing", None)] * SEARCHES_AT_ONCE, window=2):
            pass
        self.jobs.start()
        if self._schedule is not None:
            self._schedule.start()

    def close(self) -> None:
        """Stop the jobs, to be taken up at the next start."""
        if self._schedule is not None:
            self._schedule.close()
        self.jobs.close()
        self._searches.shutdown(cancel_futures=True)
        self._drawings.shutdown(cancel_futures=True)
        self._decoders.close()
        self.store.close()

    def decode(self, pictures: Sequence[bytes]) -> list[Image]:
        """Decode pictures that somebody sent, in processes that a broken one may crash.

        Raises
        ------
        PhotoError
            If one can't be read.
        """
        side = self.library.detector.max_side
        tasks = [(picture, f"probe {number}", side) for number, picture in enumerate(pictures, 1)]
        images = []
        for number, result in enumerate(self._decoders.imap(decode_probe, tasks, window=len(tasks)), 1):
            if isinstance(result, Done):
                images.append(result.value)
            elif isinstance(result.error, PhotoError | WorkerTimeoutError):
                raise result.error
            else:
                raise PhotoError(Status.CORRUPT, f"probe {number}: {result.error}")
        return images

    async def search(self, work: Callable[[], T]) -> T:
        """Run something that needs the models; it waits for its turn without holding up other requests."""
        start = time.perf_counter()
        self.metrics.searching(1)
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._searches, copy_context().run, work)
        finally:
            self.metrics.searching(-1)
        self.metrics.observe_search(time.perf_counter() - start)
        return result

    async def draw(self, work: Callable[[], T]) -> T:
        """Run something that has a photo of the library drawn; it waits for its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._drawings, copy_context().run, work)

    def relocate(self, old: str, new: str) -> Relocation:
        """Let photos lie elsewhere; what is told of paths follows."""
        done = self.library.relocate(old, new)
        self.paths.forget()
        return done


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(service_of)]
