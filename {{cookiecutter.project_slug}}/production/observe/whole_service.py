"""What no worker knows of its service: since when it runs, and how many workers it should have."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class WholeService(Collector):
    """The gauges of the master, which counts nothing itself.

    :param started_at: when the master started, in seconds since the epoch.
    :param workers: how many workers there should be.
    """

    def __init__(self, started_at: float, workers: int) -> None:
        self._started_at = started_at
        self._workers = workers

    def follow(self, lines: Iterable[str]) -> None:
        """Take over another number of workers with each line, until there are no more.

        :param lines: what the master writes.
        """
        for line in lines:
            self._workers = int(line)

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges."""
        yield GaugeMetricFamily(
            "socketio_service_start_time_seconds",
            "When the service was started, which a reload does not change.",
            self._started_at,
        )
        yield GaugeMetricFamily(
            "socketio_configured_workers", "How many workers there should be.", self._workers
        )
