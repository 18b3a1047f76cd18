"""Flask-SocketIO as its documentation serves it: by the development server, or as ``stock:app`` by gunicorn."""

from __future__ import annotations

import os

from events import register
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret!"
socketio = SocketIO(app, async_mode=os.environ["STOCK_MODE"])
register(socketio)

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
