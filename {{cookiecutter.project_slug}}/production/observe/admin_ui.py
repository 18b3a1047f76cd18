"""The Socket.IO Admin UI (https://socket.io/docs/v4/admin-ui/), which python-socketio can feed.

This is the seam to :mod:`socketio.admin`. Upstream's own takes a password as often as anyone likes,
and counts by a method that this layer's WebSockets do not have, so that none would open.
"""

from __future__ import annotations

from typing import Any

from socketio.admin import InstrumentedServer

from production.http.proxy import counted_address
from production.observe.door import Door
from production.realtime.frames import Message
from production.realtime.websocket import WebSocket
from production.settings import AdminUi
from production.state import ServiceState

NAMESPACE = "/admin"


class InstrumentedService(InstrumentedServer):  # type: ignore[misc]
    """Tells Admin UIs of a server of this layer.

    :param server: the Socket.IO server.
    :param door: what decides by the password who is let in; the user name is anyone's.
    :param options: as for :meth:`socketio.Server.instrument`, but for ``auth``.
    """

    # Upstream's
    event_buffer: Any
    stop_stats_event: Any
    stats_task: Any

    def __init__(self, server: Any, door: Door, **options: Any) -> None:
        self._door = door
        # Upstream is not to ask again after admin_connect has.
        super().__init__(server, auth=False, namespace=NAMESPACE, **options)
        # Upstream begins with the first session: a process that has none yet would not be seen.
        self.stop_stats_event = server.eio.create_event()
        self.stats_task = server.start_background_task(self._emit_server_stats)

    def admin_connect(self, sid: str, environ: dict[str, Any], client_auth: Any = None) -> None:
        """Let an Admin UI in.

        :raises ConnectionRefusedError: saying why not.
        """
        password = client_auth.get("password") if isinstance(client_auth, dict) else None
        self._door.enter(password, counted_address(environ))
        super().admin_connect(sid, environ, client_auth)

    # Upstream makes it a method of the session, and gives it this object behind the session.
    def _eio_websocket_handler(session: Any, self: Any, ws: WebSocket) -> Any:
        """Count what goes over a WebSocket, then serve it."""
        self._count_messages(ws)
        return session._InstrumentedServer__websocket_handler(ws)

    def _count_messages(self, ws: WebSocket) -> None:
        receive, send_frames, send_now = ws.receive, ws.send_frames, ws.send_now

        def counted_receive() -> Message | None:
            message = receive()
            self._count("In", message or "")
            return message

        def counted_send_frames(frames: bytes) -> None:
            self._count("Out", frames)
            send_frames(frames)

        def counted_send_now(frames: bytes) -> bool:
            sent = send_now(frames)
            if sent:
                self._count("Out", frames)
            return sent

        ws.receive = counted_receive  # type: ignore[method-assign]
        ws.send_frames = counted_send_frames  # type: ignore[method-assign]
        ws.send_now = counted_send_now  # type: ignore[method-assign]

    def _count(self, direction: str, message: Message) -> None:
        self.event_buffer.push(f"packets{direction}")
        self.event_buffer.push(f"bytes{direction}", len(message))


def open_to_admin_uis(state: ServiceState, door: Door) -> None:
    """Tell Admin UIs what the settings allow them to know.

    :param state: the process.
    :param door: what decides who is let in.
    """
    mode, server = state.settings.admin_ui, state.socketio.server
    if mode is not AdminUi.OFF and server.may_open(NAMESPACE):
        InstrumentedService(server, door, mode=str(mode), read_only=mode is AdminUi.PRODUCTION)
