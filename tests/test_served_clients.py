"""The official clients, over each transport, against each mode."""

from __future__ import annotations

import json
import queue
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import socketio

from baking import ASYNC_MODES
from npm import node_with
from observing import LogMark
from served import ServedProject
from waiting import PATIENCE

CLIENTS = Path(__file__).parent / "js"
TRANSPORTS = (["polling", "websocket"], ["websocket"], ["polling"])

pytestmark = pytest.mark.parametrize("mode", ASYNC_MODES)

Start = Callable[..., ServedProject]


def test_the_javascript_client_is_served(
    service: Start, mode: str, requires: Callable[[str], str]
) -> None:
    node = node_with("socket.io-client", requires)
    served = service(mode)
    mark = LogMark(served)
    outcome = subprocess.run(
        [node, str(CLIENTS / "client_matrix.mjs"), served.url],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    checks = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [check for check in checks if not check["ok"]] == []
    assert len(checks) > 50, outcome.stderr
    assert outcome.returncode == 0, outcome.stderr
    assert mark.loud() == []


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-then-".join)
def test_the_python_client_is_served(service: Start, mode: str, transports: list[str]) -> None:
    served = service(mode)
    updates: queue.Queue[dict[str, Any]] = queue.Queue()
    greetings: queue.Queue[dict[str, Any]] = queue.Queue()
    client = socketio.Client(reconnection=False)
    client.on("update", updates.put)
    client.on("connection_ack", greetings.put)
    client.connect(served.url, transports=transports)
    try:
        assert greetings.get(timeout=PATIENCE)["session_id"] == client.get_sid()
        assert client.transport() == transports[-1]
        channel = f"python-{mode}-{len(transports)}-{transports[0]}"
        assert client.call("subscribe", {"channels": [channel]}, timeout=PATIENCE) == {
            "ok": True,
            "channels": [channel],
        }
        for data in ({"text": "Grüße"}, b"\x00\xff", {"nested": [b"\x01", 2]}, "x" * 900_000):
            answer = client.call("publish", {"channel": channel, "data": data}, timeout=PATIENCE)
            assert answer["ok"], answer
            update = updates.get(timeout=PATIENCE)
            assert (update["data"], update["sequence"]) == (data, answer["sequence"])
    finally:
        client.disconnect()
