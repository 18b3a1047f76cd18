"""The events of one session that have arrived and are not handled yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from production.modes import AsyncMode, BriefLock
from production.observe.current import UNKNOWN_CLIENT, current_client

log = structlog.get_logger(__name__)

MAX_PENDING = 100
"""Events of one session that may wait or be handled; the client's next ones are not read before."""

PATIENCE = 0.01
"""Seconds between two looks whether there is room again."""

LAST_WORDS_TIME = 5.0
"""Seconds for which a client that has left is kept for the events that it sent before."""


class Inbox:
    """Starts the handlers of a session's events in the order in which the events were sent.

    Upstream starts a task for each event at once. Operating-system threads then overtake each other,
    and a client that sends without pause has as many of them as it likes.

    :param server: a Socket.IO server, which knows how its async mode starts a task.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        #: Whose events they are, for what the log is told of them.
        self.client = UNKNOWN_CLIENT
        # Green threads start in order; of the others, one at a time keeps it.
        self._most_tasks = 1 if server.async_mode == AsyncMode.THREADING else MAX_PENDING
        self._tasks = 0
        # They are few, and an empty list is the smallest of what has an order.
        self._pending: list[Callable[[], Any]] = []
        self._lock = BriefLock()

    def put(self, handle: Callable[[], Any]) -> None:
        """Have an event handled; wait if too many of the session are pending.

        :param handle: what handles the event.
        """
        # Looking now and then costs the few that flood; a semaphore would cost each event of all.
        while len(self._pending) + self._tasks >= MAX_PENDING:
            self._server.sleep(PATIENCE)
        with self._lock:
            self._pending.append(handle)
            if self._tasks == self._most_tasks:
                return
            self._tasks += 1
        self._server.start_background_task(self._handle_pending)

    def let_begin(self) -> None:
        """Let the handlers of what has arrived begin: the answer comes before the next wait."""
        if self._pending:
            self._server.sleep(0)

    def settle(self) -> None:
        """Let what a client has sent before it left find it still there.

        A green thread that has begun has found it. Of operating-system threads nobody knows how far they
        are, so they have some time to finish.
        """
        if self._server.async_mode == AsyncMode.THREADING:
            deadline = time.monotonic() + LAST_WORDS_TIME
            while self._tasks and time.monotonic() < deadline:
                self._server.sleep(PATIENCE)

    def _handle_pending(self) -> None:
        current_client.set(self.client)
        while handle := self._next():
            try:
                handle()
            except Exception:
                log.exception("event handler failed")

    def _next(self) -> Callable[[], Any] | None:
        with self._lock:
            if self._pending:
                return self._pending.pop(0)
            self._tasks -= 1
            return None
