"""What an app asks of Socket.IO, and what it gets."""

from __future__ import annotations

from typing import Any

import flask_socketio
import pytest
import socketio
from flask import Flask

from production.adopt.options import intercept_init_app, layer_options, overrides
from production.realtime.queue import QueueManager
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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"ping_timeout": 20, "max_http_buffer_size": 1e6}, []),
        ({"ping_timeout": 120}, [("ping_timeout", 120, 20.0)]),
        ({"ping_interval": (10, 5)}, [("ping_interval", (10, 5), 25.0)]),
        ({"async_mode": None}, []),
        ({"async_mode": "eventlet"}, [("async_mode", "eventlet", "threading")]),
        ({"transports": ["websocket", "polling"]}, []),
        ({"transports": "websocket"}, [("transports", "websocket", ["polling", "websocket"])]),
        ({"logger": False, "engineio_logger": True}, [("engineio_logger", True, "INFO")]),
        ({"cors_allowed_origins": "*", "cookie": "io", "path": "live"}, []),
        ({"made_up": 1, "handle_sigterm": False}, []),
    ],
)
def test_only_what_the_layer_decides_otherwise_is_an_override(
    given: dict[str, Any], expected: list[tuple[str, Any, Any]]
) -> None:
    asked = settings()
    assert overrides(given, layer_options(given, asked), asked) == expected


def test_origins_are_the_app_s_until_some_are_configured() -> None:
    given = {"cors_allowed_origins": "*"}
    assert layer_options(given, settings())["cors_allowed_origins"] == "*"
    named = settings(allowed_origins=["https://a.example"])
    policy = layer_options(given, named)["cors_allowed_origins"]
    assert policy("https://a.example", {"wsgi.url_scheme": "http"})
    assert not policy("https://b.example", {"wsgi.url_scheme": "http"})
    assert overrides(given, {}, named) == [("cors_allowed_origins", "*", ["https://a.example"])]


@pytest.mark.parametrize("given", ["https://a.example", ["https://a.example"]])
def test_the_app_s_own_pages_are_allowed_beside_its_origins(given: Any) -> None:
    policy = layer_options({"cors_allowed_origins": given}, settings())["cors_allowed_origins"]
    request = {"wsgi.url_scheme": "https", "HTTP_HOST": "me.example"}
    assert policy("https://a.example", request)
    assert policy("https://me.example", request)
    assert not policy("https://b.example", request)


def test_a_message_queue_of_the_app_stays_with_its_channel() -> None:
    given = {"message_queue": "redis://localhost:6399/3", "channel": "orders"}
    manager = layer_options(given, settings())["client_manager"]
    assert isinstance(manager, QueueManager)
    assert (manager._url, manager.channel) == ("redis://localhost:6399/3", "orders")
    del given["channel"]
    assert layer_options(given, settings())["client_manager"].channel == "flask-socketio"


def test_a_serializer_of_the_app_stays() -> None:
    assert "serializer" not in layer_options({"serializer": "msgpack"}, settings())
    assert "serializer" in layer_options({"serializer": "default"}, settings())


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
