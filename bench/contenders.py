"""What is measured: the generated service in its modes, and what one would use instead of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from baking import ASYNC_MODES, BakedProject

from .servers import Contender

APPS = Path(__file__).parent / "apps"
SOCKET_IO = Path(__file__).parent.parent / "tests/js/node_modules/socket.io"

# All others are compared with it: the default of a new project.
REFERENCE = "generated, eventlet"

ROOM_FOR_SESSIONS = "10000"


def contenders(project: BakedProject, queue: str) -> list[Contender]:
    """Return everything that can be measured on this machine, the reference first.

    :param project: a generated project, whose events are replaced by those that are measured.
    :param queue: the URL of a message queue.
    """
    shutil.copy(APPS / "events.py", next(project.path.glob("*/events.py")))
    generated = [_generated(project, mode) for mode in ASYNC_MODES]
    queued = [
        _generated(project, "eventlet", 1, queue),
        _generated(project, "eventlet", 2, queue),
    ]
    return [*generated, *queued, *_stock(), *_node()]


def _generated(
    project: BakedProject, mode: str, workers: int = 1, queue: str | None = None
) -> Contender:
    """Describe the generated service, with the settings that it has by default."""
    name = f"generated, {mode}"
    environment = {
        "BIND": "127.0.0.1:{port}",
        "ASYNC_MODE": mode,
        "WEB_CONCURRENCY": str(workers),
        "MAX_SESSIONS": ROOM_FOR_SESSIONS,
    }
    if queue:
        name += f", {workers} worker{'s' if workers > 1 else ''} + Valkey"
        environment["REDIS_URL"] = queue
    command = (sys.executable, "-m", "gunicorn")
    return Contender(name, command, project.path, environment, queued=bool(queue))


def _stock() -> list[Contender]:
    """Describe Flask-SocketIO as its documentation serves it."""
    gunicorn = (
        *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1"),
        *("--worker-class", "gevent", "--worker-connections", ROOM_FOR_SESSIONS, "stock:app"),
    )
    return [
        Contender("stock, gunicorn + gevent", gunicorn, APPS, {"STOCK_MODE": "gevent"}),
        Contender(
            "stock, development server",
            (sys.executable, "stock.py"),
            APPS,
            {"STOCK_MODE": "threading", "PORT": "{port}"},
        ),
    ]


def _node() -> list[Contender]:
    """Describe Socket.IO's own server, if it is installed."""
    node = shutil.which("node")
    if node is None or not SOCKET_IO.exists():
        return []
    return [Contender("Node, socket.io 4.8", (node, "node.mjs"), APPS, {"PORT": "{port}"})]
