"""Engine.IO servers of an app's own, in a process that has one of the layer."""

from __future__ import annotations

import json
from typing import Any

import engineio
from engineio.socket import Socket

from production.realtime.engine import EngineServer
from production.realtime.session import Session

OPEN = {
    "REQUEST_METHOD": "GET",
    "QUERY_STRING": "EIO=4&transport=polling",
    "REMOTE_ADDR": "127.0.0.1",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "localhost",
}


def opened(server: engineio.Server) -> Any:
    """Open a session and return it."""
    answer = b"".join(server.handle_request(dict(OPEN), lambda *_: None))
    return server.sockets[json.loads(answer[1:])["sid"]]


def test_each_server_has_sessions_of_its_own_kind() -> None:
    before = engineio.Server(async_mode="threading", monitor_clients=False)
    layer = EngineServer(
        async_mode="threading",
        max_sessions=10,
        sessions_per_address=10,
        handshakes_per_address=10,
        max_queued_messages=10,
        max_queued_bytes=1000,
    )
    after = engineio.Server(async_mode="threading", monitor_clients=False)
    assert isinstance(opened(layer), Session)
    for other in (before, after):
        session = opened(other)
        assert isinstance(session, Socket)
        assert not isinstance(session, Session)
        other.send(session.sid, "hello")
        assert [packet.data for packet in session.poll()][-1] == "hello"
