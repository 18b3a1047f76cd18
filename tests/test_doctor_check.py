"""The checker finds every fault of the five write-ups, and nothing where nothing is wrong."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engineio
import pytest
import socketio
from flask_socketio import SocketIO

from baking import PROJECT_TEMPLATE, Bake
from checks_page import PAGE, page
from doctor_cases import APP, CASES, IMPORTS, Files
from production.doctor import cli, sources
from production.doctor.checks.options import KNOWN_OPTIONS
from production.doctor.fixing import FIXABLE, MISSING_LIBRARY, fix_folder
from production.doctor.model import Severity
from production.doctor.outputs import WRITERS
from production.doctor.registry import all_checks, check_of
from production.doctor.report import Report, check_folder, state_verdict

LEGACY = Path(__file__).parent / "legacy"

Planted = list[tuple[str, str, str]]
"""Code, file, and what stands in the line."""

# Every fault of each write-up, at every place where it is.
PLANTED: dict[str, Planted] = {
    "audio_monitor": [
        ("FSP101", "src/server/app.py", "handle_sigterm=False"),
        ("FSP101", "src/server/app.py", "suppress_send=False"),
        ("FSP102", "src/server/app.py", 'cors_allowed_origins="*"'),
        ("FSP103", "src/server/app.py", "always_connect=True"),
        ("FSP107", "src/server/app.py", "max_http_buffer_size=1e6"),
        ("FSP201", "server_test_simple.py", "allow_unsafe_werkzeug=True"),
        ("FSP201", "src/main.py", "allow_unsafe_werkzeug=True"),
        ("FSP205", "src/config.py", "debug: bool = True"),
        ("FSP405", "src/server/app.py", "@app.errorhandler(Exception)"),
        ("FSP406", "src/server/app.py", "response.headers['Content-Type']"),
        ("FSP415", "diagnose_websocket.py", "requests.get(BASE + '/health'"),
        ("FSP702", "requirements.txt", "python-engineio==4.12.3"),
    ],
    "whisper_panel": [
        ("FSP102", "main.py", 'cors_allowed_origins="*"'),
        ("FSP103", "main.py", "always_connect=True"),
        ("FSP104", "main.py", "manage_session=False"),
        ("FSP106", "main.py", "ping_timeout=120"),
        ("FSP201", "main.py", "allow_unsafe_werkzeug=True"),
        ("FSP205", "config.py", "DEBUG = os.environ.get"),
        ("FSP402", "main.py", "def handle_disconnect():"),
        ("FSP404", "main.py", "return False"),
        ("FSP407", "main.py", "request.path.startswith('/socket.io/')"),
        ("FSP409", "utils/logger.py", "except Exception as ws_error"),
        ("FSP410", "utils/logger.py", "self.socketio.emit('log_message'"),
        ("FSP702", "requirements.txt", "python-engineio==4.12.3"),
        ("FSP902", "static/js/components/websocket.js", "transports: ['websocket', 'polling']"),
        ("FSP903", "static/js/components/websocket.js", "pingInterval: 30000"),
        ("FSP903", "static/js/components/websocket.js", "pingTimeout: 120000"),
        ("FSP904", "static/js/components/websocket.js", "forceNew: true"),
        ("FSP905", "static/js/components/websocket.js", "this.reconnect();"),
        ("FSP906", "static/js/components/websocket.js", "error.message.includes('500')"),
        ("FSP907", "templates/index.html", "setTimeout(() => {"),
        ("FSP908", "templates/index.html", "'beforeunload'"),
    ],
    "desktop_app": [
        ("FSP702", "requirements.txt", "python-engineio==4.12.3"),
        ("FSP820", "simple_app.spec", "hiddenimports=[]"),
        ("FSP821", "simple_app.spec", "datas=[]"),
        ("FSP905", "frontend/utils/socketService.js", "this.socket.connect()"),
    ],
    "trading_push": [
        ("FSP303", "trading_ws.py", "self.subscriptions = {}"),
        ("FSP401", "app.py", "def handle_disconnect():"),
        ("FSP401", "app.py", "def handle_market_disconnect():"),
        ("FSP401", "app.py", "def handle_trading_disconnect():"),
        ("FSP408", "trading_ws.py", 'response" in str(e):'),
        ("FSP408", "trading_ws.py", "in str(emit_error):"),
        ("FSP408", "trading_ws.py", "not in str(e):"),
        ("FSP409", "app.py", "except Exception as e:"),
        ("FSP409", "app.py", "except:"),
        ("FSP409", "trading_ws.py", "except:"),
        ("FSP413", "trading_ws.py", "room=room"),
        ("FSP702", "requirements.txt", "python-engineio==4.12.3"),
    ],
    "two_ports": [
        ("FSP001", "run_asgi_server.py", "from daphne"),
        ("FSP909", "static/websocket_fix_test.html", "new WebSocket('ws://localhost:8001"),
        ("FSP909", "templates/base.html", "new WebSocket('ws://localhost:8001"),
        ("FSP911", "templates/base.html", "window.WebSocket = FixedWebSocket"),
        ("FSP912", "templates/base.html", "url.replace(/:8001"),
        ("FSP912", "templates/base.html", "url.replace(/localhost:8001"),
    ],
    "two_ports_flask": [
        ("FSP702", "requirements.txt", "python-engineio==4.12.3"),
        ("FSP909", "static/websocket_fix_test.html", "new WebSocket('ws://localhost:8001"),
        ("FSP909", "templates/base.html", "io('http://localhost:8001'"),
        ("FSP911", "templates/base.html", "window.WebSocket = FixedWebSocket"),
        ("FSP912", "templates/base.html", "url.replace(/:8001"),
        ("FSP912", "templates/base.html", "url.replace(/localhost:8001"),
    ],
}


def write(folder: Path, files: Files) -> Path:
    """Write a project."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def assert_it_scales(folder: Path, file: Callable[[int], Files]) -> None:
    """Expect that four times as much to read takes about four times the processor time, not sixteen."""
    small, large = (
        min(_processor_time(folder / f"{size}-{number}", file(size)) for number in range(2))
        for size in (50_000, 200_000)
    )
    assert large < 10 * small


def _processor_time(folder: Path, files: Files) -> float:
    write(folder, files)
    began_at = time.thread_time()
    check_folder(folder)
    return time.thread_time() - began_at


def codes(report: Report) -> set[str]:
    return {one.code for one in report.findings}


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command line and return its exit status, output and errors."""
    try:
        status = cli.main(arguments)
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    written = capsys.readouterr()
    return status, written.out, written.err


class TestFiveWriteUps:
    @pytest.mark.parametrize("app", sorted(PLANTED))
    def test_each_fault_is_found_and_nothing_else(self, app: str) -> None:
        report = check_folder(LEGACY / app)
        missing = list(PLANTED[app])
        unexpected = []
        for one in report.findings:
            text = (LEGACY / app / one.path).read_text("utf-8").splitlines()[one.line - 1]
            match = next(
                (
                    planted
                    for planted in missing
                    if planted[:2] == (one.code, one.path) and planted[2] in text
                ),
                None,
            )
            if match:
                missing.remove(match)
            else:
                unexpected.append((one.code, one.path, one.line, text.strip()))
        assert (missing, unexpected) == ([], [])
        assert not report.notes

    def test_every_write_up_has_its_app(self) -> None:
        assert {path.name for path in LEGACY.iterdir() if path.is_dir()} == set(PLANTED)


class TestEachCheck:
    def test_each_has_a_case_and_each_case_a_check(self) -> None:
        assert set(CASES) == {check.code for check in all_checks()}

    @pytest.mark.parametrize("code", sorted(CASES))
    def test_it_finds_its_fault_at_its_line(self, code: str, tmp_path: Path) -> None:
        case = CASES[code]
        report = check_folder(write(tmp_path, case.bad))
        found = [one for one in report.findings if one.code == code]
        assert [one.path for one in found] == [case.file]
        line = (tmp_path / case.file).read_text("utf-8").splitlines()[found[0].line - 1]
        assert case.quote in line

    @pytest.mark.parametrize("code", sorted(CASES))
    def test_it_is_silent_where_nothing_is_wrong(self, code: str, tmp_path: Path) -> None:
        for number, files in enumerate(CASES[code].good):
            assert code not in codes(check_folder(write(tmp_path / str(number), files)))

    @pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.code)
    def test_its_words_are_sentences(self, check: Any) -> None:
        for sentence in (check.why, check.fix):
            assert sentence[0].isupper() or sentence.startswith(("`", "gunicorn ", "nginx "))
            assert sentence.endswith(".")
            assert "\n" not in sentence
        assert not check.title.endswith(".")
        assert all(one.startswith(("https://", "docs/")) for one in check.evidence)

    def test_the_known_options_are_those_of_the_libraries(self) -> None:
        taken = {"self", "kwargs", "args"}
        for function in (
            SocketIO.__init__,
            socketio.Server.__init__,
            engineio.Server.__init__,
        ):
            taken |= set(inspect.signature(function).parameters)
        own = set(re.findall(r":param (\w+):", SocketIO.__doc__ or "")) - {"kwargs"}
        assert own | taken - {"self", "kwargs", "args"} == KNOWN_OPTIONS


class TestPage:
    def test_the_page_is_what_the_registry_says(self) -> None:
        assert PAGE.read_text("utf-8") == page(), "python tests/checks_page.py writes it anew"

    def test_sections_of_documents_that_are_named_exist(self) -> None:
        for check in all_checks():
            for address in check.evidence:
                if address.startswith("docs/failures.md#"):
                    assert address.partition("#")[2] in anchors("docs/failures.md")


def anchors(name: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    text = (PAGE.parent.parent / name).read_text("utf-8")
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


class TestNoFalseAlarm:
    def test_the_service_that_the_template_generates(self, bake: Bake) -> None:
        report = check_folder(bake().path)
        assert [(one.code, one.path, one.line) for one in report.findings] == []
        assert not report.notes

    @pytest.mark.parametrize("mode", ["gevent", "threading"])
    def test_it_in_another_mode(self, bake: Bake, mode: str) -> None:
        report = check_folder(bake(async_mode=mode).path)
        assert codes(report) == set()

    def test_the_layer_itself(self) -> None:
        report = check_folder(PROJECT_TEMPLATE / "production")
        assert [(one.code, one.path, one.line) for one in report.findings] == []

    def test_the_idioms_of_flask_socketios_examples(self, tmp_path: Path) -> None:
        """In own words, what `example/app.py` does; its faults are the three at the end."""
        text = (
            "from threading import Lock\n"
            "from flask import Flask, session, request, copy_current_request_context\n"
            "from flask_socketio import SocketIO, emit, join_room, rooms, close_room, disconnect\n"
            "async_mode = None\n"
            "app = Flask(__name__)\n"
            "app.config['SECRET_KEY'] = 'secret!'\n"
            "socketio = SocketIO(app, async_mode=async_mode)\n"
            "thread = None\n"
            "thread_lock = Lock()\n"
            "def background_thread():\n"
            "    count = 0\n"
            "    while True:\n"
            "        socketio.sleep(10)\n"
            "        count += 1\n"
            "        socketio.emit('response', {'count': count})\n"
            "@socketio.event\n"
            "def my_event(message):\n"
            "    session['count'] = session.get('count', 0) + 1\n"
            "    emit('response', message, broadcast=True)\n"
            "@socketio.on('close_room')\n"
            "def on_close_room(message):\n"
            "    emit('response', 'closing', to=message['room'])\n"
            "    close_room(message['room'])\n"
            "@socketio.on('*')\n"
            "def catch_all(event, data):\n"
            "    emit('response', [event, data])\n"
            "@socketio.event\n"
            "def leave():\n"
            "    @copy_current_request_context\n"
            "    def can_disconnect():\n"
            "        disconnect()\n"
            "    emit('response', 'bye', callback=can_disconnect)\n"
            "@socketio.event\n"
            "def connect():\n"
            "    global thread\n"
            "    with thread_lock:\n"
            "        if thread is None:\n"
            "            thread = socketio.start_background_task(background_thread)\n"
            "    emit('response', 'connected')\n"
            "@socketio.on('disconnect')\n"
            "def on_disconnect(reason):\n"
            "    print('Client disconnected', request.sid, reason)\n"
            "if __name__ == '__main__':\n"
            "    socketio.run(app, debug=True)\n"
        )
        report = check_folder(write(tmp_path, {"app.py": text}))
        assert codes(report) == {"FSP204", "FSP305", "FSP308"}

    def test_the_examples_page_of_upstream(self, tmp_path: Path) -> None:
        page = (
            '<script src="https://cdnjs.cloudflare.com/ajax/libs/socket.io/3.0.4/socket.io.js"></script>\n'
            "<script>\n// http[s]://<domain>:<port>[/<namespace>]\nvar socket = io();\n"
            "window.setInterval(function() { socket.emit('my_ping'); }, 1000);\n</script>\n"
        )
        assert not check_folder(write(tmp_path, {"templates/index.html": page})).findings

    def test_the_nginx_of_upstreams_documentation(self, tmp_path: Path) -> None:
        text = (
            "server {\n    listen 8080;\n    location / {\n        include proxy_params;\n"
            "        proxy_pass http://127.0.0.1:5000;\n    }\n    location /socket.io {\n"
            "        include proxy_params;\n        proxy_http_version 1.1;\n"
            "        proxy_set_header Upgrade $http_upgrade;\n"
            '        proxy_set_header Connection "Upgrade";\n'
            "        proxy_pass http://127.0.0.1:5000/socket.io;\n    }\n}\n"
        )
        assert not check_folder(write(tmp_path, {"app.py": APP, "nginx.conf": text})).findings

    def test_an_nginx_whose_variables_are_filled_in_later(self, tmp_path: Path) -> None:
        text = (
            "server {\n    listen 8080;\n    proxy_http_version 1.1;\n    proxy_set_header Host $http_host;\n"
            "    proxy_set_header Upgrade $http_upgrade;\n"
            "    proxy_set_header Connection $connection_header;\n"
            "    proxy_read_timeout ${PROXY_READ_TIMEOUT}s;\n"
            "    location / {\n        proxy_pass http://app:5000;\n    }\n}\n"
        )
        assert not check_folder(write(tmp_path, {"app.py": APP, "nginx.conf": text})).findings

    def test_a_project_without_flask_socketio(self, tmp_path: Path) -> None:
        """What is a fault of a Flask-SocketIO app need not be one elsewhere."""
        files = {
            "app.py": "from flask import Flask\napp = Flask(__name__)\napp.secret_key = 'x'\napp.run()\n",
            "Procfile": "web: gunicorn --workers 4 app:app\n",
            "requirements.txt": "gunicorn\ngevent\n",
        }
        assert not check_folder(write(tmp_path, files)).findings

    def test_what_stands_in_a_script_by_nature_is_no_import(self, tmp_path: Path) -> None:
        files = {
            "chat/app.py": APP,
            "chat/__main__.py": "from .app import app, socketio\nsocketio.run(app)\n",
        }
        assert not check_folder(write(tmp_path, files)).findings

    def test_a_layer_that_decides_workers_itself(self, tmp_path: Path) -> None:
        files = {
            "app.py": APP,
            "gunicorn.conf.py": "from production.process.configuration import read_settings\n"
            "workers = read_settings().web_concurrency\n",
            "Dockerfile": 'FROM python\nENV WEB_CONCURRENCY=4\nCMD ["gunicorn"]\n',
        }
        assert not check_folder(write(tmp_path, files)).findings

    def test_limits_that_fit_what_stands_beside_them(self, tmp_path: Path) -> None:
        compose = (
            "services:\n  app:\n    environment:\n      DRAIN_SECONDS: 10\n"
            '      MAX_SESSIONS: "1000"\n    # Above DRAIN_SECONDS (60).\n'
            "    stop_grace_period: 20s\n\n    ulimits: { nofile: 8192 }\n"
            "  database:\n    image: postgres\n    stop_grace_period: 5s\n"
        )
        files = {
            "app.py": APP,
            "gunicorn.conf.py": "from production.process.configuration import read_settings\n",
            "production.toml": "drain_seconds = 60\nmax_sessions = 5000\n",
            "compose.yaml": compose,
        }
        assert not check_folder(write(tmp_path, files)).findings
        (tmp_path / "compose.yaml").write_text(
            compose.replace("DRAIN_SECONDS: 10", "LOG_LEVEL: INFO")
        )
        (found,) = check_folder(tmp_path).findings
        assert (found.code, found.line) == ("FSP814", 7)

    def test_other_peoples_code_is_left_alone(self, tmp_path: Path) -> None:
        wrong = CASES["FSP102"].bad["app.py"]
        files = {
            f"{folder}/app.py": wrong
            for folder in (".venv", "node_modules/x", ".git", "lib/site-packages", "tests", "own")
        }
        write(tmp_path, files | {"own/pyvenv.cfg": ""})
        assert not check_folder(tmp_path).findings


WORLD = """\
class World:
    rooms = []

    def __init__(self):
        self.players = {}
        self.turn = 0
        self.leader = None

    def lead(self, name):
        self.leader = name


"""


def test_a_command_in_the_background_is_left_running(tmp_path: Path) -> None:
    text = APP + "import os\nos.system('celery -A tasks worker &')\n"
    (one,) = check_folder(write(tmp_path, {"app.py": text})).findings
    assert one.code == "FSP311"


def test_a_comment_in_a_makefile_starts_nothing(tmp_path: Path) -> None:
    makefile = "stack: ## Run gunicorn with 4 workers\n\tdocker compose up # not gunicorn app:app\n"
    assert not check_folder(write(tmp_path, {"app.py": APP, "Makefile": makefile})).findings


class TestStateVerdict:
    @pytest.mark.parametrize("code", ["FSP301", "FSP302", "FSP303", "FSP308", "FSP309"])
    def test_state_is_found_with_its_evidence(self, code: str, tmp_path: Path) -> None:
        verdict = state_verdict(write(tmp_path, CASES[code].bad))
        assert verdict.keeps_state
        assert not verdict.allows_several_workers
        assert code in {one.code for one in verdict.evidence}

    def test_an_app_without_state_allows_several_workers(self, tmp_path: Path) -> None:
        verdict = state_verdict(write(tmp_path, {"app.py": APP}))
        assert not verdict.keeps_state
        assert verdict.allows_several_workers

    def test_the_configuration_of_the_app_is_state_too(self, tmp_path: Path) -> None:
        text = APP + "@socketio.on('x')\ndef x(data):\n    app.config['fd'] = data\n"
        (one,) = state_verdict(write(tmp_path, {"app.py": text})).evidence
        assert one.quote == "app.config['fd'] = data"

    def test_names_that_are_handed_on_in_a_circle(self, tmp_path: Path) -> None:
        files = {
            "a.py": "from b import users, save\n",
            "b.py": "from a import users, save\n",
            "app.py": APP
            + "from a import users, save\n@socketio.on('x')\ndef x(data):\n    users[1] = save()\n",
        }
        assert not state_verdict(write(tmp_path, files)).keeps_state

    def test_a_package_hands_its_state_on(self, tmp_path: Path) -> None:
        files = {
            "chat/__init__.py": "from .state import users, Rooms\n",
            "chat/state.py": "users = {}\n\n\nclass Rooms:\n    def __init__(self):\n"
            "        self.names = set()\n\n    def enter(self, name):\n        self.names.add(name)\n",
            "app.py": APP + "from chat import users, Rooms\nrooms = Rooms()\n@socketio.on('x')\n"
            "def x(data):\n    users[1] = data\n    rooms.enter(data)\n",
        }
        evidence = state_verdict(write(tmp_path, files)).evidence
        assert {(one.code, one.subject) for one in evidence} == {
            ("FSP301", "users"),
            ("FSP303", "names"),
        }

    def test_a_file_that_cannot_be_read_may_hide_some(self, tmp_path: Path) -> None:
        verdict = state_verdict(write(tmp_path, {"app.py": APP, "more.py": "print 'two'\n"}))
        assert not verdict.keeps_state
        assert not verdict.allows_several_workers

    def test_it_is_followed_through_modules(self, tmp_path: Path) -> None:
        files = {
            "chat/__init__.py": "",
            "chat/store.py": "online = set()\n\n\ndef enter(name):\n    online.add(name)\n",
            "chat/app.py": APP
            + "from . import store\n\n\n@socketio.on('join')\ndef join(name):\n    store.enter(name)\n",
        }
        (one,) = state_verdict(write(tmp_path, files)).evidence
        assert (one.path, one.line, one.subject) == ("chat/store.py", 1, "online")
        assert "chat/store.py:5" in one.message

    @pytest.mark.parametrize(
        "change",
        [
            "users[1] = 2",
            "del users[1]",
            "users.pop(1)",
            "users.setdefault(1, []).append(2)",
            "users[1]['x'].append(2)",
            "users[1] += 1",
        ],
    )
    def test_every_way_of_changing_a_dictionary(self, change: str, tmp_path: Path) -> None:
        text = APP + f"users = {{}}\n\n\n@socketio.on('x')\ndef x(data):\n    {change}\n"
        assert state_verdict(write(tmp_path, {"app.py": text})).keeps_state

    @pytest.mark.parametrize(
        "other",
        [
            "from app import socketio\nimport state\n\n\n@socketio.on('x')\n"
            "def x(data):\n    state.users[1] = 2\n",
            "from app import socketio\nfrom state import users\n\n\n@socketio.on('x')\n"
            "def x(data):\n    users[1] = 2\n",
            "from app import socketio\nimport state as s\n\n\ndef x(data):\n    s.users.clear()\n\n\n"
            "socketio.on_event('x', x)\n",
            "from flask_socketio import Namespace\nfrom state import users\n\n\nclass N(Namespace):\n"
            "    def on_x(self, data):\n        users.update(data)\n",
            "from app import app\nfrom state import users\n\n\n@app.post('/x')\n"
            "def x():\n    users.clear()\n",
        ],
    )
    def test_every_way_of_reaching_it(self, other: str, tmp_path: Path) -> None:
        files = {"app.py": APP, "state.py": "users = {}\n", "events.py": other}
        (one,) = state_verdict(write(tmp_path, files)).evidence
        assert one.path == "state.py"

    @pytest.mark.parametrize(
        ("made", "change"),
        [
            ("world = World()\n", "world.players[1] = data"),
            ("world = World()\n", "world.turn += 1"),
            ("world = World()\n", "world.leader = data"),
            ("world = World()\n", "world.lead(data)"),
            ("", "World.rooms.append(data)"),
            (
                "world = None\ndef main():\n    global world\n    world = World()\n",
                "world.lead(data)",
            ),
            ("world = None\nif __name__ == '__main__':\n    world = World()\n", "world.lead(data)"),
        ],
    )
    def test_every_way_of_keeping_it_in_an_object(
        self, made: str, change: str, tmp_path: Path
    ) -> None:
        text = APP + WORLD + made + f"@socketio.on('x')\ndef x(data):\n    {change}\n"
        if "def main()" in made:
            text += "if __name__ == '__main__':\n    main()\n"
        (one,) = state_verdict(write(tmp_path, {"app.py": text})).evidence
        assert one.code == "FSP303"

    def test_an_object_that_a_namespace_is_given(self, tmp_path: Path) -> None:
        text = (
            APP
            + WORLD
            + (
                "from flask_socketio import Namespace\n\n\nclass Game(Namespace):\n"
                "    def __init__(self, world):\n        self.world = world\n\n"
                "    def on_x(self, data):\n        self.world.players[1] = data\n\n\n"
                "socketio.on_namespace(Game(World()))\n"
            )
        )
        (one,) = state_verdict(write(tmp_path, {"app.py": text})).evidence
        assert one.subject == "players"

    @pytest.mark.parametrize(
        "keeps",
        [
            "app.users = {}\n@socketio.on('x')\ndef x(data):\n    app.users[1] = data\n",
            "from flask import current_app\napp.users = {}\n@socketio.on('x')\ndef x(data):\n"
            "    current_app.users[1] = data\n",
            "def create_app():\n    users = {}\n    @socketio.on('x')\n    def x(data):\n"
            "        users[1] = data\n    return app\n",
        ],
    )
    def test_a_container_of_the_app_or_its_factory(self, keeps: str, tmp_path: Path) -> None:
        (one,) = state_verdict(write(tmp_path, {"app.py": APP + keeps})).evidence
        assert one.code == "FSP301"

    @pytest.mark.parametrize(
        "change",
        [
            "world = World()\n    world.players[1] = data\n    world.lead(data)",
            "row = Row()\n    row.players = data\n    db.session.add(row)",
            "store.client = connect()",
        ],
    )
    def test_what_lasts_no_longer_than_a_call_is_none(self, change: str, tmp_path: Path) -> None:
        text = APP + WORLD + "class Store:\n    client = None\nstore = Store()\n"
        text += f"@socketio.on('x')\ndef x(data):\n    {change}\n"
        assert not state_verdict(write(tmp_path, {"app.py": text})).keeps_state


class TestIgnoring:
    def test_a_comment_on_the_line(self, tmp_path: Path) -> None:
        text = IMPORTS + "socketio = SocketIO(app, logger=True)  # production: ignore[FSP112]\n"
        assert not check_folder(write(tmp_path, {"app.py": text})).findings

    def test_a_comment_alone_on_the_line_above(self, tmp_path: Path) -> None:
        text = "FROM python\n# production: ignore[FSP808, FSP803]\nCMD gunicorn app:app\n"
        files = {"app.py": APP, "Dockerfile": text}
        assert not check_folder(write(tmp_path, files)).findings

    def test_another_code_ignores_nothing(self, tmp_path: Path) -> None:
        text = IMPORTS + "socketio = SocketIO(app, logger=True)  # production: ignore[FSP102]\n"
        assert codes(check_folder(write(tmp_path, {"app.py": text}))) == {"FSP112"}

    def test_a_comment_behind_code_on_the_line_above_ignores_nothing(self, tmp_path: Path) -> None:
        text = IMPORTS.replace("app = ", "x = 1  # production: ignore[FSP112]\napp = ")
        text = text.replace("\napp = Flask(__name__)\n", "\n")
        text = "x = 1  # production: ignore[FSP305]\napp.secret_key = 'x'\n"
        found = check_folder(write(tmp_path, {"app.py": IMPORTS + text})).findings
        assert [one.code for one in found] == ["FSP305"]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.js", "const socket = io('http://localhost:1');  // production: ignore[FSP909]\n"),
            (
                "a.js",
                "const socket = io('http://localhost:1');  /* production: ignore[FSP909] */\n",
            ),
            (
                "a.html",
                "<!-- production: ignore[FSP901] -->\n<script src='//x/socket.io/2.3.0/socket.io.js'>"
                "</script>\n",
            ),
        ],
    )
    def test_in_the_comments_of_other_languages(self, name: str, text: str, tmp_path: Path) -> None:
        assert not check_folder(write(tmp_path, {name: text})).findings


class TestPagesInTheCode:
    PAGE = '<script src="/socket.io.js"></script>\n<script>io("http://localhost:5000")</script>\n'

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (f"\n{PAGE!r}\n{PAGE!r}\nx = {PAGE!r}\n", 4),
            (f'x = """\n{PAGE}"""\n', 3),
            (f"x = (\n    {PAGE!r}\n)\n", 2),
        ],
    )
    def test_they_are_checked_where_they_stand(self, tmp_path: Path, text: str, line: int) -> None:
        (one,) = check_folder(write(tmp_path, {"app.py": text})).findings
        assert (one.code, one.path, one.line) == ("FSP909", "app.py", line)

    def test_what_only_mentions_a_page_is_none(self, tmp_path: Path) -> None:
        text = f'"""About pages: {self.PAGE}"""\nx = "io(\'http://localhost:5000\')"\n'
        assert not check_folder(write(tmp_path, {"app.py": text})).findings


class TestHostileFiles:
    def test_what_cannot_be_read_is_said_and_the_rest_is_checked(self, tmp_path: Path) -> None:
        write(tmp_path, {"app.py": CASES["FSP102"].bad["app.py"]})
        (tmp_path / "old.py").write_text("print 'hello'\n")
        (tmp_path / "binary.py").write_bytes(b"\x00\x01\xff" * 50)
        (tmp_path / "zero.py").write_bytes(b"x = 1\n\x00")
        (tmp_path / "huge.js").write_bytes(b"x" * (sources.MAX_BYTES + 1))
        (tmp_path / "deep.py").write_text("x = " + "(" * 500 + ")" * 500)
        (tmp_path / "long.py").write_text("x = 1" + " + 1" * 20_000)
        (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
        (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
        (tmp_path / "out.py").symlink_to("/etc/passwd")
        (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
        os.mkfifo(tmp_path / "pipe.py")
        report = check_folder(tmp_path)
        assert codes(report) == {"FSP102"}
        noted = {note.path for note in report.notes}
        assert noted == {
            "old.py",
            "binary.py",
            "zero.py",
            "huge.js",
            "deep.py",
            "long.py",
            "gone.py",
            "loop.py",
            "out.py",
        }
        assert all(note.text for note in report.notes)

    def test_other_encodings(self, tmp_path: Path) -> None:
        (tmp_path / "requirements.txt").write_bytes("python-engineio==4.12.3\n".encode("utf-16"))
        (tmp_path / "requirements-dev.txt").write_bytes("redis==8.0.0\r\n".encode("utf-16-le"))
        (tmp_path / "marked.py").write_bytes(
            b"\xef\xbb\xbf" + CASES["FSP102"].bad["app.py"].encode()
        )
        (tmp_path / "declared.py").write_bytes(
            b"# coding: gbk\n" + CASES["FSP107"].bad["app.py"].encode() + "# 中文\n".encode("gbk")
        )
        (tmp_path / "undeclared.py").write_bytes(
            CASES["FSP103"].bad["app.py"].encode() + "# 中文\n".encode("gbk")
        )
        (tmp_path / "lines.py").write_bytes(
            CASES["FSP112"].bad["app.py"].replace("\n", "\r\n").encode()
        )
        report = check_folder(tmp_path)
        assert codes(report) == {"FSP102", "FSP103", "FSP107", "FSP112", "FSP702", "FSP704"}
        assert {note.path for note in report.notes} == {"undeclared.py", "requirements-dev.txt"}

    @pytest.mark.parametrize(
        "name",
        [
            "a.js", "a.html", "nginx.conf", "Dockerfile", "Procfile", "a.service", "a.spec",
            "compose.yaml", "pyproject.toml", "Pipfile", "package.json", "requirements.txt",
            "gunicorn.conf.py", "a.sh", "supervisor.ini", "Podfile",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n",
            "{",
            "}}}}",
            "server { location / { proxy_pass ; proxy_pass http://x; } upstream {",
            "[1, 2",
            '"',
            "'",
            "`${",
            "/" * 50,
            "io(" * 50,
            "[" * 20_000,
            "CMD [\nCMD\nCMD \\",
            "a==\n==1\n-r x\n\\",
            "[project]\ndependencies = 3\n[tool]\npoetry = 1",
            '{"dependencies": 3}',
            "web: gunicorn -w\nweb: gunicorn --workers= -k",
            "ExecStart=\nExecStart='",
            "[program:x]\ncommand=gunicorn 'x",
            "io('http://localhost:1', {" + "x" * 3000,
        ],
        ids=lambda text: text[:12],
    )
    def test_malformed_files_are_read_as_far_as_they_go(
        self, name: str, text: str, tmp_path: Path
    ) -> None:
        check_folder(write(tmp_path, {"app.py": APP, name: text}))

    @pytest.mark.parametrize(
        "unit",
        [
            "<!--",
            "<script",
            "<script>",
            "{#",
            "`",
            "'",
            "/*",
            "/",
            "io(\n",
            "io();\n",
            ".on(\n",
            "forceNew: true\n",
            ".replace('",
            "(((((\n",
            "'http://localhost:1'\n",
        ],
    )
    @pytest.mark.parametrize("name", ["a.html", "a.js"])
    def test_the_time_grows_with_a_file_and_not_faster(
        self, name: str, unit: str, tmp_path: Path
    ) -> None:
        def file(size: int) -> dict[str, str]:
            return {name: "io();\n" + unit * (size // len(unit))}

        assert_it_scales(tmp_path, file)

    @pytest.mark.parametrize("name", ["nginx.conf", "requirements.txt", "Dockerfile", "app.py"])
    @pytest.mark.parametrize(
        "unit", ["server {\n", '"\\', "a \\\n", "#", "CMD [\n", "x = {}\n", "flask_socketio ==\n"]
    )
    def test_so_does_it_with_files_of_other_kinds(
        self, name: str, unit: str, tmp_path: Path
    ) -> None:
        text = "server {\n" if name == "nginx.conf" else ""

        def file(size: int) -> dict[str, str]:
            return {name: text + unit * (size // len(unit)), "more.py": APP}

        assert_it_scales(tmp_path, file)

    def test_the_code_is_not_run(self, tmp_path: Path) -> None:
        text = f"open({str(tmp_path / 'ran')!r}, 'w')\nimport missing_module\n"
        write(tmp_path, {"app.py": text + APP, "conftest.py": text, "gunicorn.conf.py": text})
        before = set(sys.modules)
        check_folder(tmp_path)
        assert not (tmp_path / "ran").exists()
        assert "app" not in set(sys.modules) - before


class TestCommandLine:
    def test_the_exit_status_is_for_continuous_integration(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        style = write(tmp_path / "style", CASES["FSP413"].bad)
        clean = write(tmp_path / "clean", {"app.py": APP})
        assert run("check", str(clean), capsys=capsys)[0] == 0
        assert run("check", str(style), capsys=capsys)[0] == 1
        assert run("check", str(style), "--severity", "breaks", capsys=capsys)[0] == 0
        assert run("check", str(style), "--ignore", "FSP413", capsys=capsys)[0] == 0

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["check"],
            ["check", "/nowhere/at/all"],
            ["check", ".", "--format", "xml"],
            ["check", ".", "--severity", "awful"],
            ["check", ".", "--ignore", "FSP999"],
            ["check", ".", "--fix", "--diff"],
        ],
        ids=" ".join,
    )
    def test_what_cannot_be_carried_out_is_told_apart(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, _, errors = run(*arguments, capsys=capsys)
        assert status == 2
        assert errors

    def test_the_text_names_line_reason_fix_and_evidence(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path, CASES["FSP101"].bad)
        _, text, _ = run("check", str(tmp_path), capsys=capsys)
        check = check_of("FSP101")
        for part in ("app.py:5: FSP101 misleading", "handle_sigterm=False", check.why, check.fix):
            assert part in text
        assert check.evidence[0].startswith("https://")
        assert check.evidence[0] in text

    def test_a_secret_is_never_quoted(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = {
            "app.py": IMPORTS
            + 'app.config["SECRET_KEY"] = "hunter2"\n'
            + 'socketio = SocketIO(app, message_queue="redis://:hunter2@queue")\n'
        }
        write(tmp_path, files)
        for name in WRITERS:
            status, text, _ = run("check", str(tmp_path), "--format", name, capsys=capsys)
            assert status == 1
            assert "hunter2" not in text
            assert "SECRET_KEY" in text

    def test_json_has_everything(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, text, _ = run("check", str(LEGACY / "trading_push"), "--format", "json", capsys=capsys)
        document = json.loads(text)
        assert len(document["findings"]) == len(PLANTED["trading_push"])
        assert document["state_in_process"]["found"]
        assert set(document["findings"][0]) == {
            "code", "severity", "title", "path", "line", "quote", "subject", "why", "fix", "evidence",
        }  # fmt: skip

    def test_sarif_is_what_code_scanning_reads(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path, {"with space/app.py": CASES["FSP101"].bad["app.py"], "old.py": "print 1"})
        _, text, _ = run("check", str(tmp_path), "--format", "sarif", capsys=capsys)
        document = json.loads(text)
        assert document["version"] == "2.1.0"
        (one_run,) = document["runs"]
        rules = one_run["tool"]["driver"]["rules"]
        (result,) = one_run["results"]
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "FSP101"
        assert result["level"] in {"none", "note", "warning", "error"}
        location = result["locations"][0]["physicalLocation"]
        assert location["artifactLocation"]["uri"] == "with%20space/app.py"
        assert location["region"]["startLine"] == 5
        (notification,) = one_run["invocations"][0]["toolExecutionNotifications"]
        assert "old.py" in notification["message"]["text"]

    def test_the_list_has_every_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        status, text, _ = run("--list", capsys=capsys)
        assert status == 0
        assert re.findall(r"FSP\d{3}", text) == [check.code for check in all_checks()]

    def test_a_terminal_without_the_letters(self, tmp_path: Path) -> None:
        write(tmp_path, {"app.py": IMPORTS + "socketio = SocketIO(app, logger=True)  # 调试 🔌\n"})
        outcome = subprocess.run(
            [sys.executable, "-m", "production.doctor", "check", str(tmp_path)],
            cwd=PROJECT_TEMPLATE,
            env={"PYTHONIOENCODING": "ascii", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert outcome.returncode == 1
        assert "FSP112" in outcome.stdout


class TestSeverities:
    def test_they_are_ordered(self) -> None:
        assert [one.rank for one in Severity] == [0, 1, 2, 3]
        assert next(iter(Severity)) is Severity.BREAKS


class TestFixing:
    @pytest.fixture(autouse=True)
    def _libcst(self) -> None:
        pytest.importorskip("libcst")

    @pytest.mark.parametrize("code", sorted(FIXABLE))
    def test_the_fixed_code_passes_the_check(self, code: str, tmp_path: Path) -> None:
        case = CASES[code]
        wrong = case.bad
        if code == "FSP601":
            wrong = {"app.py": APP + "from flask import escape, request\n"}
        write(tmp_path, wrong)
        others = codes(check_folder(tmp_path)) - {code}
        difference = fix_folder(tmp_path, write=True)
        assert difference.startswith(f"--- a/{case.file}\n+++ b/{case.file}\n")
        assert codes(check_folder(tmp_path)) <= others
        compile((tmp_path / case.file).read_text("utf-8"), case.file, "exec")
        assert fix_folder(tmp_path, write=True) == ""

    def test_nothing_else_is_changed(self, tmp_path: Path) -> None:
        before = (
            "from flask import Flask\r\nfrom flask_socketio import SocketIO\r\n\r\n"
            "app = Flask( __name__ )   # keeps  its  spaces\r\n"
            "socketio = SocketIO(\r\n    app,\r\n    handle_sigterm=False,  # 无用\r\n"
            "    ping_interval = 25,\r\n    max_http_buffer_size=1e6\r\n)\r\n"
            "@socketio.on('disconnect')\r\ndef gone( ):\r\n\tpass"
        )
        path = tmp_path / "app.py"
        path.write_bytes(b"\xef\xbb\xbf" + before.encode())
        fix_folder(tmp_path, write=True)
        after = path.read_bytes()
        assert after.startswith(b"\xef\xbb\xbf")
        expected = (
            before.replace("    handle_sigterm=False,  # 无用\r\n", "")
            .replace("1e6", "1000000")
            .replace("gone( )", "gone( reason=None)")
        )
        assert after.decode("utf-8-sig") == expected

    def test_the_difference_alone_changes_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path, CASES["FSP101"].bad)
        before = (tmp_path / "app.py").read_bytes()
        _, text, _ = run("check", str(tmp_path), "--diff", capsys=capsys)
        assert (
            "-socketio = SocketIO(app, handle_sigterm=False)\n+socketio = SocketIO(app)\n" in text
        )
        assert (tmp_path / "app.py").read_bytes() == before

    def test_the_handlers_of_a_namespace(self, tmp_path: Path) -> None:
        text = (
            "from flask_socketio import Namespace\n\n\nclass Chat(Namespace):\n"
            "    def on_disconnect(self):\n        pass\n\n\nclass Other:\n"
            "    def on_disconnect(self):\n        pass\n"
        )
        write(tmp_path, {"app.py": text})
        fix_folder(tmp_path, write=True)
        after = (tmp_path / "app.py").read_text("utf-8")
        assert after == text.replace("on_disconnect(self)", "on_disconnect(self, reason=None)", 1)

    def test_what_is_ignored_is_not_fixed(self, tmp_path: Path) -> None:
        text = IMPORTS + "socketio = SocketIO(app, logger=True)  # production: ignore[FSP112]\n"
        write(tmp_path, {"app.py": text})
        assert fix_folder(tmp_path, write=True) == ""

    @pytest.mark.parametrize("app", sorted(PLANTED))
    def test_the_write_ups_apps(self, app: str, tmp_path: Path) -> None:
        folder = tmp_path / app
        shutil.copytree(LEGACY / app, folder)
        before = check_folder(folder).findings
        fix_folder(folder, write=True)
        after = check_folder(folder)
        fixed = {one.code for one in before} & FIXABLE
        assert not codes(after) & FIXABLE
        assert len(after.findings) == len([one for one in before if one.code not in fixed])
        assert not after.notes


def test_without_libcst_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "libcst", None)
    status, _, errors = run("check", str(tmp_path), "--fix", capsys=capsys)
    assert status == 2
    assert MISSING_LIBRARY in errors
