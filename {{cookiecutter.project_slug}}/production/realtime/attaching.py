"""Gives a Flask app and its Flask-SocketIO object a server of the layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import flask_socketio
from flask import Flask
from flask_socketio import SocketIO

from production.realtime.errors import WatchedErrorHandlers, answer_error
from production.realtime.options import layer_options, log_overrides, safe_options
from production.realtime.server import Server
from production.settings import Settings


def attach(
    app: Flask, socketio_extension: SocketIO, settings: Settings, manager: Any = None
) -> None:
    """Give a Flask app its Socket.IO server.

    :param app: the app.
    :param socketio_extension: the app's Flask-SocketIO object, with or without handlers yet.
    :param settings: the settings of the process.
    :param manager: a client manager, if it is not what the settings ask for.
    """
    given = dict(socketio_extension.server_options)
    safe = safe_options(given, settings)
    chosen = layer_options(safe, settings)
    chosen["client_manager"] = manager or chosen["client_manager"]
    log_overrides(safe, chosen, settings)
    with serving_class(Server):
        socketio_extension.init_app(app, **chosen)
    # For the next app, as tests make one after the other, the choice is made anew.
    socketio_extension.server_options = given
    if socketio_extension.default_exception_handler is None:
        socketio_extension.on_error_default(answer_error)


def start(socketio_extension: SocketIO) -> None:
    """Tell the server where it is, count its errors, and start the client manager's tasks.

    Upstream would start them with the first client. A process that listens only then is not ready
    before, and what it is told meanwhile is lost.

    :param socketio_extension: the app's Flask-SocketIO object, with its server.
    """
    server = socketio_extension.server
    server.eio.endpoint = socketio_extension.sockio_mw.engineio_path
    socketio_extension.exception_handlers = WatchedErrorHandlers(
        socketio_extension.exception_handlers, server.note_error
    )
    if not server.manager_initialized:
        server.manager_initialized = True
        server.manager.initialize()


@contextmanager
def serving_class(server_class: type[Server]) -> Iterator[None]:
    """Let Flask-SocketIO make a server of this class: it names its own in one place only.

    :param server_class: what to make.
    """
    original = flask_socketio.socketio.Server
    flask_socketio.socketio.Server = server_class
    try:
        yield
    finally:
        flask_socketio.socketio.Server = original
