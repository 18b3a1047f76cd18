"""The pages of the write-ups' apps in a real browser, before and after the one command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import legacy_stack
from legacy_apps import LEGACY, SECRET, migrate
from observing import LogMark
from ports import free_port
from served import serve
from waiting import PATIENCE, eventually

BROWSER = Path(__file__).parent / "js" / "legacy_page.mjs"
REFRESHES = 10

# What each page shows when its app works, told by the tab that stays while another is refreshed.
SHOWS = {
    "audio_monitor": "Number(document.getElementById('level').textContent) < 1",
    "whisper_panel": "document.getElementById('log').textContent.includes('客户端断开')",
    "desktop_app": "socketService.socket.connected",
}

Visit = Callable[..., dict[str, Any]]


@pytest.fixture
def visit(requires: Callable[[str], str]) -> Visit:
    """Look at a page in two tabs, one of which is refreshed, and return what was seen.

    See tests/js/legacy_page.mjs; ``hosts`` says which host and port of the page is where.
    """
    node, chromium = requires("node"), requires("chromium")

    def look(
        url: str,
        shows: str,
        refreshes: int = REFRESHES,
        settled: str = "true",
        hosts: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Any]:
        rules = ",".join(f"MAP {name} {address}" for name, address in hosts.items())
        job = {
            "url": url,
            "refreshes": refreshes,
            "settled": settled,
            "shows": shows,
            "rules": rules,
        }
        outcome = subprocess.run(
            [node, str(BROWSER), json.dumps(job)],
            env={**os.environ, "CHROMIUM": chromium},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert outcome.stdout, outcome.stderr
        seen: dict[str, Any] = json.loads(outcome.stdout)
        return seen

    return look


def address(url: str) -> str:
    """The host and port of a URL."""
    return url.removeprefix("http://")


# ---------------------------------------------------------------------------------------------
# A 500 on every refresh


def test_each_refresh_leaves_a_500_on_the_old_stack(visit: Visit, tmp_path: Path) -> None:
    folder = LEGACY / "whisper_panel"
    with legacy_stack.serving(folder, "main.py", tmp_path / "old.log") as server:
        seen = visit(
            server.url,
            "document.getElementById('log').textContent.includes('takes 0 positional')",
            settled="wsManager.socket.connected",
        )
        assert seen["shown"], seen
        eventually(
            lambda: server.assertions() >= REFRESHES,
            what=lambda: f"an assertion for each refresh in {server.log_text()}",
        )


@pytest.mark.parametrize("name", SHOWS)
def test_a_refreshed_page_leaves_no_noise(visit: Visit, tmp_path: Path, name: str) -> None:
    project = migrate(name, tmp_path)
    with serve(project, tmp_path / "service.log", SECRET_KEY=SECRET) as service:
        log = LogMark(service)
        seen = visit(service.url, SHOWS[name])
        assert seen["shown"], seen
        assert (seen["errors"], seen["console"], seen["refused"]) == ([], [], [])
        assert log.loud() == []
        # Not every traceback: the monitor's own handler prints one for a favicon that it has not.
        assert "AssertionError" not in service.log_text()


# ---------------------------------------------------------------------------------------------
# Two ports

TWO_PORTS = LEGACY / "two_ports_flask"
GREETED = "document.getElementById('messages').textContent.includes('你好')"
GAVE_UP_ONCE = "chat.io.backoff.attempts > 0 && !chat.connected"
TEST_PAGE = "static/websocket_fix_test.html"


def test_two_ports_work_on_the_machine_of_the_developer_only(visit: Visit, tmp_path: Path) -> None:
    with (
        legacy_stack.serving(TWO_PORTS, "manage.py runserver 8001", tmp_path / "8001.log") as pages,
        legacy_stack.serving(TWO_PORTS, "run_socket_server.py", tmp_path / "8000.log") as sockets,
    ):
        here = {"localhost:8001": address(pages.url), "localhost:8000": address(sockets.url)}
        there = {
            "chat.example:80": address(pages.url),
            "localhost:8000": f"127.0.0.1:{free_port()}",
            "localhost:8001": f"127.0.0.1:{free_port()}",
        }
        at_home = visit("http://localhost:8001/", GREETED, 1, hosts=here)
        unpatched = visit(
            f"http://localhost:8001/{TEST_PAGE}",
            "document.body.innerText.includes('❌')",
            1,
            hosts=here,
        )
        elsewhere = visit("http://chat.example/", GAVE_UP_ONCE, 1, hosts=there)
    assert at_home["shown"], at_home
    assert unpatched["shown"], unpatched
    assert any("'ws://localhost:8001/ws/chat/" in line for line in unpatched["console"]), unpatched
    assert elsewhere["shown"], elsewhere
    assert any("'ws://localhost:8000/ws/chat/" in line for line in elsewhere["console"]), elsewhere


def test_one_port_serves_the_page_of_two(visit: Visit, tmp_path: Path) -> None:
    """Unedited, the page looks for the port that its script rewrites to, so that is the one."""
    project = migrate("two_ports_flask", tmp_path)
    with serve(project, tmp_path / "service.log", SECRET_KEY=SECRET) as service:
        log = LogMark(service)
        one = {name: address(service.url) for name in ("localhost:8000", "localhost:8001")}
        chat = visit("http://localhost:8000/", GREETED, hosts=one)
        page = visit(
            f"http://localhost:8001/{TEST_PAGE}",
            "document.body.innerText.includes('✅')",
            1,
            hosts=one,
        )
        for seen in (chat, page):
            assert seen["shown"], seen
            assert (seen["errors"], seen["console"], seen["refused"]) == ([], [], [])
        assert log.loud() == []


def test_without_the_address_the_page_works_wherever_it_is_served(
    visit: Visit, tmp_path: Path
) -> None:
    """What the checker says instead of a fixed address; the script may stay, it does nothing."""
    project = migrate("two_ports_flask", tmp_path)
    page = project.path / "templates" / "base.html"
    page.write_text(page.read_text("utf-8").replace("io('http://localhost:8001', ", "io("), "utf-8")
    with serve(project, tmp_path / "service.log", SECRET_KEY=SECRET) as service:
        log = LogMark(service)
        nowhere = f"127.0.0.1:{free_port()}"
        seen = visit(
            "http://chat.example/",
            GREETED,
            hosts={"chat.example:80": address(service.url), "localhost": nowhere},
        )
        assert seen["shown"], seen
        assert (seen["errors"], seen["console"], seen["refused"]) == ([], [], [])
        assert log.loud() == []
