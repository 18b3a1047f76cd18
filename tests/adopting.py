"""Apps in the styles that people write, adopted and served unedited, for tests that talk to them."""

from __future__ import annotations

import contextlib
import filecmp
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import socketio

from baking import BakedProject, adopt
from routed import worker_of
from served import ServedProject, serve
from waiting import PATIENCE

APPS = Path(__file__).parent / "adopted"

# How their owners start them.
STARTS = {
    "module_level_run": "python app.py",
    "main_guard": "python3 -u main.py --greeting 'good morning' --port 8000",
    "package": "python -m chatserver",
    "flask_factory": "server:create_app('a config')",
    "tuple_factory": "service:create_app",
    "login_and_shop": "python shop.py",
    "pushers": "python pushers.py",
    "old_style": "./server.py",
    "two_apps": "python web",
    "udp_listener": "python listener.py",
    "udp_relay": "uv run python relay.py",
    "eventlet_server": "python serve.py",
    "gevent_server": "python serve.py",
    "waitress_server": "python serve.py",
    "plain_app_run": "cd src && python start.py",
    "flask_command": "flask run --host=0.0.0.0 --port=8000 --debug",
    "shared_terminal": "python terminal.py",
    "asyncio_script": "python app.py",
    "own_queue": "python app.py",
}

# What an app needs beside the layer's own libraries.
LIBRARIES = {
    "login_and_shop": ("flask_login", "flask_session", "flask_sqlalchemy"),
    "waitress_server": ("waitress",),
}


class Adopted:
    """An app of a style, adopted, served, and talked to."""

    def __init__(self, project: BakedProject, service: ServedProject) -> None:
        self.path = project.path
        self.service = service
        self._clients = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """Where it is served."""
        return self.service.url

    def connect(self, *namespaces: str, **options: Any) -> Client:
        """Connect a client that is disconnected after the test."""
        client = Client(self.url, list(namespaces) or ["/"], options)
        self._clients.callback(client.disconnect)
        return client

    def get(self, path: str) -> requests.Response:
        """Request a page."""
        return requests.get(self.url + path, timeout=PATIENCE, allow_redirects=False)

    def logged(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the log records that have these fields."""
        return [record for record in self.service.records() if fields.items() <= record.items()]

    def close(self) -> None:
        """Disconnect the clients."""
        self._clients.close()


class Client(socketio.Client):  # type: ignore[misc]
    """The official client, remembering what it is sent."""

    def __init__(self, url: str, namespaces: list[str], options: dict[str, Any]) -> None:
        super().__init__(reconnection=False)
        self._received: dict[str, queue.Queue[Any]] = {}
        self._lock = threading.Lock()
        for namespace in namespaces:
            self.on("*", self._remember, namespace=namespace)
        self.connect(url, namespaces=namespaces, wait_timeout=PATIENCE, **options)

    @property
    def worker(self) -> str:
        """The part of the session id that names its worker."""
        return worker_of(self.eio.sid)

    def next(self, event: str) -> Any:
        """Wait for the next event of a name and return its first argument."""
        return self._events(event).get(timeout=PATIENCE)

    def waiting(self, event: str) -> int:
        """Return how many events of a name came that :meth:`next` has not returned."""
        return self._events(event).qsize()

    def _remember(self, event: str, *arguments: Any) -> None:
        self._events(event).put(arguments[0] if arguments else None)

    def _events(self, event: str) -> queue.Queue[Any]:
        with self._lock:
            return self._received.setdefault(event, queue.Queue())


Serve = Callable[..., Adopted]


@pytest.fixture(scope="module")
def adopted_projects(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], BakedProject]]:
    """Copy each app and adopt it once; at the end, none of its files may have changed."""
    projects: dict[str, BakedProject] = {}

    def project(style: str) -> BakedProject:
        if style not in projects:
            for library in LIBRARIES.get(style, ()):
                pytest.importorskip(library)
            folder = tmp_path_factory.mktemp("adopted") / style
            start = STARTS[style]
            below = folder / start.split()[1] if start.startswith("cd ") else folder
            shutil.copytree(APPS / style, below)
            projects[style] = adopt(folder, start)
        return projects[style]

    yield project
    for style, adopted in projects.items():
        below = adopted.path / "src" if STARTS[style].startswith("cd ") else adopted.path
        for path in (APPS / style).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert filecmp.cmp(path, below / path.relative_to(APPS / style), shallow=False)


@pytest.fixture
def served(
    adopted_projects: Callable[[str], BakedProject], mode: str, tmp_path: Path
) -> Iterator[Serve]:
    """Serve the app of a style in the test's mode, with nothing set that the app did not need."""
    with contextlib.ExitStack() as running:

        def start(style: str, **environment: str) -> Adopted:
            project = adopted_projects(style)
            service = running.enter_context(
                serve(project, tmp_path / "service.log", ASYNC_MODE=mode, **environment)
            )
            app = Adopted(project, service)
            running.callback(app.close)
            return app

        yield start


def assert_clean_end(app: Adopted) -> None:
    """Stop the service, which must not need to be killed, and find no traceback in its log."""
    app.close()
    app.service.stop()
    assert app.service.exit_status() == 0
    assert "Traceback" not in app.service.log_text()
    assert "SIGKILL" not in app.service.log_text()
