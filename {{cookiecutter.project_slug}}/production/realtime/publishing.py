"""What is on its way to the stream: messages whose publishers wait for them."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque

from production.realtime.updates import Encoded, size_of

MAX_WAITING = 1000
"""Messages that may wait; while the stream cannot be reached, further ones are declined at once."""

BATCH = 100
"""Messages that are sent together at most."""


class Message:
    """An update that a publisher waits for.

    :param channel: its channel.
    :param encoded: its data.
    :param message_id: what makes a repetition recognisable; one is drawn if there is none, so that
        it can always be tried again.
    :param timeout: seconds that the publisher waits.
    :raises UnicodeEncodeError: if the channel or the id holds half a character.
    """

    def __init__(
        self, channel: str, encoded: Encoded, message_id: str | None, timeout: float
    ) -> None:
        # What cannot be written is the publisher's own mistake, not that of all who publish now.
        self.channel = channel.encode()
        self.id = (message_id or uuid.uuid4().hex).encode()
        self.encoded = encoded
        self.size = size_of(encoded)
        #: Its number; 0 if it was declined.
        self.sequence = 0
        self._deadline = time.monotonic() + timeout
        self._settled = threading.Event()

    @property
    def is_awaited(self) -> bool:
        """Whether its publisher still waits."""
        return time.monotonic() < self._deadline

    def settle(self, sequence: int) -> None:
        """Tell the publisher the number."""
        self.sequence = sequence
        self._settled.set()

    def wait(self) -> bool:
        """Wait until it is settled; return whether that came in time."""
        return self._settled.wait(max(0.0, self._deadline - time.monotonic()))


class AwaitedMessages:
    """Messages in the order in which they are to be published.

    :param max_bytes: how large they may be together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def put(self, message: Message) -> bool:
        """Add a message, if there is room; return whether there was."""
        with self._changed:
            full = len(self._messages) >= MAX_WAITING or self._bytes > self._max_bytes
            if not full:
                self._messages.append(message)
                self._bytes += message.size
                self._changed.notify()
        return not full

    def take(self, timeout: float | None = None) -> list[Message]:
        """Wait for messages and take the first ones, not more than may travel together.

        :param timeout: seconds to wait at most.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._messages, timeout)
            taken: list[Message] = []
            size = 0
            while self._messages and len(taken) < BATCH and size <= self._max_bytes // 10:
                message = self._messages.popleft()
                taken.append(message)
                size += message.size
            self._bytes -= size
        return taken
