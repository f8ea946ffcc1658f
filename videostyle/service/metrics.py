"""Metrics of the service, as Prometheus reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from videostyle.service.core import Workers
    from videostyle.service.painters import Painters
    from videostyle.service.queue import JobQueue

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60)


class Metrics:
    """Counters of requests, and gauges of the queue, which are read when they are asked for."""

    def __init__(self, queue: JobQueue, painters: Painters, workers: Workers) -> None:
        self._queue = queue
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "videostyle_requests",
            "Requests by route and status",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "videostyle_request_seconds",
            "Seconds until a request was answered",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._jobs = Gauge("videostyle_jobs", "Jobs by status", ("status",), registry=self._registry)
        self._wait = Gauge(
            "videostyle_queue_wait_seconds", "Seconds since the oldest waiting job came", registry=self._registry
        )
        for name, text, read in (
            ("videostyle_pictures_waiting", "Pictures that wait or are painted", lambda: painters.waiting),
            ("videostyle_painter_restarts", "Painters that died or hung", lambda: painters.restarts),
            ("videostyle_worker_restarts", "Workers that died", lambda: workers.restarts),
            ("videostyle_workers", "Workers that live", lambda: workers.alive),
        ):
            Gauge(name, text, registry=self._registry).set_function(read)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        for status, count in self._queue.counts().items():
            self._jobs.labels(status).set(count)
        self._wait.set(self._queue.longest_wait())
        return generate_latest(self._registry)
