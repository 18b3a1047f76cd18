"""What is sent to a client before it is told that it is connected.

Clients drop such events, or take them before their own ``connect``: Socket.IO protocol, revision 5, section
"Connection to a namespace". Upstream sends what a connect handler emits at once, and CONNECT when it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from production.modes import BriefLock

Send = Callable[[str, Any], None]


class Greetings:
    """Holds what is sent to clients whose connect handlers have not returned yet."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], list[tuple[Send, Any]]] = {}
        self._lock = BriefLock()

    def expect(self, eio_sid: str, namespace: str) -> None:
        """Hold what is sent to a client in a namespace from now on.

        :param eio_sid: its Engine.IO session id.
        :param namespace: the namespace that it joins.
        """
        with self._lock:
            self._held[eio_sid, namespace] = []

    def hold(self, eio_sid: str, namespace: str, send: Send, packet: Any) -> bool:
        """Hold a packet for a client, unless it knows already that it is connected.

        :param eio_sid: its Engine.IO session id.
        :param namespace: the packet's namespace.
        :param send: sends it, called with the session id and the packet.
        :param packet: the packet.
        :return: whether it is held.
        """
        if not self._held:
            return False
        with self._lock:
            held = self._held.get((eio_sid, namespace))
            if held is None:
                return False
            held.append((send, packet))
            return True

    def deliver(self, eio_sid: str, namespace: str) -> None:
        """Send a client what was held, in order, and hold no more.

        :param eio_sid: its Engine.IO session id.
        :param namespace: the namespace that it has joined.
        """
        with self._lock:
            for send, packet in self._held.get((eio_sid, namespace), ()):
                send(eio_sid, packet)
            self.forget(eio_sid, namespace)

    def forget(self, eio_sid: str, namespace: str) -> None:
        """Drop what was held for a client, and hold no more.

        :param eio_sid: its Engine.IO session id.
        :param namespace: the namespace that it was refused, or has joined.
        """
        with self._lock:
            self._held.pop((eio_sid, namespace), None)
