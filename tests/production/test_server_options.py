"""What an app asks of Socket.IO, and what it gets."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from production.realtime.msgpack_packets import StrictMsgPackPacket
from production.realtime.options import layer_options, overrides
from production.realtime.packets import StrictPacket
from production.realtime.queue import QueueManager
from production.refusal import ConfigurationError
from production.settings import Settings, load_settings


def settings(**changes: Any) -> Settings:
    return load_settings(
        existing_app="run.py", async_mode="threading", secret_key="", redis_url=None, **changes
    )


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


class Own:
    """A serializer of the app's own."""


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({}, StrictPacket),
        ({"serializer": "default"}, StrictPacket),
        ({"serializer": "msgpack"}, StrictMsgPackPacket),
        ({"serializer": Own}, Own),
    ],
)
def test_a_serializer_is_one_that_is_strict_or_the_app_s_own(
    given: dict[str, Any], chosen: Any
) -> None:
    assert layer_options(given, settings())["serializer"] is chosen


def test_a_serializer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "production.realtime.msgpack_packets", None)
    with pytest.raises(ConfigurationError, match="add msgpack to its requirements"):
        layer_options({"serializer": "msgpack"}, settings())
