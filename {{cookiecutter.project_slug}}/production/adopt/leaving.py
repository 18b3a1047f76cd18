"""How the process of an adopted app ends."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

PATIENCE = 1.0
"""Seconds that threads of the app have to end by themselves, once everything else has."""

_last_acts: list[Callable[[], None]] = []


def at_the_end(act: Callable[[], None]) -> None:
    """Do something when the process ends, after which nothing of the app runs any more.

    :param act: what to do; it must not take long.
    """
    atexit.register(act)
    _last_acts.append(act)


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
    for act in _last_acts:
        act()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
