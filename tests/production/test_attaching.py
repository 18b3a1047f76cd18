"""Objects of Flask-SocketIO that an app has made, and what of their options is kept."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_socketio import SocketIO
from structlog.testing import capture_logs

from production.realtime.attaching import attach
from production.realtime.server import Server
from production.settings import Settings, load_settings

SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"


def settings(**changes: Any) -> Settings:
    return load_settings(async_mode="threading", secret_key=SECRET, redis_url=None, **changes)


def test_what_an_app_asks_for_is_honoured_or_said() -> None:
    extension = SocketIO(cookie="io", ping_timeout=120, cors_allowed_origins="https://a.example")
    with capture_logs() as records:
        attach(Flask(__name__), extension, settings())
    assert isinstance(extension.server, Server)
    assert (extension.server.eio.cookie, extension.server.eio.ping_timeout) == ("io", 20)
    request = {"wsgi.url_scheme": "https", "HTTP_HOST": "b.example"}
    assert extension.server.eio.cors_allowed_origins("https://a.example", request)
    assert [(record["option"], record["old"], record["new"]) for record in records] == [
        ("ping_timeout", "120", "20.0")
    ]


@pytest.mark.parametrize("origins", ["*", [], ["*"], ["https://a.example", "*"]])
def test_the_pages_of_anyone_are_let_in_in_development_only(origins: Any) -> None:
    request = {"wsgi.url_scheme": "https", "HTTP_HOST": "b.example"}
    extension = SocketIO(cors_allowed_origins=origins)
    with capture_logs() as records:
        attach(Flask(__name__), extension, settings())
    assert not extension.server.eio.cors_allowed_origins("https://evil.example", request)
    assert [record["option"] for record in records] == ["cors_allowed_origins"]
    with capture_logs() as records:
        attach(Flask(__name__), extension, settings(environment="development"))
    assert extension.server.eio.cors_allowed_origins == origins
    assert len(records) == 1


def test_an_object_may_have_one_app_after_the_other() -> None:
    extension = SocketIO(cookie="io")
    with capture_logs() as records:
        for timeout in (5, 6):
            attach(Flask(__name__), extension, settings(ping_timeout=timeout))
            assert extension.server.eio.ping_timeout == timeout
            assert extension.server.eio.cookie == "io"
    assert records == []
