"""A service that says what it is sent, in two namespaces, with one worker and with three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from baking import Bake, BakedProject
from observing import MODES
from routed import WORKERS, wait_for_workers
from served import ServedProject, serve

ECHO = '''
"""Events that answer with what they are sent."""

from flask_socketio import ConnectionRefusedError, emit

from .extensions import socketio as server


def register(socketio):
    for namespace in ("/", "/custom"):
        socketio.on_event("connect", connect, namespace)
        socketio.on_event("message", message, namespace)
        socketio.on_event("message-with-ack", message_with_ack, namespace)
        socketio.on_event("ask", ask, namespace)


def connect(auth=None):
    if auth == {"refuse": True}:
        emit("never", "heard")
        raise ConnectionRefusedError("not today")
    emit("auth", auth or {})


def message(*arguments):
    emit("message-back", arguments)


def message_with_ack(*arguments):
    return arguments


def ask(session_id):
    return server.call("question", ("how", "are you?"), to=session_id, timeout=30)
'''

KINDS = [(mode, workers) for workers in (1, WORKERS) for mode in MODES]

Start = Callable[..., ServedProject]


def echo_project(bake: Bake, place: Path) -> BakedProject:
    """Generate an echo that may be changed, in a directory that there is not yet."""
    project = bake().copy(place)
    (project.path / "live_board/events.py").write_text(ECHO)
    return project


@pytest.fixture(scope="session")
def _start_echo(
    bake: Bake, message_queue: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    directory: Path = tmp_path_factory.mktemp("echoing")
    project = echo_project(bake, directory / "project")
    with ExitStack() as stack:

        @cache
        def start(mode: str, workers: int, ping_timeout: str) -> ServedProject:
            name = f"echo-{mode}-{workers}-{ping_timeout}"
            environment = {
                "ASYNC_MODE": mode,
                "PING_INTERVAL": "0.3",
                "PING_TIMEOUT": ping_timeout,
                "WEB_CONCURRENCY": str(workers),
                "REDIS_URL": message_queue,
                "SERVICE_NAME": name,
            }
            served = stack.enter_context(serve(project, directory / f"{name}.log", **environment))
            if workers > 1:
                wait_for_workers(served, workers)
            return served

        yield start


@pytest.fixture(params=KINDS, ids="{0[0]}-{0[1]}".format, scope="session")
def echo(_start_echo: Start, request: pytest.FixtureRequest) -> ServedProject:
    """An echo in each mode, with one worker and with several, whose clients may take their time to answer a ping."""
    return _start_echo(*request.param, ping_timeout="20")


@pytest.fixture(params=MODES, scope="session")
def impatient_echo(_start_echo: Start, request: pytest.FixtureRequest) -> ServedProject:
    """An echo in each mode that gives its clients 0.2 s to answer a ping."""
    return _start_echo(request.param, 1, ping_timeout="0.2")
