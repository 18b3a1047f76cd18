"""Answer Prometheus, in a process of its own: while workers are busy, stalled, leaving or being replaced.

It ends with gunicorn and not by itself: it reads from a pipe that the master and the workers hold open, and
into which the master writes how many workers there should be whenever that changes.
See ``production/process/metrics_listener.py``, which starts it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence

import structlog
from prometheus_client import CollectorRegistry, start_http_server

from production.observe.logs import configure_logging
from production.observe.shared_values import SharedValues
from production.observe.whole_service import WholeService

log = structlog.get_logger("production.observe.exposition")

RETRY_AFTER = 1.0
"""Seconds between two tries to listen. On an upgrade of gunicorn the old master still does."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m production.observe.exposition")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--directory", required=True, help="where the workers count")
    parser.add_argument("--started-at", required=True, type=float, help="seconds since the epoch")
    parser.add_argument("--workers", required=True, type=int, help="how many there should be")
    parser.add_argument("--log-level", required=True)
    parser.add_argument("--log-format", required=True)
    return parser.parse_args(arguments)


def listen(host: str, port: int, registry: CollectorRegistry) -> None:
    """Listen as soon as that is possible, and return.

    :param host: the address to listen on.
    :param port: the port.
    :param registry: what to show.
    """
    complained = False
    while True:
        try:
            start_http_server(port, host, registry)
        except OSError as error:
            if not complained:
                complained = True
                log.error(
                    "metrics are not served: METRICS_BIND cannot be listened on, tried again until it can",
                    address=f"{host}:{port}",
                    reason=error.strerror or str(error),
                )
            time.sleep(RETRY_AFTER)
        else:
            log.info("metrics are served", address=f"{host}:{port}")
            return


def main(arguments: Sequence[str] | None = None) -> None:
    """Answer until gunicorn and its workers are gone."""
    options = parse(arguments)
    # A supervisor sends it to every process at once, and the workers take a while to leave.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configure_logging(options.log_level, options.log_format)
    registry = CollectorRegistry()
    registry.register(SharedValues(options.directory))
    service = WholeService(options.started_at, options.workers)
    registry.register(service)
    listen(options.host, options.port, registry)
    service.follow(sys.stdin)


if __name__ == "__main__":
    main()
