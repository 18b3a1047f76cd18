"""What a worker tells systemd: that the service is ready, and that it is still alive; and where systemd listens.

gunicorn reports readiness as soon as its master runs, before any worker has imported the app. Here the
workers report it, and feed the watchdog: when none of them turns its loop any more, and the master does
not replace them, the service is started anew. Without systemd nothing is told to anybody.

See sd_notify(3) and sd_listen_fds(3) for the protocols; the unit needs ``NotifyAccess=all``.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from gunicorn.systemd import SD_LISTEN_FDS_START, listen_fds, sd_notify

ADDRESS = "NOTIFY_SOCKET"


class Supervisor:
    """The systemd that started this service, if one did.

    :ivar addresses: where it listens for the service, as ``BIND`` would say it; none if it does not.
    """

    def __init__(self) -> None:
        # Now: gunicorn forgets who gave it the sockets once it has them.
        self.addresses = _addresses_of_sockets()
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


def _addresses_of_sockets() -> list[str]:
    """Return where the sockets listen that this process was started with."""
    count = listen_fds(unset_environment=False)
    return [_address_of(SD_LISTEN_FDS_START + index) for index in range(count)]


def _address_of(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        name = listener.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port, *_ = name
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


supervisor = Supervisor()
