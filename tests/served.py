"""Runs generated services for tests: real gunicorn, real sockets, one process tree each."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from baking import BakedProject, clean_environment
from waiting import eventually

BOOT_TIME = 30.0
STOP_TIME = 30.0


class ServedProject:
    """A generated project that gunicorn serves.

    :param project: the project.
    :param log_path: where its output goes.
    :param environment: what differs from the settings' defaults.
    :param arguments: further command-line arguments for gunicorn.
    :param prefix: a command that runs another, in front of gunicorn's.
    :param host: the address on which it listens.
    :param port: the port, if it must not be any free one.
    :param program: what serves it, if that is not gunicorn of the tests.
    """

    def __init__(
        self,
        project: BakedProject,
        log_path: Path,
        environment: dict[str, str],
        arguments: tuple[str, ...] = (),
        prefix: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        port: int | None = None,
        program: tuple[str, ...] = (sys.executable, "-m", "gunicorn"),
    ) -> None:
        port = port or free_port()
        self.host = host
        self.scheme = "http"
        self.port = port
        self._log_path = log_path
        self._command = [*prefix, *program, *arguments]
        self._directory = project.path
        self._environment = {**clean_environment(), "BIND": f"{host}:{port}", **environment}
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of gunicorn's master."""
        return self._process.pid

    def log_text(self) -> str:
        """Return everything that the processes wrote so far."""
        return self._log_path.read_text(encoding="utf-8")

    def records(self) -> list[dict[str, Any]]:
        """Return the log records so far; a line that is none is left to :meth:`log_text`."""
        records = []
        for line in self.log_text().splitlines():
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
        return [record for record in records if isinstance(record, dict)]

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        eventually(
            lambda: self.exit_status() is not None or self._answers(),
            BOOT_TIME,
            what=lambda: f"the service answers; it wrote:\n{self.log_text()}",
        )
        assert self.exit_status() is None, self.log_text()

    def exit_status(self) -> int | None:
        """Return the exit status of the master, or nothing while it runs."""
        return self._process.poll()

    def start_again(self) -> None:
        """Start it once more after it has been stopped, where it was, and wait until it answers."""
        self._process = self._start()
        self.wait_until_ready()

    def wait(self, timeout: float = STOP_TIME) -> int:
        """Wait for the master to exit by itself and return its exit status."""
        return self._process.wait(timeout)

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        self._process.send_signal(number)

    def stop(self) -> float:
        """Ask the service to leave; return the seconds that it took."""
        started_at = time.monotonic()
        if self.exit_status() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_TIME)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        return time.monotonic() - started_at

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{self.url}/health/live", timeout=5).close()
            return True
        return False


@contextlib.contextmanager
def serve(
    project: BakedProject, log_path: Path, *arguments: str, **environment: str
) -> Iterator[ServedProject]:
    """Serve a project until the block ends.

    :param project: the project.
    :param log_path: where its output goes.
    :param arguments: further command-line arguments for gunicorn.
    :param environment: what differs from the settings' defaults.
    """
    served = ServedProject(project, log_path, environment, arguments)
    try:
        served.wait_until_ready()
        yield served
    finally:
        served.stop()


def free_port() -> int:
    """Return a port of the loopback address on which nothing listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
