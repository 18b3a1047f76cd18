"""Services that are served keep the ledger right as well, however their queue comes back."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from baking import Bake
from books import TRANSPORTS, Books
from comebacks import COMEBACKS, Line, lined_up
from following import all_have, expect_everything, post, watching
from observing import not_json
from rawclient import http
from routed import wait_for_workers, workers
from served import ServedProject, serve
from waiting import eventually

ROUNDS = int(os.environ.get("ROUNDS", "1"))


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
    with Books(urls, comeback.replace(" ", "-")) as books:
        for _ in range(ROUNDS):
            books.grow(30)
            COMEBACKS[comeback](line)
            books.watchers[0].refresh()
            books.grow(30)
        books.close()


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
