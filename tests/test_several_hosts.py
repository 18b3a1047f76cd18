"""The generated nginx configurations: each request reaches the host that has its session."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import socketio

import rawclient
from baking import Bake
from observing import LogMark
from ports import free_port
from proxies import nginx, on_loopback
from rawclient import PollingSession, http, open_websocket
from routed import wait_for_workers
from served import ServedProject
from waiting import PATIENCE, eventually

CLOSE = "1"
"""The packet that ends a session of Engine.IO."""

SITES = ("hosts", "sticky")
ALL_SITES = (*SITES, "one-host")

Start = Callable[..., ServedProject]


def site(bake: Bake, name: str, port: int, hosts: dict[str, int]) -> str:
    """Return a generated configuration with the port and the addresses of a test.

    :param name: which of them.
    :param port: where it listens.
    :param hosts: the ports of ``web-1`` and ``web-2``.
    """
    text = bake().text(f"deploy/nginx/{name}.conf")
    assert "{{" not in text
    text = on_loopback(text, port)
    for number, service_port in enumerate(hosts.values(), start=1):
        text = text.replace(f"10.0.0.1{number}:5000", f"127.0.0.1:{service_port}")
    return text


@pytest.mark.parametrize("name", ALL_SITES)
def test_the_time_outs_fit_the_settings(bake: Bake, name: str) -> None:
    text, settings = bake().text(f"deploy/nginx/{name}.conf"), bake().text(".env.example")

    def setting(variable: str) -> int:
        return int(re.findall(rf"^# {variable}=(\d+)$", settings, re.MULTILINE)[0])

    def directive(variable: str) -> int:
        (value,) = set(re.findall(rf"^ *{variable} (\d+)[sm]?;", text, re.MULTILINE))
        return int(value)

    assert directive("proxy_read_timeout") == setting("PROXY_READ_TIMEOUT")
    assert directive("keepalive_timeout") < setting("KEEPALIVE")
    assert directive("client_max_body_size") * 2**20 > setting("MAX_MESSAGE_BYTES")


def host_of(sid: str) -> str:
    """Return the host that a session id names."""
    return sid.partition(".")[0]


def session_on(url: str, host: str) -> PollingSession:
    """Open sessions until one is on a host."""

    def opened() -> PollingSession | None:
        session = PollingSession(url)
        return session if host_of(session.sid) == host else None

    session = eventually(opened, f"a session on {host}")
    assert session is not None
    return session


@contextlib.contextmanager
def two_hosts(service: Start, message_queue: str) -> Iterator[dict[str, ServedProject]]:
    """Serve as two hosts do, each with two workers."""
    environment = {
        "WEB_CONCURRENCY": "2",
        "REDIS_URL": message_queue,
        "TRUSTED_PROXIES": "1",
        "DRAIN_SECONDS": "2",
    }
    hosts = {name: service("gevent", HOST_ID=name, **environment) for name in ("web-1", "web-2")}
    for served in hosts.values():
        wait_for_workers(served, 2)
    yield hosts


def addresses_in(marks: list[LogMark]) -> set[str]:
    """Return the addresses whose clients have connected according to some logs."""
    return {
        record["address"]
        for mark in marks
        for record in mark.records()
        if record["event"] == "client connected"
    }


def test_requests_are_routed_by_the_host_id(
    service: Start, message_queue: str, bake: Bake, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as running:
        hosts = running.enter_context(two_hosts(service, message_queue))
        marks = [LogMark(served) for served in hosts.values()]
        port = free_port()
        ports = {name: served.port for name, served in hosts.items()}
        url = running.enter_context(nginx(tmp_path, site(bake, "hosts", port, ports), port))

        # New sessions go to the host with the fewest connections.
        with contextlib.ExitStack() as open_now:
            sockets = [open_now.enter_context(open_websocket(url)) for _ in range(12)]
            assert Counter(host_of(ws.sid) for ws in sockets) == {"web-1": 6, "web-2": 6}

        # Python clients over each transport, all of whom hear what one of them publishes.
        clients = [socketio.SimpleClient() for _ in range(24)]
        transports = [["polling"], ["websocket"], ["polling", "websocket"]] * 8

        def join(client: socketio.SimpleClient, transports: list[str]) -> None:
            client.connect(url, transports=transports)
            for number in range(5):
                assert client.call("heartbeat", {"sent_at": number})["ok"]
            assert client.call("subscribe", {"channels": ["hosts"]})["ok"]

        def hear(client: socketio.SimpleClient) -> object:
            while True:
                event, payload = client.receive(timeout=PATIENCE)
                if event == "update":
                    return payload["data"]

        with ThreadPoolExecutor(24) as pool:
            list(pool.map(join, clients, transports))
            assert {host_of(str(client.sid)) for client in clients} == set(hosts)
            assert clients[0].call("publish", {"channel": "hosts", "data": "all"})["ok"]
            assert list(pool.map(hear, clients)) == ["all"] * 24
            list(pool.map(socketio.SimpleClient.disconnect, clients))

        # What the client claims is its address does not get through.
        with open_websocket(url, headers={"x-forwarded-for": "192.0.2.1"}) as ws:
            ws.connect_namespace()
            ws.wait_for_event("connection_ack")
            ws.close_cleanly()
        # The official client chooses no address of its own.
        expected = {rawclient.LOOPBACK, rawclient.own_address}
        eventually(lambda: addresses_in(marks) == expected, "the log has the real addresses")

        # An id that nobody gave, or of a host that there is not, gets Engine.IO's own answer.
        secret = "A" * 20
        for sid in (
            f"web-1.0.1.{secret}",
            f"web-3.0.1.{secret}",
            "127.0.0.1",
            "web-1",
            "web-1.",
            "",
        ):
            answer = http("GET", f"{url}/socket.io/?EIO=4&transport=polling&sid={sid}")
            assert answer.status == 400 if sid else 200
        assert not [record for mark in marks for record in mark.loud()]

        # Hosts that leave are passed over by new clients, from the moment they begin to.
        for leaving, staying in (("web-1", "web-2"), ("web-2", "web-1")):
            lost, kept = session_on(url, leaving), session_on(url, staying)
            with ThreadPoolExecutor(1) as pool:
                left = pool.submit(hosts[leaving].stop)
                while not left.done():
                    # What stayed open would soon be all that one address may have.
                    PollingSession(url).post(CLOSE)
                    open_websocket(url).close()
            for _ in range(5):
                with contextlib.closing(open_websocket(url)) as client:
                    assert host_of(client.sid) == staying
            assert kept.post("3").status == 200
            # The other one says that it does not know the session, upon which clients open another.
            assert lost.post("3").status == http("GET", f"{url}{lost.target}").status == 400
            hosts[leaving].start_again()


def test_requests_are_routed_by_a_cookie(
    service: Start, message_queue: str, bake: Bake, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as running:
        hosts = running.enter_context(two_hosts(service, message_queue))
        port = free_port()
        ports = {name: served.port for name, served in hosts.items()}
        url = running.enter_context(nginx(tmp_path, site(bake, "sticky", port, ports), port))
        seen = set()

        def both() -> bool:
            # This client keeps cookies, as a browser does.
            with socketio.SimpleClient() as client:
                client.connect(url, transports=["polling"])
                for number in range(5):
                    assert client.call("heartbeat", {"sent_at": number})["ok"]
                seen.add(host_of(str(client.sid)))
            return seen == set(hosts)

        eventually(both, "both hosts have had sessions")
