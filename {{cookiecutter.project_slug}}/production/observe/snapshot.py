"""What there is to see of one process at one moment."""

from __future__ import annotations

import heapq
import os
import time
from bisect import bisect
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from production.http.health import readiness_checks
from production.observe import metrics
from production.observe.quality import Quality
from production.realtime.queue import QueueManager
from production.state import ServiceState

LARGEST_ROOMS = 20
"""Rooms that are named; of the others it is said how many there are."""

LONGEST_NAME = 200
"""Characters of a room's name."""

BANDS = (50.0, 100.0, 200.0, 400.0)
"""Upper bounds in milliseconds of the median round trips by which connections are counted."""

WORST_CONNECTIONS = 10
"""Connections that are shown one by one."""


class Snapshots:
    """Takes snapshots of this process.

    :param state: the process.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._server = state.socketio.server
        self._checks = readiness_checks(state)

    def take(self) -> dict[str, Any]:
        """Return what there is to see now, as JSON.

        Totals only grow, and ``uptime`` is when they were taken: two snapshots say how many there were
        a second.
        """
        state = self._state
        return {
            "process": state.process,
            "host": state.settings.host_id,
            "pid": os.getpid(),
            "mode": str(state.settings.async_mode),
            "uptime": round(time.monotonic() - state.started_at, 3),
            "draining": state.draining,
            "checks": {name: check() for name, check in self._checks.items()},
            "lag": round(state.loop_lag.seconds(), 3),
            "sessions": self._sessions(),
            "rooms": self._rooms(),
            "events": {
                "handled": total(metrics.event_seconds, "_count"),
                "failed": total(metrics.handler_errors),
                "delivered": total(metrics.deliveries),
            },
            "queue": self._queue(),
            "quality": quality_of(state.qualities.all()),
        }

    def _sessions(self) -> dict[str, Any]:
        sessions = list(self._server.eio.sockets.values())
        websockets = sum(session.upgraded for session in sessions)
        return {
            "open": len(sessions),
            "most": self._state.settings.max_sessions,
            "websocket": websockets,
            "polling": len(sessions) - websockets,
        }

    def _rooms(self) -> dict[str, Any]:
        """Return the largest rooms of all namespaces, without those that each session has for itself."""
        manager = self._server.manager
        rooms = [
            {"namespace": namespace, "room": str(room)[:LONGEST_NAME], "sessions": len(members)}
            for namespace, by_room in list(manager.rooms.items())
            for room, members in list(by_room.items())
            if room is not None and not manager.is_sid_room(namespace, room)
        ]
        largest = heapq.nlargest(LARGEST_ROOMS, rooms, key=lambda room: room["sessions"])
        return {"count": len(rooms), "largest": largest}

    def _queue(self) -> dict[str, Any] | None:
        manager = self._server.manager
        if not isinstance(manager, QueueManager):
            return None
        return {**manager.counters(), "waiting": manager.waiting}


def total(metric: MetricWrapperBase, suffix: str = "_total") -> float:
    """Return what this process has counted, whatever the labels.

    :param metric: a counter, or a histogram.
    :param suffix: what the name of its samples ends with: ``_count`` for a histogram.
    """
    samples = (sample for family in metric.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name.endswith(suffix))


def quality_of(qualities: dict[str, Quality]) -> dict[str, Any]:
    """Return how good connections are: how many in each band, and the worst of them.

    :param qualities: what is known, by session.
    """
    bands = [0] * (len(BANDS) + 1)
    for quality in qualities.values():
        if quality.median_ms is not None:
            bands[bisect(BANDS, quality.median_ms)] += 1
    worst = heapq.nlargest(WORST_CONNECTIONS, qualities.items(), key=lambda item: _badness(item[1]))
    return {
        "known": len(qualities),
        "degraded": sum(quality.state == "degraded" for quality in qualities.values()),
        "bands": bands,
        "worst": [{"session": session, **quality.model_dump()} for session, quality in worst],
    }


def _badness(quality: Quality) -> tuple[bool, float, float]:
    return quality.state == "degraded", quality.loss, quality.median_ms or 0.0
