"""What the service can be asked to do in the background: one entry of `KINDS` each."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from facekit.errors import FacekitError, LibraryBusyError, RefusedError, UnknownIdError
from facekit.ingest.reembed_report import ReembedReport
from facekit.ingest.report import IngestReport
from facekit.server.job import Clustering, FolderIngest, Job, JobKind, ModelChange, Sync
from facekit.types.sources import SyncReport
from facekit.workers.handover import ingest_by_workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from facekit.library.local import LocalLibrary
    from facekit.sources.item import Ask


class Arguments(Protocol):
    """What a kind of job is asked with: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True, slots=True)
class Work:
    """What a job works with.

    ``progress`` takes how many are done and how many there are; ``stop`` says that the job is to end, and ``cancelled``
    that it is not to be taken up again then; ``allows`` whether photos may come from a folder now; ``ask`` shows the
    user what only they can do; ``observe`` takes the report of an ingest for the metrics.
    """

    library: LocalLibrary
    job_id: str
    user: str
    progress: Callable[[int, int], None]
    stop: Event
    cancelled: Callable[[], bool]
    allows: Callable[[str], bool]
    ask: Ask
    observe: Callable[[IngestReport | None], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job has come to: its report as a document, if it has one, and whether it was stopped before its end."""

    report: dict[str, Any] | None
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Kind(Generic[A]):
    """A kind of job.

    Parameters
    ----------
    name : str
        The ``kind`` of a `Job`.
    arguments : type
        The dataclass of what it is asked with.
    run : callable
        Does it. May raise `LibraryBusyError` before it has begun: then it is tried again.
    field : str, optional
        The field of a `Job`, and the column, that holds the arguments; by default they are fields of it themselves.
    unbegun : callable, optional
        Makes the report, as a document, of one that was stopped before it had begun; by default it has none.
    withdraw : callable, optional
        Ends what others do of a job that was cancelled, whose id it takes; by default nobody else does anything.
    """

    name: JobKind
    arguments: type[A]
    run: Callable[[A, Work], Outcome]
    field: str = ""
    unbegun: Callable[[LocalLibrary], dict[str, Any] | None] = lambda _library: None
    withdraw: Callable[[LocalLibrary, str], None] = lambda _library, _job_id: None

    def fields_of(self, asked: A) -> dict[str, Any]:
        """What it is asked with, as fields of a `Job`."""
        return {self.field: asked} if self.field else {one.name: getattr(asked, one.name) for one in fields(asked)}

    def asked_of(self, job: Job) -> A:
        """What a job is asked with."""
        if self.field:
            asked: A = getattr(job, self.field)
            return asked
        return self.arguments(**{one.name: getattr(job, one.name) for one in fields(self.arguments)})

    def do(self, job: Job, work: Work) -> Outcome:
        """Do a job of this kind."""
        return self.run(self.asked_of(job), work)


def _ingest(asked: FolderIngest, work: Work) -> Outcome:
    if not (asked.anywhere or work.allows(asked.path)):
        message = "Photos may not come from this folder any more."
        raise RefusedError(message, "Whoever runs the service allows folders.")

    def progress(done: int, total: int) -> None:
        work.progress(done, total)
        work.observe(work.library.current)

    how: dict[str, Any] = {"detail": asked.detail, "exclude": asked.exclude, "stop": work.stop}
    report = ingest_by_workers(
        work.library, work.job_id, asked.path, progress=work.progress, cancelled=work.cancelled, **how
    )
    if report is None:
        report = work.library.ingest(asked.path, progress=progress, **how)
        work.observe(report)
    return Outcome(_document(report), report.stopped)


def _withdraw_ingest(library: LocalLibrary, job_id: str) -> None:
    if library.storage.backend.work is not None:
        with suppress(UnknownIdError):  # workers know nothing of it
            library.storage.backend.work.cancel(job_id)


def _document(report: IngestReport) -> dict[str, Any]:
    more = ("stopped", "warnings", "models", "stages", "assigned")
    return report.to_dict() | {name: getattr(report, name) for name in more}


def _no_ingest(_library: LocalLibrary) -> dict[str, Any]:
    return _document(IngestReport(stopped=True))


def _reembed(asked: ModelChange, work: Work) -> Outcome:
    report = work.library.reembed(**asdict(asked), progress=work.progress, stop=work.stop)
    return Outcome(report.to_dict(), report.stopped)


def _no_reembed(library: LocalLibrary) -> dict[str, Any]:
    now = library.settings.words
    return ReembedReport(now, now, stopped=True).to_dict()


def _cluster(asked: Clustering, work: Work) -> Outcome:
    try:
        run = work.library.people_as(work.user).cluster(**asdict(asked), stop=work.stop)
    except LibraryBusyError:
        raise
    except FacekitError:
        if work.stop.is_set():  # it changes all or nothing, so that there is nothing to report
            return Outcome(None, stopped=True)
        raise
    return Outcome(run.to_dict())


def _sync(asked: Sync, work: Work) -> Outcome:
    def progress(done: int, total: int) -> None:
        work.progress(done, total)
        work.observe(work.library.current)

    how = {name: value for name, value in asdict(asked).items() if name != "source"}
    report = work.library.sources.sync(asked.source, **how, progress=progress, stop=work.stop, ask=work.ask)
    stopped = any(one.stopped for one in report.places)
    return Outcome(report.to_dict(), stopped)


_ALL: tuple[Kind[Any], ...] = (
    Kind("ingest", FolderIngest, _ingest, unbegun=_no_ingest, withdraw=_withdraw_ingest),
    Kind("reembed", ModelChange, _reembed, "models", _no_reembed),
    Kind("cluster", Clustering, _cluster, "clustering"),
    Kind("sync", Sync, _sync, "sync", lambda _library: SyncReport().to_dict()),
)
KINDS: dict[str, Kind[Any]] = {kind.name: kind for kind in _ALL}
"""The kinds of jobs, by name."""


def kind_for(asked: Arguments) -> Kind[Any]:
    """The kind of job that is asked for with these arguments."""
    return next(kind for kind in KINDS.values() if kind.arguments is type(asked))
