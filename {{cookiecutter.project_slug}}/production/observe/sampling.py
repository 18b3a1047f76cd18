"""Look at this process once a second, and write down what is neither an event nor worth one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from production.observe import metrics
from production.observe.repetition import repetition
from production.realtime.engine import REFUSED
from production.realtime.queue import LISTENING, QueueManager
from production.realtime.reasons import ALL_REASONS

if TYPE_CHECKING:
    from production.observe.quality import Qualities, Quality
    from production.state import ServiceState

INTERVAL = 1.0
"""Seconds between two looks: more often than any Prometheus asks."""

TRANSPORTS = ("polling", "websocket")


class Sampling:
    """Keeps the gauges of a worker current.

    :param state: the process to look at.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state

    def start(self) -> None:
        """Begin to look, for as long as the process lives."""
        show_all_labels()
        metrics.worker_starts.inc()
        metrics.max_sessions.set(self._state.settings.max_sessions)
        self._state.qualities.listen(note_quality)
        self._state.socketio.server.start_background_task(self._run)

    def _run(self) -> None:
        server = self._state.socketio.server
        while True:
            metrics.draining.set(self._state.draining)
            metrics.recent_loop_lag.set(self._state.loop_lag.seconds())
            sample_sessions(list(server.eio.sockets.values()))
            sample_qualities(self._state.qualities)
            if isinstance(server.manager, QueueManager):
                sample_queue(server.manager)
            repetition.tell()
            server.sleep(INTERVAL)


def show_all_labels() -> None:
    """Show what has not happened yet as 0: the first time would otherwise be no increase."""
    for transport in TRANSPORTS:
        metrics.connects.labels(transport)
    for reason in ALL_REASONS:
        metrics.disconnects.labels(reason)
    for reason in metrics.SLOW_REQUESTS:
        metrics.slow_requests.labels(reason)
    for reason in REFUSED:
        metrics.refused_connects.labels(reason)


def sample_sessions(sessions: list[Any]) -> None:
    """Write down how many sessions there are and what waits for them.

    :param sessions: those of this process.
    """
    transports = [session.transport for session in sessions]
    for transport in TRANSPORTS:
        metrics.sessions.labels(transport).set(transports.count(transport))
    waiting = [session.backlog.bytes for session in sessions]
    metrics.send_buffer_bytes.set(sum(waiting))
    metrics.largest_send_buffer_bytes.set(max(waiting, default=0))
    metrics.send_buffer_messages.set(sum(session.backlog.messages for session in sessions))


def sample_qualities(qualities: Qualities) -> None:
    """Write down how many clients call their connection bad.

    :param qualities: what the clients of this process say.
    """
    states = [quality.state for quality in qualities.all().values()]
    metrics.degraded_sessions.set(states.count("degraded"))


def note_quality(_: str, quality: Quality) -> None:
    """Write down what a client has measured.

    :param quality: what came with its heartbeat.
    """
    if quality.median_ms is not None:
        metrics.client_round_trip.labels(quality.transport).observe(quality.median_ms / 1000)


def sample_queue(queue: QueueManager) -> None:
    """Write down how the queue does.

    :param queue: the client manager.
    """
    silence = queue.silence()
    metrics.queue_waiting.set(queue.waiting)
    metrics.queue_silence.set(math.inf if silence is None else silence)
    metrics.queue_behind.set(queue.lag())
    metrics.queue_listening.set(silence is not None and LISTENING not in queue.outage.faults)
