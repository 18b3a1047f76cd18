"""The stack that printed ``write() before start_response``, installed and run for real.

Until python-engineio 4.13.4, a WebSocket that was opened directly (not upgraded from long polling)
ran its whole session inside one WSGI call that never called ``start_response``, and returned an
empty list at the end. Werkzeug's development server then asserted, and logged a 500 for a client
that had left long before. The versions below are the ones that the affected teams had.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from waiting import WHOLE_PROGRAM, eventually

PINS = (
    "flask==3.1.2",
    "flask-socketio==5.5.1",
    "python-engineio==4.12.3",
    "python-socketio==5.15.0",
    "simple-websocket==1.1.0",
    "werkzeug==3.1.4",
)
# What the pins pull in, as of the same month: a later release must not change what is shown here.
COMPANIONS = (
    "bidict==0.23.1",
    "blinker==1.9.0",
    "click==8.3.1",
    "h11==0.16.0",
    "itsdangerous==2.2.0",
    "jinja2==3.1.6",
    "markupsafe==3.0.3",
    "wsproto==1.3.2",
)
REQUIREMENTS = PINS + COMPANIONS

ASSERTION = "AssertionError: write() before start_response"

APP = """\
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")
socketio.run(app, port=0, allow_unsafe_werkzeug=True)
"""

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "legacy-stack"
LAUNCHER = Path(__file__).resolve().parent / "legacy_launch.py"


@dataclass(frozen=True)
class LegacyServer:
    """The running development server."""

    url: str
    log: Path

    def log_text(self) -> str:
        """Everything that it has printed so far."""
        return self.log.read_text(errors="replace")

    def assertions(self) -> int:
        """How often it has printed the assertion."""
        return self.log_text().count(ASSERTION)


def install() -> Path:
    """Install the old versions, unless that was done before, and return their Python.

    The directory is named after what is in it, so that a change of the pins or of the interpreter
    makes a new one. A marker that is written last tells a complete one from the remains of an
    installation that was interrupted; the lock keeps two test runs from installing at once.
    """
    key = "\n".join([*REQUIREMENTS, sys.version, sys.base_prefix])
    home = CACHE / hashlib.sha256(key.encode()).hexdigest()[:16]
    python = home / "bin" / "python"
    complete = home / "complete"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=True, symlinks=True)
            command = [str(python), "-m", "pip", "install", "--no-deps", "--quiet"]
            subprocess.run([*command, *REQUIREMENTS], check=True, timeout=WHOLE_PROGRAM)
            complete.touch()
    return python


@contextlib.contextmanager
def running(directory: Path) -> Iterator[LegacyServer]:
    """Run the six lines on a free port of the loopback interface."""
    (directory / "app.py").write_text(APP)
    with serving(directory, "app.py", directory / "server.log") as server:
        yield server


@contextlib.contextmanager
def serving(folder: Path, command: str, log: Path) -> Iterator[LegacyServer]:
    """Run the script of an old app as its owner does, on a free port of the loopback interface.

    Its owner sits at a terminal, and so does the script: without one, Flask-SocketIO refuses to run
    the development server.

    :param folder: where the script is run; nothing is written there.
    :param command: the script and its arguments.
    :param log: where its output goes.
    """
    python = install()
    keyboard, terminal = os.openpty()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "-u", LAUNCHER, *command.split()],
            cwd=folder,
            env=_environment(),
            stdin=terminal,
            stdout=output,
            stderr=output,
        )
    try:
        found = eventually(
            lambda: re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text()),
            what=lambda: f"the development server says its address; it said {log.read_text()}",
        )
        assert found
        yield LegacyServer(found[1], log)
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)
        os.close(terminal)


def _environment() -> dict[str, str]:
    """Return the environment without what would reach the old packages, with the apps' secret."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "FLASK_", "WERKZEUG_"))
    }
    return inherited | {"PYTHONDONTWRITEBYTECODE": "1", "SECRET_KEY": "of the developer's machine"}
