"""Whose turn it is to do the work of a start, where another process may have it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from flask import Flask
from flask_socketio import SocketIO

import production
from production.adopt.gate import Gate
from production.adopt.turn import TITLE, StartContest
from production.realtime.lease import NotYet
from production.realtime.redis_connection import connect, name
from production.settings import load_settings
from waiting import PATIENCE


@pytest.fixture
def app(message_queue: str) -> Iterator[Flask]:
    """An app with the layer and a queue, of a service that no other test has."""
    app = Flask(__name__)
    settings = load_settings(
        environment="development",
        async_mode="threading",
        redis_url=message_queue,
        service_name=uuid4().hex,
    )
    socketio = SocketIO()
    production.init_app(app, socketio, settings)
    yield app
    socketio.server.eio.draining = True


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that are sent, to nobody."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append((process, number)))
    return sent


def take_the_lock(app: Flask, queue: str, token: str) -> None:
    """Let the lock be held."""
    service = app.extensions["production"].settings.service_name
    connect(queue).set(name(service, "once", TITLE), token, ex=60)


def test_the_gate_opens_when_it_is_the_process_s_turn(app: Flask) -> None:
    gate = Gate()
    opened = threading.Event()
    gate.postpone(opened.set)
    StartContest(app, gate).begin()
    assert opened.wait(PATIENCE)


def test_a_process_waits_while_another_does_the_work(
    app: Flask, message_queue: str, signals: list[tuple[int, int]]
) -> None:
    take_the_lock(app, message_queue, "another's")
    gate = Gate()
    StartContest(app, gate).compete()
    assert not gate.is_open
    assert signals == []


def test_a_process_leaves_when_another_has_taken_its_work_over(
    app: Flask, message_queue: str, signals: list[tuple[int, int]]
) -> None:
    take_the_lock(app, message_queue, "another's")
    gate = Gate()
    gate.open()
    StartContest(app, gate).compete()
    assert signals == [(os.getpid(), signal.SIGTERM)]


def test_a_process_stays_while_a_queue_that_is_new_lets_nobody_begin(
    app: Flask, signals: list[tuple[int, int]]
) -> None:
    gate = Gate()
    gate.open()
    with pytest.raises(NotYet):
        StartContest(app, gate).compete()
    assert signals == []
