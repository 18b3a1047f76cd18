"""Starts the service, opens a Socket.IO session as a browser would, and stops it.

    python -m production.process.smoke

It needs nothing but the service itself: no queue, no proxy, no client library. Beside a service that
runs it tries what a reload would bring, before the workers are replaced that work.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from production.doctor.probe.steps.opening import open_session
from production.doctor.probe.target import Target
from production.doctor.probe.troubles import TROUBLES, explain
from production.process.stack import gunicorn, say


def try_session(target: Target) -> str:
    """Open a session, leave it, and return its id.

    :param target: the service.
    :raises SystemExit: saying why the service opens none.
    """
    try:
        with open_session(target) as session:
            return session.handshake.sid
    except TROUBLES as trouble:
        outcome = explain(trouble)
        raise SystemExit(
            f"{target.path} opens no session. {outcome.seen}\n{outcome.cause}\n{outcome.fix}"
        ) from None


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
        target = Target("http", "127.0.0.1", service.port, path=f"/{options.path.strip('/')}/")
        say("session", try_session(target), "opened")


if __name__ == "__main__":
    main()
