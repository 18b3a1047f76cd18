"""Asks the service in this container whether it lives: ``python -m production.process.alive``.

What a container's health check runs. Standard library only, so that it takes no time of the service.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys

LIVENESS = "/health/live"

ANSWER_TIME = 4
"""Seconds that the service has to answer; the health check of the image gives up after five."""

ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "::1", "": "127.0.0.1"}  # noqa: S104  what BIND may say


class LocalConnection(http.client.HTTPConnection):
    """A connection to where a service on this machine listens.

    :param bind: as ``BIND`` says it: ``host:port``, or ``unix:/path``.
    """

    def __init__(self, bind: str) -> None:
        super().__init__("localhost", timeout=ANSWER_TIME)
        self._bind = bind

    def connect(self) -> None:
        """Connect to the socket, be it of the network or a file."""
        if self._bind.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(ANSWER_TIME)
            self.sock.connect(self._bind.removeprefix("unix:"))
        else:
            host, _, port = self._bind.partition(",")[0].rpartition(":")
            address = ANYWHERE.get(host, host.strip("[]"))
            self.sock = socket.create_connection((address, int(port)), ANSWER_TIME)


def fault_of(bind: str) -> str:
    """Return what keeps a service from being alive; nothing if it is.

    :param bind: where it listens, as ``BIND`` says it.
    """
    connection = LocalConnection(bind)
    try:
        connection.request("GET", LIVENESS)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{bind} does not answer: {error}."
    finally:
        connection.close()
    return "" if status == http.client.OK else f"{bind} answers {status}."


if __name__ == "__main__":
    sys.exit(fault_of(os.environ["BIND"]) or None)
