"""Who receives what is emitted, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import socketio
import structlog


class ConnectedOnly:
    """A mixin for client managers: a client that is still connecting receives no broadcast.

    Upstream puts a client into its rooms before the connect handler has accepted it, and delivers
    to it although it may yet be refused. What is sent to the client itself does reach it.
    """

    pending_connect: dict[str, list[str]]

    # Whether what a connect handler broadcasts reaches the very client that it is about. An adopted
    # app may greet its clients so, since upstream delivers it.
    greets_by_broadcast = False

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield the session ids, Socket.IO's and Engine.IO's, of those in a room.

        :param namespace: the namespace of the room.
        :param room: a room, a list of rooms, or nothing for everyone.
        """
        pending = self.pending_connect.get(namespace, ())
        for sid, eio_sid in super().get_participants(namespace, room):  # type: ignore[misc]
            if sid not in pending or room == sid or self._is_greeted(sid):
                yield sid, eio_sid

    def _is_greeted(self, sid: str) -> bool:
        if not self.greets_by_broadcast:
            return False
        current = structlog.contextvars.get_contextvars()
        return current.get("event_name") == "connect" and current.get("session") == sid


class LocalManager(ConnectedOnly, socketio.Manager):  # type: ignore[misc]
    """Delivers to the clients of this process, the only one there is."""
