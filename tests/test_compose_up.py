"""``compose.yaml`` under a real Docker Engine: the containers of a new service, started as README.md says.

The images of nginx and Valkey are stood in for, see ``docker_stand_ins.py``; the service's own is built
as in ``test_image.py``, and not by Docker, which would need a registry.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

import docker_engine
import docker_stand_ins
import images
from baking import BakedProject, generate
from docker_engine import Engine
from namespaces import inside
from proxies import expect_one_service
from rawclient import PollingSession, http, open_websocket
from routed import slot_of, worker_of
from waiting import eventually

pytestmark = pytest.mark.alone

URL = "http://127.0.0.1:8080"
UP = ("up", "--detach", "--wait")
WRITABLE = {"nginx": "/tmp", "app": "/tmp", "valkey": "/data"}
"""Each service's only place to write to, beside memory."""

SERVICES = tuple(WRITABLE)
SERVICE_RESTART = 1012

GONE = "0000000000ff.0.1.AAAAAAAAAAAAAAAAAAAA"
"""A session of a container that is no more."""

LIMITS = {
    "memory": ("memory/memory.limit_in_bytes", "memory.max"),
    "pids": ("pids/pids.max", "pids.max"),
}
"""Where the limits in force stand, with control groups of the first version and of the second."""

Document = dict[str, Any]


class Stack:
    """The containers of a project.

    :param engine: what runs them.
    :param project: with a ``compose.yaml``.
    """

    def __init__(self, engine: Engine, project: BakedProject) -> None:
        self.directory = project.path
        self._engine = engine

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose`` and return what it printed; it has to succeed."""
        done = self._engine.run("compose", *arguments, directory=self.directory)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def docker(self, *arguments: str) -> str:
        """Run ``docker`` and return what it printed; it has to succeed."""
        return self._engine.docker(*arguments)

    def refusal(self, *arguments: str) -> str:
        """Run ``docker compose`` and return why it refused."""
        done = self._engine.run("compose", *arguments, directory=self.directory)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def up(self, *options: str) -> None:
        """Bring it to what its files say, and wait until nginx has found the containers that are new."""
        self.compose(*UP, *options)
        eventually(
            lambda: http("GET", f"{URL}/health/live").status == 200,
            "nginx looks the name up again",
        )

    def run_in(self, service: str, script: str) -> str:
        """Run a shell script in a service's first container and return what it printed, errors too."""
        return self.compose("exec", "--no-TTY", service, "sh", "-c", f"exec 2>&1; {script}")

    def containers(self, service: str) -> list[Document]:
        """Return what Docker knows of a service's containers."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        found: list[Document] = json.loads(self._engine.docker("inspect", *ids))
        return found

    def container(self, service: str) -> Document:
        """Return what Docker knows of a service's only container."""
        (container,) = self.containers(service)
        return container

    @contextlib.contextmanager
    def setting(self, line: str) -> Iterator[None]:
        """Have one more line in ``.env`` until the block ends."""
        file = self.directory / ".env"
        before = file.read_text()
        file.write_text(f"{before}{line}\n")
        try:
            yield
        finally:
            file.write_text(before)


@pytest.fixture(scope="module")
def engine(requires: Callable[[str], str]) -> Iterator[Engine]:
    """An engine that has every image but the service's."""
    for tool in docker_engine.TOOLS:
        requires(tool)
    if reason := docker_engine.obstacle():
        pytest.skip(f"no container engine can run here: {reason}")
    with docker_engine.engine() as running:
        docker_stand_ins.make(running)
        yield running


@pytest.fixture(scope="module")
def project(
    engine: Engine,
    builder: Callable[[BakedProject, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> BakedProject:
    """A new service whose image the engine has."""
    directory = tmp_path_factory.mktemp("compose")
    made = generate(directory / "output", {})
    archive = directory / "image.tar"
    images.save(builder(made, made.path.name), archive)
    engine.docker("load", "--input", str(archive))
    archive.unlink()
    return made


@pytest.fixture
def stack(engine: Engine, project: BakedProject) -> Iterator[Stack]:
    """The containers, and the network in which their port is published."""
    with inside(engine.host):
        yield Stack(engine, project)


def session_of_each(count: int) -> dict[str, PollingSession]:
    """Open sessions until so many containers have one; return one of each, by the container's short id."""
    found: dict[str, PollingSession] = {}

    def open_one() -> bool:
        session = PollingSession(URL)
        found.setdefault(host_of(session.sid), session)
        return len(found) == count

    eventually(open_one, lambda: f"sessions on {count} containers, not on {set(found)}")
    return found


def workers_of_websockets(count: int) -> list[str]:
    """Open so many WebSockets together and return whose sessions they are."""
    with contextlib.ExitStack() as open_now:
        opened = [open_now.enter_context(open_websocket(URL)) for _ in range(count)]
        return [worker_of(ws) for ws in opened]


def fewest_of_websockets(hosts: set[str], count: int) -> int:
    """Open so many WebSockets together and return how many the host has that has the fewest."""
    shares = Counter(map(host_of, workers_of_websockets(count)))
    return min(shares[host] for host in hosts)


def host_of(sid: str) -> str:
    return sid.split(".")[0]


def short_ids(containers: list[Document]) -> set[str]:
    return {container["Id"][:12] for container in containers}


def kill_processes_of(container: Document) -> None:
    """Kill what runs in a container, behind Docker's back: what it kills itself, it does not start again."""
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if container["Id"] in Path(f"/proc/{process.pid}/cgroup").read_text():
                process.kill()


def expect_service() -> None:
    """Expect sessions to be served on either transport, and across the upgrade."""
    polling = PollingSession(URL)
    polling.connect_namespace()
    assert polling.call("subscribe", {"channels": ["lobby"]})["ok"]
    with open_websocket(URL, sid=polling.sid) as ws:
        ws.upgrade()
        with open_websocket(URL) as other:
            other.connect_namespace()
            assert other.call("publish", {"channel": "lobby", "data": "hello"})["ok"]
        assert ws.wait_for_event("update").args[0]["data"] == "hello"


def expect_to_leave(stack: Stack) -> None:
    """Expect all containers to stop by themselves, once the service has closed its sessions."""
    with open_websocket(URL) as ws:
        ws.connect_namespace()
        stack.compose("stop")
        assert ws.until_closed()[-1].close_code == SERVICE_RESTART
    assert {name: stack.container(name)["State"]["ExitCode"] for name in SERVICES} == dict.fromkeys(
        SERVICES, 0
    )


def test_the_service_starts_when_its_queue_is_healthy_and_is_reached_when_up_returns(
    stack: Stack,
) -> None:
    stack.compose("down", "--volumes")
    stack.compose(*UP)
    states = {name: stack.container(name)["State"] for name in SERVICES}
    assert {state["Health"]["Status"] for state in states.values()} == {"healthy"}
    healthy = next(probe for probe in states["valkey"]["Health"]["Log"] if probe["ExitCode"] == 0)
    started = datetime.fromisoformat(states["app"]["StartedAt"])
    assert started > datetime.fromisoformat(healthy["End"])
    expect_service()


def test_every_container_is_locked_down_and_bounded(stack: Stack) -> None:
    stack.up()
    wanted = json.loads(stack.compose("config", "--format", "json"))["services"]
    for name, place in WRITABLE.items():
        status = stack.run_in(name, "cat /proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        assert fields["Uid"].split()[0] != "0"
        assert {int(fields[kind], 16) for kind in ("CapEff", "CapPrm", "CapBnd")} == {0}
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
        (refusal,) = stack.run_in(name, f"touch {place}/x /x || true").splitlines()
        assert "Read-only file system" in refusal
        limits = wanted[name]["deploy"]["resources"]["limits"]
        for kind, files in LIMITS.items():
            found = stack.run_in(name, f"cd /sys/fs/cgroup; cat {' '.join(files)} || true")
            assert found.splitlines()[0] == str(limits[kind])


def test_nobody_but_the_service_reaches_the_queue(stack: Stack) -> None:
    stack.up()
    (network,) = stack.container("valkey")["NetworkSettings"]["Networks"].values()
    connect = f"nc -w 1 {network['IPAddress']} 6379 </dev/null && echo connected || true"
    assert "connected" not in stack.run_in("nginx", connect)
    assert "connected" in stack.run_in("valkey", connect)


def test_each_session_reaches_its_container(stack: Stack) -> None:
    # nginx, and what would speak TLS in front of it.
    with stack.setting("TRUSTED_PROXIES=2"):
        stack.up("--scale", "app=3")
        sessions = session_of_each(3)
        assert set(sessions) == short_ids(stack.containers("app"))
        one, other, third = sessions.values()
        expect_one_service(URL, one, other)
        third.connect_namespace()
        workers = workers_of_websockets(12)
        assert {host_of(worker) for worker in workers} == set(sessions)
        assert {slot_of(worker) for worker in workers} == {0, 1}
        gone = http("GET", f"{URL}/socket.io/?EIO=4&transport=polling&sid={GONE}")
        assert gone.status == 400


def test_containers_that_take_the_place_of_others_are_found(stack: Stack) -> None:
    stack.up("--scale", "app=2")
    nginx, before = stack.container("nginx"), short_ids(stack.containers("app"))
    with open_websocket(URL) as ws:
        ws.connect_namespace()
        stack.up("--scale", "app=2", "--force-recreate", "--no-deps", "app")
        assert ws.until_closed()[-1].close_code == SERVICE_RESTART
    after = short_ids(stack.containers("app"))
    assert not before & after
    assert set(session_of_each(2)) == after
    # What was refused while it came up is given its share, as soon as nginx has looked the name up again.
    eventually(lambda: fewest_of_websockets(after, 12) >= 5, "both have their share")
    assert stack.container("nginx")["State"]["StartedAt"] == nginx["State"]["StartedAt"]


def test_new_clients_are_served_while_one_container_after_the_other_is_gone(stack: Stack) -> None:
    stack.up("--scale", "app=2")
    for container in stack.containers("app"):
        lost = session_of_each(2)[container["Id"][:12]]
        stack.docker("kill", container["Id"])
        for _ in range(6):
            PollingSession(URL)
            open_websocket(URL).close()
        answer = http("GET", f"{URL}{lost.target}")
        assert answer.status == 400
        stack.docker("start", container["Id"])
        stack.up("--scale", "app=2")


def test_the_queue_is_started_again_when_it_dies(stack: Stack) -> None:
    stack.up()
    expect_service()
    kill_processes_of(stack.container("valkey"))

    def is_back() -> bool:
        found = stack.container("valkey")
        return (found["RestartCount"], found["State"]["Health"]["Status"]) == (1, "healthy")

    eventually(is_back, "Docker starts it again")
    stack.up()
    expect_service()


def test_stopping_closes_the_sessions_first(stack: Stack) -> None:
    stack.up()
    expect_to_leave(stack)


def test_threading_mode_serves_and_leaves_within_the_same_limits(stack: Stack) -> None:
    with stack.setting("ASYNC_MODE=threading"):
        stack.up()
        assert http("GET", f"{URL}/health").json()["async_mode"] == "threading"
        expect_service()
        expect_to_leave(stack)


@pytest.mark.parametrize("name", ["SECRET_KEY", "VALKEY_PASSWORD"])
def test_without_a_secret_nothing_is_started(stack: Stack, tmp_path: Path, name: str) -> None:
    lines = (stack.directory / ".env").read_text().splitlines()
    without = tmp_path / "without"
    without.write_text("\n".join(line for line in lines if not line.startswith(name)))
    said = stack.refusal("--env-file", str(without), *UP)
    assert (
        f"required variable {name} is missing a value: put it into .env beside compose.yaml" in said
    )


def test_for_development_an_edited_file_is_served_at_once(stack: Stack) -> None:
    stack.compose("--file", "compose.yaml", "--file", "compose.dev.yaml", *UP)
    module = stack.directory / "live_board" / "__init__.py"
    before = module.read_text()
    module.write_text(before.replace('TITLE="Live Board"', 'TITLE="Edited Board"'))
    eventually(lambda: b"Edited Board" in http("GET", URL).body, "the page has changed")
