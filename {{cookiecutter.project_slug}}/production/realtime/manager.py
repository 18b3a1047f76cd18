"""Who receives what is emitted, in this process."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextvars import ContextVar
from typing import Any

import socketio
from socketio.packet import EVENT

from production.modes import BriefLock
from production.observe import metrics
from production.observe.current import current_event
from production.realtime.presence import LocalPresence
from production.realtime.sendable import check_name

NOBODY: tuple[str, Container[str] | None] = ("", None)

# The namespace of the emit that is being carried out, and whom it leaves out.
_emit: ContextVar[tuple[str, Container[str] | None]] = ContextVar("emit", default=NOBODY)


def emitted_in() -> str:
    """Return the namespace of the emit that is being carried out; an empty text if there is none."""
    return _emit.get()[0]


class ConnectedOnly:
    """A mixin for client managers: a client that is still connecting receives no broadcast.

    Upstream puts a client into its rooms before the connect handler has accepted it, and delivers
    to it although it may yet be refused. What is sent to the client itself does reach it.
    """

    pending_connect: dict[str, list[str]]

    # Whether what a connect handler broadcasts reaches the very client that it is about. An adopted
    # app may greet its clients so, since upstream delivers it.
    greets_by_broadcast = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Upstream looks at a room, or at who is connecting, and then uses it. Where threads serve,
        # the last one may leave in between: whoever joins is then in a room that nobody finds, and
        # whoever connects fails.
        self._members_lock = BriefLock()

    def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Let a client in that its connect handler has yet to accept; return its session id."""
        with self._members_lock:
            sid: str | None = super().pre_connect(eio_sid, namespace)  # type: ignore[misc]
        return sid

    def accept(self, sid: str, namespace: str, tell: Callable[[], None]) -> None:
        """Tell a client that it was accepted, while nothing is broadcast.

        Upstream tells it first. What another thread broadcasts before it is accepted as well passes over
        a client that knows that it is connected.

        :param sid: its session id.
        :param namespace: the namespace.
        :param tell: sends it the packet; it must not wait for the client.
        """
        with self._members_lock:
            tell()
            self.connect(sid, namespace)

    def connect(self, sid: str, namespace: str) -> str | None:
        """Say that a client was accepted, if that has not been said; return its session id."""
        with self._members_lock:
            if self.is_connected(sid, namespace):
                return sid
            accepted: str | None = super().connect(sid, namespace)  # type: ignore[misc]
        return accepted

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Tell whether a client waits to be accepted."""
        with self._members_lock:
            waits: bool = super().is_pre_connected(sid, namespace)  # type: ignore[misc]
        return waits

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Tell whether a client was accepted and has not begun to leave."""
        with self._members_lock:
            connected: bool = super().is_connected(sid, namespace)  # type: ignore[misc]
        return connected

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Say that a client begins to leave; return Engine.IO's session id."""
        with self._members_lock:
            eio_sid: str | None = super().pre_disconnect(sid, namespace)  # type: ignore[misc]
        return eio_sid

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield the session ids, Socket.IO's and Engine.IO's, of those in a room.

        :param namespace: the namespace of the room.
        :param room: a room, a list of rooms, or nothing for everyone.
        """
        with self._members_lock:
            members = list(super().get_participants(namespace, room))  # type: ignore[misc]
            pending = frozenset(self.pending_connect.get(namespace, ()))
        _, left_out = _emit.get()
        recipients = 0
        for sid, eio_sid in members:
            if sid not in pending or room == sid or self._is_greeted(sid):
                if left_out is not None and sid not in left_out:
                    recipients += 1
                yield sid, eio_sid
        # Once for all of them: this is the busiest loop of the service.
        if recipients:
            metrics.deliveries.inc(recipients)

    def has_connecting(self, namespace: str, room: Any) -> bool:
        """Tell whether a client in a room is still connecting.

        :param namespace: the namespace of the room.
        :param room: a room.
        """
        pending = self.pending_connect.get(namespace)
        if not pending:
            return False
        with self._members_lock:
            members = list(super().get_participants(namespace, room))  # type: ignore[misc]
        return any(sid in pending for sid, _ in members)

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        """Return the rooms that a client is in."""
        with self._members_lock:
            rooms: list[str] = super().get_rooms(sid, namespace)  # type: ignore[misc]
        return rooms

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        """Put a client into a room.

        :raises KeyError: if it is not connected.
        """
        with self._members_lock:
            super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)  # type: ignore[misc]

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        """Take a client out of a room."""
        with self._members_lock:
            super().basic_leave_room(sid, namespace, room)  # type: ignore[misc]

    def basic_disconnect(self, sid: str, namespace: str, **options: Any) -> None:
        """Take a client out of all rooms."""
        with self._members_lock:
            super().basic_disconnect(sid, namespace, **options)  # type: ignore[misc]

    def _is_greeted(self, sid: str) -> bool:
        if not self.greets_by_broadcast:
            return False
        event = current_event.get()
        return event is not None and event.name == "connect" and event.session == sid


class CountedDelivery(socketio.Manager):  # type: ignore[misc]
    """What delivers to the clients of this process, whichever process has emitted."""

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **options: Any,
    ) -> None:
        """Send to those clients, and count them.

        :raises Unsendable: if clients could not read it, whether or not there are any.
        """
        check_name(event)
        if namespace not in self.rooms:
            self._encode(event, data, namespace)
            return
        left_out = skip_sid if isinstance(skip_sid, list) else (skip_sid,)
        emit = _emit.set((namespace, left_out))
        try:
            super().emit(event, data, namespace, room, skip_sid, callback, to, **options)
        finally:
            _emit.reset(emit)

    def _encode(self, event: str, data: Any, namespace: str) -> None:
        arguments = list(data) if isinstance(data, tuple) else [data]
        self.server.packet_class(EVENT, [event, *arguments], namespace=namespace).encode()


class LocalManager(ConnectedOnly, CountedDelivery):
    """Delivers to the clients of this process, the only one there is."""

    def __init__(self) -> None:
        super().__init__()
        self.presence = LocalPresence(self)

    def emit(self, *arguments: Any, **options: Any) -> None:
        """Emit to the clients of this process."""
        metrics.emits.inc()
        super().emit(*arguments, **options)

    def flush(self, seconds: float) -> None:
        """Wait until everything is published: there is nobody to publish to."""
