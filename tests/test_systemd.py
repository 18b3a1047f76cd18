"""The systemd units: what systemd's own tools say of them, and what the service reports to systemd, word by word.

The tests do what systemd does: hold the socket, pass it on, and listen to what is reported, by the
protocols of sd_listen_fds(3) and sd_notify(3). Under the real one, it runs in test_systemd_host.py.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baking import ASYNC_MODES, Bake, BakedProject, clean_environment
from ports import free_port
from production.doctor.checks import limits
from production.doctor.report import check_folder
from production.process.configuration import CLOSING_TIME, ROOM_FOR_HTTP
from production.process.service_worker import OTHER_DESCRIPTORS
from production.settings import Settings
from waiting import PATIENCE, eventually

UNITS = "deploy/systemd"
EXPOSURE = 1.5
"""What the units' documentation says of `systemd-analyze security`, from 0 (best) to 10."""

SPARE_SECONDS = 3
"""What a supervisor has to be more patient than the service, see DRAIN_SECONDS in .env.example."""


class Unit(configparser.RawConfigParser):
    """A unit file."""

    def __init__(self, text: str) -> None:
        super().__init__(strict=False, interpolation=None)
        self.read_string(text)

    def optionxform(self, optionstr: str) -> str:
        """Leave the names in their letters."""
        return optionstr


@pytest.fixture(scope="module")
def units(bake: Bake) -> Path:
    """The directory of the generated units."""
    return bake().path / UNITS


def default(name: str) -> float:
    return float(Settings.model_fields[name].default)


def analyze(tool: str, *arguments: str, **environment: str) -> str:
    outcome = subprocess.run(
        [tool, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return outcome.stdout


@pytest.mark.parametrize("unit", ["live-board.service", "live-board@5001.service"])
def test_systemd_understands_the_units(
    units: Path, tmp_path: Path, requires: Callable[[str], str], unit: str
) -> None:
    for path in units.glob("live-board*"):
        # What is not installed here, and must be for systemd to be content.
        text = re.sub(
            "/srv/live-board/.venv/bin/(gunicorn|python)", sys.executable, path.read_text()
        )
        (tmp_path / path.name).write_text(text)
    said = analyze(
        requires("systemd-analyze"),
        *("verify", "--man=no", unit),
        SYSTEMD_UNIT_PATH=f"{tmp_path}:",
    )
    assert "live-board" not in said


@pytest.mark.parametrize("instance", ["", "@"])
def test_the_hardening_is_what_is_said_of_it(
    units: Path, requires: Callable[[str], str], instance: str
) -> None:
    unit = str(units / f"live-board{instance}.service")
    said = analyze(requires("systemd-analyze"), "security", "--offline=true", "--no-pager", unit)
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert level
    assert float(level[1]) <= EXPOSURE
    assert f"gives {EXPOSURE}, of 10" in (units / "README.md").read_text()


def test_the_doctor_knows_the_figures_of_the_service() -> None:
    assert default("drain_seconds") == limits.DRAIN_SECONDS
    assert default("max_sessions") == limits.MAX_SESSIONS
    assert limits.LEAVING_TIME == CLOSING_TIME + SPARE_SECONDS
    assert limits.OTHER_DESCRIPTORS == 2 * ROOM_FOR_HTTP + OTHER_DESCRIPTORS


def test_the_doctor_says_when_the_limits_no_longer_fit(bake: Bake, tmp_path: Path) -> None:
    project = bake().copy(tmp_path / "project").path
    with (project / "production.toml").open("a") as file:
        file.write("drain_seconds = 60\nmax_sessions = 5000\n")
    found = {(each.code, each.path) for each in check_folder(project).findings}
    units = [f"{UNITS}/live-board{instance}.service" for instance in ("", "@")]
    assert found >= {(code, unit) for code in ("FSP814", "FSP815") for unit in units}


@pytest.mark.parametrize("instance", ["", "@"])
def test_the_limits_fit_the_settings(units: Path, instance: str) -> None:
    service = Unit((units / f"live-board{instance}.service").read_text())["Service"]
    drain = default("drain_seconds") + CLOSING_TIME
    assert float(service["TimeoutStopSec"]) >= drain + SPARE_SECONDS
    sessions = default("max_sessions")
    assert int(service["LimitNOFILE"]) >= 2 * sessions + limits.OTHER_DESCRIPTORS
    assert int(service["TasksMax"]) >= sessions * (os.cpu_count() or 1)
    assert float(service["WatchdogSec"]) >= 2 * default("worker_timeout")


@pytest.mark.parametrize("instance", ["", "@"])
def test_a_worker_that_runs_out_of_memory_does_not_end_the_service(
    units: Path, instance: str
) -> None:
    service = Unit((units / f"live-board{instance}.service").read_text())["Service"]
    assert service["OOMPolicy"] == "continue"


def test_a_reload_is_refused_that_would_end_the_service(bake: Bake) -> None:
    project = bake()
    unit = (project.path / UNITS / "live-board.service").read_text()
    first, last = re.findall("^ExecReload=(.*)", unit, re.MULTILINE)
    assert last == "/bin/kill -HUP $MAINPID"
    interpreter, *arguments = first.split()
    assert interpreter == "/srv/live-board/.venv/bin/python"

    def reload(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=project.path,
            env={**clean_environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    refused = reload(SECRET_KEY="short")
    assert refused.returncode != 0
    assert "SECRET_KEY has 5 characters" in refused.stdout
    taken = reload()
    assert taken.returncode == 0, taken.stdout


class Systemd:
    """Holds a service's socket and hears what the service reports.

    :param directory: where the address for reports is.
    """

    def __init__(self, directory: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self._address = str(directory / "notify")
        self._inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._inbox.bind(self._address)
        self._inbox.setblocking(False)
        self._heard: list[str] = []

    def start(
        self, project: BakedProject, log: Path, mode: str, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start gunicorn with the socket as its third descriptor."""
        environment = {
            **clean_environment(),
            "ASYNC_MODE": mode,
            "DRAIN_SECONDS": "1",
            "NOTIFY_SOCKET": self._address,
            "LISTENER": str(self.listener.fileno()),
            **environment,
        }
        # The process that LISTEN_PID names has to set it, and then becomes gunicorn.
        become = (
            "import os, sys; os.dup2(int(os.environ.pop('LISTENER')), 3);"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
            "os.execv(sys.executable, [sys.executable, '-m', 'gunicorn'])"
        )
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-c", become],
                cwd=project.path,
                env=environment,
                pass_fds=[self.listener.fileno()],
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def reports(self) -> list[str]:
        """Return what was reported so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._heard.append(self._inbox.recv(4096).decode())
        return self._heard

    def close(self) -> None:
        """Let go of both sockets."""
        self.listener.close()
        self._inbox.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """What starts a service, and holds its socket while it is away."""
    holder = Systemd(tmp_path)
    yield holder
    holder.close()


@contextlib.contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_readiness_is_reported_by_a_worker_and_the_watchdog_is_fed(
    bake: Bake, tmp_path: Path, systemd: Systemd, mode: str
) -> None:
    log = tmp_path / "service.log"
    with stopped(systemd.start(bake(), log, mode, WATCHDOG_USEC="200000")):
        eventually(
            lambda: systemd.reports().count("WATCHDOG=1") >= 3,
            lambda: f"the watchdog is fed; the log:\n{log.read_text()}",
        )
        heard = systemd.reports()
        assert heard[0] == "READY=1"
        assert set(heard) == {"READY=1", "WATCHDOG=1"}
        with urllib.request.urlopen(f"{systemd.url}/health/live", timeout=PATIENCE) as answer:
            assert answer.status == 200
        assert "does not count" not in log.read_text()


def test_bind_does_not_count_and_a_reload_leaves_systemds_socket_open(
    bake: Bake, tmp_path: Path, systemd: Systemd
) -> None:
    project = bake().copy(tmp_path / "project")
    log = tmp_path / "service.log"

    def set_bind() -> str:
        bind = f"127.0.0.1:{free_port()}"
        with (project.path / ".env").open("a") as file:
            file.write(f"BIND={bind}\n")
        systemds = systemd.url.removeprefix("http://")
        return f"BIND={bind} does not count: systemd listens, at {systemds}"

    said_at_the_start = set_bind()
    with stopped(systemd.start(project, log, "threading")) as master:
        eventually(lambda: systemd.reports() == ["READY=1"], log.read_text)
        assert said_at_the_start in log.read_text()
        said_at_the_reload = set_bind()
        master.send_signal(signal.SIGHUP)
        eventually(lambda: systemd.reports() == ["READY=1"] * 2, log.read_text)
        eventually(lambda: "Worker exiting" in log.read_text(), log.read_text)
        assert said_at_the_reload in log.read_text()
        with urllib.request.urlopen(f"{systemd.url}/health/live", timeout=PATIENCE) as answer:
            assert answer.status == 200


def test_a_worker_that_cannot_start_is_not_reported_as_ready(
    bake: Bake, tmp_path: Path, systemd: Systemd
) -> None:
    log = tmp_path / "service.log"
    process = systemd.start(bake(), log, "eventlet", SECRET_KEY="changeme")
    assert process.wait(PATIENCE) != 0
    assert systemd.reports() == []
