"""The loop is shared by time: what one connection may do before the others have their turn.

In the green modes nobody is interrupted. A connection whose peer always has more to read never waits, and
would keep the loop for itself. So whatever works off what a client sends looks at a :class:`Turn`
between two pieces of work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

from production.modes import AsyncMode

T = TypeVar("T")

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

    def __init__(self, mode: str) -> None:
        self._give_way = _way_to_give(mode)
        self._ends = time.monotonic() + TURN

    def check(self) -> None:
        """Let the others go on if the time is up; called between two pieces of work."""
        if time.monotonic() >= self._ends:
            self._give_way()
            self._ends = time.monotonic() + TURN

    def wait(self, read: Callable[..., T], *args: Any) -> T:
        """Read; the time that it waits is nobody's.

        :param read: what to call, with ``args``.
        """
        left = self._ends - time.monotonic()
        try:
            return read(*args)
        finally:
            self._ends = time.monotonic() + left


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
