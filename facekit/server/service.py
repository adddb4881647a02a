"""What the routes of the service work with: the library, the jobs, the metrics, and who may see what."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import Depends, Request

from facekit.errors import PhotoError
from facekit.prepare import decode_probe
from facekit.server.jobs import Jobs
from facekit.server.metrics import Metrics
from facekit.server.refusal import ServiceRefusal
from facekit.server.store import ServiceStore
from facekit.types import Status
from facekit.workers import Done, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facekit.local import LocalLibrary
    from facekit.server.accounts import Identity
    from facekit.types import Image

T = TypeVar("T")

# As many searches at once as the models run side by side (see facekit.models.device); more would only wait inside.
SEARCHES_AT_ONCE = 2
_DECODE_SECONDS = 30.0  # the largest pictures that are accepted take some 3 s
_FOLDERS_SECONDS = 5.0  # how long the common folder of the photos is remembered


class Service:
    """One library, served.

    Parameters
    ----------
    library : LocalLibrary
        The library, which this process owns.
    roots : sequence of Path
        Folders from which photos may be ingested by those who are not the service's own user.
    """

    def __init__(self, library: LocalLibrary, roots: Sequence[Path] = ()) -> None:
        self.library = library
        self.roots = tuple(Path(root).expanduser().resolve() for root in roots)
        self.store = ServiceStore(library.folder)
        self.metrics = Metrics()
        self.jobs = Jobs(self.store, library, self.metrics.observe_ingest)
        self._decoders = WorkerPool(SEARCHES_AT_ONCE, timeout=_DECODE_SECONDS)
        self._searches = ThreadPoolExecutor(SEARCHES_AT_ONCE, thread_name_prefix="facekit-search")
        self._common: tuple[float, dict[str, str]] = (-_FOLDERS_SECONDS, {})

    def start(self) -> None:
        """Load the models, start the decoders, and take up unfinished jobs."""
        _ = self.library.detector, self.library.embedder
        for _result in self._decoders.imap(decode_probe, [(b"", "nothing", None)] * SEARCHES_AT_ONCE, window=2):
            pass
        self.jobs.start()

    def close(self) -> None:
        """Stop the jobs, to be taken up at the next start."""
        self.jobs.close()
        self._searches.shutdown(cancel_futures=True)
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
            elif isinstance(result.error, PhotoError):
                raise result.error
            else:
                raise PhotoError(Status.CORRUPT, f"probe {number}: {result.error}")
        return images

    async def search(self, work: Callable[[], T]) -> T:
        """Run something that needs the models; it waits for its turn without holding up other requests."""
        start = time.perf_counter()
        self.metrics.searching(1)
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._searches, work)
        finally:
            self.metrics.searching(-1)
        self.metrics.observe_search(time.perf_counter() - start)
        return result

    # -- what a person may see of paths --------------------------------------------------------------------------

    def shown(self, identity: Identity) -> Callable[[str], str]:
        """What a person is told of a path: editors all of it, others what is below the folder that holds all photos."""
        if "ingest" in identity.scopes:
            return str
        common = sorted(self._common_folders().values())

        def below(path: str) -> str:
            plain = path.replace(os.sep, "/")
            for folder in common:
                if plain.startswith(folder):
                    return plain[len(folder) :]
            return plain.rpartition("/")[2]

        return below

    def folder(self, given: str | None, identity: Identity) -> str | None:
        """The folder that a person means: as `shown` gave it."""
        if given is None or "ingest" in identity.scopes:
            return given
        common = self._common_folders()
        if given.startswith("/") or ".." in given.split("/") or not common:
            raise ServiceRefusal(422, "There is no such folder.", "GET /api/v1/folders lists the folders.")
        return min(common.values()) + given

    def _common_folders(self) -> dict[str, str]:
        """The folder that holds all photos of each source."""
        read, common = self._common
        if time.monotonic() - read > _FOLDERS_SECONDS:
            common = {}
            for folder in self.library.folders():  # by name, so that the one that holds the others comes first
                common.setdefault(folder.source, folder.folder)
            self._common = (time.monotonic(), common)
        return common

    def ingestible(self, given: str, identity: Identity) -> str:
        """The folder to ingest, when this person may have it ingested.

        The service's own user could read it anyway; for all others it lies under one of the roots, wherever links lead.
        """
        path = Path(given).expanduser()
        real = Path(os.path.realpath(path)) if "\0" not in given else Path()
        allowed = path.is_absolute() and any(real.is_relative_to(root) for root in self.roots)
        if not allowed and identity.kind != "owner":
            raise ServiceRefusal(
                403, "Photos may not come from this folder.", "Whoever runs the service allows folders."
            )
        if not real.exists():
            raise ServiceRefusal(404, "There is no such folder.", "Check how it is written.")
        return str(real)


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(service_of)]
