"""Where a service listens that is started, and that it leaves with the terminal it was started in."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baking import Bake, clean_environment
from ports import free_port
from rawclient import http
from served import ServedProject
from waiting import PATIENCE, eventually


class InTerminal:
    """gunicorn, started in a terminal of its own.

    :param project: the project's folder.
    :param setsid: the command that makes the terminal its own.
    """

    def __init__(self, project: Path, setsid: str) -> None:
        self._port = free_port()
        terminal, inside = pty.openpty()
        self._terminal = os.fdopen(terminal, "rb", buffering=0)
        self.process = subprocess.Popen(
            [setsid, "--ctty", sys.executable, "-m", "gunicorn"],
            cwd=project,
            env={**clean_environment(), "BIND": f"127.0.0.1:{self._port}", "LOG_FORMAT": "json"},
            stdin=inside,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(inside)

    def accepts(self) -> bool:
        """Tell whether it listens."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self._port)) == 0

    def close_terminal(self) -> None:
        """Close the terminal, as one closes a window."""
        self._terminal.close()

    def stop(self) -> None:
        """End it, if it has not."""
        self.close_terminal()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def in_terminal(bake: Bake, requires: Callable[[str], str]) -> Iterator[InTerminal]:
    """The service, started in a terminal."""
    service = InTerminal(bake().path, requires("setsid"))
    try:
        eventually(service.accepts, "it listens")
        yield service
    finally:
        service.stop()


def test_it_leaves_when_its_terminal_is_closed(in_terminal: InTerminal) -> None:
    in_terminal.close_terminal()
    assert in_terminal.process.wait(PATIENCE) == 0
    assert not in_terminal.accepts()


def test_a_reload_is_one_while_the_terminal_is_there(in_terminal: InTerminal) -> None:
    service = in_terminal
    (before,) = eventually(lambda: _children(service.process.pid), "it has a worker")
    service.process.send_signal(signal.SIGHUP)
    eventually(lambda: before not in _children(service.process.pid), "it has a new worker")
    assert service.accepts()


def test_a_port_that_is_taken_is_said_with_what_to_do(bake: Bake, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = ServedProject(bake(), tmp_path / "log", {}, port=port)
        assert served.wait() == 1
    assert served.log_text().count("Something else listens on") == 2
    assert "choose another port, for example with BIND=127.0.0.1:5001" in served.log_text()
    assert "Errno" not in served.log_text()


def test_it_listens_on_every_address_that_is_named(bake: Bake, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    bind = ",".join(f"127.0.0.1:{port}" for port in ports)
    served = ServedProject(bake(), tmp_path / "log", {"BIND": bind}, port=ports[0])
    try:
        served.wait_until_ready()
        assert http("GET", f"http://127.0.0.1:{ports[1]}/health/live").status == 200
    finally:
        served.stop()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
