"""What happens again and again, and what happens when nothing does."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import Empty, Queue
from threading import Thread

from production.doctor.probe.answers import advice_on
from production.doctor.probe.context import Context
from production.doctor.probe.target import Target
from production.doctor.probe.troubles import TROUBLES, advice_on_cut, explain
from production.doctor.probe.verdicts import Advice, Outcome, Verdict, failed, passed, unknown
from production.doctor.probe.wire.engine import (
    PING,
    POLLING,
    PONG,
    WEBSOCKET,
    PollingSession,
    Session,
    WebSocketSession,
)
from production.doctor.probe.wire.faults import Cut, Refused

PING_GRACE = 5.0
"""Seconds by which a ping may be late."""

LONGEST_IDLE = 90.0
"""Seconds of silence that are waited for without being asked."""

TELL_EVERY = 1.0
"""Seconds after which the display says how far the wait is."""

GATEWAY_STATUSES = frozenset({408, 499, 502, 504, 524})
"""How proxies answer a poll that they have waited for long enough."""

LOST_PINGS = Advice(
    "The service's pings do not come: it is blocked, or a proxy holds small packets back.",
    "Look for calls that block; nginx: `proxy_buffering off;` in the location of Socket.IO.",
)


def refreshes(context: Context) -> Outcome:
    """Connect, be cut off and connect again, several clients at a time, as people refresh a page."""
    amounts = context.amounts
    context.open_session().leave()
    total = amounts.clients * amounts.refreshes
    done: list[float] = []

    def refresh(_: int) -> Outcome | None:
        for _ in range(amounts.refreshes):
            started_at = time.monotonic()
            try:
                client = context.join(session=context.open_as_a_page())
            except TROUBLES as trouble:
                return explain(trouble)
            done.append(time.monotonic() - started_at)
            context.tell(f"{len(done)} of {total}")
            _cut_off(client.session, abruptly=len(done) % 2 == 0)
        return None

    with ThreadPoolExecutor(amounts.clients) as pool:
        faults = [fault for fault in pool.map(refresh, range(amounts.clients)) if fault]
    if faults:
        first = faults[0]
        return failed(
            f"Only {len(done)} of {total} connected. {first.seen}",
            Advice(first.cause, first.fix),
            connected=len(done),
        )
    slowest = round(max(done) * 1000)
    return passed(
        f"{total} times, {amounts.clients} at a time; the slowest took {slowest} ms.",
        connected=total,
        slowest_milliseconds=slowest,
    )


def idle(context: Context) -> Outcome:
    """Say nothing over each transport for longer than the service leaves between its pings."""
    ping_interval = context.working_handshake().ping_interval
    silence = context.amounts.idle
    if silence is None:
        silence = min(ping_interval + PING_GRACE, LONGEST_IDLE)
    outcomes: Queue[Outcome] = Queue()
    for transport in sorted(context.transports):
        # Nobody who presses Ctrl-C waits for these.
        Thread(
            target=lambda name: outcomes.put(_kept(context.target, name, silence)),
            args=(transport,),
            daemon=True,
        ).start()
    found = _all_of(outcomes, len(context.transports), context.tell, silence)
    worst = max(found, key=lambda one: one.verdict is Verdict.FAILED)
    if worst.verdict is not Verdict.PASSED:
        return worst
    return replace(worst, seen=f"Over {' and '.join(sorted(context.transports))}: {worst.seen}")


def _all_of(
    outcomes: Queue[Outcome], count: int, tell: Callable[[str], None], silence: float
) -> list[Outcome]:
    """Wait until all have said how it was, and show how far the wait is."""
    started_at = time.monotonic()
    found: list[Outcome] = []
    while len(found) < count:
        try:
            found.append(outcomes.get(timeout=TELL_EVERY))
        except Empty:
            tell(f"{time.monotonic() - started_at:.0f} of {silence:.0f} s")
    return found


def _kept(target: Target, transport: str, silence: float) -> Outcome:
    """Open a session, and keep it."""
    sessions = {POLLING: PollingSession, WEBSOCKET: WebSocketSession}
    try:
        return _keep(sessions[transport](target), silence)
    except TROUBLES as trouble:
        return explain(trouble)


def _keep(session: Session, silence: float) -> Outcome:
    """Keep a session open, answer its pings, and say how it was."""
    started_at = heard_at = time.monotonic()
    pings = 0
    with session:
        while (waited := time.monotonic() - started_at) < silence:
            try:
                packet = session.receive_any(silence - waited)
            except TimeoutError:
                break
            except (Cut, Refused, ConnectionError) as trouble:
                return _ended(session, trouble, time.monotonic() - heard_at)
            heard_at = time.monotonic()
            if packet == PING:
                pings += 1
                session.send(PONG)
    if pings:
        return passed(
            f"{silence:.0f} s, {pings} {'ping' if pings == 1 else 'pings'} answered.",
            seconds=round(silence, 1),
            pings=pings,
        )
    ping_interval = session.handshake.ping_interval
    if silence < ping_interval + PING_GRACE:
        return unknown(
            f"{silence:.0f} s went well, but the service is silent for {ping_interval:g} s: --idle "
            f"{ping_interval + PING_GRACE:.0f} tells."
        )
    return failed(f"No ping came for {silence:.0f} s.", LOST_PINGS)


def _ended(session: Session, trouble: Exception, after: float) -> Outcome:
    advice = _cut_by_a_proxy(session, after)
    how = "the connection was cut"
    if isinstance(trouble, Refused):
        how = f"the poll was answered {trouble.answer.status}"
        if trouble.answer.status not in GATEWAY_STATUSES:
            advice = advice_on(trouble.answer, session.transport)
    elif isinstance(trouble, Cut):
        how = trouble.described
        if trouble.code is not None:
            advice = advice_on_cut(trouble)
    seen = f"After {after:.1f} s of silence over {session.transport} {how}."
    return failed(seen, advice, seconds=round(after, 1))


def _cut_by_a_proxy(session: Session, after: float) -> Advice:
    handshake = session.handshake
    needed = handshake.ping_interval + handshake.ping_timeout
    return Advice(
        f"A proxy or load balancer cuts what is silent for {after:.0f} s, and the service pings only every "
        f"{handshake.ping_interval:g} s.",
        f"Raise the time-out there above {needed:g} s (nginx: `proxy_read_timeout`; AWS: idle time-out), or "
        "lower the ping interval below it (PING_INTERVAL, `ping_interval=`).",
    )


def _cut_off(session: Session, *, abruptly: bool) -> None:
    """Leave as a browser does whose page is refreshed, or as one does that loses its network."""
    if abruptly and isinstance(session, WebSocketSession):
        session.websocket.reset()
    else:
        session.leave()
