"""What is to happen later: one task for all sessions, where upstream starts a thread for each ping."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Any

import structlog

from production.modes import BriefLock

log = structlog.get_logger(__name__)

EARLY = 0.001
"""Seconds by which a timer may be early: the loops of the green modes wait for whole milliseconds, rounded up."""


class Timers:
    """Calls functions after a delay, in the order in which they are due.

    :param server: an Engine.IO server, which knows how its async mode starts a task and sleeps.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._lock = BriefLock()
        self._running = False
        # Set when something is due sooner than what is waited for.
        self._sooner = server.create_event()

    def after(self, seconds: float, function: Callable[..., None], *args: Any) -> None:
        """Call a function later. It must return soon: all timers share one task.

        :param seconds: the delay.
        :param function: what to call, with ``args``.
        """
        with self._lock:
            entry = (time.monotonic() + seconds, next(self._order), function, args)
            heapq.heappush(self._due, entry)
            is_next = self._due[0] is entry
            was_running, self._running = self._running, True
        if not was_running:
            self._server.start_background_task(self._run)
        elif is_next:
            self._sooner.set()

    def _run(self) -> None:
        while entry := self._next():
            _, _, function, args = entry
            try:
                function(*args)
            except Exception:
                log.exception("timer failed", function=function.__qualname__)

    def _next(self) -> tuple[float, int, Callable[..., None], tuple[Any, ...]] | None:
        """Wait for the next timer; nothing if there is none, and the task ends."""
        while True:
            with self._lock:
                if not self._due:
                    self._running = False
                    return None
                pause = self._due[0][0] - time.monotonic() - EARLY
                if pause <= 0:
                    return heapq.heappop(self._due)
                self._sooner.clear()
            self._sooner.wait(pause)
