"""Adopted apps that keep nothing in the process, served unedited by two workers in each mode."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import requests

from adopting import Adopted, Client, Serve, adopted_projects, assert_clean_end, served
from baking import ASYNC_MODES, BakedProject, clean_environment
from ports import free_port
from production.realtime.emitter import Emitter
from served import serve
from waiting import PATIENCE, eventually

__all__ = ["adopted_projects", "served"]

TRANSPORTS = ("polling", "websocket")

# What stateless styles answer to an event, and what else they need.
ANSWERS: dict[str, tuple[str, Any, Any]] = {
    "flask_command": ("double", 21, 42),
    "gevent_server": ("upper", "tea", "TEA"),
    "eventlet_server": ("upper", "tea", "TEA"),
    "plain_app_run": ("hello", "ada", "hello ada, from the second object"),
    "tuple_factory": ("sum", (1, 2, 3), 6),
    "two_apps": ("which", None, "the one with Socket.IO"),
}
ENVIRONMENTS = {"eventlet_server": {"SECRET_KEY": "e4" + "0123456789abcdefghijklmnopqrstuv"}}
OPTIONS = {"tuple_factory": {"socketio_path": "live/socket"}}

in_each_mode = pytest.mark.parametrize("mode", ASYNC_MODES)


def several(message_queue: str, service_name: str) -> dict[str, str]:
    """Return the settings of two workers, whose service no other test shares the queue with."""
    return {
        "WEB_CONCURRENCY": "2",
        "REDIS_URL": message_queue,
        "SERVICE_NAME": service_name,
        "DRAIN_SECONDS": "1",
    }


@pytest.fixture
def service_name() -> str:
    """A name that no other service has."""
    return uuid4().hex


@pytest.fixture
def by_two(served: Serve, message_queue: str, service_name: str) -> Serve:
    """Serve the app of a style with two workers."""

    def start(style: str, **environment: str) -> Adopted:
        return served(style, **several(message_queue, service_name), **environment)

    return start


def connect_everywhere(app: Adopted, *namespaces: str, **options: Any) -> list[Client]:
    """Connect a client over each transport to each of the two workers."""
    found: dict[tuple[str, str], Client] = {}

    def complete() -> bool:
        for transport in TRANSPORTS:
            client = app.connect(*namespaces, transports=[transport], **options)
            found.setdefault((client.worker, transport), client)
        return len(found) == 4

    eventually(complete, lambda: f"clients of both workers, not only {set(found)}")
    return list(found.values())


def holder(app: Adopted) -> int:
    """Return the process that does the work of the app's start."""
    begun: list[dict[str, Any]] = []

    def one() -> bool:
        begun[:] = app.logged(event="turn begins", work="the work of the app's start")
        return bool(begun)

    eventually(one, "the work has begun")
    process: int = begun[-1]["process"]
    return process


def assert_one_after_the_other(client: Client, ticks: int = 10) -> None:
    """Receive some ticks, of which none may be missing or come twice."""
    numbers = [client.next("tick")["n"] for _ in range(ticks)]
    assert numbers == list(range(numbers[0], numbers[0] + ticks))


def wait_until_read(port: int, sockets: int) -> None:
    """Wait until a number of sockets have a port, all those of TCP listening."""

    def bound() -> bool:
        having = [
            one for one in psutil.net_connections("inet4") if one.laddr and one.laddr.port == port
        ]
        states = {one.status for one in having}
        return len(having) == sockets and states <= {psutil.CONN_LISTEN, psutil.CONN_NONE}

    eventually(bound, f"port {port} is read")


@in_each_mode
@pytest.mark.parametrize("style", ANSWERS)
def test_clients_of_both_workers_are_answered_and_told_once(
    by_two: Serve, message_queue: str, service_name: str, style: str
) -> None:
    app = by_two(style, PORT=str(free_port()), **ENVIRONMENTS.get(style, {}))
    clients = connect_everywhere(app, **OPTIONS.get(style, {}))
    event, argument, answer = ANSWERS[style]
    assert [client.call(event, argument) for client in clients] == [answer] * 4
    for number in (1, 2):
        Emitter(message_queue, service_name).emit("news", number)
    assert [[client.next("news") for _ in (1, 2)] for client in clients] == [[1, 2]] * 4
    assert_clean_end(app)


@in_each_mode
def test_rooms_reach_across_workers(by_two: Serve) -> None:
    app = by_two("flask_factory")
    clients = connect_everywhere(app, "/", "/chat")
    assert [client.call("echo", "tea") for client in clients] == ["tea"] * 4
    for client in clients:
        client.call("joined", {"room": "a"}, namespace="/chat")
    clients[0].emit("text", {"room": "a", "msg": "hi"}, namespace="/chat")
    clients[-1].emit("text", {"room": "a", "msg": "bye"}, namespace="/chat")
    for client in clients:
        assert {client.next("message")["msg"] for _ in (1, 2)} == {"hi", "bye"}
    assert_clean_end(app)


@in_each_mode
def test_a_session_and_a_database_that_the_workers_share(by_two: Serve) -> None:
    app = by_two("login_and_shop")
    browser = requests.Session()
    browser.post(f"{app.url}/login/ada", timeout=PATIENCE)
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    clients = connect_everywhere(app, headers={"Cookie": cookies})
    before = clients[0].call("order", "tea")["orders"]
    orders = [client.call("order", "milk")["orders"] for client in clients]
    assert orders == list(range(before + 1, before + 5))
    assert_clean_end(app)


def test_a_pusher_runs_once_and_in_another_worker_when_its_own_is_killed(
    adopted_projects: Callable[[str], BakedProject], message_queue: str, tmp_path: Path
) -> None:
    """All modes at once, since each waits until the lock of what was killed has run out."""
    project = adopted_projects("main_guard")
    with contextlib.ExitStack() as running:
        apps: list[Adopted] = []
        for mode in ASYNC_MODES:
            environment = several(message_queue, uuid4().hex) | {"MY_SECRET": "x7" * 20}
            service = serve(project, tmp_path / mode, ASYNC_MODE=mode, **environment)
            apps.append(Adopted(project, running.enter_context(service)))
            running.callback(apps[-1].close)
        for app in apps:
            for client in connect_everywhere(app):
                assert_one_after_the_other(client)
        first = [holder(app) for app in apps]
        for process in first:
            os.kill(process, signal.SIGKILL)

        def all_moved() -> bool:
            return all(holder(app) != process for app, process in zip(apps, first, strict=True))

        eventually(all_moved, "other workers do the work")
        for app in apps:
            for client in connect_everywhere(app):
                assert_one_after_the_other(client)


@in_each_mode
def test_a_datagram_is_read_by_the_worker_that_has_the_port(by_two: Serve) -> None:
    port = free_port()
    app = by_two("udp_relay", UDP_PORT=str(port))
    clients = connect_everywhere(app)

    def send(text: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), ("127.0.0.1", port))

    wait_until_read(port, sockets=1)
    for text in ("over", "out"):
        send(text)
    assert [[client.next("datagram") for _ in (1, 2)] for client in clients] == [
        ["over", "out"]
    ] * 4
    assert_clean_end(app)


@in_each_mode
def test_ports_that_are_bound_at_import_are_had_by_one_worker(by_two: Serve) -> None:
    port = free_port()
    app = by_two("udp_listener", PORT_IN=str(port))
    clients = connect_everywhere(app)
    wait_until_read(port, sockets=2)
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(b"a line\n")
        assert [client.next("heard") for client in clients] == ["a line"] * 4
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"a datagram", ("127.0.0.1", port))
    assert [client.next("heard") for client in clients] == ["a datagram"] * 4
    assert_clean_end(app)


@in_each_mode
def test_the_queue_that_the_app_shares_with_its_tasks_stays_the_app_s(
    by_two: Serve, message_queue: str
) -> None:
    orders = message_queue.removesuffix("0") + "1"
    app = by_two("own_queue", ORDERS_QUEUE=orders)
    clients = connect_everywhere(app)
    assert [client.call("watch", "o1") for client in clients] == ["o1"] * 4
    subprocess.run(
        [sys.executable, "tasks.py", "o1"],
        cwd=app.path,
        env={**clean_environment(), "ORDERS_QUEUE": orders},
        check=True,
        timeout=PATIENCE,
    )
    clients[0].emit("cancel", "o1")
    clients[-1].emit("cancel", "o1")
    for client in clients:
        events = [client.next("shipped"), client.next("cancelled"), client.next("cancelled")]
        assert events == ["o1"] * 3
        assert client.waiting("shipped") + client.waiting("cancelled") == 0
    assert_clean_end(app)
