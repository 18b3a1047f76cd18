"""The Engine.IO server: which requests reach a session, and which are answered at the door.

This is the seam to :mod:`engineio.server`; see ``session.py`` for the sessions themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

import engineio
import engineio.socket
import structlog
from werkzeug.exceptions import RequestTimeout

from production.http.proxy import client_of
from production.observe import metrics
from production.realtime.admission import Admission
from production.realtime.reasons import Reason
from production.realtime.session import Session
from production.realtime.timers import Timers
from production.realtime.turnstile import Turnstile
from production.realtime.websocket import (
    CLOSE_PROTOCOL_ERROR,
    StartResponse,
    WebSocket,
    asks_for_websocket,
    handshake_fault,
)

log = structlog.get_logger(__name__)

RETRY_AFTER = 1
"""Seconds after which a client that found no room may try again, perhaps elsewhere."""

HEADERS = {
    HTTPStatus.SERVICE_UNAVAILABLE: [("Retry-After", str(RETRY_AFTER))],
    # RFC 6455, section 4.4.
    HTTPStatus.UPGRADE_REQUIRED: [("Sec-WebSocket-Version", "13")],
}
"""What a client is told beside the status."""

METHODS = ("GET", "POST", "OPTIONS")
"""What there is at the endpoint: polls, what clients send, and browsers' questions before either."""

# What a client may do wrong that its owner should hear of, once: the page is dead without a fix.
WORTH_A_WARNING = {
    "bad-origin": "A page of another origin was refused: add its origin to ALLOWED_ORIGINS "
    "if it is yours",
    "bad-version": "A client of Socket.IO 2 or older was refused: update the page's client "
    "library to 4",
}

# For what a client is turned away: by Engine.IO, under its own names, and by this layer.
REFUSED_UPSTREAM = ("bad-origin", "bad-sid", "bad-transport", "bad-upgrade", "bad-version")
REFUSED = (
    *REFUSED_UPSTREAM,
    *(
        "address-full",
        "address-rate",
        "bad-handshake",
        "bad-namespace",
        "draining",
        "full",
        "handler",
    ),
)


class EngineServer(engineio.Server):  # type: ignore[misc]
    """An Engine.IO server with bounded sessions.

    :param max_sessions: how many sessions may be open.
    :param sessions_per_address: how many of them the clients of one address may have.
    :param handshakes_per_address: how many these may open in a second.
    :param max_queued_messages: how many messages may wait for one client.
    :param max_queued_bytes: how many bytes may wait for one client.
    :param options: as for :class:`engineio.Server`.
    """

    session_class = Session

    # Upstream's
    _async: dict[str, Any]

    def __init__(
        self,
        *,
        max_sessions: int,
        sessions_per_address: int,
        handshakes_per_address: int,
        max_queued_messages: int,
        max_queued_bytes: int,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.max_sessions = max_sessions
        self.max_queued_messages = max_queued_messages
        self.max_queued_bytes = max_queued_bytes
        self._turnstile = Turnstile(self)
        self.admission = Admission(sessions_per_address, handshakes_per_address)
        self.draining = False
        #: What the ids of this process's sessions begin with, see production/process/identity.py.
        self.id_prefix = ""
        #: The path at which requests for sessions arrive.
        self.endpoint = "/socket.io/"
        self.timers = Timers(self)
        # Timers end dead sessions on time, and a session that ends leaves the table by itself.
        self.start_service_task = False
        self._async = {**self._async, "websocket": WebSocket}
        # Upstream makes its sessions of this one name.
        engineio.socket.Socket = Session

    def generate_id(self) -> str:
        """Draw an id, of a session of Engine.IO or of Socket.IO, that names this process.

        Requests are routed by the former. In the log, the latter tells where its session was.
        """
        return self.id_prefix + str(super().generate_id())

    def handle_request(self, environ: dict[str, Any], start_response: StartResponse) -> Any:
        """Answer at the door what must not reach a session, hand on the rest."""
        query = parse_qs(environ.get("QUERY_STRING", ""))
        sid = query.get("sid", [None])[0]
        session = self.sockets.get(sid)
        is_upgrade = asks_for_websocket(environ)
        if session is not None and query.get("transport") == ["websocket"]:
            session.upgrade_arrived = is_upgrade
        if fault := _request_fault(environ, query) or (is_upgrade and _upgrade_fault(environ)):
            return _answer(start_response, fault, HEADERS.get(fault, ()))
        if _content_length(environ) > self.max_http_buffer_size:
            return self._refuse_body(session, start_response)
        if is_upgrade and session is not None and session.has_websocket:
            return WebSocket(_refuse_another, self)(environ, start_response)
        if sid is None and (self.draining or len(self.sockets) >= self.max_sessions):
            metrics.refused_connects.labels("draining" if self.draining else "full").inc()
            status = HTTPStatus.SERVICE_UNAVAILABLE
            return _answer(start_response, status, HEADERS[status])
        if not is_upgrade:
            # Upstream looks at this one only, and would serve a WebSocket's request as a poll.
            environ.pop("HTTP_UPGRADE", None)
        if environ["REQUEST_METHOD"] == "POST" and session is not None:
            try:
                body = environ["wsgi.input"].read(_content_length(environ))
            except RequestTimeout:
                session.end(Reason.TRANSPORT_ERROR, detail="a request came too slowly")
                return _answer(start_response, HTTPStatus.REQUEST_TIMEOUT)
            environ["wsgi.input"] = BytesIO(body)
        return super().handle_request(environ, start_response)

    def _ok(self, packets: Any = None, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Answer a request; what was posted gets the protocol's answer, in its letters."""
        answer: dict[str, Any] = super()._ok(packets, *arguments, **options)
        if packets is None:
            answer["response"] = b"ok"
        return answer

    def _handle_connect(
        self,
        environ: dict[str, Any],
        start_response: StartResponse,
        transport: str,
        jsonp_index: int | None = None,
    ) -> Any:
        """Open a session, unless its client's address has too many or opens them too fast."""
        refusal = self.admission.enter(client_of(environ))
        if refusal is None:
            self._turnstile.pass_through()
            return super()._handle_connect(environ, start_response, transport, jsonp_index)
        metrics.refused_connects.labels(refusal.reason).inc()
        status = HTTPStatus.TOO_MANY_REQUESTS
        return {
            "status": f"{status.value} {status.phrase}",
            "headers": [
                ("Content-Type", "text/plain"),
                ("Retry-After", str(refusal.retry_after)),
            ],
            "response": status.phrase.encode(),
        }

    def later(
        self, seconds: float, sid: str, function: Callable[..., None], *arguments: Any
    ) -> None:
        """Call a method of a session after a delay, unless it has ended; this does not keep it.

        Sessions that come and go fast would otherwise be kept by the hundred until their pings were due.

        :param seconds: the delay.
        :param sid: the Engine.IO session id.
        :param function: what to call with the session, and with ``arguments``.
        """
        self.timers.after(seconds, self._call, sid, function, *arguments)

    def _call(self, sid: str, function: Callable[..., None], *arguments: Any) -> None:
        session = self.sockets.get(sid)
        if session is not None:
            function(session, *arguments)

    def _refuse_body(
        self, session: Session | None, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Refuse a body unread: upstream waits for ever for its session's queue to be taken."""
        if session is not None:
            session.end(Reason.MALFORMED, detail="message too large")
        return _answer(start_response, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def _log_error_once(self, message: str, message_key: str) -> None:
        """Say it once if the service's owner can do something about it, and never otherwise."""
        if message_key in REFUSED_UPSTREAM:
            metrics.refused_connects.labels(message_key).inc()
        if message_key in WORTH_A_WARNING and message_key not in self.log_message_keys:
            self.log_message_keys.add(message_key)
            log.warning(WORTH_A_WARNING[message_key], detail=message)
        else:
            self.logger.info(message)


def _request_fault(environ: dict[str, Any], query: dict[str, list[str]]) -> HTTPStatus | None:
    """Return the status that a request gets which is none of the protocol's, if it is none."""
    method = environ["REQUEST_METHOD"]
    if method == "POST" and "HTTP_TRANSFER_ENCODING" in environ:
        # Upstream would read none of it, and acknowledge it.
        return HTTPStatus.LENGTH_REQUIRED
    if "transport" not in query or method not in METHODS:
        metrics.refused_connects.labels("bad-transport").inc()
        return HTTPStatus.BAD_REQUEST
    return None


def _upgrade_fault(environ: dict[str, Any]) -> HTTPStatus | None:
    fault = handshake_fault(environ)
    if fault is not None:
        metrics.refused_connects.labels("bad-handshake").inc()
    return fault


def _refuse_another(websocket: WebSocket) -> None:
    """End the second WebSocket of a session, which has to be open to hear why."""
    websocket.close(CLOSE_PROTOCOL_ERROR, "the session has a WebSocket already")


def _content_length(environ: dict[str, Any]) -> int:
    length = environ.get("CONTENT_LENGTH", "")
    return int(length) if length.isdecimal() else 0


def _answer(
    start_response: StartResponse, status: HTTPStatus, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    body = status.phrase.encode()
    start_response(
        f"{status.value} {status.phrase}",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers],
    )
    return [body]
