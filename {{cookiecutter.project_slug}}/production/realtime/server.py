"""The Socket.IO server: it decides what reaches a handler, and what a handler's client is told.

This is the seam to :mod:`socketio`; see ``attaching.py`` for that to :mod:`flask_socketio`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

import flask
import socketio
import structlog
from socketio.packet import ACK, CONNECT, CONNECT_ERROR

from production.http.proxy import client_of
from production.observe import metrics
from production.observe.current import (
    UNKNOWN_CLIENT,
    CurrentEvent,
    current_client,
    current_event,
)
from production.observe.quality import Qualities
from production.process.forks import end_if_forked
from production.realtime import heartbeat
from production.realtime.engine import EngineServer
from production.realtime.errors import Rejected, error_answer
from production.realtime.greetings import Greetings
from production.realtime.manager import ConnectedOnly, emitted_in
from production.realtime.packets import MalformedPacket, StrictPacket, UnsendableAnswer
from production.realtime.reasons import ALL_REASONS, Reason
from production.realtime.rooms import check_room
from production.realtime.websocket import CLOSE_PROTOCOL_ERROR

log = structlog.get_logger(__name__)

EventWatcher = Callable[[str, str], AbstractContextManager[Any]]

LAYER_EVENTS = ("connect", "disconnect", heartbeat.EVENT)
"""Events that there are without a handler of the app."""


class Server(socketio.Server):  # type: ignore[misc]
    """A Socket.IO server that survives its clients.

    :param max_attachments: how many binary attachments one packet may have.
    :param connect_timeout: seconds that a session has to join its first namespace.
    :param options: as for :class:`socketio.Server` and
        :class:`~production.realtime.engine.EngineServer`.
    """

    # Upstream's
    packet_class: type[Any]

    def __init__(self, *, max_attachments: int, connect_timeout: float, **options: Any) -> None:
        super().__init__(**options)
        self.max_attachments = max_attachments
        self.connect_timeout = connect_timeout
        if issubclass(self.packet_class, StrictPacket):
            # An adopted app may have a serializer of its own.
            self.packet_class = self.packet_class.limited_to(max_attachments)
        self.qualities = Qualities()
        self._greetings = Greetings()
        #: Called with an event's namespace and name, for a context to handle it in.
        self.event_watchers: list[EventWatcher] = []
        #: Called with what a handler has raised.
        self.error_watchers: list[Callable[[Exception], None]] = []

    def may_open(self, namespace: str) -> bool:
        """Tell whether the layer may have a namespace, and say so if the app has one of that name.

        :param namespace: its name.
        """
        free = namespace not in self.handlers and namespace not in self.namespace_handlers
        if not free:
            log.warning(
                "the app has a namespace of its own where the layer's is", namespace=namespace
            )
        return free

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        """Dispatch a message, or end the session of a client that sends nonsense."""
        try:
            self._check_message(eio_sid, data)
            super()._handle_eio_message(eio_sid, data)
        except ValueError as error:
            # Upstream raises plain ValueErrors for packets that are out of place.
            self._binary_packet.pop(eio_sid, None)
            session = self.eio.sockets.get(eio_sid)
            if session is not None:
                session.end(Reason.MALFORMED, detail=str(error), code=CLOSE_PROTOCOL_ERROR)

    def _check_message(self, eio_sid: str, data: Any) -> None:
        """Refuse an empty packet, and count attachments towards the limit of their message."""
        pending = self._binary_packet.get(eio_sid)
        if pending is None:
            if not data:
                raise MalformedPacket("the packet is empty")
            return
        if pending.attachment_count > self.max_attachments:
            raise MalformedPacket("too many attachments")
        size = len(data) + sum(len(attachment) for attachment in pending.attachments)
        if size > self.eio.max_http_buffer_size:
            raise MalformedPacket("message too large")

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        upgrade = environ.get("HTTP_UPGRADE", "").lower()
        transport = "websocket" if upgrade == "websocket" else "polling"
        metrics.labelled(metrics.connects, transport).inc()
        super()._handle_eio_connect(eio_sid, environ)
        session = self.eio.sockets.get(eio_sid)
        # Flask-SocketIO's test client has none.
        if session is not None:
            session.address = client_of(environ)
            session.inbox.client = session.address or UNKNOWN_CLIENT
            self.eio.timers.after(self.connect_timeout, self._expect_namespace, eio_sid)

    def _expect_namespace(self, eio_sid: str) -> None:
        """End a session that has joined no namespace; one that has left its last may stay.

        So does Socket.IO's server for Node, with its ``connectTimeout``.
        """
        session = self.eio.sockets.get(eio_sid)
        if session is not None and session.public_id is None:
            session.end(Reason.CONNECT_TIMEOUT, detail="no namespace was joined")

    def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        namespace = namespace or "/"
        session = self.eio.sockets.get(eio_sid)
        environ = self.environ.get(eio_sid)
        if environ is None:
            # The client has left in the same payload.
            return
        self._greetings.expect(eio_sid, namespace)
        try:
            super()._handle_connect(eio_sid, namespace, data)
        except KeyError:
            if eio_sid in self.environ:
                raise
            # Another thread has ended the session before the app heard of it.
            sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
            if sid is not None:
                self.manager.disconnect(sid, namespace, ignore_queue=True)
        finally:
            self._greetings.forget(eio_sid, namespace)
        if session is not None and session.closing:
            self._let_go(eio_sid, namespace, session.end_reason, environ)
        else:
            self._note_connect(session, eio_sid, namespace, environ)

    def _note_connect(self, session: Any, eio_sid: str, namespace: str, environ: Any) -> None:
        """Count and log that a client has joined a namespace, or was refused."""
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        is_connected = self.manager.is_connected(sid, namespace)
        if not is_connected:
            known, _ = self.known_names(namespace, "connect")
            reason = "bad-namespace" if known is metrics.UNKNOWN else "handler"
            metrics.refused_connects.labels(reason).inc()
        # Flask-SocketIO's test client has none.
        if session is not None:
            if not is_connected:
                session.count_odd_packet("refused namespaces")
            session.public_id = session.public_id or sid
            log.info(
                "client connected" if is_connected else "client refused",
                session=session.public_id,
                namespace=namespace,
                transport=session.transport,
                address=environ.get("REMOTE_ADDR"),
            )

    def _let_go(self, eio_sid: str, namespace: str, reason: str | None, environ: Any) -> None:
        """Let a client leave a namespace whose connect handler has outlived the session."""
        # The app's disconnect handler is given it, and upstream has forgotten it already.
        self.environ.setdefault(eio_sid, environ)
        try:
            self._handle_disconnect(eio_sid, namespace, reason)
        finally:
            self.environ.pop(eio_sid, None)

    def _handle_disconnect(
        self, eio_sid: str, namespace: str | None, reason: str | None = None
    ) -> None:
        session = self.eio.sockets.get(eio_sid)
        if session is not None and reason == Reason.CLIENT_DISCONNECT:
            session.inbox.settle()
        super()._handle_disconnect(eio_sid, namespace, reason)

    def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        session = self.eio.sockets.get(eio_sid)
        client = current_client.set(session.inbox.client if session else UNKNOWN_CLIENT)
        try:
            self._disconnect(session, eio_sid, reason)
        finally:
            current_client.reset(client)

    def _disconnect(self, session: Any, eio_sid: str, reason: str) -> None:
        if session is not None:
            label = reason if reason in ALL_REASONS else metrics.UNKNOWN
            metrics.labelled(metrics.disconnects, label).inc()
            log.info(
                "client disconnected",
                session=session.public_id,
                reason=reason,
                detail=session.end_detail or None,
                transport=session.transport,
                seconds=round(time.monotonic() - session.opened_at, 3),
            )
        self._binary_packet.pop(eio_sid, None)
        super()._handle_eio_disconnect(eio_sid, reason)

    def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Emit an event to a client and wait for its answer.

        Upstream does so only where each event has a task that may wait. Here each has, and answers are
        taken in while it does.

        :param event: the event's name.
        :param data: its argument; its arguments if it is a tuple.
        :param to: the session id of the client.
        :param sid: the same, under its other name.
        :param namespace: the namespace; the default one if nothing is given.
        :param timeout: seconds to wait.
        :param ignore_queue: whether the client is one of this process.
        :return: what the client answers: nothing, one value or a tuple of several.
        :raises ValueError: if no client is named.
        :raises socketio.exceptions.TimeoutError: if it does not answer in time.
        """
        if to is None and sid is None:
            raise ValueError("Cannot use call() to broadcast.")
        answered = self.eio.create_event()
        answers: list[tuple[Any, ...]] = []

        def take(*answer: Any) -> None:
            answers.append(answer)
            answered.set()

        self.emit(
            event,
            data,
            room=to or sid,
            namespace=namespace,
            callback=take,
            ignore_queue=ignore_queue,
        )
        if not answered.wait(timeout):
            raise socketio.exceptions.TimeoutError
        answer = answers[0]
        return answer if len(answer) > 1 else next(iter(answer), None)

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Put a client into a room.

        :raises ValueError: if the room is ``None``.
        """
        check_room("join_room", room)
        super().enter_room(sid, room, namespace=namespace)

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Take a client out of a room.

        :raises ValueError: if the room is ``None``.
        """
        check_room("leave_room", room)
        super().leave_room(sid, room, namespace=namespace)

    def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take everyone out of a room.

        :raises ValueError: if the room is ``None``.
        """
        check_room("close_room", room)
        super().close_room(room, namespace=namespace)

    def _handle_ack(self, eio_sid: str, namespace: str | None, number: int, data: Any) -> None:
        """Pass an acknowledgement on, if somebody waits for it."""
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace or "/")
        # Upstream keeps what counts them among the callbacks, as number 0.
        if number and number in self.manager.callbacks.get(sid, ()):
            super()._handle_ack(eio_sid, namespace, number, data)
        elif (session := self.eio.sockets.get(eio_sid)) is not None:
            session.count_odd_packet("acknowledgements of nothing")

    def _handle_event_internal(self, server: Any, sid: str, eio_sid: str, *event: Any) -> None:
        handle = partial(self._handle_and_answer, server, sid, eio_sid, *event)
        session = self.eio.sockets.get(eio_sid)
        if session is None:
            handle()
        else:
            session.inbox.put(handle)

    def _handle_and_answer(
        self, server: Any, sid: str, eio_sid: str, data: Any, namespace: str, ack_id: int | None
    ) -> None:
        """Handle an event and acknowledge it, if need be with the error that there is no answer."""
        try:
            super()._handle_event_internal(server, sid, eio_sid, data, namespace, ack_id)
        except UnsendableAnswer as fault:
            outer = current_event.set(CurrentEvent(sid, data[0], namespace))
            try:
                log.error("event handler failed", exc_info=fault)
                metrics.handler_errors.labels(*self.known_names(namespace, data[0])).inc()
                answer = error_answer("internal", "The service failed to handle this event.")
            finally:
                current_event.reset(outer)
            acknowledgement = self.packet_class(ACK, [answer], namespace=namespace, id=ack_id)
            self._send_packet(eio_sid, acknowledgement)

    def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """Send a packet; whoever is told that it is connected is so for all threads."""
        send = super()._send_packet
        namespace = pkt.namespace or "/"
        if pkt.packet_type == CONNECT:
            self._accept(eio_sid, namespace, pkt.data["sid"], partial(send, eio_sid, pkt))
        elif pkt.packet_type == CONNECT_ERROR:
            if not isinstance(pkt.data, dict):
                # Upstream's answer to an unknown namespace, which leaves browsers without a message.
                pkt.data = {"message": "Invalid namespace"}
            send(eio_sid, pkt)
        elif not self._greetings.hold(eio_sid, namespace, send, pkt):
            send(eio_sid, pkt)

    def _accept(
        self, eio_sid: str, namespace: str, sid: str, send_connect: Callable[[], None]
    ) -> None:
        def tell() -> None:
            send_connect()
            self._greetings.deliver(eio_sid, namespace)

        if isinstance(self.manager, ConnectedOnly):
            self.manager.accept(sid, namespace, tell)
        else:
            tell()

    def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        """Send what is emitted, which is encoded once for all who receive it."""
        send = self.eio.send_packet
        if not self._greetings.hold(eio_sid, emitted_in(), send, eio_pkt):
            send(eio_sid, eio_pkt)

    def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        """Run a handler with the session, the event and a request id in each of its log records."""
        if event == "disconnect" and not self._disconnect_takes_reason(namespace):
            args = args[:-1]
        names = self.known_names(namespace, event)
        outer = current_event.set(CurrentEvent(args[0], event, namespace))
        started_at = time.perf_counter()
        try:
            if self.event_watchers:
                return self._carry_out_watched(names, event, namespace, *args)
            return self._carry_out(event, namespace, *args)
        finally:
            seconds = time.perf_counter() - started_at
            metrics.labelled(metrics.event_seconds, *names).observe(seconds)
            current_event.reset(outer)

    def _carry_out_watched(self, names: tuple[str, str], *event: Any) -> Any:
        with ExitStack() as watchers:
            for watch in self.event_watchers:
                watchers.enter_context(watch(*names))
            return self._carry_out(*event)

    def _carry_out(self, event: str, namespace: str, *args: Any) -> Any:
        if event == heartbeat.EVENT and not self._has_handler(event, namespace):
            return self._answer_heartbeat(namespace, *args)
        try:
            return super()._trigger_event(event, namespace, *args)
        finally:
            end_if_forked()
            if event == "disconnect":
                self.qualities.forget(args[0])

    def note_error(self, error: Exception) -> None:
        """Count what a handler raised, unless the handler has merely declined its event.

        :param error: what Flask-SocketIO has caught and not handled yet.
        """
        if isinstance(error, Rejected):
            return
        request: Any = flask.request
        names = self.known_names(request.namespace, request.event["message"])
        metrics.handler_errors.labels(*names).inc()
        for note in self.error_watchers:
            note(error)

    def known_names(self, namespace: str, event: Any) -> tuple[str, str]:
        """Return names for a namespace and an event that are the app's and not a client's invention."""
        handlers = self.handlers.get(namespace)
        by_class = self.namespace_handlers.get(namespace)
        if handlers is None and by_class is None:
            return metrics.UNKNOWN, metrics.UNKNOWN
        known = isinstance(event, str) and (
            event in LAYER_EVENTS or event in (handlers or ()) or hasattr(by_class, f"on_{event}")
        )
        return namespace, event if known else metrics.UNKNOWN

    def _has_handler(self, event: str, namespace: str) -> bool:
        handler, _ = self._get_event_handler(event, namespace, ())
        by_class, _ = self._get_namespace_handler(namespace, ())
        return handler is not None or hasattr(by_class, f"on_{event}")

    def _answer_heartbeat(self, namespace: str, sid: str, *arguments: Any) -> dict[str, Any]:
        acknowledgement, figures = heartbeat.answer(*arguments)
        if figures is not None:
            self.qualities.note(sid, figures)
            # Its disconnect handler may have run meanwhile, and would not run again.
            if not self.manager.is_connected(sid, namespace):
                self.qualities.forget(sid)
        return acknowledgement

    def _disconnect_takes_reason(self, namespace: str) -> bool:
        """Tell whether the disconnect handler wants the reason; before 5.5 it was not given one."""
        handler, _ = self._get_event_handler("disconnect", namespace, ())
        if handler is None:
            by_class, _ = self._get_namespace_handler(namespace, ())
            handler = getattr(by_class, "on_disconnect", None)
        return handler is None or _accepts_argument(handler)


def _accepts_argument(handler: Callable[..., Any]) -> bool:
    try:
        inspect.signature(handler).bind("reason")
    except TypeError:
        return False
    return True
