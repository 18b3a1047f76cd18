"""Why a session ended."""

from __future__ import annotations

from engineio.base_server import BaseServer


class Reason(BaseServer.reason):  # type: ignore[misc]
    """Engine.IO's reasons and those that this layer adds; disconnect handlers are given one."""

    #: The client left more unread than it may.
    SLOW_CLIENT = "slow client"
    #: The client sent what it must not, or more than it may.
    MALFORMED = "malformed data"
    #: The client has joined no namespace in the time that it had.
    CONNECT_TIMEOUT = "connect timeout"
    #: The client sent, again and again, what no client needs to send.
    FLOODING = "flooding"
    #: The process is about to leave; the client should come back at once, elsewhere.
    DRAINING = "server draining"


ALL_REASONS = frozenset(getattr(Reason, name) for name in dir(Reason) if name.isupper())
