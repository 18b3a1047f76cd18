"""The loop is shared by time: what one connection may do before the others have their turn.

In the green modes nobody is interrupted. A connection whose peer always has more to read never waits, and
would keep the loop for itself. So whatever works off what a client sends looks at a :class:`Turn`
between two pieces of work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from production.modes import AsyncMode

TURN = 0.002
"""Seconds that a connection may work while others wait. An answer takes three or four passes of the
loop, so that with five connections that work without pause it comes within some 40 ms."""

NEXT_PASS = 1e-9
"""Seconds that gevent sleeps until the next pass of its loop. If they were none, it would go on with what
is ready, up to a thousand times, before it looks at a socket: see :func:`gevent.sleep`."""


class Turn:
    """The turn of one connection.

    :param mode: the async mode.
    """

    __slots__ = ("_checked_at", "_ends", "_give_way")

    def __init__(self, mode: str) -> None:
        self._give_way = _way_to_give(mode)
        self._checked_at = time.monotonic()
        self._ends = self._checked_at + TURN

    def check(self) -> None:
        """Let the others go on if the time is up; called between two pieces of work."""
        now = time.monotonic()
        if now >= self._ends:
            self._give_way()
            now = time.monotonic()
            self._ends = now + TURN
        self._checked_at = now

    def go_on(self) -> None:
        """Go on after a wait that began with the last check; as long as it was, the others could work."""
        now = time.monotonic()
        left = self._ends - self._checked_at
        self._ends = now + min(left + now - self._checked_at, TURN)


@cache
def _way_to_give(mode: str) -> Callable[[], Any]:
    """Return what lets a mode's loop look at its sockets before it comes back."""
    if mode == AsyncMode.EVENTLET:
        import eventlet

        sleep: Callable[[], Any] = eventlet.sleep
        return sleep
    if mode == AsyncMode.GEVENT:
        import gevent

        return partial(gevent.sleep, NEXT_PASS)
    return _go_on


def _go_on() -> None:
    """Do nothing: the system interrupts threads."""
