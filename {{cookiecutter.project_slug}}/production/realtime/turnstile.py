"""Lets a crowd in a few at a time, with a turn of the loop for everyone else in between.

Three thousand clients that come at once are no more work than three thousand that come one after the other,
but in a green mode they all are ready in the same turn of the loop: whoever else is served there, and asks
whether the process is well, waits until it has opened a session for each of them.
"""

from __future__ import annotations

from collections import deque
from typing import Any

AT_ONCE = 32
"""Sessions that are opened in one turn of the loop: some 30 ms."""

CROWD = AT_ONCE // 2
"""Sessions after which turns are told apart: that takes a task, and for fewer it is not worth one."""


class Turnstile:
    """Has those wait for the next turn of the loop who come when enough have passed in this one.

    :param server: an Engine.IO server, which knows how its async mode starts a task and waits.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._waiting: deque[Any] = deque()
        # How many have passed in this turn, or in several while they are no crowd.
        self._passed = 0

    def pass_through(self) -> None:
        """Wait for one's turn, in the order of arrival; operating-system threads take turns anyway."""
        if self._server.async_mode == "threading":
            return
        self._passed += 1
        if self._passed == CROWD:
            self._server.start_background_task(self._turn)
        if self._passed > AT_ONCE:
            turn = self._server.create_event()
            self._waiting.append(turn)
            turn.wait()

    def _turn(self) -> None:
        """Begin a new turn, and another one after it, until there is no crowd any more."""
        while True:
            self._passed = min(AT_ONCE, len(self._waiting))
            for _ in range(self._passed):
                self._waiting.popleft().set()
            if self._passed < CROWD:
                return
            self._server.sleep(0)
