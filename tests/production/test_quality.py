"""What clients say of their connections with their heartbeats, and for how long it is kept."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_socketio import Namespace, SocketIO, SocketIOTestClient

import production
from production.observe.quality import Qualities, Quality
from production.settings import load_settings

FIGURES = {
    "state": "connected",
    "transport": "websocket",
    "median_ms": 12.5,
    "p95_ms": 40,
    "jitter_ms": 3.25,
    "loss": 0.05,
    "reconnects": 2,
    "reason": "transport close",
}


class Service:
    """An app with the layer, without a handler of its own for heartbeats."""

    def __init__(self) -> None:
        self.app = Flask(__name__)
        self.socketio = SocketIO()
        settings = load_settings(environment="development", async_mode="threading", redis_url=None)
        production.init_app(self.app, self.socketio, settings)
        self.socketio.on_event("connect", lambda: None)

    @property
    def qualities(self) -> Qualities:
        """What the process knows."""
        qualities: Qualities = self.app.extensions["production"].qualities
        return qualities

    def client(self) -> SocketIOTestClient:
        """Connect a client."""
        return self.socketio.test_client(self.app)


@pytest.fixture
def service() -> Service:
    """A service of its own for each test."""
    return Service()


def beat(client: SocketIOTestClient, *payload: Any) -> Any:
    return client.emit("heartbeat", *payload, callback=True)


def test_a_heartbeat_is_answered_with_what_it_brought(service: Service) -> None:
    answer = beat(service.client(), {"sent_at": 12.5})
    assert (answer["ok"], answer["sent_at"]) == (True, 12.5)
    assert answer["server_time"].endswith("+00:00")
    assert service.qualities.all() == {}


def test_the_figures_are_kept_as_long_as_the_session(service: Service) -> None:
    heard: list[tuple[str, Quality]] = []
    service.qualities.listen(lambda sid, quality: heard.append((sid, quality)))
    client, other = service.client(), service.client()
    for one in (client, other):
        assert beat(one, {"sent_at": 1, "quality": FIGURES})["ok"]

    ((sid, quality), (other_sid, _)) = heard
    assert quality.model_dump() == FIGURES
    assert service.qualities.of(sid) == quality
    assert set(service.qualities.all()) == {sid, other_sid}

    client.disconnect()
    assert set(service.qualities.all()) == {other_sid}


def test_a_heartbeat_that_is_handled_after_its_session_ended_leaves_nothing(
    service: Service,
) -> None:
    server = service.socketio.server
    answer = server._trigger_event("heartbeat", "/", "gone", {"sent_at": 1, "quality": FIGURES})
    assert answer["ok"]
    assert service.qualities.all() == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"median_ms": -1},
        {"median_ms": float("nan")},
        {"p95_ms": 1e300},
        {"loss": 2},
        {"state": "offline"},
        {"transport": "x" * 1000},
        {"reason": "x" * 65},
        {"reconnects": 10**30},
        {"more": 1},
    ],
    ids=str,
)
def test_figures_of_another_form_are_refused(service: Service, wrong: dict[str, Any]) -> None:
    answer = beat(service.client(), {"sent_at": 1, "quality": {**FIGURES, **wrong}})
    assert answer["error"]["code"] == "invalid"
    assert f"quality.{next(iter(wrong))}" in answer["error"]["message"]
    assert service.qualities.all() == {}


@pytest.mark.parametrize("payload", [[], ["text"], [{}], [{"sent_at": "x" * 65}], [{}, {}]])
def test_a_heartbeat_of_another_form_is_refused(service: Service, payload: list[Any]) -> None:
    assert beat(service.client(), *payload)["error"]["code"] == "invalid"


def test_a_handler_of_the_app_wins(service: Service) -> None:
    client = service.client()
    service.socketio.on_event("heartbeat", lambda payload: "the app's")
    assert beat(client, {"sent_at": 1}) == "the app's"


def test_a_namespace_of_the_app_wins() -> None:
    class Own(Namespace):  # type: ignore[misc]
        def on_heartbeat(self, payload: Any) -> str:
            return "the app's"

    service = Service()
    service.socketio.on_namespace(Own("/own"))
    client = service.socketio.test_client(service.app, namespace="/own")
    answer = client.emit("heartbeat", {"sent_at": 1}, callback=True, namespace="/own")
    assert answer == "the app's"
