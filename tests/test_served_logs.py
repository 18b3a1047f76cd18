"""What the service writes: readable on a terminal, one JSON object a line elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from baking import Bake, clean_environment
from observing import ENDED, LogMark, not_json
from ports import free_port
from rawclient import http, open_websocket
from served import ServedProject
from waiting import PATIENCE, eventually

Start = Callable[..., ServedProject]


def test_a_session_leaves_one_line_when_it_begins_and_one_when_it_ends(service: Start) -> None:
    served = service("eventlet")
    mark = LogMark(served)
    with open_websocket(served.url) as client:
        session = client.connect_namespace()["sid"]
        eventually(lambda: mark.records(), "the beginning is logged")
        client.close_cleanly()
    mark.wait_for_end(session)
    begin, end = (record for record in mark.records() if record["session"] == session)
    assert (begin["event"], begin["level"], begin["transport"]) == (
        "client connected",
        "info",
        "websocket",
    )
    assert (end["event"], end["level"], end["reason"]) == (ENDED, "info", "transport close")
    assert not_json(served) == []


def test_engine_io_session_ids_are_not_written(service: Start) -> None:
    served = service("eventlet")
    with open_websocket(served.url) as client:
        client.connect_namespace()
        secret = client.sid
        client.close_cleanly()
    assert secret
    assert secret not in served.log_text()


def test_the_level_is_a_setting(service: Start) -> None:
    served = service("threading", LOG_LEVEL="WARNING")
    http("GET", f"{served.url}/missing")
    assert served.log_text() == ""


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_a_terminal_gets_readable_lines(bake: Bake, mode: str) -> None:
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn"],
        cwd=bake().path,
        env={
            **clean_environment(),
            "BIND": f"127.0.0.1:{free_port()}",
            "ASYNC_MODE": mode,
            "TERM": "xterm",
        },
        stdin=inside,
        stdout=inside,
        stderr=inside,
    )
    os.close(inside)
    output = b""
    try:
        while b"Booting worker" not in output:
            output += os.read(terminal, 4096)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        os.close(terminal)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", output.decode()).splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d \[info +\] Listening at: http://127\.0\.0\.1:\d+ \(\d+\) process=\d+",
        lines[1],
    )
    assert b"{" not in output
