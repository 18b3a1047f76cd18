"""How late this process is: the time by which a sleep takes longer than it should.

In the green modes one blocking call delays every session; this is where it shows.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from production.observe import metrics

INTERVAL = 0.5
"""Seconds between two measurements."""

WINDOW = 10
"""Measurements that are remembered: the last five seconds."""


class LoopLag:
    """Measures the lag of the event loop, or of the scheduler where threads serve.

    :param server: a Socket.IO server, which knows how its async mode starts a task and sleeps.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._lags: deque[float] = deque(maxlen=WINDOW)
        self._started = False

    def seconds(self) -> float:
        """Return the largest recent lag in seconds; the first call starts the measuring."""
        if not self._started:
            self._started = True
            self._server.start_background_task(self._measure)
        return max(self._lags, default=0.0)

    def _measure(self) -> None:
        while True:
            before = time.monotonic()
            self._server.sleep(INTERVAL)
            lag = max(0.0, time.monotonic() - before - INTERVAL)
            self._lags.append(lag)
            metrics.loop_lag.observe(lag)
