"""``interface.py`` with the layer around it."""

from flask import Flask
from flask_socketio import SocketIO
from interface import build

import production

app = Flask(__name__)
socketio = SocketIO()
build(socketio)
production.init_app(app, socketio)
