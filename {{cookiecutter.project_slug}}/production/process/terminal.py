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

    Without a terminal, or with ``nohup``, the signal stays what it is to gunicorn.

    :param arbiter: gunicorn's master.
    """
    if not has_terminal() or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return
    reload = arbiter.handle_hup

    def handle_hup() -> None:
        if has_terminal():
            reload()
        else:
            arbiter.handle_term()

    arbiter.handle_hup = handle_hup


def has_terminal() -> bool:
    """Tell whether this process was started in a terminal that is still there, see tty(4)."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
