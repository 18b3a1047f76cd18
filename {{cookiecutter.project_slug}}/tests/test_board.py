"""The Socket.IO events, spoken to through Flask-SocketIO's test client."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_socketio import SocketIOTestClient

from {{ cookiecutter.package_name }}.extensions import socketio


def ask(client: SocketIOTestClient, event: str, payload: Any) -> dict[str, Any]:
    """Send an event and return its acknowledgement."""
    acknowledgement: dict[str, Any] = client.emit(event, payload, callback=True)
    return acknowledgement


def updates(client: SocketIOTestClient) -> list[dict[str, Any]]:
    """Return the updates that a client has received since it was last asked."""
    return [event["args"][0] for event in client.get_received() if event["name"] == "update"]


def test_a_new_client_is_told_what_it_is_connected_to(client: SocketIOTestClient) -> None:
    (greeting,) = client.get_received()
    assert greeting["name"] == "connection_ack"
    assert set(greeting["args"][0]) == {
        "session_id",
        "process",
        "process_id",
        "server_time",
        "heartbeat_interval",
        "heartbeat_timeout",
    }


def test_subscriptions_are_acknowledged_with_all_of_them(client: SocketIOTestClient) -> None:
    assert ask(client, "subscribe", {"channels": ["news", "lobby"]}) == {
        "ok": True,
        "channels": ["lobby", "news"],
    }
    assert ask(client, "unsubscribe", {"channels": ["news"]}) == {"ok": True, "channels": ["lobby"]}


def test_an_update_reaches_those_who_watch_its_channel(app: Flask) -> None:
    watching, elsewhere = socketio.test_client(app), socketio.test_client(app)
    ask(watching, "subscribe", {"channels": ["watched"]})
    ask(elsewhere, "subscribe", {"channels": ["other"]})

    answer = ask(elsewhere, "publish", {"channel": "watched", "data": {"price": 1}})

    (update,) = updates(watching)
    assert update["channel"] == "watched"
    assert update["data"] == {"price": 1}
    assert update["sequence"] == answer["sequence"]
    assert not updates(elsewhere)


def test_updates_of_a_channel_are_numbered_in_order(client: SocketIOTestClient) -> None:
    ask(client, "subscribe", {"channels": ["numbered"]})
    for number in range(3):
        ask(client, "publish", {"channel": "numbered", "data": number})
    assert [(update["sequence"], update["data"]) for update in updates(client)] == [
        (1, 0),
        (2, 1),
        (3, 2),
    ]


def test_a_client_that_comes_back_gets_what_it_missed(app: Flask) -> None:
    client, other = socketio.test_client(app), socketio.test_client(app)
    ask(client, "subscribe", {"channels": ["missed"]})
    ask(other, "publish", {"channel": "missed", "data": "seen"})
    (seen,) = updates(client)
    client.disconnect()
    ask(other, "publish", {"channel": "missed", "data": "unseen"})

    client.connect()
    answer = ask(
        client,
        "subscribe",
        {
            "channels": ["missed"],
            "after": {"missed": seen["sequence"]},
            "epochs": {"missed": seen["epoch"]},
        },
    )

    assert answer["replayed"] == {"missed": 1}
    assert not answer["gaps"]
    assert [update["data"] for update in updates(client)] == ["unseen"]


def test_a_message_that_is_sent_again_is_published_once(client: SocketIOTestClient) -> None:
    ask(client, "subscribe", {"channels": ["again"]})
    message = {"channel": "again", "data": "once", "id": "6f1b2c"}
    assert ask(client, "publish", message)["sequence"] == 1
    assert ask(client, "publish", message)["sequence"] == 1
    assert len(updates(client)) == 1


def test_a_subscription_ends_with_its_session(app: Flask) -> None:
    client = socketio.test_client(app)
    ask(client, "subscribe", {"channels": ["left"]})
    client.disconnect()
    assert "channel:left" not in socketio.server.manager.rooms.get("/", {})


def test_a_heartbeat_is_answered_with_what_it_brought(client: SocketIOTestClient) -> None:
    answer = ask(client, "heartbeat", {"sent_at": 12.5})
    assert answer["ok"] is True
    assert answer["sent_at"] == 12.5


def test_a_wrong_payload_is_explained(client: SocketIOTestClient) -> None:
    answer = ask(client, "subscribe", {"channels": ["NOT A CHANNEL"]})
    assert answer["ok"] is False
    assert answer["error"]["code"] == "invalid"
    assert "channels.0" in answer["error"]["message"]
    assert answer["error"]["request_id"]


def test_too_many_subscriptions_are_declined(client: SocketIOTestClient) -> None:
    ask(client, "subscribe", {"channels": [f"channel-{number}" for number in range(100)]})
    answer = ask(client, "subscribe", {"channels": ["one-more"]})
    assert answer["error"]["code"] == "too_many"
