"""The apps of the five write-ups: what their owners saw, and the same abuse after the one command.

The first half runs each on the stack that its owner had. The second half puts the layer around the
same files, serves them with gunicorn, and lets the same clients do worse.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import socketio
from cookiecutter.exceptions import FailedHookException

import legacy_stack
from baking import BakedProject, adopt
from legacy_apps import LEGACY, SECRET, STARTS, changed_files, migrate
from observing import LogMark, not_json
from production.doctor.report import check_folder
from rawclient import SocketIOClient, http, open_websocket
from served import ServedProject, serve
from visiting import LEAVINGS, Visitor
from waiting import PATIENCE, eventually

ROUNDS = 40

REQUEST_500 = re.compile(r'"[^"]*GET /socket\.io/\?EIO=4&transport=websocket HTTP/1\.1[^"]*" 500 -')


# ---------------------------------------------------------------------------------------------
# What a client of each app does


def hear_audio_status(client: SocketIOClient) -> None:
    client.connect_namespace()
    assert client.wait_for_event("status").args == [{"recording": False}]


def hear_audio_level(client: SocketIOClient) -> None:
    client.emit("request_level")
    assert client.wait_for_event("level").args[0]["db"] <= 1


def hear_whisper_confirm(client: SocketIOClient) -> None:
    client.connect_namespace()
    assert client.wait_for_event("connection_ack").args == [{"status": "connected"}]


def hear_whispers_heartbeat(client: SocketIOClient) -> None:
    client.emit("heartbeat", {"sent": 1})
    assert client.wait_for_event("heartbeat_response").args[0]["status"] == "ok"


def hear_desktop_status(client: SocketIOClient) -> None:
    client.connect_namespace()
    assert client.wait_for_event("server_status").args == [{"status": "ok"}]


def talk_to_desktop(client: SocketIOClient) -> None:
    assert client.call("message", "hello") == {"status": "ok"}
    assert client.wait_for_event("response").args == [{"data": "hello"}]


def subscribe_to_balance(client: SocketIOClient) -> None:
    client.connect_namespace({"user_id": 4})
    client.emit("subscribe", {"types": ["balance"]})
    assert client.wait_for_event("subscribed").args == [["balance"]]
    push_balance(client)


def push_balance(client: SocketIOClient) -> None:
    """Push to every client of the user, those that are being killed included."""
    client.emit("update", {"type": "balance", "data": 100})
    assert client.wait_for_event("balance_update").args == [{"type": "balance", "data": 100}]


def join_chat(client: SocketIOClient) -> None:
    client.connect_namespace()
    assert client.call("join", "kitchen") == {"joined": "kitchen"}


def say_something(client: SocketIOClient) -> None:
    client.emit("chat_message", {"room": "kitchen", "text": "tea"})
    assert client.wait_for_event("chat_message").args[0]["text"] == "tea"


VISITORS = {
    "audio_monitor": Visitor(hear_audio_status, hear_audio_level),
    "whisper_panel": Visitor(hear_whisper_confirm, hear_whispers_heartbeat),
    "desktop_app": Visitor(hear_desktop_status, talk_to_desktop),
    "trading_push": Visitor(subscribe_to_balance, push_balance),
    "two_ports_flask": Visitor(join_chat, say_something, path="/ws/chat/"),
}

# Each in the mode that people get without a word, and two of them in the others.
ABUSED = [
    *((name, "eventlet") for name in STARTS),
    ("trading_push", "gevent"),
    ("whisper_panel", "threading"),
]

# What the apps print themselves, which is no line of the layer's log.
PRINTED = {
    "audio_monitor": r"http://localhost:5000|client left: .*",
    "whisper_panel": r"(?!)",
    "desktop_app": r"(?!)",
    "trading_push": r"🔌 .*|📤 .*|🧹 .*|   (用户ID|数据内容|房间): .*",
    "two_ports_flask": r"(?!)",
}


# ---------------------------------------------------------------------------------------------
# On the stack that their owners had


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Callable[[str], legacy_stack.LegacyServer]]:
    """Start an app that has one client already, who stays.

    Who enters a room there at the moment at which its last client leaves it is in none.
    """
    with contextlib.ExitStack() as running:

        def start(name: str) -> legacy_stack.LegacyServer:
            script = STARTS[name].removeprefix("python ")
            log = tmp_path / f"{name}.log"
            server = running.enter_context(legacy_stack.serving(LEGACY / name, script, log))
            visitor = VISITORS[name]
            visitor.enter(running.enter_context(open_websocket(server.url, visitor.path)))
            return server

        yield start


@pytest.mark.parametrize("name", [name for name in STARTS if name != "two_ports_flask"])
def test_the_old_stack_logs_a_500_for_each_direct_websocket_that_ends(
    old: Callable[[str], legacy_stack.LegacyServer], name: str
) -> None:
    server = old(name)
    visitor = VISITORS[name]
    visitor.refresh(server.url)
    for leave in LEAVINGS.values():
        visitor.open_directly(server.url, leave)
    eventually(
        lambda: server.assertions() == len(LEAVINGS),
        what=lambda: f"one assertion for each but the upgraded one in {server.log_text()}",
    )
    assert len(REQUEST_500.findall(server.log_text())) == len(LEAVINGS)


def test_the_old_stack_never_runs_a_disconnect_handler_without_parameter(
    old: Callable[[str], legacy_stack.LegacyServer],
) -> None:
    """The panel's error handler swallows the TypeError by which upstream would have noticed."""
    server = old("whisper_panel")
    with open_websocket(server.url) as watcher:
        hear_whisper_confirm(watcher)
        VISITORS["whisper_panel"].open_directly(server.url, LEAVINGS["fin"])
        entry = watcher.wait_for_event("log_message").args[0]
    assert entry["level"] == "ERROR"
    assert "handle_disconnect() takes 0 positional arguments but 1 was given" in entry["message"]


def test_the_old_stack_never_raises_from_emit(
    old: Callable[[str], legacy_stack.LegacyServer],
) -> None:
    """What the write-up catches around ``emit`` does not come from there, nor does a broken pipe.

    ``emit`` only queues, and Werkzeug takes a broken pipe for a client that has left.
    """
    server = old("trading_push")
    visitor = VISITORS["trading_push"]
    with ThreadPoolExecutor(max_workers=8) as clients:
        list(clients.map(lambda visit: visit(server.url), visitor.abuse(ROUNDS)))
    visitor.refresh(server.url)
    assert server.assertions()
    assert "跳过推送" not in server.log_text()
    assert "BrokenPipeError" not in server.log_text()
    assert "ConnectionResetError" not in server.log_text()


def test_the_catch_all_handler_takes_the_headers_from_errors(
    old: Callable[[str], legacy_stack.LegacyServer],
) -> None:
    answer = http("POST", old("audio_monitor").url + "/health")
    assert answer.status == 405
    assert "allow" not in answer.headers


# ---------------------------------------------------------------------------------------------
# After the one command


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], BakedProject]]:
    """Migrate each app once; at the end, none of its files may have changed."""
    projects: dict[str, BakedProject] = {}

    def project(name: str) -> BakedProject:
        if name not in projects:
            projects[name] = migrate(name, tmp_path_factory.mktemp("migrated"))
        return projects[name]

    yield project
    for name, adopted in projects.items():
        assert changed_files(name, adopted) == []


Serve = Callable[..., ServedProject]


@pytest.fixture
def served(migrated: Callable[[str], BakedProject], tmp_path: Path) -> Iterator[Serve]:
    with contextlib.ExitStack() as running:

        def start(name: str, **environment: str) -> ServedProject:
            environment = {"ASYNC_MODE": "eventlet", "SECRET_KEY": SECRET, **environment}
            log = tmp_path / f"{name}.log"
            return running.enter_context(serve(migrated(name), log, **environment))

        yield start


@pytest.mark.parametrize(("name", "mode"), ABUSED)
def test_the_migrated_app_takes_worse_abuse_in_silence(served: Serve, name: str, mode: str) -> None:
    # A killed long-polling client is only missed at its ping time-out, hence the short one.
    service = served(name, ASYNC_MODE=mode, PING_INTERVAL="1", PING_TIMEOUT="2")
    visitor = VISITORS[name]
    log = LogMark(service)
    with ThreadPoolExecutor(max_workers=8) as clients:
        sessions = list(clients.map(lambda visit: visit(service.url), visitor.abuse(ROUNDS)))
    eventually(
        lambda: len(log.ended(*sessions)) >= len(sessions),
        what=lambda: f"all {len(sessions)} sessions end; {len(log.ended(*sessions))} have",
    )
    visitor.refresh(service.url)
    ended = Counter(record["session"] for record in log.ended(*sessions))
    assert ended == dict.fromkeys(sessions, 1)
    assert log.loud() == []
    foreign = [line for line in not_json(service) if not re.fullmatch(PRINTED[name], line)]
    assert foreign == []
    assert "Traceback" not in service.log_text()
    assert "AssertionError" not in service.log_text()


@pytest.mark.parametrize("name", STARTS)
def test_the_owner_is_told_everything_that_is_wrong(
    migrated: Callable[[str], BakedProject], name: str
) -> None:
    told = migrated(name).text("MIGRATION.md")
    for one in check_folder(LEGACY / name).findings:
        assert f"{one.path}:{one.line}" in told
        assert one.code in told


@contextlib.contextmanager
def talking(url: str, **options: Any) -> Iterator[socketio.SimpleClient]:
    """Connect the official client until the block ends."""
    with socketio.SimpleClient() as client:
        client.connect(url, wait_timeout=PATIENCE, **options)
        yield client


def hear(client: socketio.SimpleClient, event: str) -> Any:
    """Wait for an event and return what it says."""
    while True:
        name, *arguments = client.receive(timeout=PATIENCE)
        if name == event:
            return arguments[0]


ANY_ORIGIN = (
    "the app lets pages of any origin use its visitors' sessions: name those that may in "
    "ALLOWED_ORIGINS"
)


def warnings(service: ServedProject) -> list[str]:
    """What the log warns of, in the order in which it does."""
    return [record["event"] for record in service.records() if record["level"] == "warning"]


def test_the_audio_monitor_works(served: Serve) -> None:
    service = served("audio_monitor")
    assert "音频监控" in http("GET", service.url + "/").body.decode()
    assert http("GET", service.url + "/health").json() == {"status": "ok"}
    assert "404" in http("GET", service.url + "/missing").json()["error"]
    with talking(service.url) as client:
        assert hear(client, "status") == {"recording": False}
        client.emit("request_level")
        assert hear(client, "level")["db"] <= 1
    (handed_over,) = [record for record in service.records() if "ignored" in record]
    assert handed_over["ignored"] == {"host": "0.0.0.0", "port": 5000}
    assert [
        record["option"] for record in service.records() if "overridden" in record["event"]
    ] == ["async_mode", "ping_timeout"]
    assert warnings(service) == [
        ANY_ORIGIN,
        "the app has a route of its own where one of the layer would be",
    ]


def test_the_simple_server_of_the_audio_monitor_works_too(served: Serve) -> None:
    service = served("audio_monitor", EXISTING_APP="python server_test_simple.py")
    with talking(service.url) as client:
        client.emit("ping_test", "hello")
        assert hear(client, "pong_test") == "hello"
    assert warnings(service) == []


def test_the_whisper_panel_works(served: Serve) -> None:
    service = served("whisper_panel")
    assert "/static/js/components/websocket.js" in http("GET", service.url + "/").body.decode()
    script = http("GET", service.url + "/static/js/components/websocket.js")
    assert script.body == (LEGACY / "whisper_panel/static/js/components/websocket.js").read_bytes()
    with talking(service.url) as watcher:
        with talking(service.url, transports=["websocket"]) as client:
            assert hear(client, "connection_ack") == {"status": "connected"}
            client.emit("heartbeat", {"sent": 1})
            assert hear(client, "heartbeat_response")["status"] == "ok"
        # The handler that runs here is the one that never did before, and its line is in the panel.
        assert hear(watcher, "log_message") == {"level": "INFO", "message": "客户端断开"}
    lines = [record for record in service.records() if record["logger"] == "whisper"]
    assert {record["event"] for record in lines} == {"客户端断开"}
    assert warnings(service) == [ANY_ORIGIN]


def test_the_desktop_app_works_without_a_websocket_too(served: Serve) -> None:
    service = served("desktop_app")
    assert "桌面应用" in http("GET", service.url + "/").body.decode()
    script = http("GET", service.url + "/frontend/utils/socketService.js")
    assert script.status == 200
    assert script.body == (LEGACY / "desktop_app/frontend/utils/socketService.js").read_bytes()
    for transport in ("polling", "websocket"):
        with talking(service.url, transports=[transport]) as client:
            assert hear(client, "server_status") == {"status": "ok"}
            assert client.call("message", "hello", timeout=PATIENCE) == {"status": "ok"}
            assert hear(client, "response") == {"data": "hello"}
    assert warnings(service) == []


def test_the_trading_push_reaches_its_user_only(served: Serve) -> None:
    service = served("trading_push")
    kinds = ["balance", "positions", "pnl", "orders"]
    with contextlib.ExitStack() as clients:
        ada, phone, bob = (
            clients.enter_context(talking(service.url, auth={"user_id": user}))
            for user in (4, 4, 5)
        )
        for client in (ada, phone, bob):
            client.emit("subscribe", {"types": kinds})
            assert hear(client, "subscribed") == kinds
        for kind in kinds:
            ada.emit("update", {"type": kind, "data": 1})
            bob.emit("update", {"type": kind, "data": 2})
        for client, amount in ((ada, 1), (phone, 1), (bob, 2)):
            updates = [hear(client, f"{kind}_update") for kind in kinds]
            assert updates == [{"type": kind, "data": amount} for kind in kinds]
    assert warnings(service) == []


def test_the_trading_push_cleans_up_after_its_user_however_she_leaves(served: Serve) -> None:
    service = served("trading_push")
    for leave in LEAVINGS.values():
        ws = open_websocket(service.url)
        subscribe_to_balance(ws)
        for namespace in ("/trading", "/market"):
            ws.send_packet(f"40{namespace},")
            ws.wait_for_packet(f"40{namespace},{{")
        leave(ws)
    eventually(
        lambda: (
            service.log_text().count("🧹 自动清理用户4的订阅")
            == service.log_text().count("   用户ID: 4")
            == len(LEAVINGS)
        ),
        what=lambda: f"the handlers of both namespaces know who left, in {service.log_text()}",
    )
    assert "可忽略" not in service.log_text()
    assert warnings(service) == []


def test_a_django_project_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """What the fifth write-up runs is no Flask app: two_ports_flask has what of it is."""
    folder = tmp_path / "two_ports"
    shutil.copytree(LEGACY / "two_ports", folder)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(FailedHookException, match="only a Flask-SocketIO app can be adopted"):
        adopt(folder, "python run_asgi_server.py")
    assert sorted(path.name for path in folder.iterdir()) == before
