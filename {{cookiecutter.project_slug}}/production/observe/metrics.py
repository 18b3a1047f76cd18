"""What the service counts and measures, for Prometheus.

Each is listed with its meaning in ``deploy/grafana/README.md``. Labels have few values, whatever
clients send: an event that the app does not handle is ``unknown``, and rooms, sessions and addresses
are never labels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

UNKNOWN = "unknown"
"""The label of what only clients have a name for."""

SLOW_REQUESTS = ("head", "body", "crowded")
"""What of a request did not come in time, or that too many were waited for."""

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds: from a handler that does next to nothing to one that blocks for ever."""

ROUND_TRIPS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 20.0)
"""Upper bounds in seconds: from the same city to the ping time-out."""


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(name, meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    # One value for each worker that lives, see shared_values.py.
    return Gauge(name, meaning, labels, registry=REGISTRY, multiprocess_mode="liveall")


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, meaning, labels, registry=REGISTRY, buckets=buckets)


# The workers
worker_starts = _counter("socketio_worker_starts", "Workers that have loaded the app.")
draining = _gauge("socketio_draining", "Whether the worker is leaving and takes no session.")
loop_lag = _histogram(
    "socketio_loop_lag_seconds",
    "How late a task of the worker woke up, measured twice a second.",
    LATENCIES,
)
recent_loop_lag = _gauge(
    "socketio_recent_loop_lag_seconds", "The worst lag of the last five seconds."
)

# The sessions
sessions = _gauge("socketio_sessions", "Open sessions.", "transport")
max_sessions = _gauge("socketio_max_sessions", "How many sessions the worker takes.")
connects = _counter(
    "socketio_connects", "Sessions that were opened, by their first transport.", "transport"
)
disconnects = _counter("socketio_disconnects", "Sessions that have ended.", "reason")
refused_connects = _counter(
    "socketio_refused_connects", "Clients that were not let in, or not any more.", "reason"
)
slow_requests = _counter(
    "socketio_slow_requests",
    "Requests that did not come in time, or made room for others, and were answered 408.",
    "reason",
)
round_trip = _histogram(
    "socketio_round_trip_seconds",
    "From a ping of the server to the client's answer.",
    ROUND_TRIPS,
    "transport",
)
client_round_trip = _histogram(
    "socketio_client_round_trip_seconds",
    "From a client's heartbeat to the server's answer: the client's median, with each heartbeat.",
    ROUND_TRIPS,
    "transport",
)
degraded_sessions = _gauge(
    "socketio_degraded_sessions", "Sessions whose clients call their connection bad."
)

# The events
event_seconds = _histogram(
    "socketio_event_seconds", "How long a handler took.", LATENCIES, "namespace", "event"
)
handler_errors = _counter(
    "socketio_handler_errors", "Exceptions of handlers.", "namespace", "event"
)

# What is sent
emits = _counter("socketio_emits", "Calls of emit, whatever the number of recipients.")
deliveries = _counter("socketio_deliveries", "Recipients of what was emitted.")
send_buffer_messages = _gauge(
    "socketio_send_buffer_messages", "Messages that clients have not taken yet."
)
send_buffer_bytes = _gauge("socketio_send_buffer_bytes", "Bytes that clients have not taken yet.")
largest_send_buffer_bytes = _gauge(
    "socketio_largest_send_buffer_bytes", "The most that one client has not taken yet."
)

# The message queue
queue_published = _counter("socketio_queue_published", "Messages that the queue has taken.")
queue_failures = _counter("socketio_queue_failures", "Attempts to publish that failed.")
queue_dropped = _counter("socketio_queue_dropped", "Messages given up: too old, or too many.")
queue_received = _counter("socketio_queue_received", "Messages of other processes.")
queue_malformed = _counter("socketio_queue_malformed", "Messages that could not be read.")
queue_missed = _counter(
    "socketio_queue_missed", "Messages of other processes that were published and never heard."
)
queue_waiting = _gauge("socketio_queue_waiting", "Messages that the queue has not taken yet.")
queue_lag = _histogram(
    "socketio_queue_lag_seconds", "How long a message took through the queue and back.", LATENCIES
)
queue_silence = _gauge(
    "socketio_queue_silence_seconds", "For how long no message of its own has come back."
)
queue_behind = _gauge(
    "socketio_queue_behind_seconds", "How late the worker hears what is published."
)
queue_listening = _gauge("socketio_queue_listening", "Whether the worker hears the queue.")


@cache
def labelled(metric: Any, *values: str) -> Any:
    """Return a metric's part for some labels, which is kept: upstream looks each up behind a lock.

    :param metric: one of these.
    :param values: its labels, never what only a client has a name for.
    """
    return metric.labels(*values)
