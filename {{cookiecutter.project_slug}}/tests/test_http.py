"""The HTTP interface: pages, publishing, health and errors."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_socketio import SocketIOTestClient
from werkzeug.exceptions import ServiceUnavailable

from production.realtime.channels import Channels
from production.realtime.journal import Unavailable


def test_the_page_shows_the_board(http: FlaskClient) -> None:
    answer = http.get("/")
    assert answer.status_code == 200
    assert "board.js" in answer.text
    assert 'href="/diagnostics"' in answer.text


def test_a_post_becomes_an_update(http: FlaskClient, client: SocketIOTestClient) -> None:
    client.emit("subscribe", {"channels": ["posted"]}, callback=True)
    client.get_received()
    answer = http.post("/api/channels/posted", json={"price": 2})
    assert answer.status_code == 202
    (update,) = client.get_received()
    assert update["args"][0]["data"] == {"price": 2}


def test_a_post_that_is_repeated_is_published_once(http: FlaskClient) -> None:
    sequences = [
        http.post(
            "/api/channels/repeated", json=1, headers={"Idempotency-Key": "6f1b2c"}
        ).get_json()["sequence"]
        for _ in range(2)
    ]
    assert sequences == [1, 1]


def test_a_publisher_is_told_when_to_try_again(
    http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> int:
        raise Unavailable("The queue is away.")

    monkeypatch.setattr(Channels, "publish", unavailable)
    answer = http.post("/api/channels/outage", json=1)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"


def test_a_channel_that_is_none_is_explained(http: FlaskClient) -> None:
    answer = http.post("/api/channels/NO", json=1)
    assert answer.status_code == 400
    assert "channel" in answer.get_json(force=True)["detail"]


@pytest.mark.parametrize("check", ["live", "ready"])
def test_health_passes(http: FlaskClient, check: str) -> None:
    answer = http.get(f"/health/{check}")
    assert answer.status_code == 200
    assert answer.content_type == "application/health+json"


def test_programs_get_problem_details(http: FlaskClient) -> None:
    answer = http.get("/missing", headers={"Accept": "application/json"})
    problem = answer.get_json(force=True)
    assert answer.content_type == "application/problem+json"
    assert problem["status"] == 404
    assert problem["request_id"] == answer.headers["X-Request-ID"]


def test_people_get_a_page(http: FlaskClient) -> None:
    answer = http.get("/missing", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert 'href="/realtime/page.css"' in answer.text


def test_an_error_keeps_its_headers(http: FlaskClient) -> None:
    answer = http.put("/")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_failure_shows_nothing_internal(app: Flask, http: FlaskClient) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise ZeroDivisionError

    answer = http.get("/broken")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text


def test_a_view_may_say_when_to_come_back(app: Flask, http: FlaskClient) -> None:
    @app.get("/busy")
    def busy() -> str:
        raise ServiceUnavailable(retry_after=30)

    answer = http.get("/busy")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"
