"""How long a message takes there and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median, pstdev, quantiles

from production.doctor.probe.context import Context
from production.doctor.probe.verdicts import Advice, Outcome, failed, passed
from production.realtime.heartbeat import EVENT as HEARTBEAT

LOST = Advice(
    "Packets are lost on the way, or the service is blocked at times.",
    "Compare with event_loop_lag in /health; look for calls that block.",
)


def round_trips(context: Context) -> Outcome:
    """Measure heartbeats, or WebSocket pings of a service that has none: every server answers those."""
    if context.heartbeats:
        with context.join() as client:
            return _measured(
                context, "heartbeats", lambda: client.call(HEARTBEAT, {"sent_at": time.time()})
            )
    with context.open_websocket() as session:
        return _measured(context, "WebSocket pings", session.websocket.round_trip)


def _measured(context: Context, what: str, ask: Callable[[], object]) -> Outcome:
    milliseconds: list[float] = []
    for number in range(context.amounts.pings):
        context.tell(f"{number + 1} of {context.amounts.pings}")
        started_at = time.monotonic()
        try:
            ask()
        except TimeoutError:
            return failed(f"After {len(milliseconds)} {what} one was not answered.", LOST)
        milliseconds.append((time.monotonic() - started_at) * 1000)
    figures = {
        "median": round(median(milliseconds), 2),
        "p95": round(quantiles(milliseconds, n=20)[-1], 2),
        "max": round(max(milliseconds), 2),
        "jitter": round(pstdev(milliseconds), 2),
    }
    seen = ", ".join(f"{name} {value:g} ms" for name, value in figures.items())
    return passed(f"{len(milliseconds)} {what}: {seen}.", **figures)
