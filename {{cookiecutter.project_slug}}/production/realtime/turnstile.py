"""Lets a crowd in a few at a time, with a turn of the loop for everyone else in between.

Three thousand clients that come at once are no more work than three thousand that come one after the other,
but in a green mode they all are ready in the same turn of the loop: whoever else is served there, and asks
whether the process is well, waits until it has opened a session for each of them.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

AT_ONCE = 32
"""Sessions that are opened in one turn of the loop: some 30 ms."""

PERIOD = 0.05
"""Seconds in which so many may pass without waiting for a turn."""


class Turnstile:
    """Has those wait for the next turn of the loop who come when enough have passed in this one.

    :param server: an Engine.IO server, which knows how its async mode starts a task and waits.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._waiting: deque[Any] = deque()
        self._since = 0.0
        self._passed = 0
        self._is_turning = False

    def pass_through(self) -> None:
        """Wait for one's turn, in the order of arrival; operating-system threads take turns anyway."""
        if self._server.async_mode == "threading" or self._has_room():
            return
        turn = self._server.create_event()
        self._waiting.append(turn)
        if not self._is_turning:
            self._is_turning = True
            self._server.start_background_task(self._turn)
        turn.wait()

    def _has_room(self) -> bool:
        if self._waiting:
            return False
        now = time.monotonic()
        if now - self._since > PERIOD:
            self._since, self._passed = now, 0
        self._passed += 1
        return self._passed <= AT_ONCE

    def _turn(self) -> None:
        while self._waiting:
            self._server.sleep(0)
            for _ in range(min(AT_ONCE, len(self._waiting))):
                self._waiting.popleft().set()
        self._is_turning = False
