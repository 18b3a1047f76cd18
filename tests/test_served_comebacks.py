"""Services that are served keep the ledger right as well, however their queue comes back."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from baking import Bake
from comebacks import COMEBACKS, Line, lined_up
from following import ENDINGS, Watcher, all_have, expect_everything, post, watching
from numbering import Client, Ledger
from observing import not_json
from rawclient import http
from routed import wait_for_workers, workers
from served import ServedProject, serve
from waiting import eventually

ROUNDS = int(os.environ.get("ROUNDS", "1"))
TRANSPORTS = ("websocket", "polling")


class Publisher(threading.Thread):
    """Publishes over HTTP, to one service after the other, each message until it is confirmed."""

    def __init__(
        self, urls: list[str], channel: str, ledger: Ledger, numbers: Iterator[int]
    ) -> None:
        super().__init__(daemon=True)
        self._urls = itertools.cycle(urls)
        self._channel = channel
        self._ledger = ledger
        self._numbers = numbers
        self._stopped = threading.Event()

    def run(self) -> None:
        """Publish until it is stopped."""
        while not self._stopped.wait(0.01):
            number = next(self._numbers)
            while not self._publish(number):
                self._stopped.wait(0.05)

    def _publish(self, number: int) -> bool:
        with contextlib.suppress(*ENDINGS):
            answer = post(next(self._urls), self._channel, number, f"id-{number}")
            if answer.status == 202:
                self._ledger.confirmed[number] = answer.json()["sequence"]
                return True
        return False

    def stop(self) -> None:
        """Finish what is under way."""
        self._stopped.set()
        self.join()


@pytest.fixture(scope="module", params=["eventlet", "threading"])
def served(
    request: pytest.FixtureRequest, bake: Bake, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Line, list[ServedProject]]]:
    """Serve one service twice, on a queue that others take the place of."""
    directory = tmp_path_factory.mktemp("served")
    settings = {"SERVICE_NAME": "comebacks", "ASYNC_MODE": request.param}
    with lined_up(directory / "queue") as line, contextlib.ExitStack() as stack:
        services = [
            stack.enter_context(
                serve(bake(), directory / f"{name}.log", REDIS_URL=line.url, **settings)
            )
            for name in ("first", "second")
        ]
        yield line, services
        for service in services:
            assert not not_json(service)
            assert not [record for record in service.records() if "exception" in record]


@pytest.mark.parametrize("comeback", COMEBACKS)
def test_the_ledger_of_those_who_are_served_is_right(
    served: tuple[Line, list[ServedProject]], comeback: str
) -> None:
    line, services = served
    urls = [service.url for service in services]
    channel = comeback.replace(" ", "-")
    ledger = Ledger()
    numbers = itertools.count(1)
    publishers = [Publisher(urls, channel, ledger, numbers) for _ in range(3)]
    with watching(urls, channel, TRANSPORTS * 2) as watchers:
        for publisher in publishers:
            publisher.start()
        for _ in range(ROUNDS):
            grown(ledger, 30)
            COMEBACKS[comeback](line)
            watchers[0].refresh()
            grown(ledger, 30)
        for publisher in publishers:
            publisher.stop()

        def unsaid() -> list[Any]:
            return [ledger.unsaid(client_of(watcher)) for watcher in watchers]

        eventually(lambda: not any(unsaid()), lambda: f"all is said; {unsaid()} is not")
        clients = [client_of(watcher) for watcher in watchers]
        ledger.check_words(clients)
        ledger.check_order(clients)
        assert not any(watcher.fault for watcher in watchers)


def test_a_reload_and_a_restart_of_the_queue_may_meet(bake: Bake, tmp_path: Path) -> None:
    settings = {"ASYNC_MODE": "eventlet", "WEB_CONCURRENCY": "2", "DRAIN_SECONDS": "1"}
    log_path = tmp_path / "service.log"
    with (
        lined_up(tmp_path / "queue") as line,
        serve(bake(), log_path, REDIS_URL=line.url, **settings) as service,
    ):
        wait_for_workers(service, 2)
        with watching([service.url], "met", TRANSPORTS) as watchers:
            for number in range(1, 6):
                publish(service, "met", number)
            eventually(all_have(watchers, 5), "all came")
            line.queue.kill()
            before = {worker.pid for worker in workers(service)}
            service.signal(signal.SIGHUP)
            eventually(
                lambda: before.isdisjoint(worker.pid for worker in workers(service)),
                "all workers are others",
            )
            line.queue.start()
            for number in range(6, 11):
                publish(service, "met", number)
            expect_everything(watchers, 10)
        assert not not_json(service)


def publish(service: ServedProject, channel: str, number: int) -> None:
    """Publish a number, until that is confirmed."""
    eventually(
        lambda: post(service.url, channel, number, f"id-{number}").status == 202, "it is published"
    )


def test_readiness_says_that_nothing_can_be_published(
    served: tuple[Line, list[ServedProject]],
) -> None:
    line, services = served

    def allow(sign: str) -> None:
        rights = [f"{sign}{command}" for command in ("eval", "evalsha", "script")]
        line.queue.client.execute_command("ACL", "SETUSER", "default", *rights)

    eventually(lambda: all(readiness(service) == 200 for service in services), "all are ready")
    allow("-")
    try:
        eventually(lambda: all(readiness(service) == 503 for service in services), "none is ready")
        assert post(services[0].url, "declined", 1).status == 503
    finally:
        allow("+")
    eventually(lambda: all(readiness(service) == 200 for service in services), "all are ready")
    assert post(services[0].url, "declined", 1).status == 202


def readiness(service: ServedProject) -> int:
    """Return the status of the check that a load balancer asks."""
    return http("GET", f"{service.url}/health/ready").status


def grown(ledger: Ledger, count: int) -> None:
    """Wait until so many more messages are confirmed."""
    enough = len(ledger.confirmed) + count
    eventually(lambda: len(ledger.confirmed) >= enough, "messages are confirmed")


def client_of(watcher: Watcher) -> Client:
    """Return what a watcher was sent and told."""
    return Client(list(watcher.updates), [(gap["from"], gap["to"]) for gap in watcher.gaps])
