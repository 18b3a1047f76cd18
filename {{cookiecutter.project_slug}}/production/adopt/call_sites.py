"""Which line made a call, and whether it is one of the app's."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from types import FrameType

import structlog

log = structlog.get_logger(__name__)

# A line of the app is the first one on the way up that belongs to none of these.
NOT_THE_APP = ("production", "flask_socketio", "socketio", "engineio", "functools", "threading")

# Where the files of other people's packages are, and Python's own.
LIBRARIES = tuple(
    f"{os.path.realpath(sysconfig.get_path(name))}{os.sep}"
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})

# Libraries whose threads do what the app tells them to, and not what the library needs.
FOR_THE_APP = frozenset({"apscheduler", "redis", "watchdog"})

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
        if _name(frame).partition(".")[0] not in NOT_THE_APP:
            path = Path(frame.f_code.co_filename)
            return f"{os.path.relpath(path) if path.is_absolute() else path}:{frame.f_lineno}"
        frame = frame.f_back
    return "an unknown line"


def is_made_by_the_app(frame: FrameType | None) -> bool:
    """Tell whether a thread is started by the app, or by a library that is to work for it.

    What other libraries start, such as a pool of connections, every process needs.

    :param frame: where it is started.
    """
    while frame is not None and _name(frame).startswith(("threading", "production.adopt.")):
        frame = frame.f_back
    if frame is None:
        return False
    package = _name(frame).partition(".")[0]
    return package in FOR_THE_APP or not (
        package == "production" or is_library(frame.f_code.co_filename)
    )


def is_library(path: str) -> bool:
    """Tell whether a file is none of the app's.

    :param path: as the interpreter knows it.
    """
    if path.startswith("<"):
        return True
    absolute = os.path.realpath(path)
    return absolute.startswith(LIBRARIES) or bool(
        PACKAGE_FOLDERS.intersection(Path(absolute).parts)
    )


def _name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
