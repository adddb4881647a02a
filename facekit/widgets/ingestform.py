"""Photos into a library: a folder's name, how far it is, and what came of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any

import traitlets
from loguru import logger

from facekit.errors import FacekitError, LibraryBusyError, RefusedError, UnknownIdError
from facekit.widgets.base import Widget, handler, in_background, script, style

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from facekit.ingest.report import IngestReport
    from facekit.library.base import Library
    from facekit.types.work import Background

_EVERY = 0.2  # seconds between two looks at the progress: more of them nobody sees
_FAILURES = 200  # rows of the table: more of them nobody reads, and the report is kept in the browser
_COUNTS = ("found", "ingested", "unchanged", "duplicates", "missing", "faces", "no_face")


class IngestForm(Widget):
    """Starts an ingest, shows how far it is, stops it, and says what it did.

    The run goes on in a thread, whoever looks at it; one at a time.

    Parameters
    ----------
    library : Library
        Where the photos go.

    Attributes
    ----------
    path : str
        The folder to bring in.
    running : bool
        Whether a run is going on.
    progress : dict
        ``done`` and ``total`` files, ``rate`` in files a second, ``left`` in seconds; empty while files are listed.
    report : dict
        What the last run did: its numbers, ``seconds``, ``stopped``, ``warnings``, ``failures`` (the number), and
        ``failed`` (the first 200); empty before the first.
    work : dict
        What workers do: ``workers``, files that are ``queued``, ``running`` and ``dead`` (given up), and of those
        ``given_up`` (the first 200) with the ``problem``; ``minutes`` for which the oldest work waits, and
        ``index_due``, faces that searches do not find yet. Empty for a library that has no workers.
    """

    _esm = script("ingestform")
    _css = style("ingestform")

    path = traitlets.Unicode("").tag(sync=True)
    running = traitlets.Bool(default_value=False).tag(sync=True)
    stopping = traitlets.Bool(default_value=False).tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)
    report = traitlets.Dict().tag(sync=True)
    work = traitlets.Dict().tag(sync=True)

    def __init__(self, library: Library, **traits: Any) -> None:  # noqa: ANN401 - whatever a trait takes
        super().__init__(**traits)
        self._library = library
        self._callbacks: list[Callable[[], None]] = []
        self._stop = Event()
        self._thread: Thread | None = None
        self._from = (0.0, 0)
        self._told = 0.0
        self._given_up: dict[str, None] = {}  # ids of work of which something was
        self.on_msg(self._message)
        self._look()
        # A service goes on with an ingest when the page that started it is gone: whoever comes sees it.
        running = getattr(library, "running_ingest", None)
        job = running() if running else None
        if job:
            self._run(lambda progress, stop: library.follow_ingest(job, progress, stop))  # type: ignore[attr-defined]

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call this when a run has ended, however it ended."""
        self._callbacks.append(callback)

    def start(self, path: str | None = None) -> None:
        """Bring a folder in, by default ``path``; does not wait for the end.

        Raises
        ------
        LibraryBusyError
            If a run is going on.
        """
        if self.running:
            message = "Photos are being added already."
            raise LibraryBusyError(message, "Wait until that is done, or cancel it.")
        if path is not None:
            self.path = path
        folder = self.path.strip()
        if not folder:
            message = "No folder was named."
            raise FacekitError(message, "Type the path of the folder that holds the photos.")
        self._run(lambda progress, stop: self._library.ingest(folder, progress=progress, stop=stop))

    def cancel(self) -> None:
        """Stop the run; what is done is kept."""
        self.stopping = self.running
        self._stop.set()

    def wait(self) -> None:
        """Wait for the end of the run."""
        if self._thread:
            self._thread.join()

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        if content.get("kind") == "start":
            self.start(str(content["path"]))
        elif content.get("kind") == "cancel":
            self.cancel()
        elif content.get("kind") == "look":
            self._look()
        elif content.get("kind") == "again":
            self._try_again()

    def _look(self) -> None:
        """See how far the workers are; where that can't be seen now, what was seen last stays."""
        from facekit.library.background import background_of

        with suppress(FacekitError):
            if now := background_of(self._library):
                self.work = _work(now)
                self._given_up = dict.fromkeys(one.work_id for one in now.given_up)

    def _try_again(self) -> None:
        from facekit.library.background import try_again

        for work_id in self._given_up:
            with suppress(UnknownIdError, RefusedError):  # somebody else was first
                try_again(self._library, work_id)
        self._look()

    def _run(self, work: Callable[[Callable[[int, int], None], Event], IngestReport]) -> None:
        self._stop = Event()
        self._from = (monotonic(), 0)
        self._told = 0.0
        with self.hold_sync():
            self.running, self.stopping, self.progress, self.report = True, False, {}, {}
        self._thread = in_background(lambda: self._work(work), self._tell, "ingest")

    @handler
    def _work(self, work: Callable[[Callable[[int, int], None], Event], IngestReport]) -> None:
        try:
            self.report = _summary(work(self._advance, self._stop))
        finally:
            with self.hold_sync():
                self.running, self.stopping = False, False
            self._look()

    def _advance(self, done: int, total: int) -> None:
        now = monotonic()
        if done < total and now - self._told < _EVERY:
            return
        since, before = self._from
        rate = (done - before) / (now - since)
        if not before:  # files were listed and models loaded until now: later, only what comes after counts
            self._from = (now, done)
        self._told = now
        left = (total - done) / rate if rate else None
        self.progress = {"done": done, "total": total, "rate": rate, "left": left}

    def _tell(self) -> None:
        for callback in self._callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - one who listens must not silence the others
                logger.exception("After an ingest: {}", error)


def _work(now: Background) -> dict[str, Any]:
    given_up = [{"path": path, "problem": one.problem} for one in now.given_up for path in one.paths or [""]]
    counts = {name: getattr(now, name) for name in ("workers", "queued", "running", "dead", "index_due")}
    return counts | {"minutes": int(now.oldest_seconds // 60), "given_up": given_up[:_FAILURES]}


def _summary(report: IngestReport) -> dict[str, Any]:
    failed = [{"path": one.path, "status": one.status.value, "reason": one.reason} for one in report.failed[:_FAILURES]]
    return {name: getattr(report, name) for name in _COUNTS} | {
        "seconds": round(report.seconds, 1),
        "stopped": report.stopped,
        "warnings": list(report.warnings),
        "skipped": sum(report.skipped.values()),
        "kept_out": report.kept_out,
        "names_lost": [asdict(one) for one in report.names_lost[:_FAILURES]],
        "failures": len(report.failed),
        "failed": failed,
    }
