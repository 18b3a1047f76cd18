"""The generated service, with a handler that emits to a room as fast as it can."""

from __future__ import annotations

from flask_socketio import join_room
from live_board import create_app
from live_board.extensions import socketio


@socketio.on("join")
def join(room: str) -> bool:
    join_room(room)
    return True


@socketio.on("flood")
def flood(room: str, count: int) -> bool:
    for number in range(count):
        socketio.emit("said", number, to=room)
    return True


app = create_app()
