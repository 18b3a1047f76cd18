"""Old call styles: answered, and named by file and line, once each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flask_socketio
import pytest
from flask import Flask
from structlog.testing import capture_logs

from baking import run_beside_layer
from production.adopt import call_sites
from production.adopt.courtesies import accept_broadcast_flag, let_tasks_say_whether_they_live
from production.observe.current import CurrentEvent, current_event
from production.realtime.manager import LocalManager


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> flask_socketio.SocketIO:
    """An extension with an app, whose class is put back after the test."""
    for name in ("emit", "start_background_task"):
        monkeypatch.setattr(flask_socketio.SocketIO, name, getattr(flask_socketio.SocketIO, name))
    monkeypatch.setattr(call_sites, "_warned", set())
    return flask_socketio.SocketIO(Flask(__name__), async_mode="threading")


def test_broadcast_is_accepted_and_the_line_named_once(extension: flask_socketio.SocketIO) -> None:
    with pytest.raises(TypeError):
        extension.emit("event", broadcast=True)
    accept_broadcast_flag()
    with capture_logs() as records:
        for _ in range(2):
            extension.emit("event", broadcast=True)
        extension.send("text", broadcast=True)
        extension.emit("event")
    assert [record["log_level"] for record in records] == ["warning", "warning"]
    files = {record["where"].rpartition(":")[0] for record in records}
    assert {Path(file).name for file in files} == {Path(__file__).name}
    assert len({record["where"] for record in records}) == 2


class Task:
    """What eventlet's driver returns: a wrapper without ``is_alive``."""

    def __init__(self, green: Any) -> None:
        self.g = green


class Green:
    def __init__(self, *, dead: bool) -> None:
        self.dead = dead


def test_a_background_task_says_whether_it_lives(
    extension: flask_socketio.SocketIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_tasks_say_whether_they_live()
    tasks = iter([Task(Green(dead=False)), Task(Green(dead=True)), Task(None)])
    monkeypatch.setattr(extension.server, "start_background_task", lambda _: next(tasks))
    with capture_logs() as records:
        alive = [extension.start_background_task(print).is_alive() for _ in range(3)]
    assert alive == [True, False, False]
    assert len(records) == 1


def test_a_thread_keeps_its_own_answer(extension: flask_socketio.SocketIO) -> None:
    let_tasks_say_whether_they_live()
    with capture_logs() as records:
        task = extension.start_background_task(lambda: None)
        task.join()
        assert not task.is_alive()
    assert records == []


TWO_WRITERS = """
import eventlet; eventlet.monkey_patch()
import os, sys
from production.adopt.courtesies import take_turns_at_writing
if sys.argv[1] == "courteous":
    take_turns_at_writing()
reader, writer = os.pipe()
os.set_blocking(writer, False)
os.set_blocking(reader, False)
def write(letter):
    left = letter * 200_000
    while left:
        left = left[os.write(writer, left):]
writers = [eventlet.spawn(write, letter) for letter in (b"a", b"b")]
def read():
    while os.read(reader, 65536):
        pass
eventlet.spawn_after(0.1, read)
for each in writers:
    each.wait()
"""


@pytest.mark.parametrize(
    ("manner", "complaint"), [("courteous", ""), ("plain", "Second simultaneous")]
)
def test_green_threads_take_turns_at_writing_to_a_descriptor(manner: str, complaint: str) -> None:
    outcome = run_beside_layer(TWO_WRITERS, manner)
    assert outcome.returncode == (1 if complaint else 0), outcome.stderr
    assert complaint in outcome.stderr


@pytest.mark.parametrize(
    ("greets", "event", "session", "reached"),
    [
        (True, "connect", "new", {"old", "new"}),
        (True, "connect", "other", {"old"}),
        (True, "message", "new", {"old"}),
        (False, "connect", "new", {"old"}),
    ],
)
def test_a_connect_handler_may_greet_its_client_by_a_broadcast(
    greets: bool, event: str, session: str, reached: set[str]
) -> None:
    manager = LocalManager()
    manager.greets_by_broadcast = greets
    for sid in ("old", "new"):
        manager.basic_enter_room(sid, "/", None, eio_sid=f"eio-{sid}")
    manager.pending_connect = {"/": ["new"]}
    handled = current_event.set(CurrentEvent(session, event, "/"))
    try:
        assert {sid for sid, _ in manager.get_participants("/", None)} == reached
    finally:
        current_event.reset(handled)
