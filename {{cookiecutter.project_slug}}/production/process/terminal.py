"""When the terminal in which the service was started is closed, the service leaves.

gunicorn takes the signal that comes of it for a reload: it would go on where nobody sees it, and keep
the port that the next start needs.
"""

from __future__ import annotations

import os
import signal
from typing import Any


def leave_with_terminal(arbiter: Any) -> None:
    """Leave when the terminal is gone; for gunicorn's hook ``on_starting``, before it takes signals.

    Without a terminal, in the background of one or with ``nohup``, the signal stays what it is to gunicorn.

    :param arbiter: gunicorn's master.
    """
    in_foreground = foreground_group() == os.getpgrp()
    if not in_foreground or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return
    reload = arbiter.handle_hup

    def handle_hup() -> None:
        if foreground_group() is None:
            arbiter.handle_term()
        else:
            reload()

    arbiter.handle_hup = handle_hup


def foreground_group() -> int | None:
    """Return the process group in the foreground of this process's terminal, see tcgetpgrp(3).

    :return: nothing if it was started in none, or that is gone.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(terminal)
        finally:
            os.close(terminal)
    except OSError:
        return None
