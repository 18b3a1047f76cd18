"""Starts the service, opens a Socket.IO session as a browser would, and stops it.

    python -m production.process.smoke

It needs nothing but the service itself: no queue, no proxy, no client library. Beside a service that
runs it tries what a reload would bring, before the workers are replaced that work.
"""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from collections.abc import Sequence

from production.process.stack import gunicorn, say

PROTOCOL = 4
"""The revision of Engine.IO that current clients speak, as the query parameter ``EIO``."""

OPEN = "0"
"""How the packet begins that opens a session: https://socket.io/docs/v4/engine-io-protocol/."""

ANSWER_TIME = 10
"""Seconds that the service has to answer."""


def open_session(port: int, path: str) -> str:
    """Open a session by long polling and return its id.

    :param port: of the loopback address.
    :param path: where Socket.IO is.
    :raises SystemExit: saying why the service opens none.
    """
    url = f"http://127.0.0.1:{port}/{path.strip('/')}/?EIO={PROTOCOL}&transport=polling"
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_TIME) as response:
            answer = response.read().decode()
    except urllib.error.HTTPError as error:
        raise SystemExit(
            f"/{path.strip('/')}/ answers {error.code} to a client that opens a session: if Socket.IO is "
            "elsewhere, name its path with --path."
        ) from None
    if not answer.startswith(OPEN):
        raise SystemExit(f"/{path.strip('/')}/ is not Socket.IO: it answers {answer[:60]!r}.")
    session: str = json.loads(answer[len(OPEN) :])["sid"]
    return session


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the service, try it, and stop it.

    :param arguments: without the program's name; those of the process by default.
    """
    parser = argparse.ArgumentParser(
        prog="python -m production.process.smoke",
        description="Start the service, open a Socket.IO session, and stop it.",
    )
    parser.add_argument(
        "--path", default="socket.io", help="where Socket.IO is (default: socket.io)"
    )
    options = parser.parse_args(arguments)
    # The address for metrics is that of the service that runs.
    with gunicorn(1, METRICS_BIND="") as service:
        session = open_session(service.port, options.path)
        say("session", session, "opened")


if __name__ == "__main__":
    main()
