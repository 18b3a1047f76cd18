"""Work that is done once, where there is one process."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from flask import Flask, current_app
from flask_socketio import SocketIO
from structlog.testing import capture_logs

import production
from production.once import Turn, TurnOver
from production.settings import load_settings
from waiting import PATIENCE


@pytest.fixture
def app() -> Iterator[Flask]:
    """An app with the layer and without a queue."""
    app = Flask(__name__)
    settings = load_settings(environment="development", async_mode="threading", redis_url=None)
    socketio = SocketIO()
    production.init_app(app, socketio, settings)
    yield app
    socketio.server.eio.draining = True


def test_work_runs_with_the_app_until_the_process_leaves(app: Flask) -> None:
    begun, over = threading.Event(), threading.Event()

    def work(turn: Turn) -> None:
        assert current_app.name == app.name
        assert turn.held
        begun.set()
        try:
            turn.sleep(60)
        except TurnOver:
            over.set()
            raise

    production.once_per_service(app, work)
    assert begun.wait(PATIENCE)
    app.extensions["production"].socketio.server.eio.draining = True
    assert over.wait(PATIENCE)


def test_work_that_raises_is_logged_and_begins_anew(app: Flask) -> None:
    runs: list[int] = []
    again = threading.Event()

    def work(turn: Turn) -> None:
        runs.append(turn.fence)
        if len(runs) == 1:
            raise RuntimeError("once")
        again.set()

    with capture_logs() as records:
        production.once_per_service(app, work)
        assert again.wait(PATIENCE)
    assert runs == [0, 0]
    (record,) = [record for record in records if record["event"] == "work failed"]
    assert record["log_level"] == "error"


def test_a_turn_is_over_by_the_clock() -> None:
    class Server:
        class Eio:
            draining = False

        eio = Eio()

    turn = Turn(7, Server())
    turn.check()
    turn.extend(until=0.0)
    assert not turn.held
    with pytest.raises(TurnOver):
        turn.check()
