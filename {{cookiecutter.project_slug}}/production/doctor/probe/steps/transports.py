"""Whether sessions work over long polling, after an upgrade, and over a WebSocket from the start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from production.doctor.probe.answers import (
    NO_WEBSOCKET,
    NOT_STICKY,
    STRANGE,
    advice_on,
    described,
    session_is_unknown,
)
from production.doctor.probe.context import CannotTell, Context
from production.doctor.probe.verdicts import Outcome, failed, passed
from production.doctor.probe.wire.engine import (
    POLLING,
    PONG,
    WEBSOCKET,
    Handshake,
    PollingSession,
    WebSocketSession,
    upgraded_session,
)
from production.doctor.probe.wire.faults import Refused
from production.doctor.probe.wire.http import Answer

REQUESTS = 20
"""Requests of one session. Of two processes that take turns at random, one takes all of them once in a
million times."""

AT_ONCE = 5
"""Requests under way at a time, so that no process can take one after the other."""


def polling(context: Context) -> Outcome:
    """Send many requests of one session, each on a connection of its own."""
    _polling_handshake(context)
    sessions = 0
    for sessions in range(1, context.amounts.clients + 1):
        context.tell(f"session {sessions} of {context.amounts.clients}")
        with PollingSession(context.target) as session:
            strays = _strays(session, with_cookies=True)
            if strays:
                return _lost(strays)
            needs_cookies = bool(session.browser.cookies) and bool(
                _strays(session, with_cookies=False)
            )
    context.transports.add(POLLING)
    seen = f"{sessions} sessions, {REQUESTS} requests each: all found their session"
    if needs_cookies:
        return passed(f"{seen}, thanks to a cookie: clients without cookies need WebSockets only.")
    return passed(f"{seen}.", requests=sessions * REQUESTS)


def upgrade(context: Context) -> Outcome:
    """Open a session over long polling and move it to a WebSocket."""
    if WEBSOCKET not in _polling_handshake(context).upgrades:
        return failed("The handshake offers no WebSocket.", NO_WEBSOCKET)
    try:
        with upgraded_session(context.target) as session:
            seconds = session.websocket.round_trip()
    except Refused as refusal:
        return _no_websocket(context, _plainer(context, refusal))
    context.upgrades = True
    return passed(f"Moved to a WebSocket, which answers within {seconds * 1000:.0f} ms.")


def websocket(context: Context) -> Outcome:
    """Open a session over a WebSocket, without long polling."""
    try:
        session = WebSocketSession(context.target)
    except Refused as refusal:
        return _no_websocket(context, refusal)
    with session:
        seconds = session.websocket.round_trip()
    context.handshake = context.handshake or session.handshake
    context.transports.add(WEBSOCKET)
    return passed(f"Open, and answers within {seconds * 1000:.0f} ms.")


def _polling_handshake(context: Context) -> Handshake:
    if context.handshake is None:
        raise CannotTell("No session opens over long polling, see above.")
    return context.handshake


def _strays(session: PollingSession, *, with_cookies: bool) -> list[Answer]:
    """Send requests that change nothing, and return the answers of those that were not taken."""

    def send(_: int) -> Answer:
        return session.post(PONG, with_cookies=with_cookies)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [answer for answer in pool.map(send, range(REQUESTS)) if answer.status != 200]


def _lost(strays: list[Answer]) -> Outcome:
    first = next(filter(session_is_unknown, strays), strays[0])
    advice = NOT_STICKY if session_is_unknown(first) else advice_on(first, POLLING)
    how = described(Refused(first, POLLING))
    return failed(
        f"{len(strays)} of {REQUESTS} requests of one session did not find it: {how}.",
        advice,
        requests=REQUESTS,
        lost=len(strays),
    )


def _plainer(context: Context, refusal: Refused) -> Refused:
    """Ask again without a session: python-engineio then says apart what it has one text for.

    With a session, a transport that is switched off and an upgrade's missing headers are both an
    `Invalid transport`.
    """
    if advice_on(refusal.answer, WEBSOCKET) is NO_WEBSOCKET:
        try:
            WebSocketSession(context.target).leave()
        except Refused as second:
            return second
    return refusal


def _no_websocket(context: Context, refusal: Refused) -> Outcome:
    advice = advice_on(refusal.answer, refusal.transport)
    offers_none = context.handshake is not None and WEBSOCKET not in context.handshake.upgrades
    if advice is STRANGE and offers_none:
        advice = NO_WEBSOCKET
    return failed(
        f"The opening request was {described(refusal)}.", advice, status=refusal.answer.status
    )
