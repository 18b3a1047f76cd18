"""What the write-ups tried, on the stack that they had: each does nothing, or does harm.

docs/failures.md says so of each; here each is seen.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import legacy_stack
from baking import adopt
from legacy_apps import LEGACY, SECRET
from legacy_stack import LegacyServer
from rawclient import PollingSession, http, open_websocket
from served import serve
from waiting import PATIENCE, eventually

APP = """\
from flask import Flask, session
from flask_socketio import SocketIO

app = Flask(__name__)
app.secret_key = "of the developer"
socketio = SocketIO(
    app,
    async_mode="threading",
    handle_sigterm=False,
    suppress_send=False,
    always_connect=True,
    manage_session=False,
)


@app.errorhandler(Exception)
def handle_all_errors(error):
    print("handled:", type(error).__name__)
    return {"error": str(error)}, getattr(error, "code", 500)


@app.before_request
def before_request():
    print("before a request")


@socketio.on_error_default
def default_error_handler(error):
    return False


@socketio.on("connect")
def decline(auth=None):
    if auth:
        socketio.emit("secret", "for those who are let in")
        return False


@socketio.on("count")
def count():
    session["visits"] = session.get("visits", 0) + 1
    return session["visits"]


@socketio.on("fail")
def fail():
    raise ValueError("a bug of the app")


socketio.run(app, allow_unsafe_werkzeug=True)
"""

LOGGING_APP = """\
import logging

from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading", logger=logging.getLogger())


class WebSocketLogHandler(logging.Handler):
    def emit(self, record):
        try:
            socketio.emit("log_message", self.format(record))
        except Exception as error:
            print("could not be sent:", type(error).__name__)


@socketio.on("work")
def work():
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger().addHandler(WebSocketLogHandler())
    logging.warning("one line")


@socketio.on("end")
def end():
    emit("ended")


socketio.run(app)
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LegacyServer]:
    with serving(APP, tmp_path_factory.mktemp("tried")) as server:
        yield server


@contextlib.contextmanager
def serving(app: str, directory: Path) -> Iterator[LegacyServer]:
    (directory / "app.py").write_text(app)
    with legacy_stack.serving(directory, "app.py", directory / "server.log") as server:
        yield server


def test_options_that_do_not_exist_change_nothing_and_are_not_complained_of(
    tried: LegacyServer,
) -> None:
    before = tried.assertions()
    with open_websocket(tried.url) as ws:
        ws.connect_namespace()
    eventually(lambda: tried.assertions() > before, "the assertion is still there")
    assert "handle_sigterm" not in tried.log_text()
    assert "suppress_send" not in tried.log_text()


def test_flasks_hooks_are_never_called_for_socket_io(tried: LegacyServer) -> None:
    with open_websocket(tried.url) as ws:
        ws.connect_namespace()
    http("GET", f"{tried.url}/socket.io/?EIO=4&transport=nonsense")
    assert "handled:" not in tried.log_text()
    assert "before a request" not in tried.log_text()


def test_a_client_that_is_declined_hears_what_is_not_for_it(tried: LegacyServer) -> None:
    with open_websocket(tried.url) as ws:
        ws.send_packet('40{"token": "stolen"}')
        assert ws.wait_for_event("secret").args == ["for those who are let in"]


def test_a_session_that_is_not_managed_forgets(tried: LegacyServer) -> None:
    with open_websocket(tried.url) as ws:
        ws.connect_namespace()
        assert [ws.call("count") for _ in range(3)] == [1, 1, 1]


def test_what_the_default_error_handler_returns_is_the_acknowledgement(
    tried: LegacyServer,
) -> None:
    with open_websocket(tried.url) as ws:
        ws.connect_namespace()
        assert ws.call("fail") is False


def test_a_log_handler_that_emits_logs_its_own_emitting(tmp_path: Path) -> None:
    with serving(LOGGING_APP, tmp_path) as server, open_websocket(server.url) as ws:
        ws.connect_namespace()
        ws.emit("work")
        for _ in range(50):
            ws.wait_for_event("log_message")


def test_adopted_that_handler_sends_the_line_once(tmp_path: Path) -> None:
    folder = tmp_path / "logging_app"
    folder.mkdir()
    (folder / "app.py").write_text(LOGGING_APP)
    project = adopt(folder, "python app.py")
    with (
        serve(project, tmp_path / "log", SECRET_KEY=SECRET, LOG_LEVEL="DEBUG") as service,
        open_websocket(service.url) as ws,
    ):
        ws.connect_namespace()
        ws.emit("work")
        ws.emit("end")
        assert ws.wait_for_event("log_message").args == ["one line"]
        ws.wait_for_event("ended")
        assert ws.events == []


def test_a_body_that_never_comes_is_waited_for(tried: LegacyServer) -> None:
    polling = PollingSession(tried.url)
    with contextlib.closing(polling.start_post("40", content_length=900_000)) as pending:
        with open_websocket(tried.url) as ws:
            ws.connect_namespace()
            ws.call("count")
        readable, _, _ = select.select([pending.socket], [], [], 0)
        assert not readable


def test_the_guard_that_is_switched_off_is_there_for_a_reason() -> None:
    outcome = subprocess.run(
        [legacy_stack.install(), "-I", "-B", LEGACY / "desktop_app" / "backend" / "simple_app.py"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert outcome.returncode == 1
    assert "The Werkzeug web server is not designed to run in production" in outcome.stderr
