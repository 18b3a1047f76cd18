"""Who receives what is emitted, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import socketio

from production.realtime.presence import LocalPresence


class ConnectedOnly:
    """A mixin for client managers: a client that is still connecting receives no broadcast.

    Upstream puts a client into its rooms before the connect handler has accepted it, and delivers
    to it although it may yet be refused. What is sent to the client itself does reach it.
    """

    pending_connect: dict[str, list[str]]

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Yield the session ids, Socket.IO's and Engine.IO's, of those in a room.

        :param namespace: the namespace of the room.
        :param room: a room, a list of rooms, or nothing for everyone.
        """
        pending = self.pending_connect.get(namespace, ())
        for sid, eio_sid in super().get_participants(namespace, room):  # type: ignore[misc]
            if sid not in pending or room == sid:
                yield sid, eio_sid

    def has_connecting(self, namespace: str, room: Any) -> bool:
        """Tell whether a client in a room is still connecting.

        :param namespace: the namespace of the room.
        :param room: a room.
        """
        pending = self.pending_connect.get(namespace)
        if not pending:
            return False
        participants = super().get_participants(namespace, room)  # type: ignore[misc]
        return any(sid in pending for sid, _ in participants)


class LocalManager(ConnectedOnly, socketio.Manager):  # type: ignore[misc]
    """Delivers to the clients of this process, the only one there is."""

    def __init__(self) -> None:
        super().__init__()
        self.presence = LocalPresence(self)

    def flush(self, seconds: float) -> None:
        """Wait until everything is published: there is nobody to publish to."""
