"""What the steps share: what to probe and how much, and what is known so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from production.doctor.probe.target import Target
from production.doctor.probe.wire.client import Client
from production.doctor.probe.wire.engine import (
    POLLING,
    WEBSOCKET,
    Handshake,
    PollingSession,
    Session,
    WebSocketSession,
    upgraded_session,
)

NO_SESSION = "No transport is known to work here, so there is no session to try it in."


class CannotTell(Exception):
    """A step has no means of finding out.

    :param reason: why, as a sentence.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Amounts:
    """How much is tried.

    :param clients: sessions at the same time, where that matters.
    :param refreshes: how often each of them connects, is cut and connects again.
    :param pings: round trips that are measured.
    :param idle: seconds of silence; nothing for as long as the server's pings ask for.
    """

    clients: int = 4
    refreshes: int = 5
    pings: int = 20
    idle: float | None = None


@dataclass
class Context:
    """What the steps share.

    :param target: the service; its ``origin`` is taken away once it turns out to be refused, so that
        the steps after that still tell something.
    :param amounts: how much is tried.
    :param event: an event of the service that is acknowledged; empty for none.
    :param tell: shows how far a step is.
    :param handshake: what the server said when a session opened.
    :param transports: those that work.
    :param upgrades: whether a session of long polling moves to a WebSocket.
    :param heartbeats: whether the service acknowledges the layer's event of that name.
    """

    target: Target
    amounts: Amounts = Amounts()
    event: str = ""
    tell: Callable[[str], None] = lambda text: None
    handshake: Handshake | None = None
    transports: set[str] = field(default_factory=set)
    upgrades: bool = False
    heartbeats: bool = False

    def forget_origin(self) -> None:
        """Send no ``Origin`` from now on, as clients do that are no browsers."""
        self.target = replace(self.target, origin="")

    def working_handshake(self) -> Handshake:
        """Return what the server said when a session opened.

        :raises CannotTell: if no transport works.
        """
        if self.handshake is None or not self.transports:
            raise CannotTell(NO_SESSION)
        return self.handshake

    def open_session(self) -> Session:
        """Open a session over the best transport that works.

        :raises CannotTell: if none does.
        """
        if WEBSOCKET in self.transports:
            return WebSocketSession(self.target)
        if POLLING in self.transports:
            return PollingSession(self.target)
        raise CannotTell(NO_SESSION)

    def open_websocket(self) -> WebSocketSession:
        """Open a WebSocket session.

        :raises CannotTell: if WebSockets do not work.
        """
        if WEBSOCKET not in self.transports:
            raise CannotTell("WebSockets do not work here, see above.")
        return WebSocketSession(self.target)

    def open_as_a_page(self) -> Session:
        """Open a session as browsers do by default: long polling, and then the upgrade.

        :raises CannotTell: if no transport works.
        """
        return upgraded_session(self.target) if self.upgrades else self.open_session()

    def join(self, namespace: str = "", session: Session | None = None) -> Client:
        """Join a namespace.

        :param namespace: which; that of the target by default.
        :param session: in which session; in a new one by default.
        :raises CannotTell: if no transport works.
        """
        session = session or self.open_session()
        namespace = namespace or self.target.namespace
        try:
            return Client(session, namespace, self.target.auth, self.target.patience)
        except BaseException:
            session.leave()
            raise
