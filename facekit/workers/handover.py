"""An ingest that workers do for somebody who waits for it, such as a service."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING

from facekit.catalog.batches import CANCELLED, LEASE_SECONDS
from facekit.errors import FacekitError, LibraryError, UnknownIdError
from facekit.ingest.report import IngestReport
from facekit.sources import LocalSource
from facekit.workers.asking import ingest_in_background
from facekit.workers.bell import bell_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Event

    from facekit.catalog.work import WorkTables
    from facekit.library.local import LocalLibrary
    from facekit.types.photos import Detail
    from facekit.types.work import Work

_LOOK_SECONDS = 0.5  # between two looks how far the workers are
_PATIENCE_SECONDS = 30.0
"""Ours: a worker that is started again, or waits for a server that is, says so every 5 s."""


def ingest_by_workers(
    library: LocalLibrary,
    work_id: str,
    root: str,
    *,
    detail: Detail,
    exclude: Iterable[str] | None,
    progress: Callable[[int, int], None],
    stop: Event,
    cancelled: Callable[[], bool],
) -> IngestReport | None:
    """Have workers bring a folder in, and wait for the end.

    They are asked where one is there, and the folder is on a mount, which machines know by the same name. What they
    were asked for under this id before is gone on with. Where they all go away, or none sees the folder, it is taken
    back.

    Parameters
    ----------
    library : LocalLibrary
        The library.
    work_id : str
        The id of the work; 32 hexadecimal digits.
    root, detail, exclude
        See `Library.ingest`.
    progress : callable
        Is told how many files are done, and how many there are.
    stop : threading.Event
        Ends the waiting; the workers go on, unless ``cancelled``.
    cancelled : callable
        Whether the workers are to end, too; what they have begun is waited for.

    Returns
    -------
    IngestReport or None
        What they did; None where all of it, or the rest, is to be done here.

    Raises
    ------
    LibraryError
        If the workers could not do it, or somebody has cancelled it among their jobs.
    """
    work = library.storage.backend.work
    if work is None:
        return None
    if work.get(work_id) is None:
        if not (work.numbers()["workers"] and _on_mounts(library, root)):
            return None
        bell = None
        with suppress(FacekitError):  # the package is not installed here: workers find it by themselves
            bell = bell_of(library)
        ingest_in_background(library, root, detail=detail, exclude=exclude, bell=bell, work_id=work_id)
    return _Watch(work, work_id, progress, stop, cancelled).until_ended()


@dataclass(slots=True)
class _Watch:
    """Waits for the end of some work."""

    work: WorkTables
    work_id: str
    progress: Callable[[int, int], None]
    stop: Event
    cancelled: Callable[[], bool]
    still_since: float | None = None
    end: float | None = None  # of the wait for what was begun when it was cancelled

    def until_ended(self) -> IngestReport | None:
        """What came of it; None where it is to be done here."""
        while True:
            try:
                found, still = self._look()
            except FacekitError:  # the server is away
                if self.stop.wait(_LOOK_SECONDS):
                    return IngestReport(stopped=True)
                continue
            if found is None:
                return None
            if found.state != CANCELLED:
                _tell(self.progress, found)
            if self._is_over(found):
                return _report_of(found, cancelled=self.cancelled())
            if found.state != CANCELLED:
                if self.stop.is_set():  # the workers go on
                    return IngestReport(stopped=True)
                if self._still_too_long(still=still):
                    self.work.withdraw(self.work_id)
                    return None
            (sleep if self.stop.is_set() else self.stop.wait)(_LOOK_SECONDS)

    def _look(self) -> tuple[Work | None, bool]:
        if self.cancelled():
            with suppress(UnknownIdError):
                self.work.cancel(self.work_id)
        return self.work.get(self.work_id), self.work.stands_still(self.work_id)

    def _is_over(self, found: Work) -> bool:
        if found.finished_at is not None or found.state == "failed":
            return True
        if found.state != CANCELLED:
            return False
        self.end = self.end or monotonic() + LEASE_SECONDS
        return monotonic() > self.end

    def _still_too_long(self, *, still: bool) -> bool:
        self.still_since = (self.still_since or monotonic()) if still else None
        return self.still_since is not None and monotonic() - self.still_since >= _PATIENCE_SECONDS


def _on_mounts(library: LocalLibrary, root: str) -> bool:
    return all(one.name != LocalSource.name for one in library.storage.mounts.sources(root))


def _tell(progress: Callable[[int, int], None], found: Work) -> None:
    done = found.done + found.dead
    total = done + found.queued + found.running
    if total or found.finished_at is not None:  # before the folder is listed there is none
        progress(done, total)


def _report_of(found: Work, *, cancelled: bool) -> IngestReport:
    if found.state == "failed":
        message = f"The workers could not do it: {found.problem}."
        raise LibraryError(message, f"When that is mended: facekit jobs --retry {found.work_id}")
    if found.state == CANCELLED and not cancelled:
        message = "It was cancelled among the workers' jobs."
        raise LibraryError(message, "What is done is kept: start it again to go on.")
    report = IngestReport.from_document(found.report) if found.report else IngestReport()
    report.stopped = found.state == CANCELLED  # and not where all was done when it was cancelled
    if found.dead and not report.stopped:
        files = f"{found.dead} file{'' if found.dead == 1 else 's'}"
        report.warnings.append(
            f"{files} failed again and again, and the workers gave up; facekit jobs --dead says why, and facekit jobs "
            f"--retry {found.work_id} tries again."
        )
    return report
