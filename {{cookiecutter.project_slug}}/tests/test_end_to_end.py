"""The whole service: gunicorn in processes of its own, and a client over the network."""

from __future__ import annotations

from typing import Any

import pytest
import socketio

PATIENCE = 10.0


def receive(client: socketio.SimpleClient, event: str) -> Any:
    """Wait for an event, passing over others, and return its payload."""
    while True:
        name, *arguments = client.receive(timeout=PATIENCE)
        if name == event:
            return arguments[0]


@pytest.mark.parametrize(
    "transports", [["polling", "websocket"], ["websocket"], ["polling"]], ids="-then-".join
)
def test_a_client_watches_a_channel(service_url: str, transports: list[str]) -> None:
    with socketio.SimpleClient() as client:
        client.connect(service_url, transports=transports)
        assert client.call("subscribe", {"channels": ["lobby"]})["ok"]
        assert client.call("publish", {"channel": "lobby", "data": {"text": "hello"}})["ok"]
        assert receive(client, "update")["data"] == {"text": "hello"}
        assert client.transport == transports[-1]
