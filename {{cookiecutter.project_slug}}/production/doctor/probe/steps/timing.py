"""How long a message takes there and back."""

from __future__ import annotations

from statistics import median, pstdev, quantiles

from production.doctor.probe.context import Context
from production.doctor.probe.verdicts import Advice, Outcome, failed, passed

PAUSE_HINT = Advice(
    "Packets are lost on the way, or the service is blocked at times.",
    "Compare with the service's event loop lag in /health; look for calls that block.",
)


def round_trips(context: Context) -> Outcome:
    """Measure WebSocket pings, which reach the process that has the session."""
    times: list[float] = []
    with context.open_websocket() as session:
        for number in range(context.amounts.pings):
            context.tell(f"{number + 1} of {context.amounts.pings}")
            try:
                times.append(session.websocket.round_trip() * 1000)
            except TimeoutError:
                break
    lost = context.amounts.pings - len(times)
    if lost:
        return failed(f"The ping after {len(times)} others was not answered.", PAUSE_HINT)
    high = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    figures = {
        "median": round(median(times), 2),
        "p95": round(high, 2),
        "max": round(max(times), 2),
        "jitter": round(pstdev(times), 2),
    }
    seen = ", ".join(f"{name} {value:g} ms" for name, value in figures.items())
    return passed(f"{len(times)} WebSocket pings: {seen}.", **figures)
