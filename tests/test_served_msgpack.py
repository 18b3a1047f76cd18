"""A service whose packets are in MessagePack, for clients that speak it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from baking import ASYNC_MODES, Bake, BakedProject
from echoing import echo_project
from npm import JAVASCRIPT, node_with
from observing import LogMark
from rawclient import RawWebSocket, open_websocket
from served import ServedProject, serve
from waiting import WHOLE_PROGRAM

TEXT = "text \u00e9"


@pytest.fixture(scope="module")
def project(bake: Bake, tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """An echo that asks for MessagePack where the extension is made."""
    made = echo_project(bake, tmp_path_factory.mktemp("msgpack") / "project")
    module = made.path / "live_board/extensions.py"
    module.write_text(module.read_text().replace("SocketIO()", 'SocketIO(serializer="msgpack")'))
    return made


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_the_official_client_speaks_it(
    project: BakedProject, tmp_path: Path, mode: str, requires: Callable[[str], str]
) -> None:
    node = node_with("socket.io-msgpack-parser", requires)
    with serve(project, tmp_path / "msgpack.log", ASYNC_MODE=mode) as served:
        done = subprocess.run(
            [node, "msgpack.mjs", served.url],
            cwd=JAVASCRIPT,
            capture_output=True,
            text=True,
            timeout=WHOLE_PROGRAM,
            check=True,
        )
        check_strictness(served)
    bytes_as_json = {"type": "Buffer", "data": [0, 255]}
    sent = [TEXT, 1.5, None, {"nested": [True, bytes_as_json]}]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == [[{"token": "123"}, sent, sent]] * 3


def check_strictness(served: ServedProject) -> None:
    """Check that nonsense ends its own session only, with one line."""
    nonsense: list[Any] = [
        b"\xc1",
        msgpack.dumps({"type": 2, "nsp": "/", "data": ["connect"]}),
        msgpack.dumps({"type": 9, "nsp": "/"}),
    ]
    with joined(served) as bystander:
        for packet in nonsense:
            mark = LogMark(served)
            with joined(served) as ws:
                ws.send_binary(packet)
                ws.until_closed()
            assert mark.wait_for_end()["reason"] == "malformed data"
            assert mark.loud() == []
        with joined(served) as ws:
            ws.send_text('42["message"]')
            ws.until_closed()
        bystander.send_binary(msgpack.dumps({"type": 2, "nsp": "/", "data": ["message", 1]}))
        assert data_of(bystander) == ["message-back", 1]


def joined(served: ServedProject) -> RawWebSocket:
    """Open a WebSocket that has joined."""
    ws = open_websocket(served.url)
    ws.send_binary(msgpack.dumps({"type": 0, "nsp": "/"}))
    assert set(data_of(ws)) == {"sid"}
    assert data_of(ws) == ["auth", {}]
    return ws


def data_of(ws: RawWebSocket) -> Any:
    """Return the data of the next packet."""
    packet = ws.receive_packet()
    assert isinstance(packet, bytes)
    return msgpack.loads(packet)["data"]
