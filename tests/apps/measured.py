"""The app of faulty handlers with some that emit to everyone, for tests of what is counted."""

from __future__ import annotations

from typing import Any

from faulty import app
from flask_socketio import emit
from live_board.extensions import socketio

__all__ = ["app"]


@app.post("/broadcast")
def broadcast() -> dict[str, Any]:
    socketio.emit("broadcast", "to all")
    return {}


@socketio.on("tell-others")
def tell_others() -> None:
    emit("broadcast", "to the others", broadcast=True, include_self=False)
