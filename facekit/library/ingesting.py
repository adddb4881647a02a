"""A run of an ingest by a library that this process has open, whatever the photos' sources are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from facekit.catalog.times import now
from facekit.errors import SignInError, SourceError
from facekit.ingest.run import Ingest
from facekit.models.registry import load_detector
from facekit.sources.connected import ConnectedSource
from facekit.storage.settings import check_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from threading import Event

    from facekit.images.files import Limits
    from facekit.ingest.progress import Progress
    from facekit.ingest.report import IngestReport
    from facekit.people.base import People
    from facekit.sources import Source
    from facekit.storage.storage import Storage
    from facekit.types.photos import Detail


class OpenLibrary(Protocol):
    """What a run needs of a library that this process has open."""

    folder: Path
    current: IngestReport | None
    syncing: dict[str, ConnectedSource | None]

    @property
    def storage(self) -> Storage:
        """What is open of it."""

    @property
    def people(self) -> People:
        """The people."""

    def remove(self, path: str) -> int:
        """Forget photos; see `Library.remove`."""


def run_ingest(
    library: OpenLibrary,
    sources: Sequence[Source],
    progress: Progress,
    *,
    detail: Detail = "normal",
    limits: Limits | None = None,
    stop: Event | None = None,
    notes: list[str] | None = None,
    begun: Callable[[IngestReport], None] = lambda _report: None,
) -> IngestReport:
    """Bring sources in; the library is being changed by this process alone.

    Parameters
    ----------
    library : OpenLibrary
        Its `current` is the report while the run goes on.
    sources, progress, detail, limits, stop
        See `Library.ingest`.
    notes : list of str, optional
        Where what is worth knowing is written meanwhile.
    begun : callable
        Is given the report before the run: it says what was done where the run raises.
    """
    storage = library.storage
    models = storage.models.now
    check_versions(models.settings)
    detector, embedder = models.detector, models.embedder
    if detail != "normal":
        detector = load_detector(models.settings.detector, **models.where, detail=detail)
    run = Ingest(storage, detector, embedder, limits=limits, stop=stop)
    run.report.warnings = [] if notes is None else notes
    library.current = run.report
    begun(run.report)
    ended: SourceError | None = None
    try:
        try:
            run.run(sources, [source.root for source in sources], progress)
        except SourceError as error:
            ended = error
        if storage.catalog.people.assign_due and storage.catalog.people.person_ids():
            run.report.assigned = library.people.assign().assigned
    finally:
        library.current = None
    storage.tidy_up()
    connected = [source.name for source in sources if isinstance(source, ConnectedSource)]
    if ended is not None:
        for name in connected if len(connected) == 1 else ():
            note_end(storage, name, ended)
        raise ended
    for name in connected if not run.report.stopped else ():
        note_end(storage, name, None)
    return run.report


def note_end(storage: Storage, name: str, error: SourceError | None) -> None:
    """Write down what ended a sync of a connected place before its end; None where it came to its end."""
    if error is None:
        how: dict[str, Any] = {"problem": None, "remedy": None, "resume_at": None, "sign_in": False, "synced_at": now()}
    else:
        words = {"problem": error.message, "remedy": error.remedy, "resume_at": error.resume_at}
        how = words | {"sign_in": isinstance(error, SignInError)}
    storage.catalog.sources.change(name, **how)
