"""Which line of the app made a call, so that a warning can name it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType

import structlog

log = structlog.get_logger(__name__)

# A line of the app is the first one on the way up that belongs to none of these.
NOT_THE_APP = ("production", "flask_socketio", "socketio", "engineio", "functools", "threading")

_warned: set[tuple[str, str]] = set()


def warn_of_old_style(old: str, new: str) -> None:
    """Log once for each line of the app that calls in a way that needed a courtesy.

    :param old: how it calls.
    :param new: how it should.
    """
    where = _line_of_the_app(sys._getframe(1))
    if (where, old) not in _warned:
        _warned.add((where, old))
        log.warning("an old call style is still answered", where=where, old=old, new=new)


def _line_of_the_app(frame: FrameType | None) -> str:
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in NOT_THE_APP:
            path = Path(frame.f_code.co_filename)
            return f"{os.path.relpath(path) if path.is_absolute() else path}:{frame.f_lineno}"
        frame = frame.f_back
    return "an unknown line"
