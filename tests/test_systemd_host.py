"""The units under a real systemd, installed as their README says: what they promise, they keep."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adopting import APPS, STARTS
from baking import ASYNC_MODES, Bake, BakedProject, adopt
from following import Publisher, all_have, expect_everything, watching
from ports import free_port
from queues import running
from rawclient import open_websocket
from scraping import scrape_until
from systemd_host import TOOLS, SystemdHost, systemd_host
from waiting import PATIENCE, eventually

UNIT = "live-board"

SERVICE_RESTART = 1012


class Installed:
    """A service that is installed on a host.

    :param host: the host.
    :param name: of its units, without what follows the dot.
    """

    def __init__(self, host: SystemdHost, name: str) -> None:
        self.host = host
        self.name = name
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, **environment: str) -> None:
        """Start it with these settings; return when systemd says that it is up."""
        self.configure(**environment)
        self.host.systemctl("start", f"{self.name}.socket", f"{self.name}.service")

    def configure(self, **environment: str) -> None:
        """Write its settings."""
        self.host.configure(
            self.name.partition("@")[0],
            **{"SECRET_KEY": secrets.token_urlsafe(48), "DRAIN_SECONDS": "1", **environment},
        )

    def show(self, name: str) -> str:
        """Return a property of its unit."""
        return self.host.show(f"{self.name}.service", name)

    def answer(self) -> int:
        """Return how it answers whether it is ready."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=PATIENCE) as answer:
                status: int = answer.status
        except urllib.error.HTTPError as error:
            return error.code
        return status


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, requires: Callable[[str], str]
) -> Iterator[SystemdHost]:
    """A host with systemd, on which nothing is installed yet."""
    for tool in TOOLS:
        requires(tool)
    with systemd_host(tmp_path_factory.mktemp("host")) as booted:
        yield booted


@pytest.fixture(scope="module")
def project(host: SystemdHost, bake: Bake) -> BakedProject:
    """A new service, installed on the host."""
    project = bake()
    host.install(project, UNIT)
    return project


@contextlib.contextmanager
def installed(host: SystemdHost, name: str) -> Iterator[Installed]:
    service = Installed(host, name)
    port = f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{service.port}\n"
    with host.amended(f"{name}.socket", port):
        try:
            yield service
        finally:
            host.systemctl("stop", f"{name}.socket", f"{name}.service")


@pytest.fixture
def service(host: SystemdHost, project: BakedProject) -> Iterator[Installed]:
    """The new service, which a test starts."""
    with installed(host, UNIT) as service:
        yield service


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_it_serves_hardened_and_leaves_in_good_order(service: Installed, mode: str) -> None:
    service.start(ASYNC_MODE=mode, METRICS_BIND=f"127.0.0.1:{free_port()}")
    assert service.show("ActiveState") == "active"
    with contextlib.closing(open_websocket(service.url)) as client:
        client.connect_namespace()
        assert client.call("subscribe", {"channels": ["news"]})["ok"]
        service.host.systemctl("stop", f"{UNIT}.socket", f"{UNIT}.service")
        *_, last = client.until_closed()
        assert last.close_code == SERVICE_RESTART
    assert service.show("Result") == "success"
    assert service.show("ExecMainStatus") == "0"


def test_it_listens_on_the_network_of_its_hosts_before_the_machine_has_the_address(
    host: SystemdHost, project: BakedProject
) -> None:
    documentation = project.text("deploy/nginx/README.md")
    (lines,) = re.findall(r"^    \[Socket\]\n(?:    .*\n)+", documentation, re.MULTILINE)
    address = f"10.0.0.11:{free_port()}"
    with host.amended(f"{UNIT}.socket", textwrap.dedent(lines).replace("10.0.0.11:5000", address)):
        host.systemctl("start", f"{UNIT}.socket")
        try:
            assert address in host.show(f"{UNIT}.socket", "Listen")
        finally:
            host.systemctl("stop", f"{UNIT}.socket")


def test_a_reload_replaces_the_workers_and_drops_nobody(
    service: Installed, project: BakedProject, tmp_path: Path
) -> None:
    with running(tmp_path) as queue:
        service.start(REDIS_URL=queue.url, WEB_CONCURRENCY="2")
        master = service.show("MainPID")
        count = 60
        with watching([service.url], "news", ["websocket", "polling"] * 4) as watchers:
            eventually(lambda: all(each.sessions for each in watchers), "all are there")
            publisher = Publisher([service.url], "news", count, interval=0.1)
            publisher.start()
            eventually(all_have(watchers, 5), "all receive")
            service.host.systemctl("reload", UNIT)
            expect_everything(watchers, count)
            publisher.join(PATIENCE)
            eventually(lambda: all(each.sessions >= 2 for each in watchers), "all moved over")
        assert service.show("MainPID") == master
        assert service.show("NRestarts") == "0"


def test_a_reload_into_code_that_cannot_start_fails_and_changes_nothing(
    service: Installed, host: SystemdHost
) -> None:
    service.start()
    with contextlib.closing(open_websocket(service.url)) as client:
        client.connect_namespace()
        module = host.path(f"/srv/{UNIT}/live_board/__init__.py")
        code = module.read_text()
        module.write_text("import what_is_not_there\n")
        try:
            assert host.run("systemctl", "reload", UNIT).returncode != 0
        finally:
            module.write_text(code)
        assert "No module named 'what_is_not_there'" in host.journal()
        assert client.call("subscribe", {"channels": ["news"]})["ok"]
    assert service.show("ActiveState") == "active"


def test_a_restart_refuses_nobody(service: Installed, host: SystemdHost) -> None:
    service.start()
    answers: list[int] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            answers.append(service.answer())

    with ThreadPoolExecutor() as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        eventually(lambda: len(answers) >= 20, "clients are answered")
        host.systemctl("restart", UNIT)
        before = len(answers)
        eventually(lambda: len(answers) >= before + 20, "they are again")
        enough.set()
        # A client that was refused, or cut, raises here.
        for client in clients:
            client.result()
    # 503 is what a service answers that is about to leave.
    assert set(answers) <= {200, 503}


def test_a_service_that_hangs_is_started_anew(service: Installed, host: SystemdHost) -> None:
    with host.amended(f"{UNIT}.service", "[Service]\nWatchdogSec=2\n"):
        service.start()
        host.systemctl("kill", "--signal=STOP", f"{UNIT}.service")
        eventually(lambda: service.show("NRestarts") == "1", "the watchdog has bitten")
        assert "Watchdog timeout" in host.journal()
        assert service.answer() == 200


def test_a_service_that_cannot_start_is_tried_until_it_can(
    service: Installed, host: SystemdHost
) -> None:
    service.configure(SECRET_KEY="short")
    host.systemctl("start", "--no-block", f"{UNIT}.socket", f"{UNIT}.service")
    # More often than systemd's own patience with a unit (DefaultStartLimitBurst=5).
    eventually(lambda: int(service.show("NRestarts")) > 5, host.journal)
    assert "SECRET_KEY has 5 characters" in host.journal()
    with ThreadPoolExecutor() as pool:
        # Who comes meanwhile waits.
        waiting = pool.submit(service.answer)
        service.configure()
        assert waiting.result() == 200


def test_instances_listen_each_on_their_port_and_have_metrics_of_their_own(
    host: SystemdHost, project: BakedProject
) -> None:
    port, metrics_port = free_port(), free_port()
    own_metrics = f"[Service]\nEnvironment=METRICS_BIND=127.0.0.1:{metrics_port}\n"
    name = f"{UNIT}@{port}"
    with installed(host, name) as instance, host.amended(f"{name}.service", own_metrics):
        instance.start()
        with contextlib.closing(open_websocket(instance.url)) as client:
            assert client.sid.startswith(f"port-{port}.")
            scrape_until(metrics_port, lambda found: found.total("socketio_sessions") == 1)


def test_an_adopted_app_is_served_hardened(host: SystemdHost, tmp_path: Path) -> None:
    style = "main_guard"
    folder = tmp_path / style
    shutil.copytree(APPS / style, folder)
    host.install(adopt(folder, STARTS[style]), "main-guard", environment=".venv-production")
    with installed(host, "main-guard") as app:
        app.start()
        with contextlib.closing(open_websocket(app.url)) as client:
            client.connect_namespace()
            assert client.wait_for_event("greeting").args == ["good morning"]
        host.systemctl("reload", "main-guard")
        host.systemctl("stop", "main-guard.service")
        assert app.show("Result") == "success"
