"""Development: one command serves, takes changed code and stops at a breakpoint, in each mode."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baking import ASYNC_MODES, Bake, BakedProject, clean_environment
from ports import free_port
from rawclient import PollingSession, http, open_websocket
from waiting import PATIENCE, eventually

STOPPING = """

@socketio.on("stop here")
def stop_here() -> str:
    answer = "as written"
    breakpoint()
    return answer


def create_app"""


@pytest.fixture(params=ASYNC_MODES)
def project(request: pytest.FixtureRequest, bake: Bake, tmp_path: Path) -> BakedProject:
    """A service with a breakpoint in a handler."""
    made = bake(async_mode=request.param).copy(tmp_path / "project")
    module = made.path / "live_board/__init__.py"
    module.write_text(module.read_text().replace("\n\ndef create_app", STOPPING))
    return made


class Terminal:
    """A terminal in which a service runs."""

    def __init__(self, command: list[str], project: BakedProject, **environment: str) -> None:
        self._keyboard, end = pty.openpty()
        self._shown = bytearray()
        self._service = subprocess.Popen(
            command,
            cwd=project.path,
            env={**clean_environment(), **environment},
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
        )
        os.close(end)
        threading.Thread(target=self._read, daemon=True).start()

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._keyboard, f"{line}\n".encode())

    def text(self) -> str:
        """Return what has been shown."""
        return self._shown.decode(errors="replace")

    def close(self) -> None:
        """End what runs in it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._service.pid, signal.SIGTERM)
        self._service.wait(PATIENCE)
        os.close(self._keyboard)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._keyboard, 65536):
                self._shown += data


def launched(project: BakedProject) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment that Visual Studio Code starts."""
    text = (project.path / ".vscode/launch.json").read_text()
    [configuration] = json.loads(text)["configurations"]
    return [sys.executable, "-m", configuration["module"]], configuration["env"]


@pytest.fixture(params=["make debug", "launch.json"])
def terminal(
    request: pytest.FixtureRequest, project: BakedProject, requires: Callable[[str], str]
) -> Iterator[tuple[str, Terminal]]:
    """The service in a terminal, and its address."""
    address = f"127.0.0.1:{free_port()}"
    if request.param == "make debug":
        (project.path / ".venv").symlink_to(sys.prefix)
        (project.path / "build").mkdir()
        for name in ("requirements-dev.txt", "build/installed"):
            (project.path / name).touch()
        command = [requires("make"), "debug", "INSTALLED=build/installed"]
        environment: dict[str, str] = {}
    else:
        command, environment = launched(project)
    shown = Terminal(command, project, BIND=address, **environment)
    try:
        yield f"http://{address}", shown
    finally:
        shown.close()


def answers(url: str) -> bool:
    """Tell whether the service is there."""
    with contextlib.suppress(OSError):
        return http("GET", f"{url}/health/live").status == 200
    return False


def test_code_is_taken_and_a_breakpoint_stops(
    terminal: tuple[str, Terminal], project: BakedProject, request: pytest.FixtureRequest
) -> None:
    url, shown = terminal
    eventually(lambda: answers(url), shown.text)
    assert http("GET", f"{url}/").status == 200
    with contextlib.closing(PollingSession(url)) as polling:
        polling.connect_namespace()
    with open_websocket(url) as client:
        client.connect_namespace()
        client.emit("stop here", ack_id=1)
        eventually(lambda: "(Pdb) " in shown.text(), shown.text)
        shown.type("answer = 'as typed'")
        shown.type("continue")
        assert client.wait_for_packet("431") == '431["as typed"]'
    if "make debug" in request.node.name:
        module = project.path / "live_board/__init__.py"
        module.write_text(module.read_text() + "\nCHANGED = True\n")
        eventually(lambda: "live_board/__init__.py modified" in shown.text(), shown.text)
        eventually(lambda: answers(url), shown.text)
    assert "Traceback" not in shown.text()
