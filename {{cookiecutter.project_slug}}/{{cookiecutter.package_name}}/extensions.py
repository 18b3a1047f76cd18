"""The extensions, made without an app so that every module can import them."""

from flask_socketio import SocketIO

socketio = SocketIO()
