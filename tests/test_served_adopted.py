"""Apps in the styles that people write, adopted and served unedited by gunicorn in each mode."""

from __future__ import annotations

import socket

import pytest
import requests
import socketio

from adopting import STARTS, Serve, adopted_projects, assert_clean_end, served
from baking import ASYNC_MODES
from observing import LogMark
from ports import free_port
from waiting import PATIENCE, eventually

__all__ = ["adopted_projects", "served"]

pytestmark = pytest.mark.parametrize("mode", ASYNC_MODES)


def test_a_single_file_that_calls_run_at_its_end(served: Serve) -> None:
    app = served("module_level_run")
    client, other = app.connect(), app.connect(transports=["polling"])
    client.send("hello")
    assert (client.next("message"), other.next("message")) == ("hello", "hello")
    assert "1 messages" in app.get("/").text
    assert client.call("heartbeat", {"sent_at": 1}, timeout=PATIENCE)["ok"]
    assert not (app.path / "after_run.txt").exists()
    assert {
        record["option"]: (record["old"], record["new"])
        for record in app.logged(event="an option of the app is overridden")
        if record["option"].startswith("ping")
    } == {"ping_interval": ("30", "25.0"), "ping_timeout": ("120", "20.0")}
    assert app.logged(level="warning", cors_allowed_origins="*")
    assert app.logged(call="socketio.run()", ignored={"host": "0.0.0.0", "port": 5000})
    assert_clean_end(app)


def test_a_view_that_fails_is_answered_without_its_traceback(served: Serve) -> None:
    app = served("module_level_run")
    mark = LogMark(app.service)
    answer = app.get("/boom")
    assert answer.status_code == 500
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert "ZeroDivisionError" not in answer.text
    assert sum("exception" in record for record in mark.records()) == 1


def test_work_under_main_with_arguments(served: Serve) -> None:
    app = served("main_guard", MY_SECRET="x7" * 20)
    client = app.connect()
    assert client.next("greeting") == "good morning"
    first = client.next("tick")["n"]
    assert client.next("tick")["n"] > first
    assert app.get("/config").json() == {
        "greeting": "good morning",
        "argv": ["main.py", "--greeting", "good morning", "--port", "8000"],
        "cwd": str(app.path),
        "data": "from the working directory",
        "main": "__main__",
        "file": str(app.path / "main.py"),
    }
    assert {record["signal"] for record in app.service.records() if "signal" in record} == {
        "SIGINT",
        "SIGTERM",
    }
    assert_clean_end(app)


def test_a_package_with_class_based_namespaces(served: Serve) -> None:
    app = served("package")
    ada, bob = app.connect("/chat", "/admin"), app.connect("/chat", "/admin")
    assert "kitchen" in ada.call("join", {"name": "ada", "room": "kitchen"}, namespace="/chat")
    bob.call("join", {"name": "bob", "room": "kitchen"}, namespace="/chat")
    bob.emit("say", {"room": "kitchen", "text": "hi"}, namespace="/chat")
    assert ada.next("said")["text"] == "hi"
    assert ada.call("who", namespace="/admin") == ["ada", "bob"]
    bob.disconnect()
    assert ada.next("left") == 1
    assert "<title>chat</title>" in app.get("/").text
    assert not app.logged(level="warning")
    assert_clean_end(app)


@pytest.mark.parametrize("start", [STARTS["flask_factory"], "flask --app server run -p 8000"])
def test_a_factory_with_blueprints(served: Serve, start: str) -> None:
    app = served("flask_factory", EXISTING_APP=start)
    client = app.connect("/", "/chat")
    client.emit("joined", {"room": "a"}, namespace="/chat")
    assert client.next("status") == {"msg": "somebody entered"}
    client.emit("text", {"room": "a", "msg": "hi"}, namespace="/chat")
    assert client.next("message") == {"msg": "hi"}
    requests.post(f"{app.url}/api/notify/a", timeout=PATIENCE)
    assert client.next("message") == {"msg": "from HTTP"}
    assert app.get("/").text == ("a config" if start == STARTS["flask_factory"] else "default")
    assert app.get("/missing").text == "nothing here, says the app"
    failed = client.call("fail", timeout=PATIENCE)
    assert failed["error"]["code"] == "internal"
    assert client.call("echo", {"still": "there"}) == {"still": "there"}
    eventually(lambda: "a bug of the app" in app.service.log_text(), "the bug is logged")


def test_a_factory_that_returns_a_tuple_behind_a_login_on_its_own_path(served: Serve) -> None:
    app = served("tuple_factory")
    client = app.connect("/any", socketio_path="live/socket")
    assert client.connected
    assert app.connect(socketio_path="live/socket").call("sum", (1, 2, 3)) == 6
    assert app.get("/anything").status_code == 302
    assert app.get("/health").json() == {"mine": True}
    assert app.get("/health/ready").json()["status"] == "pass"
    assert app.logged(path="/health", level="warning")
    assert 'data-socket-path="/live/socket"' in app.get("/diagnostics").text
    diagnosing = app.connect("/diagnostics", socketio_path="live/socket")
    assert diagnosing.call("greet", namespace="/diagnostics")["workers"] == 1
    assert "export class Realtime" in app.get("/realtime/realtime.js").text
    assert_clean_end(app)


def test_a_login_sessions_on_the_server_and_a_database(served: Serve) -> None:
    app = served("login_and_shop")
    with pytest.raises(socketio.exceptions.ConnectionError):
        app.connect()
    browser = requests.Session()
    browser.post(f"{app.url}/login/ada", timeout=PATIENCE)
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    client = app.connect(headers={"Cookie": cookies})
    before = client.call("order", "tea")["orders"]
    assert client.call("order", "milk") == {"user": "ada", "orders": before + 1}
    assert browser.get(f"{app.url}/cart", timeout=PATIENCE).json() == {"cart": 2}
    assert_clean_end(app)


def test_pushers_of_every_kind(served: Serve) -> None:
    app = served("pushers")
    client = app.connect()
    client.emit("start")
    wanted = {"thread at import", "task at import", "first connection", "thread in a handler"}
    seen: set[str] = set()

    def all_push() -> bool:
        seen.add(client.next("push"))
        return seen >= wanted

    eventually(all_push, what=lambda: f"each pusher pushes; {seen} do")
    assert_clean_end(app)


def test_calls_of_flask_socketio_4(served: Serve) -> None:
    app = served("old_style")
    client, other = app.connect(), app.connect()
    client.emit("shout", "hey")
    assert [other.next("shouted"), other.next("message")] == ["hey", "hey"]
    client.emit("whisper", "psst")
    assert client.next("whispered") == "psst"
    assert client.call("work") == "started"
    assert client.call("work") == "busy"
    eventually(lambda: client.call("work") == "started", "the task has ended")
    assert client.call("late") == "registered before init_app"
    assert client.call("later") == "registered after init_app"
    sid = other.get_sid()
    other.disconnect()
    eventually(lambda: app.get("/gone").json()["gone"] == [sid], "it was told, once")
    named = {record["where"] for record in app.service.records() if "where" in record}
    assert {"server.py:21", "server.py:22"} <= named
    assert_clean_end(app)


def test_an_app_beside_another_without_socket_io(served: Serve) -> None:
    app = served("two_apps")
    assert app.connect().call("which") == "the one with Socket.IO"
    assert app.get("/").text == "page"
    assert app.logged(call="app.run()", level="warning")
    assert_clean_end(app)


def test_a_datagram_loop_in_the_main_thread(served: Serve) -> None:
    port = free_port()
    app = served("udp_relay", UDP_PORT=str(port))
    client = app.connect()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"over the wire", ("127.0.0.1", port))
    assert client.next("datagram") == "over the wire"
    allowed = app.connect(headers={"Origin": "http://localhost:3000"})
    assert allowed.connected
    with pytest.raises(socketio.exceptions.ConnectionError):
        app.connect(headers={"Origin": "http://elsewhere.example"})
    assert_clean_end(app)


def test_eventlet_s_own_server_on_a_port_that_is_taken(served: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = served("eventlet_server", PORT=str(taken.getsockname()[1]))
        assert app.connect().call("upper", "tea") == "TEA"
        assert app.logged(call="eventlet.wsgi.server()")
        assert app.logged(call="eventlet.monkey_patch()")
    assert_clean_end(app)


def test_gevent_s_own_server_around_middleware(served: Serve) -> None:
    app = served("gevent_server")
    assert app.connect().call("upper", "tea") == "TEA"
    assert app.logged(call="WSGIServer.serve_forever()")
    assert_clean_end(app)


def test_waitress_which_has_no_websockets(served: Serve) -> None:
    app = served("waitress_server")
    client = app.connect(transports=["websocket"])
    assert client.transport() == "websocket"
    assert client.call("upper", "tea") == "TEA"
    assert app.logged(call="waitress.serve()")
    assert_clean_end(app)


def test_app_run_with_a_second_object_in_a_directory_of_its_own(served: Serve) -> None:
    app = served("plain_app_run")
    assert app.connect().call("hello", "ada") == "hello ada, from the second object"
    assert requests.post(f"{app.url}/post", data="x" * 101, timeout=PATIENCE).status_code == 413
    assert requests.post(f"{app.url}/post", data="x" * 100, timeout=PATIENCE).text == "100"
    assert_clean_end(app)


def test_flask_run_that_looks_for_the_app_itself(served: Serve) -> None:
    app = served("flask_command")
    assert app.connect().call("double", 21) == 42
    assert app.logged(call="run_simple()")
    assert_clean_end(app)


def test_a_terminal_that_all_clients_write_to(served: Serve) -> None:
    app = served("shared_terminal")
    first, second = app.connect("/pty"), app.connect("/pty")
    for number in range(20):
        for client in (first, second):
            client.emit("input", {"text": f"<{number}>" + "x" * 200}, namespace="/pty")
    output = ""

    def all_written() -> bool:
        nonlocal output
        output += first.next("output")
        return all(output.count(f"<{number}>") == 2 for number in range(20))

    eventually(all_written, what=lambda: f"all is written; got {output}")
    assert_clean_end(app)


def test_an_event_loop_at_the_top_of_a_script(served: Serve) -> None:
    app = served("asyncio_script")
    assert app.connect().call("greet", "ada") == "Welcome, ada"
    assert_clean_end(app)
