"""The events that are measured: the same file in the generated service and in the stock one."""

from __future__ import annotations

import time
from typing import Any

from flask import request
from flask_socketio import SocketIO, emit, join_room

ROOM = "everyone"


def register(socketio: SocketIO) -> None:
    """Say which function handles which event."""
    socketio.on_event("connect", connect)
    socketio.on_event("announce", announce)
    socketio.on_event("echo", echo)


def connect(auth: Any = None) -> None:
    """Let a new client hear announcements."""
    join_room(ROOM)
    emit("welcome", {"session_id": request.sid})  # type: ignore[attr-defined]


def announce(text: str) -> None:
    """Tell everyone."""
    emit("announcement", {"text": text, "at": time.time()}, to=ROOM)


def echo(data: Any) -> Any:
    """Acknowledge with what came."""
    return data
