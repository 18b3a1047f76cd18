"""The single-file binary: built for real, from what a project's lock names, and served where nothing else is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from baking import BakedProject, clean_environment, generate
from rawclient import PollingSession, http, open_websocket
from served import ServedProject
from waiting import PATIENCE

SECRET = "a-secret-for-tests-0123456789-abcdef"
LARGEST = 32_000_000
"""Bytes; README.md of deploy says how many it has."""


@pytest.fixture(scope="module")
def binary(requires: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The binary of a new service, away from the project, with settings beside it."""
    requires("objdump")
    project = generate(tmp_path_factory.mktemp("project") / "output", {})
    uv = str(Path(sys.executable).with_name("uv"))
    make = (requires("make"), f"TOOLS={sys.prefix}")
    for command in (
        (*make, "lock"),
        (uv, "venv", "--quiet", "--python", sys.executable, ".venv"),
        (uv, "pip", "install", "--quiet", "--requirement", "requirements.txt", "pyinstaller"),
        ("touch", ".venv/.installed"),
        (*make, "binary"),
    ):
        done = project.run(*command)
        assert done.returncode == 0, done.stdout
    path = tmp_path_factory.mktemp("elsewhere") / "live-board"
    (project.path / "dist" / "live-board").rename(path)
    path.with_name(".env").write_text(f"SECRET_KEY={SECRET}\nSERVICE_NAME=beside-it\n")
    return path


def served_by(binary: Path, directory: Path, **environment: str) -> ServedProject:
    """Start the binary, from a directory in which there is nothing."""
    return ServedProject(
        BakedProject(directory), directory / "binary.log", environment, program=(str(binary),)
    )


def test_it_is_as_large_as_the_documentation_says(binary: Path) -> None:
    assert binary.stat().st_size < LARGEST


@pytest.mark.parametrize("mode", ["eventlet", "threading"])
def test_it_serves_pages_and_sessions_and_leaves(binary: Path, tmp_path: Path, mode: str) -> None:
    served = served_by(binary, tmp_path, ASYNC_MODE=mode)
    try:
        served.wait_until_ready()
        page = http("GET", f"{served.url}/")
        assert page.status == 200
        styles = re.findall(rb'href="(/[^"]+\.css)', page.body)
        assert len(styles) == 2
        for style in styles:
            assert http("GET", f"{served.url}{style.decode()}").status == 200
        polling = PollingSession(served.url)
        polling.connect_namespace()
        with open_websocket(served.url, sid=polling.sid) as ws:
            ws.upgrade()
        with open_websocket(served.url) as ws:
            ws.connect_namespace()
            ws.wait_for_event("connection_ack")
            assert ws.call("subscribe", {"channels": ["lobby"]})["ok"]
    finally:
        served.stop()
    assert served.exit_status() == 0, served.log_text()


def test_several_workers_find_each_other_s_sessions(
    binary: Path, tmp_path: Path, message_queue: str
) -> None:
    served = served_by(binary, tmp_path, REDIS_URL=message_queue, WEB_CONCURRENCY="2")
    try:
        served.wait_until_ready()
        for _ in range(6):
            session = PollingSession(served.url)
            session.connect_namespace()
            session.wait_for_event("connection_ack")
            assert session.call("subscribe", {"channels": ["lobby"]})["ok"]
    finally:
        served.stop()


def test_a_setting_that_is_refused_is_one_sentence(binary: Path) -> None:
    refused = subprocess.run(
        [binary],
        env=clean_environment() | {"SECRET_KEY": "secret"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert refused.returncode != 0
    assert refused.stderr.startswith("Refusing to start. SECRET_KEY is a well-known default")
    assert "Traceback" not in refused.stderr
