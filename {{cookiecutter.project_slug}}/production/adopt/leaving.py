"""How the process of an adopted app ends."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

PATIENCE = 1.0
"""Seconds that threads of the app have to end by themselves, once everything else has."""


def leave_threads_behind(log: Any) -> None:
    """End the process in a moment if threads of the app are left that nobody ends.

    Python waits for every thread that is no daemon, and many a pusher runs for ever: gunicorn would
    kill the worker in the end. A worker that leaves with an error is left to do so.

    :param log: gunicorn's logger.
    """
    if isinstance(error := sys.exc_info()[1], SystemExit) and error.code:
        return
    # It runs only as long as Python waits for other threads, since it is a daemon itself.
    timer = threading.Timer(PATIENCE, _leave, (log,))
    timer.daemon = True
    timer.start()


def _leave(log: Any) -> None:
    log.info("Threads of the app are left behind")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
