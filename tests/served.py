"""Runs generated services for tests: real gunicorn, real sockets, one process tree each."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from baking import BakedProject, clean_environment
from ports import free_port
from waiting import PATIENCE, eventually

PORT_TAKEN = "Something else listens on"


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
        self.host = host
        self.scheme = "http"
        self.port = port or free_port()
        self._may_move = port is None and "BIND" not in environment
        self._log_path = log_path
        self._command = [*prefix, *program, *arguments]
        self._directory = project.path
        self._environment = {**clean_environment(), "BIND": f"{host}:{self.port}", **environment}
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
        """Wait until it answers, on another port if a program that is no test's has taken this one."""
        eventually(
            lambda: self.exit_status() is not None or self._answers(),
            what=lambda: f"the service answers; it wrote:\n{self.log_text()}",
        )
        if self.exit_status() and self._may_move and PORT_TAKEN in self.log_text():
            self.port, self._may_move = free_port(), False
            self._environment["BIND"] = f"{self.host}:{self.port}"
            self.start_again()
        assert self.exit_status() is None, self.log_text()

    def exit_status(self) -> int | None:
        """Return the exit status of the master, or nothing while it runs."""
        return self._process.poll()

    def start_again(self) -> None:
        """Start it once more after it has been stopped, where it was, and wait until it answers."""
        self._process = self._start()
        self.wait_until_ready()

    def wait(self) -> int:
        """Wait for the master to exit by itself and return its exit status."""
        return self._process.wait(PATIENCE)

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """Ask the service to leave, and wait until it has left by itself."""
        if self.exit_status() is None:
            self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{self.url}/health/live", timeout=PATIENCE).close()
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
