"""The official Socket.IO client, for tests that talk to an app as its users do."""

from __future__ import annotations

import queue
import threading
from typing import Any

import socketio

PATIENCE = 15.0


class Client(socketio.Client):  # type: ignore[misc]
    """The official client, remembering what it is sent."""

    def __init__(self, url: str, namespaces: list[str], options: dict[str, Any]) -> None:
        super().__init__(reconnection=False)
        self._received: dict[str, queue.Queue[Any]] = {}
        self._lock = threading.Lock()
        for namespace in namespaces:
            self.on("*", self._remember, namespace=namespace)
        self.connect(url, namespaces=namespaces, wait_timeout=PATIENCE, **options)

    def next(self, event: str) -> Any:
        """Wait for the next event of a name and return its first argument."""
        return self._events(event).get(timeout=PATIENCE)

    def _remember(self, event: str, *arguments: Any) -> None:
        self._events(event).put(arguments[0] if arguments else None)

    def _events(self, event: str) -> queue.Queue[Any]:
        with self._lock:
            return self._received.setdefault(event, queue.Queue())
