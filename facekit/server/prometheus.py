"""What Prometheus sees of the service. ``grafana.json`` beside this module draws it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from facekit._version import __version__
from facekit.ingest.pipeline import STAGES
from facekit.types.photos import Status
from facekit.workers.metrics import WorkMetrics

if TYPE_CHECKING:
    from facekit.catalog import Catalog
    from facekit.ingest.report import IngestReport
    from facekit.library.local import LocalLibrary
    from facekit.server.jobs import Jobs

# A search takes some 0.1 s on two cores, waiting for others a few seconds.
_SECONDS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30)
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"})


class Metrics:
    """The counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge("facekit_info", "The version that runs.", ["version"], registry=self.registry).labels(__version__).set(1)
        self._photos = self._counter("facekit_photos", "Files that ingest has worked on.", "status")
        self._faces = self._counter("facekit_faces", "Faces that ingest has found.")
        self._stages = self._counter(
            "facekit_stage_seconds", "Seconds of work in ingest; workers are added up.", "stage"
        )
        self._failures = self._counter("facekit_failures", "Photos, searches and requests that failed.", "reason")
        self._search = Histogram(
            "facekit_search_seconds",
            "From a search's arrival to its answer, waiting included.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._requests = Histogram(
            "facekit_request_seconds",
            "Seconds by route and status of the answer.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._jobs = Gauge("facekit_jobs_waiting", "Jobs that wait or run.", registry=self.registry)
        self._queue = Gauge("facekit_searches_waiting", "Searches that wait or run.", registry=self.registry)
        self._lag = Gauge(
            "facekit_index_lag_faces",
            "Faces of the catalog that the vector index does not hold yet.",
            registry=self.registry,
        )
        for status in (*Status, "duplicate", "unchanged"):
            self._photos.labels(status)  # a series that begins at 0 shows its first change
        for stage in STAGES:
            self._stages.labels(stage)
        self._lock = Lock()
        self._seen: tuple[IngestReport | None, dict[str, float]] = (None, {})

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def observe_work(self, catalog: Catalog) -> None:
        """Tell of what workers do, too."""
        self.registry.register(WorkMetrics(catalog))

    def observe_ingest(self, report: IngestReport | None) -> None:
        """Add what a run has done since it was observed last."""
        if report is None:
            return
        with self._lock:
            run, seen = self._seen
            if run is not report:
                seen = {}
            now = _totals(report)
            for key, value in now.items():
                self._add(key, value - seen.get(key, 0.0))
            self._seen = (report, now)

    def _add(self, key: str, more: float) -> None:
        if more <= 0:
            return
        kind, _, label = key.partition(":")
        counter = {"photos": self._photos, "faces": self._faces, "stage": self._stages, "failure": self._failures}[kind]
        (counter.labels(label) if label else counter).inc(more)

    def observe_search(self, seconds: float) -> None:
        """Note a search that was answered."""
        self._search.observe(seconds)

    def searching(self, change: int) -> None:
        """Note that a search has come (1) or gone (-1)."""
        self._queue.inc(change)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request that was answered."""
        known = method if method in _METHODS else "other"  # anybody may make up names, and each would be a series
        self._requests.labels(known, route, str(status)).observe(seconds)

    def observe_failure(self, reason: str) -> None:
        """Note something that failed; ``reason`` is one of a few words."""
        self._failures.labels(reason).inc()

    def render(self, library: LocalLibrary, jobs: Jobs) -> bytes:
        """All metrics in Prometheus' text format."""
        self.observe_ingest(library.current)
        self._jobs.set(jobs.waiting)
        self._lag.set(library.index_lag())
        return generate_latest(self.registry)


def _totals(report: IngestReport) -> dict[str, float]:
    """What a report counts, as the metrics name it."""
    totals: dict[str, float] = {
        "photos:ok": report.ingested - report.no_face,
        "photos:no_face": report.no_face,
        "photos:duplicate": report.duplicates,
        "photos:unchanged": report.unchanged,
        "photos:missing": report.missing,
        "faces": report.faces,
    }
    for stage, seconds in report.stages.items():
        totals[f"stage:{stage}"] = seconds
    for failure in list(report.failed):
        for key in (f"photos:{failure.status}", f"failure:photo_{failure.status}"):
            totals[key] = totals.get(key, 0.0) + 1
    return totals
