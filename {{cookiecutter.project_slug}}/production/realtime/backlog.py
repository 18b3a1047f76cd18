"""How much waits to be sent to one client."""

from __future__ import annotations

from typing import Any

from engineio.packet import MESSAGE

from production.modes import BriefLock
from production.realtime.attachments import attachments_of


class Backlog:
    """Counts the messages that a session has been given and its client has not taken.

    :param max_messages: how many may wait.
    :param max_bytes: how many bytes they may have together.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._lock = BriefLock()
        self.messages = 0
        self.bytes = 0

    def admit(self, packet: Any) -> bool:
        """Count a packet in, if there is room for it.

        A single message may exceed the bytes, or none of its size could ever be sent.

        :param packet: an Engine.IO packet; one that is no message always has room.
        :return: whether it may be queued.
        """
        if packet.packet_type != MESSAGE:
            return True
        size = _size(packet)
        with self._lock:
            if self.messages >= self._max_messages:
                return False
            if self.messages and self.bytes + size > self._max_bytes:
                return False
            self.messages += 1
            self.bytes += size
            return True

    def release(self, packet: Any) -> None:
        """Count a packet out, when the client has taken it."""
        if packet.packet_type == MESSAGE:
            with self._lock:
                self.messages -= 1
                self.bytes -= _size(packet)


def _size(packet: Any) -> int:
    data = packet.data
    if not isinstance(data, str | bytes | bytearray):
        return 0
    if isinstance(data, str) and not data.isascii():
        data = data.encode()
    return len(data) + sum(map(len, attachments_of(packet)))
