"""Opening sessions: the handshake, and for pages of which origin."""

from __future__ import annotations

from dataclasses import replace

from production.doctor.probe.answers import NO_POLLING, WRONG_ORIGIN, advice_on, described
from production.doctor.probe.context import CannotTell, Context
from production.doctor.probe.target import Target
from production.doctor.probe.troubles import TROUBLES
from production.doctor.probe.verdicts import Advice, Outcome, failed, passed, unknown
from production.doctor.probe.wire.engine import (
    POLLING,
    Handshake,
    PollingSession,
    Session,
    WebSocketSession,
)
from production.doctor.probe.wire.faults import Refused

FOREIGN_ORIGIN = "https://elsewhere.invalid"
"""The origin of a page that nobody has (RFC 6761, section 6.4)."""

ANY_ORIGIN = Advice(
    "The service lets pages of any web site open sessions, with the cookies of whoever looks at them.",
    "Name the origins in ALLOWED_ORIGINS (without the layer: `cors_allowed_origins`, never `*`).",
)


def open_session(target: Target) -> Session:
    """Open a session over the transport that clients begin with, or the other if it is off.

    :param target: the service.
    :raises Refused: if it does not open.
    """
    try:
        return PollingSession(target)
    except Refused as refusal:
        if advice_on(refusal.answer, POLLING) is not NO_POLLING:
            raise
    return WebSocketSession(target)


def handshake(context: Context) -> Outcome:
    """Open a session as a client does that is no browser."""
    try:
        with PollingSession(replace(context.target, origin="")) as session:
            context.handshake = session.handshake
    except Refused as refusal:
        advice = advice_on(refusal.answer, POLLING)
        seen = f"The request was {described(refusal)}."
        return unknown(seen, advice) if advice is NO_POLLING else failed(seen, advice)
    return passed(_summary(session.handshake), **_figures(session.handshake))


def own_origin(context: Context) -> Outcome:
    """Open a session as the service's own page does."""
    origin = context.target.origin
    try:
        open_session(context.target).leave()
    except Refused as refusal:
        context.forget_origin()
        try:
            open_session(context.target).leave()
        except TROUBLES:
            raise CannotTell("Sessions do not open for anyone, see above.") from None
        return failed(f"With Origin: {origin} the request was {described(refusal)}.", WRONG_ORIGIN)
    return passed(f"Pages of {origin} may open sessions.")


def foreign_origin(context: Context) -> Outcome:
    """Try to open a session as another web site's page does."""
    open_session(replace(context.target, origin="")).leave()
    try:
        open_session(replace(context.target, origin=FOREIGN_ORIGIN)).leave()
    except Refused as refusal:
        return passed(f"Pages of {FOREIGN_ORIGIN} get {refusal.answer.status}.")
    return failed(f"A page of {FOREIGN_ORIGIN} was let in.", ANY_ORIGIN)


def _summary(found: Handshake) -> str:
    largest = (
        f"messages up to {found.max_payload:,} bytes" if found.max_payload else "no limit said"
    )
    return (
        f"Pings every {found.ping_interval:g} s, {found.ping_timeout:g} s to answer them, {largest}, "
        f"upgrades: {', '.join(found.upgrades) or 'none'}."
    )


def _figures(found: Handshake) -> dict[str, int | float | str]:
    return {
        "ping_interval": found.ping_interval,
        "ping_timeout": found.ping_timeout,
        **({"max_payload": found.max_payload} if found.max_payload else {}),
        "upgrades": ", ".join(found.upgrades),
    }
