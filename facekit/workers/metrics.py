"""What Prometheus sees of a library's work, from a worker or a service: all of them see the same queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facekit.errors import FacekitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from facekit.catalog import Catalog

_HOST = "127.0.0.1"


class WorkMetrics:
    """The numbers of the work of a library on servers, as they are when somebody asks: a collector for a registry."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def describe(self) -> Iterator[Metric]:
        """Nothing is asked of the catalog before the first scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Called at each scrape; where the catalog does not answer, the numbers are missing."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        try:
            numbers = self._catalog.work.numbers()
            due, oldest = self._catalog.outbox.balance().due, self._catalog.work.oldest_seconds()
        except FacekitError:
            return
        files = GaugeMetricFamily(
            "facekit_work_files", "Files of background work, by how they stand.", labels=["state"]
        )
        workers = numbers.pop("workers")
        for state, count in numbers.items():
            files.add_metric([state], count)
        yield files
        yield GaugeMetricFamily("facekit_workers", "Workers that are there.", value=workers)
        yield GaugeMetricFamily("facekit_index_due_faces", "Faces that the vector index has to look at.", value=due)
        yield GaugeMetricFamily("facekit_work_oldest_seconds", "Age of the oldest work that waits.", value=oldest)


def show_metrics(catalog: Catalog, port: int) -> CollectorRegistry:
    """Answer Prometheus at a port of this machine, while this process runs.

    Raises
    ------
    FacekitError
        If its package is not installed, or the port is not free.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.process_collector import ProcessCollector
    except ModuleNotFoundError as error:
        message = f"Numbers for Prometheus need a package that is not installed: {error.name}."
        raise FacekitError(message, 'Install it with pip install "facekit[workers]".') from error
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(WorkMetrics(catalog))
    try:
        start_http_server(port, addr=_HOST, registry=registry)
    except OSError as error:
        message = f"Port {port} can't be used: {error.strerror or error}."
        raise FacekitError(message, "Give another one with --metrics-port.") from error
    return registry


def of_messages(registry: CollectorRegistry) -> Any:  # noqa: ANN401 - FastStream's
    """A middleware that counts what comes by Redis."""
    from faststream.redis.prometheus import RedisPrometheusMiddleware

    return RedisPrometheusMiddleware(registry=registry, app_name="facekit")
