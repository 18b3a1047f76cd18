"""Signals stay gunicorn's: it tells a worker by them to leave, and the app would never hear of it."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Any

import structlog

from production.process.forks import GUNICORNS

log = structlog.get_logger(__name__)

PYTHONS = {signal.SIGINT: signal.default_int_handler}


def keep_gunicorns_handlers() -> None:
    """Remember the handlers that the app sets for gunicorn's signals instead of installing them.

    Those of other signals are installed where Python allows it, which is in the main thread: where
    threads serve, the app's script runs in another. In a process that the app forks, all are its own.
    """
    install = signal.signal
    remembered: dict[int, Any] = {}

    def remember(signalnum: int, handler: Any) -> Any:
        number = signal.Signals(signalnum)
        if number not in GUNICORNS:
            try:
                return install(signalnum, handler)
            except ValueError:
                log.warning("a signal handler of the app is not installed", signal=number.name)
        else:
            log.info(
                "a signal handler of the app is not installed: gunicorn's stays", signal=number.name
            )
        previous = remembered.get(number, PYTHONS.get(number, signal.SIG_DFL))
        remembered[number] = handler
        return previous

    signal.signal = remember
    os.register_at_fork(after_in_child=partial(setattr, signal, "signal", install))
