"""Processes that use the app and serve nobody: Flask's commands, scripts, workers of a task queue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from baking import ASYNC_MODES, Bake, BakedProject, clean_environment
from ports import free_port
from queues import unused_service
from rawclient import http, open_websocket
from served import serve
from waiting import WHOLE_PROGRAM, eventually

pytestmark = pytest.mark.parametrize("mode", ASYNC_MODES)

AWAY = "redis://127.0.0.1:1/0"
"""A queue that nobody answers at: nothing here may wait for one."""

COMMANDS = {
    "routes": ("-m", "flask", "--app", "wsgi", "routes"),
    "shell": ("-m", "flask", "--app", "wsgi", "shell"),
    "script": ("-c", "import live_board; live_board.create_app(); live_board.create_app()"),
    "test client": (
        "-c",
        "import wsgi; assert wsgi.app.test_client().get('/health/live').status_code == 200",
    ),
    "threads": (
        "-c",
        "import threading, wsgi, production\n"
        "production.once_per_service(wsgi.app, lambda turn: 1 / 0)\n"
        "assert threading.active_count() == 1, threading.enumerate()",
    ),
}


def run(
    project: BakedProject, mode: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of Python in a project."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project.path,
        env={**clean_environment(), "ASYNC_MODE": mode, "REDIS_URL": AWAY, **environment},
        capture_output=True,
        text=True,
        input="print(app.name)\n",
        timeout=WHOLE_PROGRAM,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_without_a_queue_and_without_patching(
    bake: Bake, mode: str, command: str
) -> None:
    done = run(bake(), mode, *COMMANDS[command])
    assert done.returncode == 0, done.stderr
    if command == "routes":
        assert "/health/ready" in done.stdout
    if command == "shell":
        assert "live_board" in done.stdout


def test_what_a_command_emits_reaches_the_clients(
    bake: Bake, mode: str, tmp_path: Path, message_queue: str
) -> None:
    settings = {"REDIS_URL": message_queue, "SERVICE_NAME": unused_service()}
    with (
        serve(bake(), tmp_path / "served.log", ASYNC_MODE=mode, **settings) as served,
        open_websocket(served.url) as client,
    ):
        client.connect_namespace()
        script = "import wsgi; wsgi.app.extensions['socketio'].emit('news', {'from': 'a command'})"
        done = run(bake(), mode, "-c", script, **settings)
        assert done.returncode == 0, done.stderr
        assert client.wait_for_event("news").args == [{"from": "a command"}]


def test_what_nobody_hears_is_said(bake: Bake, mode: str) -> None:
    script = "import wsgi; wsgi.app.extensions['socketio'].emit('news', 1)"
    done = run(bake(), mode, "-c", script, REDIS_URL="")
    assert done.returncode == 0, done.stderr
    assert "no client hears what is emitted here" in done.stdout + done.stderr
    away = run(bake(), mode, "-c", script)
    assert away.returncode == 1
    assert "The message queue did not take it" in away.stderr


def test_another_server_answers_with_the_sentence_that_helps(bake: Bake, mode: str) -> None:
    port = free_port()
    command = [sys.executable, *COMMANDS["routes"][:-1], "run", "--port", str(port)]
    environment = {**clean_environment(), "ASYNC_MODE": mode, "REDIS_URL": AWAY}
    with subprocess.Popen(
        command, cwd=bake().path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        try:

            def answer() -> bytes:
                try:
                    return http("GET", f"http://127.0.0.1:{port}/").body
                except OSError:
                    return b""

            said = eventually(answer, "it answers")
        finally:
            server.terminate()
    assert b"served by gunicorn only: start it with `make run`" in said
