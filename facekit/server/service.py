"""What the routes of the service work with: the library, the jobs, the metrics, and who may see what."""

from __future__ import annotations

import asyncio
import os
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
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
    from facekit.relocation import Relocation
    from facekit.server.accounts import Identity
    from facekit.types import Image

T = TypeVar("T")

# As many searches at once as the models run side by side (see facekit.models.device); more would only wait inside.
SEARCHES_AT_ONCE = 2
_DECODE_SECONDS = 30.0  # the largest pictures that are accepted take some 3 s
_FOLDERS_SECONDS = 5.0  # how long the ingested folders are remembered
_SEES_PATHS = frozenset({"export", "ingest"})  # tables name the photos' paths, and so do jobs


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
        self.jobs = Jobs(self.store, library, self.metrics.observe_ingest, self.allows)
        self._decoders = WorkerPool(SEARCHES_AT_ONCE, timeout=_DECODE_SECONDS)
        self._searches = ThreadPoolExecutor(SEARCHES_AT_ONCE, thread_name_prefix="facekit-search")
        self._drawings = ThreadPoolExecutor(SEARCHES_AT_ONCE, thread_name_prefix="facekit-drawing")
        self._roots_seen: tuple[float, list[str]] = (-_FOLDERS_SECONDS, [])

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
            result = await asyncio.get_running_loop().run_in_executor(self._searches, copy_context().run, work)
        finally:
            self.metrics.searching(-1)
        self.metrics.observe_search(time.perf_counter() - start)
        return result

    async def draw(self, work: Callable[[], T]) -> T:
        """Run something that decodes a photo of the library; it waits for its turn, as each takes much memory."""
        return await asyncio.get_running_loop().run_in_executor(self._drawings, copy_context().run, work)

    # -- what a person may see of paths --------------------------------------------------------------------------

    def shown(self, identity: Identity) -> Callable[[str], str]:
        """What a person is told of a path.

        Who may export or ingest sees all of it; others the part from the ingested folder on: ``Photos/2019/a.jpg``.
        """
        if _SEES_PATHS & identity.scopes:
            return str
        tops = self._tops()

        def below(path: str) -> str:
            plain = unicodedata.normalize("NFC", path.replace(os.sep, "/"))
            top = next((top for top in tops if plain.startswith(top)), None)
            if top is None:
                return "" if plain.endswith("/") else plain.rpartition("/")[2]
            return plain[len(_above(top)) :]

        return below

    def folder(self, given: str | None, identity: Identity) -> str | None:
        """The folder that a person means: as `shown` gave it."""
        if given is None or _SEES_PATHS & identity.scopes:
            return given
        for top in self._tops():
            name = top[len(_above(top)) :]
            if (given + "/").startswith(name) and ".." not in given.split("/"):
                return _above(top) + given
        raise ServiceRefusal(422, "There is no such folder.", "GET /api/v1/folders lists the folders.")

    def _tops(self) -> list[str]:
        """The folders that were ingested, each with its slash; one inside another comes after it."""
        read, tops = self._roots_seen
        if time.monotonic() - read > _FOLDERS_SECONDS:
            found = [root.replace(os.sep, "/").rstrip("/") + "/" for root in self.library.roots()]
            roots = {unicodedata.normalize("NFC", root) for root in found}
            tops = sorted(roots, key=len)
            self._roots_seen = (time.monotonic(), tops)
        return tops

    def relocate(self, old: str, new: str) -> Relocation:
        """Let photos lie elsewhere; what is told of paths follows."""
        done = self.library.relocate(old, new)
        self._roots_seen = (-_FOLDERS_SECONDS, [])
        return done

    # -- where photos may come from ------------------------------------------------------------------------------

    def ingestible(self, given: str, identity: Identity) -> str:
        """The folder to ingest, when this person may have it ingested.

        The service's own user could read it anyway; for all others it lies under one of the roots, wherever links lead.
        """
        path = Path(given)
        try:
            if given.startswith("~"):
                path = path.expanduser()
            real = Path(os.path.realpath(path, strict=False))
            allowed = path.is_absolute() and (identity.kind == "owner" or self.allows(str(real)))
            there = allowed and real.exists()
        except (OSError, RuntimeError, ValueError):  # no such user, a name that is too long, a zero byte
            allowed = there = False
        if not allowed:
            message = "Photos may not come from this folder."
            raise ServiceRefusal(403, message, "Whoever runs the service allows folders.", kind="folder")
        if not there:
            raise ServiceRefusal(404, "There is no such folder.", "Check how it is written.", kind="no_folder")
        return str(real)

    def allows(self, path: str) -> bool:
        """Whether a folder lies under one of the roots, wherever links lead."""
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(root) for root in self.roots)


def _above(top: str) -> str:
    """The folder that a folder lies in, with its slash."""
    return top.rstrip("/").rpartition("/")[0] + "/"


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(service_of)]
