"""A Flask-SocketIO app without the layer, as the quick start of its documentation has it."""

from __future__ import annotations

import sys

from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")


@app.get("/")
def page() -> str:
    """Show a page that connects as it should."""
    return "<!doctype html><title>Plain</title><script>io();</script>"


@socketio.on("connect", namespace="/members")
def let_members_in(auth: dict[str, str] | None) -> bool:
    """Let in who has the token."""
    return auth == {"token": "open sesame"}


@socketio.on("double")
def double(number: int = 2) -> int:
    """Acknowledge with twice the number."""
    return 2 * number


if __name__ == "__main__":
    socketio.run(app, port=int(sys.argv[1]), allow_unsafe_werkzeug=True)
