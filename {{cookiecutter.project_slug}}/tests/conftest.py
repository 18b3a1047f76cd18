"""Fixtures: the app with test clients, and the whole service in processes of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_socketio import SocketIOTestClient

from production.settings import Settings, load_settings
from {{ cookiecutter.package_name }} import create_app
from {{ cookiecutter.package_name }}.extensions import socketio
from {{ cookiecutter.package_name }}.settings import OwnSettings

PROJECT = Path(__file__).resolve().parent.parent
SECRET = "a-secret-for-tests-0123456789-abcdef"
BOOT_TIME = 30.0


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read neither ``.env`` nor the environment: a test means the same on every machine."""
    for kind in (Settings, OwnSettings):
        for name in kind.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setitem(kind.model_config, "env_file", None)


@pytest.fixture
def settings() -> Settings:
    """Settings for a process that is not patched, without a queue: test clients cannot use one."""
    return load_settings(secret_key=SECRET, async_mode="threading", redis_url=None)


@pytest.fixture
def app(settings: Settings) -> Flask:
    """Return the app as the service makes it."""
    app = create_app(settings)
    app.testing = True
    return app


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    """Return a client for the HTTP interface that answers errors as the service does."""
    app.testing = False
    return app.test_client()


@pytest.fixture
def client(app: Flask) -> SocketIOTestClient:
    """Return a connected Socket.IO client."""
    return socketio.test_client(app)


@pytest.fixture(scope="session")
def service_url() -> Iterator[str]:
    """Serve the project with gunicorn, in the mode that it is configured for; return its URL.

    With two workers if ``TEST_REDIS_URL`` names a message queue, and with one without.
    """
    address = f"127.0.0.1:{_free_port()}"
    queue = os.environ.get("TEST_REDIS_URL", "")
    environment = {
        **os.environ,
        "BIND": address,
        "SECRET_KEY": SECRET,
        "REDIS_URL": queue,
        "WEB_CONCURRENCY": "2" if queue else "1",
    }
    process = subprocess.Popen([sys.executable, "-m", "gunicorn"], cwd=PROJECT, env=environment)
    try:
        _wait_until_it_answers(process, f"http://{address}/health/live")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(BOOT_TIME)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + BOOT_TIME
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("The service did not start; its output says why.")
