"""The generated service with what clients can abuse at its door: namespaces that refuse, rooms by any name."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_socketio import close_room, join_room, leave_room
from live_board import create_app
from live_board.extensions import socketio

left: list[str] = []


@socketio.on("join")
def join(data: dict[str, Any]) -> str:
    join_room(data.get("room"))
    return "joined"


@socketio.on("leave")
def leave(data: dict[str, Any]) -> str:
    leave_room(data.get("room"))
    return "left"


@socketio.on("close")
def close(data: dict[str, Any]) -> str:
    close_room(data.get("room"))
    return "closed"


@socketio.on("close carefully")
def close_carefully(data: dict[str, Any]) -> str:
    """Keep the exception to itself."""
    try:
        socketio.close_room(data.get("room"))
    except ValueError:
        return "declined"
    return "closed"


@socketio.on("tell everyone")
def tell_everyone(data: dict[str, Any]) -> str:
    socketio.emit("told", to=data.get("room"))
    return "told"


@socketio.on("fail")
def fail(_: Any = None) -> None:
    raise RuntimeError("as ever")


@socketio.on("connect", namespace="/refused")
def refuse(_: Any = None) -> bool:
    return False


@socketio.on("connect", namespace="/late")
def accept_late(_: Any = None) -> None:
    """Accept a client that is not there any more."""
    session_id = socketio.server.manager.eio_sid_from_sid(request.sid, "/late")  # type: ignore[attr-defined]
    while session_id in socketio.server.eio.sockets:
        socketio.sleep(0.05)


@socketio.on("disconnect", namespace="/late")
def part(reason: str) -> None:
    left.append(reason)


app = create_app()


@app.get("/late")
def late() -> dict[str, Any]:
    """Say why those left who were accepted late, and how many are still there."""
    return {"left": left, "there": len(socketio.server.manager.rooms.get("/late", {}))}


@app.get("/fail")
def fail_over_http() -> str:
    raise RuntimeError("as ever")
