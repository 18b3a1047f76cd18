"""The steps, in their order, and what each needs of those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from production.doctor.probe.context import Context
from production.doctor.probe.steps import (
    endurance,
    looking,
    messages,
    opening,
    processes,
    reaching,
    timing,
    transports,
)
from production.doctor.probe.verdicts import Outcome


@dataclass(frozen=True)
class Step:
    """One thing that is tried.

    :param name: what it is called on the command line and in JSON; stable.
    :param title: what it tries, in a few words.
    :param run: tries it.
    :param needs: the steps without whose success it would tell nothing.
    """

    name: str
    title: str
    run: Callable[[Context], Outcome]
    needs: tuple[str, ...] = ()


STEPS = (
    Step("name", "the name leads to something that listens", reaching.name),
    Step("tls", "the certificate is valid", reaching.tls, ("name",)),
    Step("http", "HTTP is spoken", reaching.http, ("name", "tls")),
    Step("server", "the server is meant for production", reaching.server, ("http",)),
    Step("health", "the service says that it is ready", looking.health, ("http",)),
    Step("page", "the page connects to where it came from", looking.page, ("http",)),
    Step("handshake", "a session opens", opening.handshake, ("http",)),
    Step("origin", "the service's own page is let in", opening.own_origin, ("handshake",)),
    Step("foreign-origin", "another site's page is not", opening.foreign_origin, ("handshake",)),
    Step("polling", "every request finds its session", transports.polling, ("handshake",)),
    Step("upgrade", "a session moves to a WebSocket", transports.upgrade, ("handshake",)),
    Step("websocket", "a WebSocket opens directly", transports.websocket, ("http",)),
    Step("joining", "a client joins the namespace", messages.joining, ("http",)),
    Step("acknowledgements", "an event is acknowledged", messages.acknowledgements, ("joining",)),
    Step("large", "large messages get through", messages.large, ("http",)),
    Step("oversize", "messages that are too large do not", messages.oversize, ("http",)),
    Step("refreshes", "clients come back after being cut off", endurance.refreshes, ("joining",)),
    Step("processes", "a message reaches another process", processes.delivery, ("joining",)),
    Step("round-trip", "messages are fast", timing.round_trips, ("http",)),
    Step("idle", "silent sessions are left alone", endurance.idle, ("http",)),
)

NAMES = tuple(step.name for step in STEPS)
