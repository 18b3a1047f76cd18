"""``interface.py`` on stock Flask-SocketIO: ``python on_stock.py PORT``."""

from __future__ import annotations

import sys

from flask import Flask
from flask_socketio import SocketIO
from interface import build

app = Flask(__name__)
app.config["SECRET_KEY"] = "for tests"
socketio = SocketIO(async_mode="threading")
build(socketio)
socketio.init_app(app)


@app.get("/health/live")
def live() -> str:
    return "ok"


if __name__ == "__main__":
    socketio.run(app, "127.0.0.1", int(sys.argv[1]), allow_unsafe_werkzeug=True)
