"""Messages: joining, acknowledgements, large ones and those that are too large."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from production.doctor.probe.answers import advice_on, described
from production.doctor.probe.context import CannotTell, Context
from production.doctor.probe.troubles import SILENT, advice_on_cut
from production.doctor.probe.verdicts import Advice, Outcome, failed, passed
from production.doctor.probe.wire.client import Client
from production.doctor.probe.wire.engine import (
    POLLING,
    PONG,
    WEBSOCKET,
    PollingSession,
    Session,
)
from production.doctor.probe.wire.faults import Cut, Refused
from production.realtime.heartbeat import EVENT as HEARTBEAT

ROOM_FOR_FRAMING = 100
"""Bytes by which a large message stays below the limit, whatever is counted."""

LARGEST_SENT = 8_000_000
"""Bytes that are sent at most, however much the service takes."""

UNKNOWN_EVENT_PATIENCE = 3.0
"""Seconds to wait for the acknowledgement of an event that the service may not have."""

END_PATIENCE = 5.0
"""Seconds that a service has to end the session of a client that sends too much."""

NOT_ACKNOWLEDGED = Advice(
    "The event has no handler that returns, or the service is blocked.",
    "Name an event with --event whose handler returns something; see the service's log.",
)

TOO_MUCH_TAKEN = Advice(
    "The limit that the service announces is not kept: one client can fill its memory.",
    "Serve with this template's layer, or set `max_http_buffer_size` and upgrade python-engineio.",
)


def joining(context: Context) -> Outcome:
    """Join the namespace, with the token if there is one."""
    with context.join() as client:
        return passed(f"Joined {client.namespace} over {client.session.transport}.")


def acknowledgements(context: Context) -> Outcome:
    """Emit an event and wait for what it is acknowledged with."""
    with context.join() as client:
        if context.event:
            return _acknowledged(client, context.event)
        try:
            client.call(HEARTBEAT, {"sent_at": time.time()}, within=UNKNOWN_EVENT_PATIENCE)
        except TimeoutError:
            raise CannotTell(
                "No event of this service is known that is acknowledged: name one with --event."
            ) from None
        context.heartbeats = True
        return _acknowledged(client, HEARTBEAT, {"sent_at": time.time()})


def _acknowledged(client: Client, event: str, *data: Any) -> Outcome:
    started_at = time.monotonic()
    try:
        client.call(event, *data)
    except TimeoutError:
        return failed(f"{event} was not acknowledged.", NOT_ACKNOWLEDGED)
    return passed(f"{event} was acknowledged in {(time.monotonic() - started_at) * 1000:.0f} ms.")


def large(context: Context) -> Outcome:
    """Send messages just below the limit that the service announces, over each transport."""
    size = min(_limit(context) - ROOM_FOR_FRAMING, LARGEST_SENT)
    # An answer to a ping that nobody sent may carry anything, and never reaches the app.
    message = PONG + "x" * size
    if POLLING in context.transports:
        with PollingSession(context.target) as session:
            answer = session.post(message)
        if answer.status != 200:
            refusal = Refused(answer, POLLING)
            seen = f"A request of {size:,} bytes was {described(refusal)}."
            return failed(seen, advice_on(answer, POLLING), status=answer.status)
    if WEBSOCKET in context.transports:
        with context.open_websocket() as websocket:
            try:
                websocket.send(message)
                websocket.websocket.round_trip()
            except Cut as cut:
                return failed(
                    f"After a message of {size:,} bytes {cut.described}.", advice_on_cut(cut)
                )
            except TimeoutError:
                return failed(f"After a message of {size:,} bytes nothing was answered.", SILENT)
    return passed(f"{size:,} bytes over {' and '.join(sorted(context.transports))}.", bytes=size)


def oversize(context: Context) -> Outcome:
    """Send a message above the limit, which must end its session and nothing else.

    Over a WebSocket only: a stock python-engineio never answers such a request of long polling, and a
    thread of the server waits for ever.
    """
    size = _limit(context) + ROOM_FOR_FRAMING
    if size > LARGEST_SENT:
        raise CannotTell(f"The limit of {size:,} bytes is too large to be tried.")
    session = context.open_websocket()
    try:
        session.send(PONG + "x" * size)
        # Some servers answer pings in one thread and look at messages in another.
        _listen(session, END_PATIENCE)
        session.websocket.round_trip()
    except Cut as cut:
        context.open_websocket().leave()
        return passed(f"After {size:,} bytes {cut.described}; new sessions open.")
    except TimeoutError:
        return failed(f"After {size:,} bytes the session says nothing any more.", SILENT)
    finally:
        session.leave()
    return failed(f"A message of {size:,} bytes was taken.", TOO_MUCH_TAKEN, bytes=size)


def _listen(session: Session, seconds: float) -> None:
    """Receive for some time.

    :raises Cut: if the session ends.
    """
    deadline = time.monotonic() + seconds
    with contextlib.suppress(TimeoutError):
        while True:
            session.receive(deadline - time.monotonic())


def _limit(context: Context) -> int:
    limit = context.working_handshake().max_payload
    if limit is None:
        raise CannotTell("The service does not say how large a message may be.")
    return limit
