"""The embedded stack: one command, three kinds of processes, one URL; nothing is left behind."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import socketio

from baking import Bake
from queues import running
from rawclient import http, open_websocket
from routed import spread
from stacks import Stack
from waiting import PATIENCE, eventually


def lives(process: psutil.Process) -> bool:
    """Tell whether a process does anything; one whose parent was killed may wait to be buried."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def workers_that_welcome(url: str) -> int:
    """Return over how many workers new sessions are spread."""
    with contextlib.ExitStack() as clients:
        return len(spread([clients.enter_context(open_websocket(url)) for _ in range(12)]))


@pytest.fixture
def start(bake: Bake, tmp_path: Path) -> Iterator[type[Stack]]:
    """Start stacks that have ended after the test."""
    started: list[Stack] = []

    def stack(*arguments: str, **environment: str) -> Stack:
        output = tmp_path / f"stack-{len(started)}.log"
        started.append(Stack(bake().path, output, *arguments, **environment))
        return started[-1]

    yield stack  # type: ignore[misc]
    for each in started:
        if each.process.poll() is None:
            each.leave(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_with_four_workers_behind_nginx_and_leaves_nothing(
    start: type[Stack], number: int
) -> None:
    stack = start("--workers", "4")  # type: ignore[arg-type]
    url = stack.url()
    assert [line.split()[0] for line in stack.output.splitlines() if " ready" in line] == [
        "valkey",
        "gunicorn",
        "nginx",
    ]
    assert http("GET", f"{url}/health/ready").headers["server"].startswith("nginx")
    eventually(lambda: workers_that_welcome(url) == 4, "all workers take sessions")
    for transports in (["polling", "websocket"], ["websocket"], ["polling"]):
        with socketio.SimpleClient() as client:
            client.connect(url, transports=transports)
            assert client.transport == transports[-1]
            assert client.call("subscribe", {"channels": ["stack"]})["ok"]
            assert client.call("publish", {"channel": "stack", "data": 1})["ok"]
    parts = stack.parts()
    assert stack.leave(number) == 0
    assert not [part for part in parts if lives(part)]


def test_a_queue_that_is_configured_is_used(start: type[Stack], tmp_path: Path) -> None:
    with running(tmp_path) as queue:
        stack = start("--workers", "2", REDIS_URL=queue.url)  # type: ignore[arg-type]
        stack.url()
        assert "valkey" not in stack.output
        assert queue.client.client_list()
        # As when the terminal is closed.
        assert stack.leave(signal.SIGHUP) == 0


def test_a_part_that_ends_ends_the_stack_with_a_sentence(start: type[Stack]) -> None:
    stack = start("--workers", "1")  # type: ignore[arg-type]
    stack.url()
    (nginx,) = [part for part in stack.parts() if "nginx: master" in " ".join(part.cmdline())]
    parts = stack.parts()
    nginx.kill()
    assert stack.process.wait(PATIENCE) == 1
    eventually(lambda: not [part for part in parts if lives(part)], "nothing is left")
    assert "nginx ended with status -9" in stack.output
    assert "Traceback" not in stack.output
