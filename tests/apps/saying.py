"""The generated service, which also sends whatever it is given, in each way that an app has."""

from __future__ import annotations

import base64
import pickle
from typing import Any

from flask import request
from live_board import create_app
from live_board.extensions import socketio


@socketio.on("say")
def say(way: str, pickled: str) -> str:
    data = pickle.loads(base64.b64decode(pickled))
    try:
        if way == "send":
            socketio.send(data)
        elif way == "ask":
            socketio.emit("said", data, to=request.sid, callback=lambda *_: None)  # type: ignore[attr-defined]
        else:
            socketio.emit("said", data)
    except ValueError as fault:
        return str(fault)
    return ""


@socketio.on("answer")
def answer(pickled: str) -> Any:
    return [pickle.loads(base64.b64decode(pickled))]


app = create_app()
