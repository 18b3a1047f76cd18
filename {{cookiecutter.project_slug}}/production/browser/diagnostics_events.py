"""The events of the page ``/diagnostics``, in a namespace of their own.

Whoever the origin check lets in may join, unless the app has a connect handler for all namespaces:
nothing here reaches the app, and nothing is told but what concerns the asking client. Each session may
ask a bounded number of questions.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import request
from pydantic import BaseModel, Field

from production.realtime.errors import Rejected, answer_error
from production.realtime.queue import QueueManager
from production.realtime.reasons import Reason
from production.realtime.validation import parse
from production.state import ServiceState

NAMESPACE = "/diagnostics"

QUESTIONS_PER_SESSION = 20
"""Several times as many as the page asks of one session, heartbeats aside: every session has those."""


class Delivery(BaseModel):
    """Whom a message is for.

    :param to: the id that the other session was given in this namespace, and only it knows.
    """

    to: str = Field(min_length=1, max_length=64)


class Answers:
    """Answers what the page asks.

    :param state: the process to speak of.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._questions: Counter[str] = Counter()

    def greet(self) -> dict[str, Any]:
        """Say which process this is, and what a client has to know of the service."""
        self._count()
        settings = self._state.settings
        return {
            "ok": True,
            "process": self._state.process,
            "workers": settings.web_concurrency,
            "message_queue": isinstance(self._state.socketio.server.manager, QueueManager),
            "ping_interval": settings.ping_interval,
        }

    def deliver(self, *arguments: Any) -> dict[str, Any]:
        """Send the session that is named a message, wherever it is."""
        self._count()
        self._state.socketio.emit(
            "delivered",
            {"process": self._state.process},
            namespace=NAMESPACE,
            to=parse(Delivery, *arguments).to,
        )
        return {"ok": True}

    def upgrade_seen(self) -> dict[str, Any]:
        """Say what came of this session's request for a WebSocket, if one came."""
        self._count()
        session = self._session()
        return {"ok": True, "arrived": session.upgrade_arrived if session else None}

    def drop(self) -> None:
        """Cut the connection under the asking session, without a goodbye of Socket.IO."""
        self._count()
        session = self._session()
        if session is not None:
            session.end(Reason.SERVER_DISCONNECT, detail="asked for by /diagnostics")

    def forget(self, *reason: Any) -> None:
        """Clean up after a session."""
        self._questions.pop(_asking(), None)

    def _count(self) -> None:
        sid = _asking()
        self._questions[sid] += 1
        if self._questions[sid] > QUESTIONS_PER_SESSION:
            raise Rejected("too_many", "This session has asked enough: open another one.")
        # Its disconnect handler may have run meanwhile, and would not run again.
        if not self._state.socketio.server.manager.is_connected(sid, NAMESPACE):
            self.forget()

    def _session(self) -> Any:
        server = self._state.socketio.server
        return server.eio.sockets.get(server.manager.eio_sid_from_sid(_asking(), NAMESPACE))


def register(state: ServiceState) -> None:
    """Answer in the namespace, unless the app has one of that name.

    :param state: the process to speak of.
    """
    socketio = state.socketio
    if not socketio.server.may_open(NAMESPACE):
        return
    answers = Answers(state)
    for handler in (answers.greet, answers.deliver, answers.upgrade_seen, answers.drop):
        socketio.on_event(handler.__name__, handler, namespace=NAMESPACE)
    socketio.on_event("disconnect", answers.forget, namespace=NAMESPACE)
    socketio.on_error(NAMESPACE)(answer_error)


def _asking() -> str:
    sid: str = request.sid  # type: ignore[attr-defined]
    return sid
