"""What this process has emitted and the queue has not yet taken."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from production.observe import metrics

MAX_BYTES = 64_000_000
"""Bytes that may wait together, whatever the number of messages."""

BATCH_MESSAGES = 200
BATCH_BYTES = 1_000_000
"""What is published in one go. A hundred messages cost a fifth each of what one alone does; more
would only make one time-out cover more work."""


class Entry(NamedTuple):
    """A message that waits."""

    number: int
    put_at: float
    payload: str


class Outbox:
    """Messages in the order of their numbers, bounded: the oldest go first when there are too many.

    :param max_messages: how many may wait.
    :param max_age: seconds that one may wait.
    :param dumps: makes JSON of a message.
    """

    def __init__(
        self, max_messages: int, max_age: float, dumps: Callable[[dict[str, Any]], str]
    ) -> None:
        self._max_messages = max_messages
        self._max_age = max_age
        self._dumps = dumps
        self._entries: deque[Entry] = deque()
        self._lock = threading.Lock()
        self._bytes = 0
        self._last_number = 0
        #: How many went unpublished: too old, or too many.
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, message: dict[str, Any]) -> None:
        """Add a message, as it is now; never wait.

        :raises TypeError: if it cannot be written as JSON.
        """
        with self._lock:
            self._last_number += 1
            payload = self._dumps({**message, "number": self._last_number})
            self._entries.append(Entry(self._last_number, time.monotonic(), payload))
            self._bytes += len(payload)
            while len(self._entries) > self._max_messages or self._bytes > MAX_BYTES:
                self._drop()

    def batch(self) -> list[Entry]:
        """Return the messages that are to be published next; they stay until they were."""
        self.expire()
        batch: list[Entry] = []
        size = 0
        with self._lock:
            for entry in self._entries:
                size += len(entry.payload)
                if batch and (len(batch) == BATCH_MESSAGES or size > BATCH_BYTES):
                    break
                batch.append(entry)
        return batch

    def remove(self, batch: list[Entry]) -> None:
        """Forget messages that were published, those that were dropped meanwhile too."""
        with self._lock:
            while batch and self._entries and self._entries[0].number <= batch[-1].number:
                self._bytes -= len(self._entries.popleft().payload)

    def expire(self) -> None:
        """Drop what has waited for too long."""
        oldest = time.monotonic() - self._max_age
        with self._lock:
            while self._entries and self._entries[0].put_at < oldest:
                self._drop()

    def _drop(self) -> None:
        self._bytes -= len(self._entries.popleft().payload)
        self.dropped += 1
        metrics.queue_dropped.inc()
