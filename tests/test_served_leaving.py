"""How a service leaves: what it says meanwhile, how fast it is, and where its clients go."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from baking import ASYNC_MODES
from observing import ENDED, LogMark, open_sessions
from rawclient import HttpConnection, RawWebSocket, http, open_websocket
from served import ServedProject
from waiting import PATIENCE, eventually

APPS = Path(__file__).parent / "apps"
CROWD = 200

pytestmark = pytest.mark.parametrize("mode", ASYNC_MODES)

Start = Callable[..., ServedProject]


def test_while_it_leaves_it_is_not_ready_and_takes_no_session(service: Start, mode: str) -> None:
    served = service(mode, "faulty:app", PYTHONPATH=str(APPS), KEEPALIVE="30")
    asked = ("/health/ready", "/socket.io/?EIO=4&transport=polling")
    with contextlib.ExitStack() as kept, ThreadPoolExecutor(1) as pool:
        connections = [
            kept.enter_context(contextlib.closing(HttpConnection(served.url))) for _ in asked
        ]
        for connection in connections:
            connection.request("GET", "/health/ready")
            assert connection.response().status == 200
        # A request in flight keeps the worker until the others have been answered.
        slow = pool.submit(http, "GET", f"{served.url}/slow?seconds=3", timeout=PATIENCE)
        eventually(lambda: "a slow request begins" in served.log_text())
        mark = LogMark(served)
        served.signal(signal.SIGTERM)
        eventually(
            lambda: any(record["event"].startswith("Closed") for record in mark.records()),
            "the worker leaves",
        )
        answers = []
        for connection, path in zip(connections, asked, strict=True):
            connection.request("GET", path)
            answers.append(connection.response())
        assert [answer.status for answer in answers] == [503, 503]
        assert answers[0].json()["checks"]["not_draining"]["status"] == "fail"
        assert answers[1].headers["retry-after"]
        assert slow.result(PATIENCE).status == 200
    assert served.wait() == 0


def test_idle_connections_do_not_keep_it(service: Start, mode: str) -> None:
    # Either would be longer than anybody waits here.
    served = service(mode, KEEPALIVE="60", DRAIN_SECONDS="60")
    with (
        contextlib.closing(HttpConnection(served.url)) as used,
        contextlib.closing(HttpConnection(served.url)) as silent,
    ):
        used.request("GET", "/health/live")
        assert used.response().status == 200
        served.signal(signal.SIGTERM)
        assert served.wait() == 0
        assert used.fin()
        assert silent.fin()


def test_a_crowd_is_told_and_closed(service: Start, mode: str) -> None:
    served = service(mode, DRAIN_SECONDS="2")
    with contextlib.ExitStack() as clients:
        crowd = [clients.enter_context(open_websocket(served.url)) for _ in range(CROWD)]
        for client in crowd:
            # Of clients that have joined nothing, the log would have the first few only.
            client.connect_namespace()
        eventually(lambda: open_sessions(served) == CROWD, "all are connected")
        mark = LogMark(served)
        readers = [threading.Thread(target=read_to_the_end, args=(client,)) for client in crowd]
        for reader in readers:
            reader.start()
        served.signal(signal.SIGTERM)
        assert served.wait() == 0
        for reader in readers:
            reader.join(PATIENCE)
        assert {client.close_code for client in crowd} == {1012}
        ends = [record for record in mark.records() if record["event"] == ENDED]
        assert [record["reason"] for record in ends] == ["server draining"] * CROWD
        assert mark.loud() == []


def read_to_the_end(client: RawWebSocket) -> None:
    """Read until the server closes, then close as a client does."""
    client.until_closed()
    client.close()
