"""The events of one session that have arrived and are not handled yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from production.modes import AsyncMode, BriefLock
from production.observe.current import UNKNOWN_CLIENT, current_client

log = structlog.get_logger(__name__)

Handle = Callable[[], Any]
Next = Callable[[], Handle | None]

MAX_PENDING = 100
"""Events of one session that may wait or be handled; the client's next ones are not read before."""

PATIENCE = 0.01
"""Seconds between two looks whether there is room again."""

LONG = 0.5
"""Seconds after which a handler may be one that waits for what its client sends next."""

LAST_WORDS_TIME = 5.0
"""Seconds for which a client that has left is kept for the events that it sent before."""


class Inbox:
    """Starts the handlers of a session's events in the order in which the events were sent.

    Each has a green thread, which start in order.

    :param server: an Engine.IO server, which knows how its async mode starts a task.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        #: Whose events they are, for what the log is told of them.
        self.client = UNKNOWN_CLIENT
        self._tasks = 0
        # They are few, and an empty list is the smallest of what has an order.
        self._pending: list[Handle] = []
        self._lock = BriefLock()

    def put(self, handle: Handle) -> None:
        """Have an event handled; wait if too many of the session are pending.

        :param handle: what handles the event.
        """
        # Looking now and then costs the few that flood; a semaphore would cost each event of all.
        while len(self._pending) + self._tasks >= MAX_PENDING:
            self._server.sleep(PATIENCE)
        with self._lock:
            self._pending.append(handle)
            next_one = self._new_task()
        # Not before the lock is free, which the task takes first of all.
        self._start(next_one)

    def let_begin(self) -> None:
        """Let the handlers of what has arrived begin: the answer comes before the next wait."""
        if self._pending:
            self._server.sleep(0)

    def settle(self) -> None:
        """Let what a client has sent before it left find it still there; what has begun has found it."""

    def _new_task(self) -> Next | None:
        """Return what a task is to handle if one more is needed, which counts from now on."""
        self._tasks += 1
        return self._next

    def _start(self, next_one: Next | None) -> None:
        if next_one is not None:
            self._server.start_background_task(self._handle_pending, next_one)

    def _handle_pending(self, next_one: Next) -> None:
        current_client.set(self.client)
        while handle := next_one():
            try:
                handle()
            except Exception:
                log.exception("event handler failed")

    def _next(self) -> Handle | None:
        with self._lock:
            if self._pending:
                return self._pending.pop(0)
            self._tasks -= 1
            return None


class ThreadedInbox(Inbox):
    """Handles a session's events one after the other, as threads would overtake each other.

    Upstream starts a thread for each event at once, and a client that sends without pause has as many as it
    likes. A handler that takes long may loop until its client says stop: the next one begins beside it then.
    """

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        # Whose turn it is to handle the next one, if there is a thread that will.
        self._turn: object = None
        self._begun = 0
        self._is_watched = False

    def settle(self) -> None:
        """Let what a client has sent before it left find it still there: nobody knows how far threads are."""
        deadline = time.monotonic() + LAST_WORDS_TIME
        while self._tasks and time.monotonic() < deadline:
            self._server.sleep(PATIENCE)

    def _new_task(self) -> Next | None:
        if self._turn is None:
            return self._take_turn()
        if not self._is_watched:
            self._watch()
        return None

    def _take_turn(self) -> Next:
        self._tasks += 1
        self._turn = object()
        return partial(self._next_of, self._turn)

    def _next_of(self, turn: object) -> Handle | None:
        with self._lock:
            if self._turn is turn and self._pending:
                self._begun += 1
                return self._pending.pop(0)
            if self._turn is turn:
                self._turn = None
            self._tasks -= 1
            return None

    def _watch(self) -> None:
        self._is_watched = True
        self._server.timers.after(LONG, self._look, self._begun)

    def _look(self, begun: int) -> None:
        """Let the next event begin if the one before it has taken long."""
        with self._lock:
            is_long = self._begun == begun
            next_one = self._take_turn() if self._pending and is_long else None
            self._is_watched = False
            if self._pending:
                self._watch()
        self._start(next_one)


def open_inbox(server: Any) -> Inbox:
    """Return an inbox for one session.

    :param server: the Engine.IO server.
    """
    threaded = server.async_mode == AsyncMode.THREADING
    return (ThreadedInbox if threaded else Inbox)(server)
