"""How late this process is, and whether it is stuck or has much to do.

In the green modes one blocking call delays every session; this is where it shows, as the time by which a
sleep takes longer than it should. But a sleep is late, too, when three thousand clients come at once. A
process that is busy with them goes on to do one thing after the other; one that is stuck does nothing.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

from production.observe import metrics

INTERVAL = 0.5
"""Seconds between two measurements."""

WINDOW = 10
"""Measurements that are remembered: the last five seconds."""

A_MOMENT = 30.0
"""Seconds for which a process may be late with so much to do, and still be sent new clients: those for which
gunicorn by default leaves a worker alone that gives no sign of life."""


class Progress:
    """When this process last did something that a client had asked for."""

    def __init__(self) -> None:
        self._marked_at = time.monotonic()
        self._longest = 0.0

    def mark(self) -> None:
        """Note that something is being done now."""
        now = time.monotonic()
        pause = now - self._marked_at
        self._marked_at = now
        if pause > self._longest:
            self._longest = pause

    def longest_pause(self) -> float:
        """Return the longest time in seconds in which nothing was done, since this was last asked."""
        self.mark()
        longest, self._longest = self._longest, 0.0
        return longest


#: The one of this process.
progress = Progress()


class Measurement(NamedTuple):
    """How one sleep went.

    :param lag: seconds by which it took too long.
    :param stall: how many of them nothing was done in.
    """

    lag: float
    stall: float


class LoopLag:
    """Measures the lag of the event loop, or of the scheduler where threads serve.

    :param server: a Socket.IO server, which knows how its async mode starts a task and sleeps.
    :param limit: seconds by which the process may be late.
    """

    def __init__(self, server: Any, limit: float) -> None:
        self._server = server
        self._limit = limit
        self._recent: deque[Measurement] = deque(maxlen=WINDOW)
        # Since when every sleep was late.
        self._late_since: float | None = None
        self._started = False

    def seconds(self) -> float:
        """Return the largest recent lag in seconds; the first call starts the measuring."""
        if not self._started:
            self._started = True
            self._server.start_background_task(self._measure)
        return max((each.lag for each in self._recent), default=0.0)

    def stall(self) -> float:
        """Return the largest part of a recent lag, in seconds, in which nothing was done."""
        return max((each.stall for each in self._recent), default=0.0)

    def is_excessive(self) -> bool:
        """Tell whether the process was stuck for too long of late, or has been late for too long."""
        late_since = self._late_since
        is_late = late_since is not None and time.monotonic() - late_since > A_MOMENT
        return is_late or self.stall() > self._limit

    def _measure(self) -> None:
        while True:
            progress.longest_pause()
            before = time.monotonic()
            self._server.sleep(INTERVAL)
            now = time.monotonic()
            self._note(now, max(0.0, now - before - INTERVAL), progress.longest_pause())

    def _note(self, now: float, lag: float, pause: float) -> None:
        self._recent.append(Measurement(lag, min(lag, pause)))
        if lag <= self._limit:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now - lag
        metrics.loop_lag.observe(lag)
