"""Apps that make their Socket.IO objects themselves, and get a server of the layer."""

from __future__ import annotations

from typing import Any

import flask_socketio
import pytest
import socketio
from flask import Flask

from production.adopt.options import intercept_init_app
from production.realtime.server import Server
from production.settings import Settings, load_settings


def settings(**changes: Any) -> Settings:
    return load_settings(
        existing_app="run.py", async_mode="threading", secret_key="", redis_url=None, **changes
    )


@pytest.fixture
def socketio_class(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Flask-SocketIO's class, which is put back after the test."""
    monkeypatch.setattr(
        flask_socketio.SocketIO, "init_app", flask_socketio.SocketIO.init_app, raising=True
    )
    return flask_socketio.SocketIO


def test_an_app_is_served_by_the_layer_s_server_with_its_own_options(
    socketio_class: Any,
) -> None:
    binding = intercept_init_app(settings())
    app = Flask(__name__)
    extension = socketio_class(app, path="live", ping_timeout=120, cookie="io", always_connect=True)
    assert isinstance(extension.server, Server)
    assert extension.server.eio.ping_timeout == 20
    assert extension.server.eio.cookie == "io"
    assert extension.server.always_connect
    assert extension.sockio_mw.engineio_path == "/live/"
    assert (binding.apps, binding.objects) == ([app], [extension])


def test_an_object_without_an_app_only_writes(
    socketio_class: Any,
) -> None:
    binding = intercept_init_app(settings())
    emitter = socketio_class(message_queue="redis://localhost:6399/0", async_mode="threading")
    assert type(emitter.server) is socketio.Server
    assert emitter.server.manager.write_only
    assert binding.objects == []


def test_handlers_that_were_registered_before_the_app_was_known_are_kept(
    socketio_class: Any,
) -> None:
    intercept_init_app(settings())
    extension = socketio_class(message_queue="redis://localhost:6399/0", async_mode="threading")
    extension.on_event("early", lambda: "early")
    extension.on_namespace(flask_socketio.Namespace("/early"))
    extension.init_app(Flask(__name__))
    extension.on_event("late", lambda: "late")
    assert set(extension.server.handlers["/"]) == {"early", "late"}
    assert set(extension.server.namespace_handlers) == {"/early"}
    assert not extension.server.manager.write_only
