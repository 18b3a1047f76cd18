"""What may be the name of a room.

Socket.IO keeps everyone in a namespace in the room ``None``. Whoever leaves that hears nothing any more,
not even that the session has ended; whoever closes it makes all sessions of the process deaf
(python-socketio issue 1447). An app does it by accident, with ``leave_room(data.get("room"))``.
"""

from __future__ import annotations

import sys
from typing import Any

import structlog

log = structlog.get_logger(__name__)

LIBRARIES = ("flask_socketio", "socketio", "production")
"""Packages through which an app's call comes here."""


def check_room(call: str, room: Any) -> None:
    """Refuse ``None`` as a room that is joined, left or closed.

    :param call: what was called, as the app's author knows it.
    :param room: the room.
    :raises ValueError: if it is ``None``, after a line in the log that names who called.
    """
    if room is None:
        log.error("None was refused as a room", call=f"{call}(None)", handler=_caller())
        raise ValueError(
            f"{call}(None) would be about everyone in the namespace: name a room, and look first "
            "whether the client has sent one"
        )


def _caller() -> str:
    """Return which function of the app has called, and where it stands."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_library(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    module = frame.f_globals.get("__name__", "")
    return f"{module}.{frame.f_code.co_qualname}, line {frame.f_lineno}"


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES
