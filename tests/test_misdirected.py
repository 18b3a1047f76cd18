"""Programs that emit as they would to stock Flask-SocketIO: it is heard, or somebody is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from baking import ASYNC_MODES, Bake, clean_environment
from queues import unused_service
from rawclient import open_websocket
from served import serve
from waiting import WHOLE_PROGRAM, eventually

WAYS = {
    "flask-socketio": "from flask_socketio import SocketIO as Way",
    "socketio": "from socketio import RedisManager as Manager\n"
    "Way = lambda message_queue, **channel: Manager(message_queue, write_only=True, **channel)",
}


@pytest.mark.parametrize(
    ("mode", "default"),
    [*((mode, "flask-socketio") for mode in ASYNC_MODES), ("threading", "socketio")],
)
def test_who_names_no_channel_is_told_which_one_to_name(
    bake: Bake, tmp_path: Path, message_queue: str, mode: str, default: str
) -> None:
    def emit(channel: str) -> None:
        script = (
            f"{WAYS[default]}\nWay(message_queue={message_queue!r}{channel})"
            '.emit("news", 1, namespace="/")'
        )
        command = [sys.executable, "-c", script]
        subprocess.run(command, env=clean_environment(), timeout=WHOLE_PROGRAM, check=True)

    settings = {"REDIS_URL": message_queue, "SERVICE_NAME": unused_service()}
    with (
        serve(bake(), tmp_path / "service.log", ASYNC_MODE=mode, **settings) as served,
        open_websocket(served.url) as client,
    ):
        client.connect_namespace()

        def told() -> list[dict[str, str]]:
            emit("")
            return [record for record in served.records() if "emitted_on" in record]

        [line] = eventually(told, "it is told")
        assert line["level"] == "warning"
        assert line["emitted_on"] == default
        emit(f", channel={line['channel']!r}")
        assert client.wait_for_event("news").args == [1]
