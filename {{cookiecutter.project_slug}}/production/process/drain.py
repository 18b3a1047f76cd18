"""Close the sessions of a process that is about to leave, without a storm of reconnections."""

from __future__ import annotations

import random
import time
from typing import Any

from production.realtime.reasons import Reason
from production.realtime.websocket import CLOSE_SERVICE_RESTART

CLOSES_PER_SECOND = 200
"""How fast sessions are closed, as long as the time allows: their clients come back at once."""

END_TIME = 1.0
"""Seconds that the disconnect handlers have."""

PAUSE = 0.02
"""Seconds between two looks whether they are done."""

FLUSH_TIME = 1.0
"""Seconds that the message queue has to take what was emitted to other processes."""


def drain(app: Any, log: Any) -> None:
    """Refuse new sessions and close the open ones.

    Not by Socket.IO's own disconnect, from which JavaScript clients do not come back: the transport
    is closed under them, and they reconnect.

    :param app: the WSGI application; one without the layer has nothing to drain.
    :param log: gunicorn's logger.
    """
    state = getattr(app, "extensions", {}).get("production")
    if state is None:
        return
    server = state.socketio.server
    server.eio.draining = True
    sessions = list(server.eio.sockets.values())
    random.shuffle(sessions)
    window = min(state.settings.drain_seconds, len(sessions) / CLOSES_PER_SECOND)
    started_at = time.monotonic()
    for number, session in enumerate(sessions):
        server.sleep(max(0.0, started_at + window * number / len(sessions) - time.monotonic()))
        session.end(Reason.DRAINING, code=CLOSE_SERVICE_RESTART)
    _await_ends(server.eio)
    # What the disconnect handlers had to say, and the last answers before them.
    flush = getattr(server.manager, "flush", None)  # that of an adopted app may be upstream's
    if flush is not None:
        flush(FLUSH_TIME)
    log.info("Closed %d sessions in %.1f s", len(sessions), time.monotonic() - started_at)


def _await_ends(engine: Any) -> None:
    """Wait until every session has left the table, which each does after its disconnect handler."""
    deadline = time.monotonic() + END_TIME
    while engine.sockets and time.monotonic() < deadline:
        engine.sleep(PAUSE)
