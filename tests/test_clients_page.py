"""What docs/clients.md tells others to write: the Python client is run, the numbers are compared."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from baking import TEMPLATE, Bake, clean_environment
from production.browser import client
from production.settings import Settings
from served import ServedProject, serve
from waiting import PATIENCE, eventually

PAGE = (TEMPLATE / "docs/clients.md").read_text(encoding="utf-8")


class Follower:
    """The page's Python client, as its reader runs it.

    :param script: where to write it.
    :param url: the service.
    :param channel: what to follow.
    """

    def __init__(self, script: Path, url: str, channel: str) -> None:
        (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
        script.write_text(code, encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(script), url, channel],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        self.lines += []
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def await_line(self, line: str, times: int = 1) -> None:
        """Wait until it has printed a line so many times."""
        eventually(
            lambda: self.lines.count(line) >= times,
            what=lambda: f"{line!r} {times} times among {self.lines}",
        )

    def updates(self) -> list[str]:
        """Return what it has printed of updates."""
        return [line for line in self.lines if line != "subscribed"]

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()


@pytest.fixture
def served(bake: Bake, tmp_path: Path, message_queue: str) -> Iterator[ServedProject]:
    """Two workers, one of which may be killed."""
    settings = {"REDIS_URL": message_queue, "SERVICE_NAME": "followed", "WEB_CONCURRENCY": "2"}
    with serve(bake(), tmp_path / "service.log", **settings) as service:
        yield service


def publish(served: ServedProject, data: Any) -> None:
    answer = requests.post(f"{served.url}/api/channels/lobby", json=data, timeout=PATIENCE)
    assert answer.status_code == 202


def test_the_python_client_misses_nothing(served: ServedProject, tmp_path: Path) -> None:
    follower = Follower(tmp_path / "follow.py", served.url, "lobby")
    try:
        follower.await_line("subscribed")
        publish(served, "before")
        follower.await_line("1 before")

        (connected,) = [one for one in served.records() if one["event"] == "client connected"]
        os.kill(connected["process"], signal.SIGKILL)
        eventually(lambda: _accepts(served, "meanwhile"), "the other worker publishes")
        follower.await_line("2 meanwhile")
        follower.await_line("subscribed", times=2)
        publish(served, "after")
        follower.await_line("3 after")
    finally:
        follower.stop()
    assert follower.updates() == ["1 before", "2 meanwhile", "3 after"]


def _accepts(served: ServedProject, data: Any) -> bool:
    """Tell whether an update was accepted; the same id lets it be sent again without harm."""
    try:
        return requests.post(
            f"{served.url}/api/channels/lobby",
            json=data,
            headers={"Idempotency-Key": "the-same"},
            timeout=PATIENCE,
        ).ok
    except requests.ConnectionError:
        return False


def test_the_numbers_are_those_of_the_service() -> None:
    defaults = Settings.model_fields
    silence = defaults["ping_interval"].default + defaults["ping_timeout"].default
    assert f"({silence:g} s)" in PAGE
    assert defaults["max_message_bytes"].default == 1_000_000
    assert client.ON_CDN in PAGE
    assert client.INTEGRITY in PAGE
