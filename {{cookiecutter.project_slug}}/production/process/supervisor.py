"""What a worker tells systemd: that the service is ready, and that it is still alive.

gunicorn reports readiness as soon as its master runs, before any worker has imported the app. Here the
workers report it, and feed the watchdog: when none of them turns its loop any more, and the master does
not replace them, the service is started anew. Without systemd nothing is told to anybody.

See sd_notify(3) for the protocol; the unit needs ``NotifyAccess=all``.
"""

from __future__ import annotations

import os
import time
from typing import Any

from gunicorn.systemd import sd_notify

ADDRESS = "NOTIFY_SOCKET"


class Supervisor:
    """The systemd that started this service, if one did."""

    def __init__(self) -> None:
        self._address: str | None = None
        self._interval = 0.0
        self._told_at = 0.0

    def take_over(self) -> None:
        """Keep the master from reporting; the workers that it forks know whom to report to."""
        self._address = os.environ.pop(ADDRESS, None)
        # Half the time, as sd_watchdog_enabled(3) recommends.
        self._interval = int(os.environ.get("WATCHDOG_USEC", 0)) / 1_000_000 / 2

    def report_ready(self, log: Any) -> None:
        """Say that a worker takes requests.

        :param log: gunicorn's logger.
        """
        self._tell("READY=1", log)

    def report_alive(self, log: Any) -> None:
        """Say that a worker turns its loop, as often as the watchdog wants to know.

        :param log: gunicorn's logger.
        """
        now = time.monotonic()
        if self._interval and now - self._told_at >= self._interval:
            self._told_at = now
            self._tell("WATCHDOG=1", log)

    def _tell(self, state: str, log: Any) -> None:
        if self._address:
            os.environ[ADDRESS] = self._address
            sd_notify(state, log, unset_environment=True)


supervisor = Supervisor()
