"""The generated service, with tasks that all send binary events to one client at the same time."""

from __future__ import annotations

from typing import Any

from flask import request
from live_board import create_app
from live_board.extensions import socketio


@socketio.on("pour")
def pour(tasks: int, events: int) -> None:
    sid = request.sid  # type: ignore[attr-defined]
    for _ in range(tasks):
        socketio.start_background_task(send, sid, events)


@socketio.on("taste")
def taste() -> dict[str, bytes]:
    return {"acknowledged": b"a"}


def send(sid: str, events: int) -> None:
    data: dict[str, Any] = {"first": b"1" * 2000, "others": [b"2", b"3"]}
    for number in range(events):
        socketio.emit("poured", data, to=sid)
        socketio.emit("said", number, to=sid)


app = create_app()
