"""What an event's handler sees of Flask is what it saw before, for less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask import Flask
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_socketio import SocketIO

from production.realtime import contexts


class CountedSessions(SecureCookieSessionInterface):
    """Flask's sessions; it counts how often one is opened."""

    opened = 0

    def open_session(self, app: Flask, request: flask.Request) -> SecureCookieSession | None:
        self.opened += 1
        return super().open_session(app, request)


@pytest.fixture
def app() -> Flask:
    """An app with a page, whose sessions are counted."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "0123456789abcdef"
    app.session_interface = CountedSessions()
    app.add_url_rule("/page", "page", lambda: flask.session.get("visits", "none"))
    contexts.init_app(app)
    return app


def connected(app: Flask, *, manage_session: bool) -> Iterator[Any]:
    """Yield what a handler sees, event by event."""
    extension = SocketIO(app, async_mode="threading", manage_session=manage_session)

    def look() -> dict[str, Any]:
        flask.session["events"] = flask.session.get("events", 0) + 1
        return {
            "events": flask.session["events"],
            "page": flask.url_for("page", _external=True),
            "host": flask.request.host,
            "event": flask.request.event["message"],  # type: ignore[attr-defined]
        }

    extension.on_event("look", look)
    client = extension.test_client(app)
    while True:
        yield client.emit("look", callback=True)


def test_the_session_of_a_connection_is_opened_once_and_kept(app: Flask) -> None:
    looks = connected(app, manage_session=True)
    assert [next(looks)["events"] for _ in range(3)] == [1, 2, 3]
    assert app.session_interface.opened == 1  # type: ignore[attr-defined]


def test_sessions_that_flask_manages_are_opened_for_each_event(app: Flask) -> None:
    looks = connected(app, manage_session=False)
    assert [next(looks)["events"] for _ in range(3)] == [1, 1, 1]
    assert app.session_interface.opened == 3  # type: ignore[attr-defined]


def test_every_event_has_a_request_with_addresses_of_its_own(app: Flask) -> None:
    looks = connected(app, manage_session=True)
    for look in (next(looks), next(looks)):
        assert look["page"] == "http://localhost/page"
        assert (look["host"], look["event"]) == ("localhost", "look")


def test_requests_of_pages_are_as_they_were(app: Flask) -> None:
    client = app.test_client()
    for host in ("one.example", "two.example"):
        with client:
            assert client.get("/page", headers={"Host": host}).text == "none"
            assert flask.url_for("page", _external=True) == f"http://{host}/page"
        assert client.get("/absent").status_code == 404
